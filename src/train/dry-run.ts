import { InterruptedError } from "../errors.ts";
import { nodeRuntime } from "../runtime/node.ts";
import { readTrainConfig, type TrainConfigInput } from "./config.ts";
import { openMachinery } from "./machinery.ts";
import type { RunPlan } from "./plan.ts";
import { prepareRun } from "./preparation.ts";
import { accessOf, type TrainOptions } from "./options.ts";
import { validate } from "./validation.ts";

/** A plan with what a few steps took. */
export interface TimedPlan {
  readonly plan: RunPlan;
  readonly stepSeconds: number;
  readonly imagesPerSecond: number;
  readonly evaluationSeconds: number;
  /** `quick`: to compute the features of all pictures; else 0. */
  readonly featureSeconds: number;
  readonly totalSeconds: number;
  /** Of the whole process, at its highest. */
  readonly memoryBytes: number;
}

/** Steps that are timed, after one that is not. */
const timedSteps = 3;
/** Pictures that an evaluation is timed on. */
const timedPictures = 8;

/**
 * What a run would do and how long it would take, from a few steps and pictures. Nothing is written, but features of
 * some pictures into the cache (recipe `quick`).
 *
 * @throws as `train`
 */
export async function planTraining(input: TrainConfigInput, options: TrainOptions = {}): Promise<TimedPlan> {
  const { signal, onEvent: tell = () => undefined } = options;
  const run = await prepareRun(readTrainConfig(input), accessOf(options));
  await using parts = await openMachinery(run, undefined, options, { dry: true });
  for (const note of parts.notes) tell({ kind: "note", message: note });
  const { plan, source, step, runtimeOptions, weights, featureSeconds } = parts;
  const times: number[] = [];
  for (let i = 0; i <= timedSteps; i++) {
    if (signal?.aborted) throw new InterruptedError();
    const { content } = await source.next();
    const started = performance.now();
    await step.run(content);
    if (i > 0) times.push((performance.now() - started) / 1000);
  }
  const some = { ...run.val, images: run.val.images.slice(0, timedPictures) };
  const started = performance.now();
  await validate(some, weights, { network: run.network, runtime: nodeRuntime, runtimeOptions, signal });
  const evaluationSeconds =
    ((performance.now() - started) / 1000 / some.images.length) * run.val.images.length;
  const stepSeconds = times.reduce((a, b) => a + b, 0) / times.length;
  const evaluations = Math.ceil(run.config.epochs / run.config.evaluateEvery);
  return {
    plan,
    stepSeconds,
    imagesPerSecond: Number((plan.picturesPerStep / stepSeconds).toPrecision(3)),
    evaluationSeconds,
    featureSeconds,
    totalSeconds: stepSeconds * plan.steps + evaluationSeconds * evaluations + featureSeconds,
    memoryBytes: process.resourceUsage().maxRSS * 1024,
  };
}
