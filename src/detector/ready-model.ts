import { UsageError, WeightsError } from "../errors.ts";
import { anchorsPerCell, modelConfig, type ModelConfig, type ModelOverrides } from "../models/index.ts";
import type { Tensor } from "../tensor/index.ts";
import {
  convertCheckpoint,
  loadWeights,
  requireWhole,
  parseModelMetadata,
  type Checkpoint,
  type ModelClass,
  type ModelMetadata,
} from "../weights/index.ts";
import { knownModels, parameterShapes } from "../weights/known-models.ts";

/** A network with its weights and the names of what it finds: all that a detector is made of. */
export interface ReadyModel {
  readonly config: ModelConfig;
  readonly classes: readonly ModelClass[];
  readonly weights: ReadonlyMap<string, Tensor>;
  readonly source: string;
}

/** What a checkpoint does not say, or is told otherwise. */
export interface ReadyModelOptions {
  /** The variant, where the file does not name it. */
  readonly model?: string;
  readonly classNames?: readonly (string | ModelClass)[];
  readonly imageSize?: number | readonly [number, number];
}

/**
 * A model from a checkpoint of any format: which variant it is, its classes, input and anchors are taken from the file
 * where it says them, recognised from its tensors, or assumed as the format's publishers had them.
 *
 * @throws {WeightsError} if the weights fit no model, are not whole, or hold NaN
 */
export function readyModel(checkpoint: Checkpoint, options: ReadyModelOptions = {}): ReadyModel {
  const { source } = checkpoint;
  const stated = parseModelMetadata(checkpoint.metadata, source);
  if (stated.modelConfig) return ofOwnConfig(checkpoint, stated, options);
  const known = knownModels.some(({ name }) => name === stated.model);
  const model = options.model ?? (known ? stated.model : undefined);
  const { metadata, recognised, weights } = convertCheckpoint(checkpoint, { models: knownModels, model });
  const { imageSize } = metadata;
  const overrides: ModelOverrides = { ...inputOf(metadata), imageSize, classes: recognised.classes };
  const config = configOf(source, recognised.model, overrides, options);
  const [anchors, predicted] = [anchorsPerCell(config), weights.tensors.get(boxPredictor)!.shape[0]! / 4];
  if (anchors !== predicted)
    throw new WeightsError(
      `the file's aspect ratios make ${anchors} anchors, its network predicts ${predicted} (${source})`,
      "its metadata is damaged, or not its own: convert the original again",
    );
  return {
    config,
    classes: classList(options.classNames ?? metadata.classes, recognised.classes, source),
    weights: new Map([...weights.tensors].map(([name, lazy]) => [name, lazy.read()])),
    source,
  };
}

/** A network that is none of the named variants: its file holds its configuration. */
function ofOwnConfig(checkpoint: Checkpoint, stated: ModelMetadata, options: ReadyModelOptions): ReadyModel {
  const { source, tensors } = checkpoint;
  const predictor = tensors.get("class_net.predict.conv_pw.weight");
  if (!predictor)
    throw new WeightsError(
      `there is no class predictor, class_net.predict.conv_pw.weight (${source})`,
      "this is not a detector's weight file, or only its backbone",
    );
  const own = stated.modelConfig as ModelOverrides & { name: string };
  const name = stated.model ?? own.name;
  const overrides = { ...own, ...defined(inputOf(stated)), imageSize: stated.imageSize ?? own.imageSize };
  const outline = configOf(source, name, overrides, {});
  const classes = predictor.shape[0]! / anchorsPerCell(outline);
  const config = configOf(source, name, { ...overrides, classes }, options);
  const weights = loadWeights(checkpoint, parameterShapes(config), { model: config.name, classes });
  requireWhole(weights, source);
  return {
    config,
    classes: classList(options.classNames ?? stated.classes, classes, source),
    weights: new Map([...weights.tensors].map(([tensor, lazy]) => [tensor, lazy.read()])),
    source,
  };
}

const boxPredictor = "box_net.predict.conv_pw.weight";

/** The configuration that a file states; what is impossible in it is the file's fault, but not the size asked for. */
function configOf(
  source: string,
  name: string,
  stated: ModelOverrides,
  { imageSize }: ReadyModelOptions,
): ModelConfig {
  const own = imageSize === undefined ? stated : { ...stated, imageSize: 512 };
  let config: ModelConfig;
  try {
    config = modelConfig(name, own);
  } catch (cause) {
    if (!(cause instanceof UsageError)) throw cause;
    throw new WeightsError(`${cause.message} (${source})`, "the file's metadata is damaged", cause);
  }
  return imageSize === undefined ? config : modelConfig(name, { ...stated, imageSize });
}

function defined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as T;
}

function inputOf({ mean, std, anchorScale, aspectRatios }: ModelMetadata): ModelOverrides {
  return { mean, std, anchorScale, aspectRatios };
}

function classList(
  names: readonly (string | ModelClass)[] | undefined,
  count: number,
  source: string,
): ModelClass[] {
  if (!names) return Array.from({ length: count }, (_, i) => ({ id: i + 1, name: `class ${i + 1}` }));
  if (names.length !== count)
    throw new UsageError(
      `${names.length} class names for a model of ${count} classes (${source})`,
      "give one name per class, in the order of the model",
    );
  return names.map((name, i) => (typeof name === "string" ? { id: i + 1, name } : name));
}
