import { mkdir, rm, stat } from "node:fs/promises";
import path from "node:path";
import envPaths from "env-paths";
import { MachineError } from "../errors.ts";
import type { DownloadOptions } from "./download-node.ts";
import { download, sha256Of } from "./download-node.ts";
import { withFileLock } from "./file-lock-node.ts";
import { convertFile } from "./files-node.ts";
import type { KnownModel } from "./recognise-model.ts";
import type { RegisteredWeights } from "./registry.ts";

/** Options of {@link ensureWeights}. */
export interface EnsureOptions extends Pick<
  DownloadOptions,
  "onProgress" | "signal" | "attempts" | "retryDelayMs" | "stallMs"
> {
  /** The folder that keeps weights between runs; see {@link defaultCacheFolder}. */
  readonly cacheFolder: string;
  /** The models that the weights may belong to. */
  readonly models: readonly KnownModel[];
  /** Never to use the network. */
  readonly offline?: boolean;
}

/** The cache folder where none is named: `EFFICIENTDET_CACHE`, else the platform's folder for caches. */
export function defaultCacheFolder(environment: NodeJS.ProcessEnv = process.env): string {
  return environment.EFFICIENTDET_CACHE || envPaths("efficientdet", { suffix: "" }).cache;
}

/** Where registered weights lie in a cache, once they were fetched and converted. */
export function cachedWeightsPath(weights: RegisteredWeights, cacheFolder: string): string {
  const version = weights.sha256Start === undefined ? "" : `-${weights.sha256Start}`;
  return path.join(cacheFolder, "weights", `${weights.name}${version}.safetensors`);
}

/**
 * The path of registered weights as safetensors: from the cache, else fetched, checked and converted into it, once for
 * all processes. A file that was fetched by hand and put into the cache's folder is used without a network.
 *
 * @throws {MachineError} if they cannot be had, with what to fetch by hand and where to put it
 * @throws {WeightsError} if the file that came is not the weights it should be
 */
export async function ensureWeights(weights: RegisteredWeights, options: EnsureOptions): Promise<string> {
  const { cacheFolder, models, offline = false, signal } = options;
  const target = cachedWeightsPath(weights, cacheFolder);
  if (await exists(target)) return target;
  const folder = path.dirname(target);
  const raw = path.join(folder, weights.file);
  const byHand = `fetch ${weights.url} by hand and put it into ${folder}`;
  if (offline && !(await exists(raw)))
    throw new MachineError(
      `the weights of ${weights.name} are not in the cache and --offline is set`,
      byHand,
    );
  await makeCacheFolder(folder);
  return withFileLock(
    `${target}.lock`,
    async () => {
      if (await exists(target)) return target; // another process was first
      const fetched = !(await exists(raw));
      if (fetched) {
        const { onProgress, attempts, retryDelayMs, stallMs } = options;
        await download(weights.url, raw, {
          sha256Start: weights.sha256Start,
          byHand,
          onProgress,
          signal,
          attempts,
          retryDelayMs,
          stallMs,
        });
      } else if (weights.sha256Start !== undefined && !(await sha256Of(raw)).startsWith(weights.sha256Start))
        throw new MachineError(
          `${raw} is not the expected file: its SHA-256 does not begin with ${weights.sha256Start}`,
          `remove it, or fetch it again from ${weights.url}`,
        );
      try {
        await convertFile(raw, target, {
          models,
          model: weights.model,
          about: { ...weights.metadata, classes: weights.classes },
        });
      } catch (error) {
        // What was put there by hand is the user's; what was fetched would fail again next time.
        if (fetched) await rm(raw, { force: true });
        throw error;
      }
      await rm(raw, { force: true });
      return target;
    },
    { signal },
  );
}

/** Makes a folder of the cache where it is missing. @throws {MachineError} if the machine refuses */
export async function makeCacheFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    const { code = "unknown reason" } = error as NodeJS.ErrnoException;
    throw new MachineError(`${folder} cannot be made (${code})`, "pass another --cache-dir", error);
  }
}

async function exists(file: string): Promise<boolean> {
  try {
    return (await stat(file)).isFile();
  } catch {
    return false;
  }
}
