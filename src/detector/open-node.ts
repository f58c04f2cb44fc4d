import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { suggest, UsageError, WeightsError } from "../errors.ts";
import { variants } from "../models/index.ts";
import { readSafetensors, type ModelClass } from "../weights/index.ts";
import { readyModel, type ReadyModel } from "./ready-model.ts";

/** Detectors whose weights lie in the package: offline, from the first moment. */
export const packageModels = ["lite0-everyday"] as const;

/** The detector that is used where none is named. */
export const defaultModel = "lite0-everyday";

/** Which model, and where its weights are. A string is a name, a path or a URL. */
export interface ModelSource {
  /** A name: of a ready detector, or (with `weights`) of a variant. */
  readonly model?: string;
  /** A weight file: path or URL. */
  readonly weights?: string | URL;
  readonly classNames?: readonly (string | ModelClass)[];
  readonly imageSize?: number | readonly [number, number];
}

export interface OpenOptions {
  readonly cacheDir?: string;
  readonly offline?: boolean;
  /** Told while a file is downloaded. */
  readonly onProgress?: (received: number, total: number | undefined) => void;
  readonly signal?: AbortSignal;
}

/**
 * A model ready to run, from a name, a path, a URL, or a description of these.
 *
 * @throws {UsageError} for a name that is neither known nor a file
 * @throws {WeightsError} for a file that cannot be used
 * @throws {MachineError} where a download is needed and impossible
 */
export async function openModel(source: string | URL | ModelSource = defaultModel, _options: OpenOptions = {}): Promise<ReadyModel> {
  const wanted: ModelSource = typeof source === "object" && !(source instanceof URL) ? source : isName(source) ? { model: String(source) } : { weights: source };
  if (wanted.weights !== undefined) {
    const file = wanted.weights instanceof URL ? fileURLToPath(wanted.weights) : wanted.weights;
    return readyModel(readSafetensors(await bytesOf(file), file), wanted);
  }
  const name = wanted.model ?? defaultModel;
  if ((packageModels as readonly string[]).includes(name)) {
    const file = packageFile(`weights/${name}.safetensors`);
    return readyModel(readSafetensors(await bytesOf(file), file), { ...wanted, model: undefined });
  }
  throw new UsageError(`there is no ready model ${name}`, suggest(name, [...packageModels, ...Object.keys(variants)]));
}

function isName(source: string | URL): boolean {
  return typeof source === "string" && !existsSync(source) && !/[\\/]|^\w+:|\.\w+$/.test(source);
}

/** A file of the installed package, from sources or from the build. */
export function packageFile(relative: string): string {
  let folder = path.dirname(fileURLToPath(import.meta.url));
  while (!existsSync(path.join(folder, "package.json"))) folder = path.dirname(folder);
  return path.join(folder, relative);
}

async function bytesOf(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const why = code === "ENOENT" ? "there is no such file" : code === "EISDIR" ? "this is a folder" : (cause as Error).message;
    throw new WeightsError(`the weights cannot be read: ${why} (${file})`, "check the path", cause);
  }
}
