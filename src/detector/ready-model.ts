import { UsageError, WeightsError } from "../errors.ts";
import { anchorsPerCell, modelConfig, type ModelConfig, type ModelOverrides } from "../models/index.ts";
import type { Tensor } from "../tensor/index.ts";
import { parseModelMetadata, type Checkpoint, type ModelClass } from "../weights/index.ts";

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
 * A model from a checkpoint with effdet's names: the configuration from its metadata, classes from there or from the
 * width of its class predictor.
 *
 * @throws {WeightsError} if the file does not say which model it is, or lacks the class predictor
 */
export function readyModel(checkpoint: Checkpoint, options: ReadyModelOptions = {}): ReadyModel {
  const { source, tensors } = checkpoint;
  const said = parseModelMetadata(checkpoint.metadata, source);
  const name = options.model ?? said.model;
  if (name === undefined && !said.modelConfig) throw new WeightsError(`the file does not say which model it is (${source})`, "name it with --model, such as --model d0");
  const predictor = tensors.get("class_net.predict.conv_pw.weight");
  if (!predictor) throw new WeightsError(`there is no class predictor, class_net.predict.conv_pw.weight (${source})`, "this is not a detector's weight file, or only its backbone");
  const overrides: ModelOverrides = {
    ...(said.modelConfig as ModelOverrides | undefined),
    imageSize: options.imageSize ?? said.imageSize,
    mean: said.mean,
    std: said.std,
    anchorScale: said.anchorScale,
    aspectRatios: said.aspectRatios,
  };
  const outline = modelConfig(name ?? (said.modelConfig!.name as string), overrides);
  const classCount = predictor.shape[0]! / anchorsPerCell(outline);
  const config = { ...outline, classes: classCount };
  const classes = classList(options.classNames ?? said.classes, classCount, source);
  const weights = new Map([...tensors].map(([key, lazy]) => [key, lazy.read()] as const));
  return { config, classes, weights, source };
}

function classList(names: readonly (string | ModelClass)[] | undefined, count: number, source: string): ModelClass[] {
  if (!names) return Array.from({ length: count }, (_, i) => ({ id: i + 1, name: `class ${i + 1}` }));
  if (names.length !== count) throw new UsageError(`${names.length} class names for a model of ${count} classes (${source})`, "give one name per class, in the order of the model");
  return names.map((name, i) => (typeof name === "string" ? { id: i + 1, name } : name));
}
