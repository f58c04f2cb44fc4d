import type { Dataset } from "../data/index.ts";
import { InterruptedError } from "../errors.ts";
import { nodeRuntime } from "../runtime/node.ts";
import type { RuntimeOptions } from "../runtime/session.ts";
import type { Tensor } from "../tensor/index.ts";
import { defaultCacheFolder } from "../weights/weights-cache-node.ts";
import { pictureBatches, type BatchSource } from "./batches.ts";
import { noProgress, type Progress, type RunCheckpoint } from "./checkpoint-node.ts";
import { featureBatches } from "./feature-batches.ts";
import type { TrainOptions } from "./options.ts";
import { planOf, type RunPlan } from "./plan.ts";
import type { DecidedConfig, PreparedRun } from "./preparation.ts";
import { featureViews, openFeatures, type FeatureStore } from "./quick-features-node.ts";
import { schedule } from "./schedules.ts";
import { beginningWeights } from "./starting-weights-node.ts";
import { measureStatistics } from "./statistics.ts";
import { createTrainingStep, type TrainingStep } from "./step.ts";

/** What a run works with, open and ready. */
export interface Machinery extends AsyncDisposable {
  readonly plan: RunPlan;
  readonly step: TrainingStep;
  readonly source: BatchSource;
  /** Every weight as the run began. */
  readonly weights: ReadonlyMap<string, Tensor>;
  readonly progress: Progress;
  readonly runtimeOptions: RuntimeOptions;
  /** What a person should know, in sentences. */
  readonly notes: readonly string[];
  /** For a dry run of the recipe `quick`: how long the features of all pictures would take; else 0. */
  readonly featureSeconds: number;
}

/** Pictures whose features a dry run computes. */
const dryPictures = 8;

/**
 * Opens a run: its weights, loader or features, and compiled step.
 *
 * @param before the checkpoint of the run to resume
 * @param how.dry whether it is only to be timed
 * @throws {InterruptedError} when the signal is aborted
 */
export async function openMachinery(
  run: PreparedRun,
  before: RunCheckpoint | undefined,
  options: TrainOptions,
  how: { readonly dry?: boolean } = {},
): Promise<Machinery> {
  const { config, network, frozen } = run;
  const runtimeOptions = { threads: config.threads, device: config.device };
  const progress = before?.progress ?? noProgress;
  const { weights, notes } = before
    ? { weights: weightsIn(before), notes: [] }
    : await freshWeights(run, runtimeOptions, options);
  if (options.signal?.aborted) throw new InterruptedError();
  const quick = config.recipe === "quick";
  const trained =
    quick && how.dry ? { ...run.train, images: run.train.images.slice(0, dryPictures) } : run.train;
  const started = performance.now();
  const store = quick ? await featuresOf(run, trained, weights, runtimeOptions, options) : undefined;
  const featureSeconds =
    store && how.dry
      ? (((performance.now() - started) / 1000) * run.train.images.length) / trained.images.length
      : 0;
  const source = store
    ? featureBatches(config, trained, network, store, featureViews(config.quick).length, progress)
    : pictureBatches(config, run.train, network, progress);
  const stepsPerEpoch =
    store && how.dry
      ? Math.max(1, Math.floor(run.train.images.length / (config.batchSize * config.accumulate)))
      : source.batchesPerEpoch;
  const plan = planOf(run, stepsPerEpoch);
  const step = await createTrainingStep(network, stepOptions(config, plan, frozen, runtimeOptions), weights);
  if (before) step.load(before.state);
  return {
    plan,
    step,
    source,
    weights,
    progress,
    runtimeOptions,
    notes: [...run.notes, ...notes, ...(store ? [featureNote(store)] : [])],
    featureSeconds,
    [Symbol.asyncDispose]: async () => {
      await source.close();
      await step.dispose();
    },
  };
}

function featureNote({ bytes, folder }: FeatureStore): string {
  return `features: ${(bytes / 2 ** 20).toFixed(0)} MiB in ${folder}; delete it when you are done`;
}

/** The weights that a run begins with; statistics of what begins fresh are measured. */
async function freshWeights(
  run: PreparedRun,
  runtimeOptions: RuntimeOptions,
  { onEvent }: TrainOptions,
): Promise<{ weights: ReadonlyMap<string, Tensor>; notes: readonly string[] }> {
  const { network, train, start, config } = run;
  const { weights, notes, fresh } = beginningWeights(network, train.classes, start, config.seed);
  if (!fresh) return { weights, notes };
  const measured = await measureStatistics(network, train, weights, {
    runtime: nodeRuntime,
    runtimeOptions,
    seed: config.seed,
    which: (name) => start.checkpoint === undefined || !name.startsWith("backbone."),
    onBatch: (done, total) => onEvent?.({ kind: "progress", phase: "statistics", done, total }),
  });
  return { weights: new Map([...weights, ...measured]), notes };
}

async function featuresOf(
  { config, network }: PreparedRun,
  dataset: Dataset,
  weights: ReadonlyMap<string, Tensor>,
  runtimeOptions: RuntimeOptions,
  { cacheDir, signal, onEvent: tell }: TrainOptions,
): Promise<FeatureStore> {
  return openFeatures(dataset, {
    network,
    weights,
    views: featureViews(config.quick),
    cacheDir: cacheDir ?? defaultCacheFolder(),
    runtime: nodeRuntime,
    runtimeOptions,
    signal,
    onPicture: (done, total) => tell?.({ kind: "progress", phase: "features", done, total }),
    onFailed: (file, message) => tell?.({ kind: "warning", message: `${message} (${file}): left out` }),
  });
}

/** Every weight out of a saved state, frozen ones and statistics included. */
function weightsIn({ state }: RunCheckpoint): Map<string, Tensor> {
  return new Map(
    [...state.tensors].flatMap(([name, value]) =>
      /^(weights|running)\//.test(name) ? [[name.replace(/^[^/]+\//, ""), value] as const] : [],
    ),
  );
}

function stepOptions(
  config: DecidedConfig,
  { steps, stepsPerEpoch, picturesPerStep }: RunPlan,
  frozen: (name: string) => boolean,
  runtimeOptions: RuntimeOptions,
): Parameters<typeof createTrainingStep>[1] {
  const { optimizer, optimizerSettings: o, gradient: g, scheduleSettings: s } = config;
  const unlimited = (value: number | "none"): number => (value === "none" ? Infinity : value);
  const warmUpSteps = Math.round(Math.min(s.warmUpEpochs * stepsPerEpoch, steps / 10));
  return {
    runtime: nodeRuntime,
    runtimeOptions,
    batchSize: picturesPerStep,
    picturesAtOnce: config.batchSize,
    input: config.recipe === "quick" ? "features" : "images",
    batchNorm: config.batchNorm,
    batchNormMomentum: config.batchNormMomentum,
    frozen,
    stochasticDepth: config.stochasticDepth,
    optimiser: optimizer === "sgd" ? { kind: "sgd", momentum: o.momentum, nesterov: o.nesterov } : { kind: optimizer, beta1: o.beta1, beta2: o.beta2, epsilon: o.epsilon },
    gradient: { weightDecay: g.weightDecay!, clipVariable: unlimited(g.clipVariable), clipGlobal: unlimited(g.clipGlobal) },
    loss: config.loss,
    learningRate: schedule({
      kind: config.schedule, learningRate: config.learningRate, steps, drops: s.drops, power: s.power, finalShare: s.finalShare,
      ...(config.schedule === "one-cycle" ? {} : { warmUpSteps }),
    }),
    rateOf: (name) => (name.startsWith("backbone.") ? config.backboneRate : 1),
    averageDecay: config.averageDecay,
  }; // prettier-ignore
}
