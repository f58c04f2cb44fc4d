import {
  add, cast, foldFrozenBatchNorm, fuseActivations, gather, gradients, graphParameters, hoist, input, mul, nameOf, nodesOf, pullBack, reshape, staticShape, type Graph, type Value,
} from "../graph/index.ts"; // prettier-ignore
import {
  detectionsFromFeatures, efficientDet, efficientNet, headLevels, Parameters, type ModelConfig, type RawDetections,
} from "../models/index.ts"; // prettier-ignore
import { decodedBoxes, defaultLoss, focalLoss, huberLoss, overlapLoss, type LossOptions } from "./losses.ts";
import { TrainingMode, type BatchStatistics } from "./mode.ts";
import { levelInputs, type LevelTargets } from "./targets.ts";

/** What a network is fed with in training: pictures, or what a frozen backbone made of them. */
export type NetworkInput = "images" | "features";

/** What decides the graph of a step. */
export interface TrainingGraphOptions {
  /** Default `images`. With `features` the network begins after its backbone. */
  readonly input?: NetworkInput;
  /** Pictures that go through the network together. */
  readonly pictures: number;
  /** How many times they do in a step; default once. */
  readonly parts?: number;
  /** Whether batch normalisation uses the batch's statistics, or the stored ones. */
  readonly batchNorm: "batch" | "frozen";
  /** Whether a parameter stays as it is; batch normalisations whose `weight` does use their stored statistics. */
  readonly frozen: (name: string) => boolean;
  /** Whether blocks are left out at random. */
  readonly stochasticDepth: boolean;
  readonly loss: LossOptions;
}

/** Forward and backward as graphs. */
export interface TrainingGraph {
  /**
   * Forward and backward of the pictures that go through together.
   *
   * Inputs `images` `[pictures, 3, H, W]` (or `feature/3` …, float16, {@link featureShapes}), the targets of each level (`targets.ts`), `normaliser` (no dimensions: one
   * over what the losses are divided by), `depth/0` …; the parameters are unbound.
   * Outputs `loss`, `class`, `box` (and `iou`), without dimensions, divided already and not weighed; `gradient/NAME`
   * of {@link slopes}; `mean/i` and `variance/i` of the batch statistics.
   */
  readonly graph: Graph;
  /** What `graph` gives gradients of: parameters, or values that follow from them (`hoisted/0` …), which it reads. */
  readonly slopes: readonly Value[];
  /** Where a batch is taken in parts: makes `hoisted/0` … of the parameters, once for all parts. */
  readonly before?: Graph;
  /** There too: from `slope/PART/NAME`, the gradients of each part, the outputs `gradient/NAME` of what is trained. */
  readonly after?: Graph;
  /** All parameters of the network. */
  readonly parameters: readonly Value[];
  /** Those that are trained, in the order of the network. */
  readonly trained: readonly Value[];
  readonly statistics: readonly BatchStatistics[];
  /** How many `depth/…` inputs there are. */
  readonly depths: number;
}

/** The forward and backward pass of a network and its losses. */
export function trainingGraph(config: ModelConfig, options: TrainingGraphOptions): TrainingGraph {
  const mode = new TrainingMode(
    (name) => options.batchNorm === "frozen" || options.frozen(name),
    options.stochasticDepth,
  );
  const parameters = new Parameters(mode);
  const { inputs: pictures, raw } = networkOn(
    options.input ?? "images",
    options.pictures,
    config,
    parameters,
  );
  const normaliser = input("normaliser", "float32", []);
  const levels = headLevels(config).map(levelInputs);
  const losses = detectionLosses(raw, levels, normaliser, config, options.loss);

  const statistics = mode.statistics.flatMap(({ mean, variance }, i) => [
    [`mean/${i}`, mean] as const,
    [`variance/${i}`, variance] as const,
  ]);
  const outputs = { ...losses, ...Object.fromEntries(statistics) };
  const forward = fuseActivations(foldFrozenBatchNorm({ inputs: [], outputs }));
  const all = parameters.all();
  const trained = all.filter(
    (p) => p.source.kind === "parameter" && p.source.trainable && !options.frozen(p.source.name),
  );
  const needsAnchors = options.loss.iouLoss !== undefined;
  const inputs = [
    ...pictures,
    ...levels.flatMap(({ positive, ignored, box, offset, anchor }) => [
      positive,
      ignored,
      box,
      offset,
      ...(needsAnchors ? [anchor] : []),
    ]),
    normaliser,
    ...mode.depths,
  ];
  const common = { parameters: all, trained, statistics: mode.statistics, depths: mode.depths.length };
  const withGradients = ({ outputs }: Graph, slopes: readonly Value[]): Graph => {
    const found = gradients(outputs.loss!, slopes);
    return {
      inputs,
      outputs: {
        ...outputs,
        ...Object.fromEntries(slopes.map((p, i) => [`gradient/${nameOf(p)!}`, found[i]!])),
      },
    };
  };
  const parts = options.parts ?? 1;
  if (parts === 1) return { ...common, graph: withGradients(forward, trained), slopes: trained };

  // What is made of parameters alone is made once, and its gradients are taken back to the parameters once.
  const { before, after, values } = hoist(forward);
  const moving = movingFrom(
    values.map(({ made }) => made),
    trained,
  );
  const made = values.filter(({ made }) => moving.has(made));
  const direct = graphParameters(after).filter((p) => trained.includes(p));
  const slopes = [...direct, ...made.map(({ read }) => read)];
  const sum = (p: Value): Value =>
    Array.from({ length: parts }, (_, part) =>
      input(`slope/${part}/${nameOf(p)!}`, "float32", p.shape),
    ).reduce((a, b) => add(a, b));
  const from = [
    ...direct.map((p) => ({ value: p, cotangent: sum(p) })),
    ...made.map(({ made, read }) => ({ value: made, cotangent: sum(read) })),
  ];
  const back = pullBack(from, trained);
  return {
    ...common,
    graph: withGradients(after, slopes),
    slopes,
    before,
    after: {
      inputs: slopes.flatMap((p) =>
        Array.from({ length: parts }, (_, part) => input(`slope/${part}/${nameOf(p)!}`, "float32", p.shape)),
      ),
      outputs: Object.fromEntries(trained.map((p, i) => [`gradient/${nameOf(p)!}`, back[i]!])),
    },
  };
}

/** The network on one of its inputs. */
function networkOn(
  kind: NetworkInput,
  pictures: number,
  config: ModelConfig,
  parameters: Parameters,
): { inputs: Value[]; raw: RawDetections } {
  if (kind === "images") {
    const images = input("images", "float32", [pictures, 3, ...config.imageSize]);
    return { inputs: [images], raw: efficientDet(images, config, parameters) };
  }
  const features = new Map(
    [...featureShapes(config)].map(([level, shape]) => [
      level,
      input(`feature/${level}`, "float16", [pictures, ...shape]),
    ]),
  );
  const widened = new Map([...features].map(([level, value]) => [level, cast(value, "float32")]));
  return { inputs: [...features.values()], raw: detectionsFromFeatures(widened, config, parameters) };
}

/** The backbone's levels that the feature network sees, by number: `[C, h, w]` of one picture. */
export function featureShapes(config: ModelConfig): Map<number, readonly number[]> {
  const image = input("images", "float32", [1, 3, ...config.imageSize]);
  const levels = efficientNet(image, config.backbone, config.activation, new Parameters());
  return new Map(
    [...levels]
      .filter(([level]) => level >= config.levels.min)
      .map(([level, value]) => [level, staticShape(value).slice(1)]),
  );
}

/** Those of some values that depend on others. */
function movingFrom(values: readonly Value[], from: readonly Value[]): Set<Value> {
  const moving = new Set(from);
  for (const node of nodesOf(values))
    if (node.inputs.some((value) => moving.has(value))) node.outputs.forEach((value) => moving.add(value));
  return moving;
}

/** The losses of raw outputs, divided by the positives (spec B1): class, box, overlap if asked for, and their weighed sum. */
export function detectionLosses(
  raw: { readonly classes: readonly Value[]; readonly boxes: readonly Value[] },
  levels: readonly LevelTargets[],
  normaliser: Value,
  config: Pick<ModelConfig, "classes">,
  loss: LossOptions,
): Record<"loss" | "class" | "box" | "iou", Value> | Record<"loss" | "class" | "box", Value> {
  const { iouLoss, iouWeight, boxWeight, delta, ...focal } = { ...defaultLoss, ...defined(loss) };
  const sum = (values: readonly Value[]): Value => values.reduce((a, b) => add(a, b));
  const at = (map: Value, places: Value): Value =>
    gather(reshape(map, [staticShape(map).reduce((a, b) => a * b, 1)]), places, 0);
  const offsets = levels.map(({ box }, i) => at(raw.boxes[i]!, box));
  const classLoss = mul(
    sum(
      levels.map(({ positive, ignored }, i) =>
        focalLoss(raw.classes[i]!, positive, ignored, config.classes, focal),
      ),
    ),
    normaliser,
  );
  const quarter = mul(normaliser, 0.25);
  const boxLoss = mul(sum(levels.map(({ offset }, i) => huberLoss(offsets[i]!, offset, delta))), quarter);
  const weighed = add(classLoss, mul(boxLoss, boxWeight));
  if (iouLoss === undefined) return { loss: weighed, class: classLoss, box: boxLoss };
  const rows = (x: Value, anchor: Value): Value => reshape(x, anchor.shape);
  const overlaps = levels.map(({ offset, anchor }, i) =>
    overlapLoss(
      decodedBoxes(rows(offsets[i]!, anchor), anchor),
      decodedBoxes(rows(offset, anchor), anchor),
      iouLoss,
    ),
  );
  const iou = mul(sum(overlaps), quarter);
  return { loss: add(weighed, mul(iou, iouWeight)), class: classLoss, box: boxLoss, iou };
}

function defined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as T;
}
