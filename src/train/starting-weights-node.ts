import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { suggest, UsageError, WeightsError } from "../errors.ts";
import {
  anchorsPerCell,
  initialWeights,
  modelConfig,
  variants,
  type ModelConfig,
  type ModelOverrides,
} from "../models/index.ts";
import { tensor, type Tensor } from "../tensor/index.ts";
import { readWeightFiles } from "../weights/files-node.ts";
import {
  convertCheckpoint, loadWeights, parseModelMetadata, readCheckpoint, registeredWeights, type Checkpoint, type ModelClass, type ModelMetadata,
} from "../weights/index.ts"; // prettier-ignore
import { knownModels, parameterShapes } from "../weights/known-models.ts";
import { defaultCacheFolder, ensureWeights } from "../weights/weights-cache-node.ts";
import type { TrainConfig } from "./config.ts";

/** Where weights may come from. */
export interface WeightsAccess {
  readonly cacheDir?: string;
  readonly offline?: boolean;
  readonly signal?: AbortSignal;
  /** Told while a file is downloaded. */
  readonly onDownload?: (receivedBytes: number, totalBytes: number | undefined) => void;
}

/** Weights that a run may start from, before the network is known. */
export interface StartingWeights {
  /** What was asked for, or decided: `imagenet`, `none`, a name or a path. */
  readonly name: string;
  readonly checkpoint?: Checkpoint;
  /** What the file says or is known of it. */
  readonly metadata: ModelMetadata;
  /** The variant that they belong to, where that is known. */
  readonly model?: string;
}

/** ImageNet backbones in the package, by the name of the variants' backbone. */
const packageBackbones: Readonly<Record<string, string>> = { lite0: "efficientnet-lite0-imagenet" };
/** Detectors in the package. */
const packageDetectors = ["lite0-everyday"];

/**
 * Finds the weights that a configuration names, or decides which: for Lite0 the ImageNet backbone of the package, for
 * other models their published detector.
 *
 * @throws {UsageError} for a name that is neither known nor a file
 * @throws {WeightsError} for a file that cannot be used
 * @throws {MachineError} where a download is needed and impossible
 */
export async function findStartingWeights(
  config: TrainConfig,
  access: WeightsAccess,
): Promise<StartingWeights> {
  const model = config.model ?? "lite0";
  const name = config.weights ?? defaultWeights(model);
  if (name === "none") return { name, metadata: {}, model: config.model ?? "lite0" };
  if (name === "imagenet") return { ...(await backboneOf(model)), name, model };
  if (packageDetectors.includes(name)) return { ...(await fromFile(packagePath(name), config.model)), name };
  const registered = registeredWeights.find((entry) => entry.name === name);
  if (registered) {
    const { cacheDir, offline, signal, onDownload } = access;
    const onProgress =
      onDownload &&
      (({ receivedBytes, totalBytes }: { receivedBytes: number; totalBytes?: number }): void =>
        onDownload(receivedBytes, totalBytes));
    const file = await ensureWeights(registered, {
      cacheFolder: cacheDir ?? defaultCacheFolder(),
      models: knownModels,
      offline,
      signal,
      onProgress,
    });
    return { ...(await fromFile(file, config.model)), name };
  }
  if (!existsSync(name) && !/[\\/.]/.test(name))
    throw new UsageError(
      `there are no weights ${name}`,
      suggest(name, [
        "imagenet",
        "none",
        ...packageDetectors,
        ...registeredWeights.map((entry) => entry.name),
      ]),
    );
  return { ...(await fromFile(name, config.model)), name };
}

function defaultWeights(model: string): string {
  if (Object.hasOwn(variants, model) && Object.hasOwn(packageBackbones, modelConfig(model).backbone))
    return "imagenet";
  return registeredWeights.some(({ name }) => name === model) ? model : "none";
}

async function backboneOf(model: string): Promise<Pick<StartingWeights, "checkpoint" | "metadata">> {
  const { backbone } = modelConfig(model);
  const file = Object.hasOwn(packageBackbones, backbone) ? packageBackbones[backbone] : undefined;
  if (file === undefined)
    throw new UsageError(
      `the package has no ImageNet backbone for ${model}`,
      `name a weight file, one of the published detectors such as ${model}, or --weights none`,
    );
  const { checkpoint, metadata } = await fromFile(packagePath(file), model);
  // A backbone says nothing of anchors and input size.
  return {
    checkpoint,
    metadata: { mean: metadata.mean, std: metadata.std, source: metadata.source, licence: metadata.licence },
  };
}

/** `../..` is the package's root from the sources and from the build. */
function packagePath(name: string): string {
  return fileURLToPath(new URL(`../../weights/${name}.safetensors`, import.meta.url));
}

async function fromFile(file: string, model: string | undefined): Promise<Omit<StartingWeights, "name">> {
  const checkpoint = readCheckpoint(await readWeightFiles(file), { source: file });
  const stated = parseModelMetadata(checkpoint.metadata, file);
  const isDetector = checkpoint.tensors.has("class_net.predict.conv_pw.weight");
  if (!isDetector || stated.modelConfig !== undefined)
    return { checkpoint, metadata: stated, model: stated.model ?? model };
  const { recognised, metadata } = convertCheckpoint(checkpoint, {
    models: knownModels,
    model: stated.model ?? model,
  });
  if (model !== undefined && model !== recognised.model)
    throw new WeightsError(
      `these are weights of ${recognised.model}, not of ${model} (${file})`,
      `pass --model ${recognised.model}, or other weights`,
    );
  return { checkpoint, metadata, model: recognised.model };
}

/** The network that a configuration asks for, with what its starting weights know of input and anchors. */
export function networkOf(
  config: TrainConfig,
  { model, metadata }: StartingWeights,
  classes: number,
): ModelConfig {
  const own = (metadata.modelConfig ?? {}) as ModelOverrides;
  const { mean, std, anchorScale, aspectRatios } = metadata;
  return modelConfig(config.model ?? model ?? "lite0", {
    ...own,
    ...(mean && { mean }),
    ...(std && { std }),
    ...(anchorScale === undefined ? {} : { anchorScale }),
    ...(aspectRatios && { aspectRatios }),
    ...(config.network as ModelOverrides),
    imageSize: config.imageSize ?? metadata.imageSize ?? own.imageSize,
    classes,
  });
}

/** The weights that training begins with. */
export interface BeginningWeights {
  /** Every parameter of the network and its running statistics. */
  readonly weights: Map<string, Tensor>;
  /** Parts that begin fresh, as sentences for people. */
  readonly notes: readonly string[];
  /** Whether the feature network and the heads begin fresh: their stored statistics are then to be measured. */
  readonly fresh: boolean;
}

/**
 * Every weight of a network: from the starting weights where they have it, else fresh. The class predictor keeps the
 * rows of classes that both know by name; the other classes begin fresh.
 */
export function beginningWeights(
  network: ModelConfig,
  classes: readonly ModelClass[],
  start: StartingWeights,
  seed: number,
): BeginningWeights {
  const weights = initialWeights(network, seed);
  if (!start.checkpoint) return { weights, notes: ["every weight begins fresh"], fresh: true };
  const { tensors, report } = loadWeights(start.checkpoint, parameterShapes(network), {
    model: network.name,
    classes: start.metadata.classes?.length ?? 0,
  });
  const isPredictor = (name: string): boolean => /^class_net\.predict\.conv_pw\.(weight|bias)$/.test(name);
  const notes: string[] = [];
  for (const [name, lazy] of tensors) if (!isPredictor(name)) weights.set(name, lazy.read());
  const odd = report.reinitialised.filter(({ name }) => !isPredictor(name));
  if (odd.length > 0)
    notes.push(
      `${odd.length} tensors of ${start.name} have other shapes (${odd[0]!.name}: ${odd[0]!.reason}) and begin fresh`,
    );
  const missing = report.missing.filter(({ name }) => !tensors.has(name));
  const fresh = missing.some(({ name }) => name.startsWith("class_net."));
  if (missing.some(({ name }) => name.startsWith("backbone.")))
    throw new WeightsError(
      `${missing[0]!.name} is not among the weights (${start.name})`,
      "they belong to another model; pass --model, or --weights none",
    );
  if (fresh) notes.push("the feature network and the heads begin fresh");
  else {
    const kept = keepKnownClasses(weights, start, classes, network);
    if (kept < classes.length)
      notes.push(
        kept === 0
          ? "all classes are new: their predictor begins fresh"
          : `${classes.length - kept} of ${classes.length} classes are new`,
      );
  }
  return { weights, notes, fresh };
}

/** Copies the class predictor's rows of classes with the same name; gives their number. */
function keepKnownClasses(
  weights: Map<string, Tensor>,
  { checkpoint, metadata }: StartingWeights,
  classes: readonly ModelClass[],
  network: ModelConfig,
): number {
  const plain = (name: string): string => name.toLowerCase().replace(/[\s_-]+/g, "");
  const known = (metadata.classes ?? []).map(({ name }) => plain(name));
  const from = classes.map(({ name }) => known.indexOf(plain(name)));
  if (!from.some((index) => index >= 0)) return 0;
  const anchors = anchorsPerCell(network);
  for (const part of ["weight", "bias"]) {
    const name = `class_net.predict.conv_pw.${part}`;
    const target = weights.get(name)!;
    const lazy = checkpoint!.tensors.get(name)!;
    const read = loadWeights(checkpoint!, [{ name, shape: lazy.shape }], {
      model: network.name,
      classes: known.length,
    })
      .tensors.get(name)!
      .read();
    const row = target.data.length / (anchors * classes.length);
    if (read.data.length !== row * anchors * known.length) return 0;
    const data = Float32Array.from(target.data as Float32Array);
    for (let anchor = 0; anchor < anchors; anchor++)
      from.forEach((index, own) => {
        if (index < 0) return;
        const at = (anchor * known.length + index) * row;
        data.set((read.data as Float32Array).subarray(at, at + row), (anchor * classes.length + own) * row);
      });
    weights.set(name, tensor("float32", target.shape, data));
  }
  return from.filter((index) => index >= 0).length;
}
