import type { AnchorTargets } from "../detection/index.ts";
import { ShapeError, UsageError } from "../errors.ts";
import { nameOf, staticShape, type Graph } from "../graph/index.ts";
import { modelAnchors, type ModelConfig } from "../models/index.ts";
import type { Runtime, RuntimeOptions, Session } from "../runtime/session.ts";
import { elementCount, float32, tensor, zeros, type Tensor } from "../tensor/index.ts";
import { FlatLayout } from "./flat.ts";
import type { LossOptions } from "./losses.ts";
import { optimiserState, type GradientOptions, type OptimiserOptions } from "./optimisers.ts";
import { averageDecay, type Schedule } from "./schedules.ts";
import { targetFeeds } from "./targets.ts";
import { featureShapes, trainingGraph, type NetworkInput, type TrainingGraph } from "./training-graph.ts";
import { Update, type Arrays } from "./update.ts";

/** How a network is trained, one step at a time. */
export interface TrainingOptions {
  readonly runtime: Runtime;
  readonly runtimeOptions?: RuntimeOptions;
  /** What a batch holds: pictures (the default), or the levels of a backbone that is frozen and left out. */
  readonly input?: NetworkInput;
  /** Pictures of a step. */
  readonly batchSize: number;
  /** Pictures that go through the network together; the gradients of the parts add up, and memory is that of one part. Default: all. */
  readonly picturesAtOnce?: number;
  /** Normalise by the statistics of the batch (the default), or by the stored ones. */
  readonly batchNorm?: "batch" | "frozen";
  /** Weight of a batch in the running statistics; default 0.01. */
  readonly batchNormMomentum?: number;
  /** Which parameters stay as they are, by name; default none. */
  readonly frozen?: RegExp | ((name: string) => boolean);
  /** Whether blocks are left out at random where the model says so; default true. */
  readonly stochasticDepth?: boolean;
  /** Default: SGD with momentum 0.9. */
  readonly optimiser?: OptimiserOptions;
  readonly gradient?: GradientOptions;
  readonly loss?: LossOptions;
  readonly learningRate: number | Schedule;
  /** A parameter's own share of the learning rate, by its name; default 1. */
  readonly rateOf?: (name: string) => number;
  /** Decay of the moving average of the weights, reached by warming up; `false` for none; default 0.9998. */
  readonly averageDecay?: number | false;
}

/** Pictures and what should be found in them. */
export interface TrainingBatch {
  /** float32 `[batchSize, 3, H, W]`, normalised; with `input: "features"` the backbone's levels from below, float16 `[batchSize, C, h, w]` each. */
  readonly images: Tensor | readonly Tensor[];
  /** One for each picture, by `anchorTargets`. */
  readonly targets: readonly AnchorTargets[];
  /** Chance in [0, 1) for stochastic depth, `[blocks, batchSize]`: {@link TrainingStep.depthChances} numbers. Default: 0.5 each, so no block is left out. */
  readonly chances?: Float32Array;
}

/** What a step tells of itself. */
export interface StepMetrics {
  /** Steps taken before this one. */
  readonly step: number;
  /** Weighed sum of the others, as it was before the weights moved. */
  readonly loss: number;
  readonly classLoss: number;
  readonly boxLoss: number;
  readonly iouLoss?: number;
  /** Norm of all gradients with weight decay, before clipping. */
  readonly gradientNorm: number;
  readonly positives: number;
  readonly learningRate: number;
  /** Whether loss and gradients are numbers. If not, nothing was changed: weights and state are those before the step. */
  readonly finite: boolean;
}

/** All that a run needs to go on as if it had not stopped. */
export interface TrainingState {
  readonly step: number;
  /** `weights/NAME`, `average/NAME`, `velocity/NAME` …, and running statistics as `running/NAME` and `average/NAME`. */
  readonly tensors: ReadonlyMap<string, Tensor>;
}

/** A network that learns. */
export interface TrainingStep {
  /** How many numbers {@link TrainingBatch.chances} has; 0 where no block may be left out. */
  readonly depthChances: number;
  /** Names of the parameters that are trained. */
  readonly trained: readonly string[];
  /** @throws {ShapeError} if the batch does not fit */
  run(batch: TrainingBatch): Promise<StepMetrics>;
  /** Everything that the network has, by its state-dict names; copies. */
  parameters(): Map<string, Tensor>;
  /** The same with the moving averages of weights and statistics; `undefined` where none are kept. */
  average(): Map<string, Tensor> | undefined;
  state(): TrainingState;
  /** @throws {ShapeError} if it is another network's or optimiser's state */
  load(state: TrainingState): void;
  dispose(): Promise<void>;
}

/**
 * Compiles a network, its losses, their gradients and the optimiser.
 *
 * Two graphs: one makes gradients of some pictures, the other new weights of all gradients. Weights, optimiser state
 * and averages lie in one array each; the first graph reads and writes the variables in them, the second chunks, into a
 * second set of arrays, which then takes the place of the first (unless something is not finite).
 *
 * @param initial every parameter of the network and its running statistics, by name; not changed
 * @throws {UsageError} if `batchSize` is no multiple of `picturesAtOnce`
 * @throws {ShapeError} if a parameter is missing or has another shape
 */
export async function createTrainingStep(
  config: ModelConfig,
  options: TrainingOptions,
  initial: ReadonlyMap<string, Tensor>,
): Promise<TrainingStep> {
  const {
    batchSize,
    batchNorm = "batch",
    frozen = () => false,
    optimiser = { kind: "sgd" },
    averageDecay: decay = 0.9998,
  } = options;
  const pictures = options.picturesAtOnce ?? batchSize;
  if (batchSize % pictures !== 0)
    throw new UsageError(
      `a batch of ${batchSize} cannot be taken ${pictures} at once`,
      "choose a divisor of the batch size",
    );
  const isFrozen = frozen instanceof RegExp ? (name: string): boolean => frozen.test(name) : frozen;
  const parts = batchSize / pictures;
  const training = trainingGraph(config, {
    input: options.input,
    pictures,
    parts,
    batchNorm,
    frozen: isFrozen,
    stochasticDepth: options.stochasticDepth ?? true,
    loss: options.loss ?? {},
  });
  const layout = new FlatLayout(training.trained.map((p) => ({ name: nameOf(p)!, shape: staticShape(p) })));
  const moving = new Set(layout.names);
  const still = new Map<string, Tensor>();
  for (const p of training.parameters) {
    const name = nameOf(p)!;
    const given = initial.get(name);
    if (!given) throw new ShapeError(`the weights have no ${name}, [${p.shape.join(", ")}]`);
    if (given.data.length !== elementCount(staticShape(p)))
      throw new ShapeError(
        `${name} is [${given.shape.join(", ")}] in the weights, but [${p.shape.join(", ")}] in the model`,
      );
    if (!moving.has(name))
      still.set(name, tensor("float32", staticShape(p), Float32Array.from(given.data as Float32Array)));
  }
  const runtimeOptions = {
    optimise: false,
    planMemory: false,
    restAfterRun: true,
    ...options.runtimeOptions,
  };
  const compile = (graph: Graph): Promise<Session> => options.runtime.compile(graph, runtimeOptions);
  const sessions = {
    slopes: await compile(training.graph),
    ...(training.before && { before: await compile(training.before) }),
    ...(training.after && { after: await compile(training.after) }),
  };
  const { gradient = {}, rateOf = () => 1 } = options;
  const update = await Update.create(
    layout,
    { optimiser, gradient, averaged: decay !== false, rateOf },
    options.runtime,
    { ...runtimeOptions, threads: 1 }, // a chunk is too little for more
  );
  return new FlatTrainingStep(config, options, {
    layout,
    update,
    parts,
    pictures,
    decay,
    optimiser,
    training,
    sessions,
    still,
    initial,
  });
}

interface Prepared {
  readonly layout: FlatLayout;
  readonly update: Update;
  readonly parts: number;
  readonly pictures: number;
  readonly decay: number | false;
  readonly optimiser: OptimiserOptions;
  readonly training: TrainingGraph;
  readonly sessions: {
    readonly slopes: Session;
    readonly before?: Session;
    readonly after?: Session;
  };
  /** Parameters that the optimiser does not move: frozen ones and running statistics. */
  readonly still: Map<string, Tensor>;
  readonly initial: ReadonlyMap<string, Tensor>;
}

class FlatTrainingStep implements TrainingStep {
  readonly depthChances: number;
  readonly trained: readonly string[];
  readonly #config: ModelConfig;
  readonly #options: TrainingOptions;
  readonly #made: Prepared;
  /** What each part of the batch writes; without parts, straight into {@link #gradient}. */
  readonly #fetches: readonly Record<string, Tensor>[];
  readonly #gradient: Tensor<"float32">;
  /** What follows from the weights alone, where the batch is taken in parts. */
  readonly #hoisted: Readonly<Record<string, Tensor>>;
  readonly #scalars: Record<string, Tensor<"float32">>;
  readonly #runningAverage: Map<string, Tensor>;
  /** What a batch's pictures are fed to: names, and the shape of one picture. */
  readonly #inputs: readonly (readonly [name: string, shape: readonly number[]])[];
  #now: Arrays;
  #next: Arrays;
  #step = 0;

  constructor(config: ModelConfig, options: TrainingOptions, prepared: Prepared) {
    this.#config = config;
    this.#options = options;
    this.#made = prepared;
    const { layout, parts, decay, optimiser, training, initial, still } = prepared;
    const { statistics } = training;
    this.depthChances = training.depths * options.batchSize;
    this.#inputs =
      options.input === "features"
        ? [...featureShapes(config)].map(([level, shape]) => [`feature/${level}`, shape] as const)
        : [["images", [3, ...config.imageSize]]];
    this.trained = layout.names;
    const arrays = ["weights", ...optimiserState(optimiser), ...(decay === false ? [] : ["average"])];
    const make = (): Arrays => Object.fromEntries(arrays.map((name) => [name, layout.allocate()]));
    [this.#now, this.#next] = [make(), make()];
    for (const [name, view] of layout.views(this.#now.weights!))
      view.data.set(initial.get(name)!.data as Float32Array);
    this.#now.average?.data.set(this.#now.weights!.data);
    this.#runningAverage = new Map(
      statistics
        .flatMap(({ names }) => [names.mean, names.variance])
        .map((name) => [name, copied(still.get(name)!)]),
    );
    this.#scalars = Object.fromEntries(
      ["loss", "class", "box", ...(options.loss?.iouLoss ? ["iou"] : [])].map((name) => [
        name,
        float32([0], []),
      ]),
    );
    this.#gradient = layout.allocate();
    const gradients = layout.views(this.#gradient);
    this.#hoisted = Object.fromEntries(
      Object.entries(training.before?.outputs ?? {}).map(([name, value]) => [
        name,
        zeros("float32", staticShape(value)),
      ]),
    );
    this.#fetches = Array.from({ length: parts }, () => ({
      ...this.#scalars,
      ...Object.fromEntries(
        training.slopes.map((p) => [
          `gradient/${nameOf(p)!}`,
          parts === 1 ? gradients.get(nameOf(p)!)! : zeros("float32", staticShape(p)),
        ]),
      ),
      ...Object.fromEntries(
        statistics.flatMap(({ mean }, i) =>
          ["mean", "variance"].map((kind) => [`${kind}/${i}`, zeros("float32", staticShape(mean))]),
        ),
      ),
    }));
  }

  async run(batch: TrainingBatch): Promise<StepMetrics> {
    const { batchSize } = this.#options;
    const images = imagesOf(batch);
    if (images.length !== this.#inputs.length)
      throw new ShapeError(
        `${images.length} tensors for the inputs ${this.#inputs.map(([name]) => name).join(", ")}`,
      );
    for (const [i, [name, shape]] of this.#inputs.entries()) {
      const wanted = [batchSize, ...shape];
      if (images[i]!.shape.join() !== wanted.join())
        throw new ShapeError(`the ${name} are [${images[i]!.shape.join(", ")}], not [${wanted.join(", ")}]`);
    }
    if (batch.targets.length !== batchSize)
      throw new ShapeError(`${batch.targets.length} targets for ${batchSize} pictures`);
    const positives = batch.targets.reduce((sum, target) => sum + target.positives, 0);
    const sums = await this.#slopes(batch, positives);
    const step = this.#step;
    const learningRate =
      typeof this.#options.learningRate === "number"
        ? this.#options.learningRate
        : this.#options.learningRate(step);
    const told = {
      step,
      loss: sums.loss!,
      classLoss: sums.class!,
      boxLoss: sums.box!,
      ...(sums.iou === undefined ? {} : { iouLoss: sums.iou }),
      positives,
      learningRate,
    };
    if (!Number.isFinite(sums.loss)) return { ...told, gradientNorm: Number.NaN, finite: false };
    const { decay, update } = this.#made;
    const averaged = decay === false ? 1 : averageDecay(decay, step);
    const numbers = { learningRate, step, averageDecay: averaged };
    const gradientNorm = await update.run(this.#now, this.#next, this.#gradient, numbers);
    if (!Number.isFinite(gradientNorm)) return { ...told, gradientNorm, finite: false };
    [this.#now, this.#next] = [this.#next, this.#now];
    this.#followStatistics();
    this.#step++;
    return { ...told, gradientNorm, finite: true };
  }

  /** Runs the pictures through the network, part by part; the losses of the parts add up. */
  async #slopes(batch: TrainingBatch, positives: number): Promise<Record<string, number>> {
    const { layout, pictures, still, training, sessions } = this.#made;
    const spec = modelAnchors(this.#config);
    const weights = { ...Object.fromEntries(still), ...Object.fromEntries(layout.views(this.#now.weights!)) };
    await sessions.before?.run(weights, this.#hoisted);
    const fixed = { ...weights, ...this.#hoisted, normaliser: float32([1 / (positives + 1)], []) };
    const images = imagesOf(batch);
    const sums: Record<string, number> = {};
    for (const [part, fetches] of this.#fetches.entries()) {
      const [from, to] = [part * pictures, (part + 1) * pictures];
      const chances = Array.from({ length: training.depths }, (_, block) => {
        const at = block * this.#options.batchSize;
        return [
          `depth/${block}`,
          float32(batch.chances?.subarray(at + from, at + to) ?? new Float32Array(pictures).fill(0.5)),
        ] as const;
      });
      const shown = this.#inputs.map(([name, shape], i) => {
        const size = elementCount(shape);
        const { dtype, data } = images[i]!;
        const own = (data as Float32Array).subarray(from * size, to * size);
        return [name, tensor(dtype, [pictures, ...shape], own)] as const;
      });
      await sessions.slopes.run(
        {
          ...fixed,
          ...targetFeeds(batch.targets.slice(from, to), spec, this.#config.classes),
          ...Object.fromEntries(chances),
          ...Object.fromEntries(shown),
        },
        fetches,
      );
      for (const [name, { data }] of Object.entries(this.#scalars)) sums[name] = (sums[name] ?? 0) + data[0]!;
    }
    if (sessions.after) {
      const slopes = this.#fetches.flatMap((fetches, part) =>
        training.slopes.map(
          (p) => [`slope/${part}/${nameOf(p)!}`, fetches[`gradient/${nameOf(p)!}`]!] as const,
        ),
      );
      const gradients = [...layout.views(this.#gradient)].map(
        ([name, view]) => [`gradient/${name}`, view] as const,
      );
      await sessions.after.run({ ...weights, ...Object.fromEntries(slopes) }, Object.fromEntries(gradients));
    }
    return sums;
  }

  /** Moves the running statistics towards those of each part of the batch, and their averages after them. */
  #followStatistics(): void {
    const { training, still, decay } = this.#made;
    const { batchNormMomentum = 0.01 } = this.#options;
    const keep = decay === false ? 1 : averageDecay(decay, this.#step);
    training.statistics.forEach(({ names, count }, i) => {
      // The running variance is the unbiased one, as PyTorch and TensorFlow's fused kernel have it.
      const unbiased = count > 1 ? count / (count - 1) : 1;
      for (const [kind, factor] of [
        ["mean", 1],
        ["variance", unbiased],
      ] as const) {
        const running = still.get(names[kind])!.data as Float32Array;
        for (const fetches of this.#fetches)
          blend(running, fetches[`${kind}/${i}`]!.data as Float32Array, batchNormMomentum, factor);
        blend(this.#runningAverage.get(names[kind])!.data as Float32Array, running, 1 - keep, 1);
      }
    });
  }

  parameters(): Map<string, Tensor> {
    return this.#named(this.#now.weights!, this.#made.still);
  }

  average(): Map<string, Tensor> | undefined {
    if (!this.#now.average) return undefined;
    return this.#named(this.#now.average, new Map([...this.#made.still, ...this.#runningAverage]));
  }

  #named(flat: Tensor<"float32">, still: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
    return new Map(
      [...still, ...this.#made.layout.views(flat)].map(([name, value]) => [name, copied(value)]),
    );
  }

  state(): TrainingState {
    const tensors = new Map<string, Tensor>();
    for (const [array, flat] of Object.entries(this.#now))
      for (const [name, view] of this.#made.layout.views(flat)) tensors.set(`${array}/${name}`, copied(view));
    for (const [name, value] of this.#made.still) tensors.set(`running/${name}`, copied(value));
    for (const [name, value] of this.#runningAverage) tensors.set(`average/${name}`, copied(value));
    return { step: this.#step, tensors };
  }

  load({ step, tensors }: TrainingState): void {
    const targets = new Map<string, Tensor>();
    for (const [array, flat] of Object.entries(this.#now))
      for (const [name, view] of this.#made.layout.views(flat)) targets.set(`${array}/${name}`, view);
    for (const [name, value] of this.#made.still) targets.set(`running/${name}`, value);
    for (const [name, value] of this.#runningAverage) targets.set(`average/${name}`, value);
    for (const [name, { data, shape }] of targets) {
      const from = tensors.get(name);
      if (!from) throw new ShapeError(`the training state has no ${name}`);
      if (from.dtype !== "float32" || from.data.length !== data.length)
        throw new ShapeError(
          `${name} is ${from.dtype}[${from.shape.join(", ")}] in the training state, not float32[${shape.join(", ")}]`,
        );
    }
    for (const [name, { data }] of targets)
      (data as Float32Array).set(tensors.get(name)!.data as Float32Array);
    this.#step = step;
  }

  async dispose(): Promise<void> {
    await Promise.all(
      [...Object.values(this.#made.sessions), this.#made.update].map((session) => session.dispose()),
    );
  }
}

function imagesOf({ images }: TrainingBatch): readonly Tensor[] {
  return "data" in images ? [images] : images;
}

function copied(value: Tensor): Tensor {
  return tensor("float32", value.shape, Float32Array.from(value.data as Float32Array));
}

/** `into += (from · factor − into) · share`, in place. */
function blend(into: Float32Array, from: Float32Array, share: number, factor: number): void {
  for (let i = 0; i < into.length; i++) into[i]! += (from[i]! * factor - into[i]!) * share;
}
