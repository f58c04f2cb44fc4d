import path from "node:path";
import { stringify } from "yaml";
import { ConfigError, DataError, InterruptedError } from "../errors.ts";
import { formatProblem } from "../data/index.ts";
import { writeFileAtomic } from "../files/index.ts";
import { nodeRuntime } from "../runtime/node.ts";
import type { RuntimeOptions } from "../runtime/session.ts";
import type { Tensor } from "../tensor/index.ts";
import { pictureBatches, type BatchSource } from "./batches.ts";
import { loadCheckpoint, type Progress, type RunCheckpoint } from "./checkpoint-node.ts";
import { readTrainConfig, type TrainConfigInput } from "./config.ts";
import type { TrainEvent } from "./events.ts";
import { noProgress, TrainingLoop } from "./loop.ts";
import { MetricsLog } from "./metrics-log-node.ts";
import { planOf, type RunPlan } from "./plan.ts";
import {
  dataFingerprint,
  prepareRun,
  refuseUsedFolder,
  type DecidedConfig,
  type PreparedRun,
} from "./preparation.ts";
import { SamplePictures } from "./samples-node.ts";
import { writeReport } from "./report-node.ts";
import { schedule } from "./schedules.ts";
import { beginningWeights, type WeightsAccess } from "./starting-weights-node.ts";
import { measureStatistics } from "./statistics.ts";
import { createTrainingStep, type TrainingStep } from "./step.ts";
import { validate } from "./validation.ts";

/** What may be said of a run beside its configuration. */
export interface TrainOptions {
  /** Aborted: the step under way is finished, everything saved, and `InterruptedError` thrown. */
  readonly signal?: AbortSignal;
  /** Told of everything that happens. */
  readonly onEvent?: (event: TrainEvent) => void;
  /** Folder of downloaded weights; default: the user's cache. */
  readonly cacheDir?: string;
  /** Never to use the network. */
  readonly offline?: boolean;
}

/** To go on with a run that was stopped, as if it had not been. */
export interface ResumeInput {
  /** The run's folder. */
  readonly resume: string;
  /** Where the data lies now, if it was moved. */
  readonly data?: string;
  /** Threads that prepare pictures; nothing else depends on them. */
  readonly workers?: number;
}

/** What came of a run. */
export interface TrainResult {
  /** The run's folder. */
  readonly output: string;
  readonly bestWeights: string;
  readonly lastWeights: string;
  readonly epochs: number;
  readonly best: { readonly epoch: number; readonly AP: number } | undefined;
  readonly stopped: "finished" | "patience";
}

/**
 * Trains a detector on labelled pictures, or goes on with a run that was stopped.
 *
 * Writes into the run's folder `best.safetensors` and `last.safetensors` (ready for `detect`), `checkpoint/`,
 * `config.yaml`, `metrics.jsonl`, `report.html` and `samples/`.
 *
 * @throws {ConfigError} for an unknown setting or an impossible value
 * @throws {DataError} if the data cannot be used, or is not that of the run to resume
 * @throws {InterruptedError} when the signal is aborted, with everything saved
 * @throws {EfficientDetError} `E_DIVERGED` if a loss is no number; the last good state is saved
 */
export async function train(
  input: TrainConfigInput | ResumeInput,
  options: TrainOptions = {},
): Promise<TrainResult> {
  const { signal, onEvent: tell = () => undefined } = options;
  const access = accessOf(options, tell);
  const before = "resume" in input ? await resumed(input) : undefined;
  const run = await prepareRun(before?.config ?? readTrainConfig(input), access);
  const { output } = run.config;
  const data = dataFingerprint(run.train, run.val);
  if (before && before.data !== data)
    throw new DataError(
      `the pictures or labels of ${run.train.root} are not those that the run learnt from`,
      `start a new run with --weights ${path.join(output, "last.safetensors")}`,
    );
  if (!before) refuseUsedFolder(output);
  await using parts = await openParts(run, before, signal, tell);
  tell({ kind: "plan", plan: parts.plan });
  for (const note of parts.notes) tell({ kind: "note", message: note });
  if (!before)
    for (const problem of run.train.problems.slice(0, 10))
      tell({ kind: "warning", message: formatProblem(problem) });
  if (run.train.problems.length > 10 && !before)
    tell({
      kind: "warning",
      message: `and ${run.train.problems.length - 10} more problems; efficientdet inspect lists them`,
    });
  await writeFileAtomic(path.join(output, "config.yaml"), stringify(run.config));
  const log = await MetricsLog.open(output, { step: parts.step.state().step, epoch: parts.progress.epoch });
  const samples = new SamplePictures(run.val, run.config.samples, path.join(output, "samples"));
  try {
    await samples.drawLabels();
    const loop = new TrainingLoop(
      {
        run,
        step: parts.step,
        source: parts.source,
        log,
        samples,
        runtime: nodeRuntime,
        runtimeOptions: parts.runtimeOptions,
        data,
        signal,
        tell,
        report: () => writeReport(output, parts.plan),
      },
      parts.progress,
    );
    const { stopped, progress } = parts.progress.finished
      ? ({ stopped: "finished", progress: parts.progress } as const)
      : await loop.run();
    return {
      output,
      bestWeights: path.join(output, "best.safetensors"),
      lastWeights: path.join(output, "last.safetensors"),
      epochs: progress.epoch,
      best: progress.best,
      stopped,
    };
  } finally {
    await log.close();
  }
}

/** A plan with what a few steps took. */
export interface TimedPlan {
  readonly plan: RunPlan;
  readonly stepSeconds: number;
  readonly imagesPerSecond: number;
  readonly evaluationSeconds: number;
  readonly totalSeconds: number;
  /** Of the whole process, at its highest. */
  readonly memoryBytes: number;
}

/** Steps that are timed, after one that is not. */
const timedSteps = 3;

/**
 * What a run would do and how long it would take, from a few steps and pictures. Nothing is written.
 *
 * @throws as {@link train}
 */
export async function planTraining(input: TrainConfigInput, options: TrainOptions = {}): Promise<TimedPlan> {
  const { signal, onEvent: tell = () => undefined } = options;
  const run = await prepareRun(readTrainConfig(input), accessOf(options, tell));
  await using parts = await openParts(run, undefined, signal, tell);
  for (const note of parts.notes) tell({ kind: "note", message: note });
  const { plan, source, step, runtimeOptions } = parts;
  const times: number[] = [];
  for (let i = 0; i <= timedSteps; i++) {
    if (signal?.aborted) throw new InterruptedError();
    const { content } = await source.next();
    const started = performance.now();
    await step.run(content);
    if (i > 0) times.push((performance.now() - started) / 1000);
  }
  const some = { ...run.val, images: run.val.images.slice(0, 8) };
  const started = performance.now();
  await validate(some, step.parameters(), {
    network: run.network,
    runtime: nodeRuntime,
    runtimeOptions,
    signal,
  });
  const evaluationSeconds =
    ((performance.now() - started) / 1000 / some.images.length) * run.val.images.length;
  const stepSeconds = times.reduce((a, b) => a + b, 0) / times.length;
  return {
    plan,
    stepSeconds,
    imagesPerSecond: Number((plan.picturesPerStep / stepSeconds).toPrecision(3)),
    evaluationSeconds,
    totalSeconds:
      stepSeconds * plan.steps + evaluationSeconds * Math.ceil(run.config.epochs / run.config.evaluateEvery),
    memoryBytes: process.resourceUsage().maxRSS * 1024,
  };
}

function accessOf(
  { cacheDir, offline, signal }: TrainOptions,
  tell: (event: TrainEvent) => void,
): WeightsAccess {
  return {
    cacheDir,
    offline,
    signal,
    onDownload: (done, total) =>
      tell({ kind: "progress", phase: "download", done, ...(total === undefined ? {} : { total }) }),
  };
}

async function resumed({ resume, data, workers, ...others }: ResumeInput): Promise<RunCheckpoint> {
  const [key] = Object.keys(others);
  if (key !== undefined)
    throw new ConfigError(
      `${key} cannot be changed when a run is resumed`,
      `start a new run with --weights ${path.join(resume, "last.safetensors")}`,
    );
  const checkpoint = await loadCheckpoint(resume);
  const { config } = checkpoint;
  return {
    ...checkpoint,
    config: {
      ...config,
      output: resume,
      ...(data === undefined ? {} : { data }),
      ...(workers === undefined ? {} : { workers }),
    },
  };
}

/** The machinery of a run. */
interface RunParts extends AsyncDisposable {
  readonly plan: RunPlan;
  readonly step: TrainingStep;
  readonly source: BatchSource;
  readonly progress: Progress;
  readonly runtimeOptions: RuntimeOptions;
  readonly notes: readonly string[];
}

async function openParts(
  run: PreparedRun,
  before: RunCheckpoint | undefined,
  signal: AbortSignal | undefined,
  tell: (event: TrainEvent) => void,
): Promise<RunParts> {
  const { config, network, frozen } = run;
  const runtimeOptions = { threads: config.threads, device: config.device };
  const progress = before?.progress ?? noProgress;
  const notes = [...run.notes];
  let weights: ReadonlyMap<string, Tensor>;
  if (before) weights = weightsIn(before);
  else {
    const beginning = beginningWeights(network, run.train.classes, run.start, config.seed);
    notes.push(...beginning.notes);
    weights = beginning.weights;
    if (beginning.fresh && config.batchNorm === "frozen") {
      const which = (name: string): boolean =>
        run.start.checkpoint === undefined || !name.startsWith("backbone.");
      const onBatch = (done: number, total: number): void =>
        tell({ kind: "progress", phase: "statistics", done, total });
      weights = new Map([
        ...weights,
        ...(await measureStatistics(network, run.train, weights, {
          runtime: nodeRuntime,
          runtimeOptions,
          seed: config.seed,
          which,
          onBatch,
        })),
      ]);
    }
  }
  if (signal?.aborted) throw new InterruptedError();
  const source = pictureBatches(config, run.train, network, progress);
  const plan = planOf(run, source.batchesPerEpoch);
  const step = await createTrainingStep(network, stepOptions(config, plan, frozen, runtimeOptions), weights);
  if (before) step.load(before.state);
  return {
    plan, step, source, progress, runtimeOptions, notes,
    [Symbol.asyncDispose]: async () => {
      await source.close();
      await step.dispose();
    },
  }; // prettier-ignore
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
    picturesAtOnce: config.batchNorm === "frozen" ? 1 : config.batchSize,
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
    averageDecay: config.averageDecay,
  }; // prettier-ignore
}
