import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { MachineError, suggest, UsageError } from "../errors.ts";
import { withinBytes } from "../files/index.ts";
import { download, type DownloadProgress } from "../weights/download-node.ts";
import { withFileLock } from "../weights/file-lock-node.ts";
import { readWeightFiles } from "../weights/files-node.ts";
import {
  readCheckpoint,
  registeredWeights,
  type Checkpoint,
  type EmaChoice,
  type ModelClass,
} from "../weights/index.ts";
import { defaultCacheFolder, ensureWeights, makeCacheFolder } from "../weights/weights-cache-node.ts";
import { knownModels } from "../weights/known-models.ts";
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
  /** Which weights of a training checkpoint that also has their moving average; default `auto`: the average where there is one. */
  readonly ema?: EmaChoice;
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
export async function openModel(
  source: string | URL | ModelSource = defaultModel,
  options: OpenOptions = {},
): Promise<ReadyModel> {
  const wanted: ModelSource =
    typeof source === "object" && !(source instanceof URL)
      ? source
      : isName(source)
        ? { model: String(source) }
        : { weights: source };
  if (wanted.weights !== undefined)
    return readyModel(await checkpointAt(wanted.weights, wanted, options), wanted);
  const name = wanted.model ?? defaultModel;
  const file = (packageModels as readonly string[]).includes(name)
    ? packageFile(`weights/${name}.safetensors`)
    : await registered(name, options);
  return readyModel(readCheckpoint(await readWeightFiles(file), { source: file }), {
    ...wanted,
    model: undefined,
  });
}

/** The file of published weights, downloaded into the cache where it is not there yet. */
async function registered(
  name: string,
  { cacheDir, offline, onProgress, signal }: OpenOptions,
): Promise<string> {
  const weights = registeredWeights.find((entry) => entry.name === name);
  if (!weights)
    throw new UsageError(
      `there is no ready model ${name}`,
      suggest(name, [...packageModels, ...registeredWeights.map((entry) => entry.name)]),
    );
  return ensureWeights(weights, {
    cacheFolder: cacheDir ?? defaultCacheFolder(),
    models: knownModels,
    offline,
    signal,
    onProgress: onProgress && (({ receivedBytes, totalBytes }) => onProgress(receivedBytes, totalBytes)),
  });
}

/** A checkpoint from a path, or from a URL by way of the cache. */
async function checkpointAt(
  weights: string | URL,
  { ema }: ModelSource,
  options: OpenOptions,
): Promise<Checkpoint> {
  const text = String(weights);
  const file = weights instanceof URL && weights.protocol === "file:" ? fileURLToPath(weights) : text;
  if (!/^https?:/i.test(text)) return readCheckpoint(await readWeightFiles(file), { source: file, ema });
  if (!URL.canParse(text))
    throw new UsageError(`${text} is no URL`, "write https://host/weights.safetensors");
  const cached = path.join(
    options.cacheDir ?? defaultCacheFolder(),
    "urls",
    `${createHash("sha256").update(text).digest("hex").slice(0, 16)}-${withinBytes(path.basename(new URL(text).pathname), 150)}`,
  );
  if (!existsSync(cached)) {
    if (options.offline)
      throw new MachineError(
        `${text} is not in the cache and --offline is set`,
        `fetch it by hand and put it at ${cached}`,
      );
    const { onProgress, signal } = options;
    const told =
      onProgress &&
      (({ receivedBytes, totalBytes }: DownloadProgress) => onProgress(receivedBytes, totalBytes));
    await makeCacheFolder(path.dirname(cached));
    await withFileLock(
      `${cached}.lock`,
      async () => {
        if (!existsSync(cached)) await download(text, cached, { signal, onProgress: told });
      },
      { signal },
    );
  }
  return readCheckpoint(await readWeightFiles(cached), { source: text, ema });
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
