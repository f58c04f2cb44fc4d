import { UsageError, WeightsError } from "../errors.ts";
import { anchorsPerCell, modelConfig, type ModelConfig, type ModelOverrides } from "../models/index.ts";
import type { Tensor } from "../tensor/index.ts";
import {
  convertCheckpoint,
  parseModelMetadata,
  type Checkpoint,
  type ModelClass,
  type ModelMetadata,
} from "../weights/index.ts";
import { knownModels } from "../weights/known-models.ts";

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
  const model = options.model ?? stated.model;
  const { metadata, recognised, weights } = convertCheckpoint(checkpoint, { models: knownModels, model });
  const overrides: ModelOverrides = {
    ...inputOf(metadata),
    imageSize: options.imageSize ?? metadata.imageSize,
    classes: recognised.classes,
  };
  return {
    config: modelConfig(recognised.model, overrides),
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
  const outline = modelConfig(stated.model ?? own.name, {
    ...own,
    ...inputOf(stated),
    imageSize: options.imageSize ?? stated.imageSize ?? own.imageSize,
  });
  const classes = predictor.shape[0]! / anchorsPerCell(outline);
  return {
    config: { ...outline, classes },
    classes: classList(options.classNames ?? stated.classes, classes, source),
    weights: new Map([...tensors].map(([name, lazy]) => [name, lazy.read()])),
    source,
  };
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
