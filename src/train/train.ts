import path from "node:path";
import { stringify } from "yaml";
import { ConfigError, DataError } from "../errors.ts";
import { formatProblem } from "../data/index.ts";
import { writeFileAtomic } from "../files/index.ts";
import { nodeRuntime } from "../runtime/node.ts";
import { loadCheckpoint, type Progress, type RunCheckpoint } from "./checkpoint-node.ts";
import { readTrainConfig, type TrainConfigInput } from "./config.ts";
import { TrainingLoop, type LoopEnd } from "./loop.ts";
import { MetricsLog } from "./metrics-log-node.ts";
import { openMachinery } from "./machinery.ts";
import { accessOf, type TrainOptions } from "./options.ts";
import { dataFingerprint, prepareRun, refuseUsedFolder } from "./preparation.ts";
import { SamplePictures } from "./samples-node.ts";
import { writeReport } from "./report-node.ts";

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
  const before = "resume" in input ? await resumed(input) : undefined;
  const run = await prepareRun(before?.config ?? readTrainConfig(input), accessOf(options), before);
  const { output } = run.config;
  const data = dataFingerprint(run.train, run.val);
  if (before && before.data !== data)
    throw new DataError(
      `the pictures or labels of ${run.train.root} are not those that the run learnt from`,
      `start a new run with --weights ${path.join(output, "last.safetensors")}`,
    );
  if (!before) refuseUsedFolder(output);
  await using parts = await openMachinery(run, before, options);
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
        weights: parts.weights,
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
      ? endOf(parts.progress, run.config.epochs)
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

/** How a run that has nothing left to do had ended. */
function endOf(progress: Progress, epochs: number): LoopEnd {
  return { stopped: progress.epoch < epochs ? "patience" : "finished", progress };
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
