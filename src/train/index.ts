/**
 * Training. `train` is what the command line does; below it lies the step, which needs no Node and runs in a page too.
 */
export { train, type ResumeInput, type TrainResult } from "./train.ts";
export { planTraining, type TimedPlan } from "./dry-run.ts";
export type { TrainOptions } from "./options.ts";
export {
  readTrainConfig,
  recipes,
  trainConfigSchema,
  withSetting,
  type TrainConfig,
  type TrainConfigInput,
} from "./config.ts";
export type { EpochEvent, StepEvent, TrainEvent } from "./events.ts";
export type { RunPlan } from "./plan.ts";
export * from "./losses.ts";
export type { GradientOptions, OptimiserOptions } from "./optimisers.ts";
export * from "./schedules.ts";
export {
  createTrainingStep,
  type StepMetrics,
  type TrainingBatch,
  type TrainingOptions,
  type TrainingState,
  type TrainingStep,
} from "./step.ts";
