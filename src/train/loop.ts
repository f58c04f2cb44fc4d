import path from "node:path";
import { EfficientDetError, InterruptedError } from "../errors.ts";
import type { Evaluation } from "../eval/index.ts";
import type { Runtime, RuntimeOptions } from "../runtime/session.ts";
import { Random } from "../tensor/random.ts";
import type { Tensor } from "../tensor/index.ts";
import type { BatchSource } from "./batches.ts";
import { noProgress, saveCheckpoint, type Progress } from "./checkpoint-node.ts";
import { writeDetector } from "./detector-file-node.ts";
import type { EpochEvent, TrainEvent } from "./events.ts";
import type { MetricsLog } from "./metrics-log-node.ts";
import type { PreparedRun } from "./preparation.ts";
import type { SamplePictures } from "./samples-node.ts";
import type { TrainingStep } from "./step.ts";
import { Pace } from "./pace.ts";
import { validate } from "./validation.ts";

/** What the loop works with. */
export interface LoopParts {
  readonly run: PreparedRun;
  readonly step: TrainingStep;
  readonly source: BatchSource;
  /** Every weight as it began; what the step does not know stays so. */
  readonly weights: ReadonlyMap<string, Tensor>;
  readonly log: MetricsLog;
  readonly samples: SamplePictures;
  readonly runtime: Runtime;
  readonly runtimeOptions: RuntimeOptions;
  /** `dataFingerprint` of the run. */
  readonly data: string;
  readonly signal?: AbortSignal;
  readonly tell: (event: TrainEvent) => void;
  /** Writes the report anew. */
  readonly report: () => Promise<void>;
}

/** How a loop ended. */
export interface LoopEnd {
  readonly stopped: "finished" | "patience";
  readonly progress: Progress;
}

/** A run in progress: steps, evaluations, checkpoints. */
export class TrainingLoop {
  readonly #parts: LoopParts;
  readonly #pace: Pace;
  #progress: Progress;
  #savedMs = performance.now();
  readonly #startedMs = performance.now();
  readonly #secondsBefore: number;

  constructor(parts: LoopParts, progress: Progress) {
    this.#parts = parts;
    this.#progress = progress;
    this.#secondsBefore = progress.seconds;
    const { config, val } = parts.run;
    this.#pace = new Pace({
      steps: parts.source.batchesPerEpoch * config.epochs,
      picturesPerStep: config.batchSize * config.accumulate,
      valPictures: val.images.length,
      stepsPerEvaluation: parts.source.batchesPerEpoch * config.evaluateEvery,
    });
  }

  /**
   * Trains until the last epoch, or until patience ends.
   *
   * @throws {InterruptedError} when the signal is aborted, after the step under way and with everything saved
   * @throws {EfficientDetError} if a loss is no number: the last good state is saved
   */
  async run(): Promise<LoopEnd> {
    const { config } = this.#parts.run;
    while (this.#progress.epoch < config.epochs) {
      try {
        await this.#epoch();
      } catch (error) {
        if (error instanceof InterruptedError) throw await this.#interrupted();
        throw error;
      }
      if (this.#progress.finished)
        return {
          stopped: this.#progress.epoch < config.epochs ? "patience" : "finished",
          progress: this.#progress,
        };
    }
    return { stopped: "finished", progress: this.#progress };
  }

  async #epoch(): Promise<void> {
    const { source, signal } = this.#parts;
    while (this.#progress.batch < source.batchesPerEpoch) {
      if (signal?.aborted) throw new InterruptedError();
      await this.#step();
      if (performance.now() - this.#savedMs > this.#parts.run.config.saveMinutes * 60_000) await this.#save();
    }
    await this.#endEpoch();
  }

  async #step(): Promise<void> {
    const { step, source, run, log, tell } = this.#parts;
    const started = performance.now();
    const { content, files, problems } = await source.next();
    const waitedMs = performance.now() - started;
    for (const problem of problems)
      tell({ kind: "warning", message: `${problem.message} (${problem.file}); ${problem.done}` });
    const taken = this.#progress.epoch * source.batchesPerEpoch + this.#progress.batch;
    const random = new Random(run.config.seed, 2, taken);
    const chances = Float32Array.from({ length: step.depthChances }, () => random.uniform());
    const metrics = await step.run({ ...content, chances });
    if (!metrics.finite) throw await this.#diverged(files, metrics.loss);
    this.#pace.step(performance.now() - started, waitedMs);
    const { loss, classLoss, boxLoss, iouLoss, learningRate, gradientNorm, positives } = metrics;
    const { sums, batch, epoch } = this.#progress;
    this.#progress = {
      ...this.#progress,
      batch: batch + 1,
      sums: {
        batches: sums.batches + 1,
        loss: sums.loss + loss,
        classLoss: sums.classLoss + classLoss,
        boxLoss: sums.boxLoss + boxLoss,
      },
      seconds: this.#secondsBefore + (performance.now() - this.#startedMs) / 1000,
    };
    const at = taken + 1;
    const { imagesPerSecond, secondsLeft, waiting } = this.#pace.told(at);
    const told = {
      kind: "step", step: at, epoch: epoch + (batch + 1) / source.batchesPerEpoch, loss, classLoss, boxLoss, ...(iouLoss === undefined ? {} : { iouLoss }), learningRate, imagesPerSecond,
    } as const; // prettier-ignore
    await log.write(told);
    tell({ ...told, steps: this.#pace.steps, gradientNorm, positives, secondsLeft, waiting });
  }

  async #endEpoch(): Promise<void> {
    const { run, log, tell, report } = this.#parts;
    const { config } = run;
    const epoch = this.#progress.epoch + 1;
    const due = epoch % config.evaluateEvery === 0 || epoch === config.epochs;
    let { best } = this.#progress;
    let evaluation: Evaluation | undefined;
    if (due) {
      evaluation = await this.#evaluate(epoch);
      const better = best === undefined || evaluation.AP > best.AP;
      if (better) best = { epoch, AP: evaluation.AP };
      const event = this.#epochEvent(evaluation, epoch, better);
      const { epochs: _, ...line } = event;
      await log.write(line);
      if (better) await this.#write("best", evaluation);
      tell(event);
    }
    await this.#write("last", evaluation);
    const patience = config.patience > 0 && best !== undefined && epoch - best.epoch >= config.patience;
    this.#progress = {
      ...this.#progress,
      epoch,
      batch: 0,
      sums: noProgress.sums,
      ...(best && { best }),
      finished: patience || epoch === config.epochs,
    };
    await this.#save();
    await report();
  }

  async #evaluate(epoch: number): Promise<Evaluation> {
    const { run, runtime, runtimeOptions, signal, samples, tell } = this.#parts;
    const started = performance.now();
    const { evaluation, kept, failed } = await validate(run.val, this.#weights(), {
      network: run.network,
      runtime,
      runtimeOptions,
      signal,
      keep: samples.indices,
      onPicture: (done, total) => tell({ kind: "progress", phase: "validation", done, total }),
    });
    this.#pace.evaluation(performance.now() - started);
    for (const { file, message } of failed)
      tell({ kind: "warning", message: `${message} (${file}): counted as without detections` });
    await samples.draw(epoch, kept);
    return evaluation;
  }

  #epochEvent(evaluation: Evaluation, epoch: number, best: boolean): EpochEvent {
    const { AP, AP50, AP75, APs, APm, APl, AR100, perClass } = evaluation;
    const { sums, seconds } = this.#progress;
    return {
      kind: "epoch", epoch, epochs: this.#parts.run.config.epochs, loss: sums.loss / sums.batches, AP, AP50, AP75, APs, APm, APl, AR100,
      perClass: Object.fromEntries(perClass.map((c) => [c.name, { AP: c.AP, AP50: c.AP50 }])), best, seconds: Math.round(seconds),
    }; // prettier-ignore
  }

  /** What is evaluated and saved: the moving average where one is kept. */
  #weights(): Map<string, Tensor> {
    const { step, weights } = this.#parts;
    return new Map([...weights, ...(step.average() ?? step.parameters())]);
  }

  async #write(which: "best" | "last", evaluation: Evaluation | undefined): Promise<void> {
    const { run, source } = this.#parts;
    const { config, network, train, start } = run;
    const from = start.metadata.source ?? (start.name === "none" ? undefined : path.basename(start.name));
    await writeDetector(path.join(config.output, `${which}.safetensors`), this.#weights(), network, {
      classes: train.classes,
      own: Object.keys(config.network).length > 0 || start.metadata.modelConfig !== undefined,
      source: from === undefined ? "trained with efficientdet" : `trained with efficientdet, from: ${from}`,
      licence: start.metadata.licence,
      trained: {
        data: path.basename(train.root),
        images: train.images.length,
        recipe: config.recipe,
        epochs: Number((this.#progress.epoch + this.#progress.batch / source.batchesPerEpoch).toFixed(3)),
        ...(evaluation && {
          AP: rounded(evaluation.AP),
          AP50: rounded(evaluation.AP50),
          validation: run.val.images.length,
        }),
      },
    });
  }

  async #save(): Promise<void> {
    const { run, step, data, tell } = this.#parts;
    const state = step.state();
    const own = step.parameters();
    const left = [...this.#parts.weights].filter(([name]) => !own.has(name));
    const tensors = new Map([
      ...state.tensors,
      ...left.map(([name, value]) => [`running/${name}`, value] as const),
    ]);
    await saveCheckpoint(run.config.output, {
      config: run.config,
      network: run.network,
      start: { name: run.start.name, metadata: run.start.metadata },
      progress: this.#progress,
      data,
      state: { ...state, tensors },
    });
    this.#savedMs = performance.now();
    tell({ kind: "saved", step: state.step });
  }

  async #interrupted(): Promise<InterruptedError> {
    await this.#write("last", undefined);
    await this.#save();
    const { output } = this.#parts.run.config;
    return new InterruptedError(
      `stopped after step ${this.#parts.step.state().step} of ${this.#pace.steps}; everything is saved in ${output}`,
      `go on with: efficientdet train --resume ${output}`,
    );
  }

  async #diverged(files: readonly string[], loss: number): Promise<EfficientDetError> {
    const { run, step } = this.#parts;
    await this.#write("last", undefined);
    await this.#save();
    const what = Number.isFinite(loss) ? "the gradients are not all numbers" : `the loss is ${loss}`;
    return new EfficientDetError(
      "E_DIVERGED",
      `${what} at step ${step.state().step + 1}, with the pictures ${files.join(", ")}`,
      {
        hint: `the last good state is in ${run.config.output}; look at these pictures and their labels (efficientdet inspect), or start again with a lower --learning-rate (it was ${run.config.learningRate})`,
        exitCode: 3,
      },
    );
  }
}

function rounded(value: number): number {
  return Math.round(value * 10_000) / 10_000;
}
