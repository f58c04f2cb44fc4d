import { suggest, UsageError, WeightsError } from "../errors.ts";
import type { Shape } from "../tensor/index.ts";
import type { ModelMetadata } from "./model-metadata.ts";
import { parseVariantName } from "./model-metadata.ts";
import { printable } from "./printable.ts";

/** A parameter or running statistic of a model: its name in effdet and its shape in PyTorch. */
export interface ParameterShape {
  readonly name: string;
  readonly shape: Shape;
}

/** A model that weights may belong to. */
export interface KnownModel {
  readonly name: string;
  /** All its parameters and running statistics, for a number of classes. */
  parameters(classes: number): readonly ParameterShape[];
  /** What a converted file says where the original says nothing: image size, normalisation, anchors. */
  readonly defaults?: ModelMetadata;
}

/** What can be told of a model from its tensors' names and shapes. */
export interface Architecture {
  /** Channels after the stem. */
  readonly stem: number;
  /** For each stage of the backbone: its number of blocks and their channels. */
  readonly stages: readonly { readonly blocks: number; readonly channels: number }[];
  /** Whether blocks have squeeze-and-excitation (D models) or not (Lite). */
  readonly squeeze: boolean;
  /** Channels of the feature network. */
  readonly width: number;
  readonly cells: number;
  readonly nodes: number;
  /** Whether the sums of the feature network are weighted. */
  readonly weighted: boolean;
  readonly headRepeats: number;
  readonly levels: number;
}

const classPredictor = "class_net.predict.conv_pw.weight";
const boxPredictor = "box_net.predict.conv_pw.weight";

/**
 * What the tensors' names and shapes say of the model.
 *
 * @param source the file's name, for messages
 * @throws {WeightsError} if a part of an EfficientDet is missing altogether
 */
export function describeArchitecture(shapes: ReadonlyMap<string, Shape>, source = "weights"): Architecture {
  const size = (name: string): number => {
    const shape = shapes.get(name);
    if (shape?.[0] !== undefined) return shape[0];
    throw new WeightsError(
      `the file holds no EfficientDet of effdet's names: ${name} is missing (${source})`,
      shapes.size === 0
        ? "it has no tensors at all"
        : `it has ${shapes.size} tensors, such as ${printable([...shapes.keys()][0])}`,
    );
  };
  const stages: { blocks: number; channels: number }[] = [];
  let squeeze = false;
  let [cells, nodes, headRepeats, levels, weighted] = [0, 0, 0, 0, false];
  for (const [name, shape] of shapes) {
    const block = /^backbone\.blocks\.(\d{1,2})\.(\d{1,3})\.(conv_pwl|conv_pw|se)\./.exec(name);
    if (block) {
      const [stage, index] = [Number(block[1]), Number(block[2])];
      const known = (stages[stage] ??= { blocks: 0, channels: 0 });
      known.blocks = Math.max(known.blocks, index + 1);
      if (block[3] === "se") squeeze = true;
      else if (block[3] === "conv_pwl" || stage === 0) known.channels = shape[0] ?? 0;
    }
    const node = /^fpn\.cell\.(\d{1,3})\.fnode\.(\d{1,3})\./.exec(name);
    if (node) {
      cells = Math.max(cells, Number(node[1]) + 1);
      nodes = Math.max(nodes, Number(node[2]) + 1);
      if (name.endsWith(".edge_weights")) weighted = true;
    }
    const norm = /^box_net\.bn_rep\.(\d{1,2})\.(\d{1,2})\./.exec(name);
    if (norm) {
      headRepeats = Math.max(headRepeats, Number(norm[1]) + 1);
      levels = Math.max(levels, Number(norm[2]) + 1);
    }
  }
  return {
    stem: size("backbone.conv_stem.weight"),
    stages: Array.from(stages, (stage) => stage ?? { blocks: 0, channels: 0 }),
    squeeze,
    width: size("box_net.predict.conv_dw.weight"),
    cells,
    nodes,
    weighted,
    headRepeats,
    levels,
  };
}

/** Which model a file's tensors belong to. */
export interface RecognisedModel {
  readonly model: string;
  /** Other models that are the same network (d6 and d7), in the family's order; without `model`. */
  readonly alternatives: readonly string[];
  readonly classes: number;
}

/**
 * The model that tensors of these names and shapes belong to, and its number of classes. Where two models are one
 * network (d6 and d7), the one that the hints name is taken, else the first.
 *
 * @param hints texts that may name the model: the file's metadata, its name
 * @throws {WeightsError} if they belong to none of the models
 */
export function recogniseModel(
  shapes: ReadonlyMap<string, Shape>,
  models: Iterable<KnownModel>,
  source = "weights",
  hints: readonly (string | undefined)[] = [],
): RecognisedModel {
  const found = describeArchitecture(shapes, source);
  const classes = countClasses(shapes, source);
  const wanted = JSON.stringify(found);
  const names = [...models].flatMap((model) => {
    const parameters = model.parameters(classes);
    const own = describeArchitecture(new Map(parameters.map(({ name, shape }) => [name, shape])), model.name);
    return JSON.stringify(own) === wanted ? [model.name] : [];
  });
  if (names.length === 0)
    throw new WeightsError(
      `no model of the family fits these weights: ${describe(found)} (${source})`,
      "name the nearest with --model to load what fits",
    );
  const hinted = hints.map((hint) => (hint === undefined ? undefined : parseVariantName(hint)));
  const model = hinted.find((name) => name !== undefined && names.includes(name)) ?? names[0]!;
  return { model, alternatives: names.filter((name) => name !== model), classes };
}

/** The model of this name. */
export function knownModel(name: string, models: Iterable<KnownModel>): KnownModel {
  const all = [...models];
  const found = all.find((model) => model.name === name);
  if (found !== undefined) return found;
  throw new UsageError(
    `there is no model ${printable(name)}`,
    suggest(
      name,
      all.map((model) => model.name),
    ),
  );
}

/**
 * The number of classes that the predictors' shapes say.
 *
 * @throws {WeightsError} if they are missing or do not fit each other
 */
export function countClasses(shapes: ReadonlyMap<string, Shape>, source = "weights"): number {
  const [channels, coordinates] = [classPredictor, boxPredictor].map((name) => shapes.get(name)?.[0]);
  if (channels === undefined || coordinates === undefined)
    throw new WeightsError(
      `the file has no ${channels === undefined ? classPredictor : boxPredictor} (${source})`,
      "it holds no whole EfficientDet of effdet's names",
    );
  const classes = channels / (coordinates / 4);
  if (!Number.isInteger(classes) || classes < 1)
    throw new WeightsError(
      `${channels} class outputs and ${coordinates} box outputs make no whole number of classes (${source})`,
      "the file is damaged or no EfficientDet",
    );
  return classes;
}

function describe({
  stem,
  stages,
  squeeze,
  width,
  cells,
  headRepeats,
  levels,
  weighted,
}: Architecture): string {
  return (
    `${squeeze ? "" : "Lite, "}stem ${stem}, blocks ${stages.map(({ blocks }) => blocks).join("-")} of channels ` +
    `${stages.map(({ channels }) => channels).join("-")}, width ${width}, ${cells} cells${weighted ? "" : " by sums"}, ` +
    `heads of ${headRepeats} layers on ${levels} levels`
  );
}
