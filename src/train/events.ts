import type { RunPlan } from "./plan.ts";

/** A step was taken. */
export interface StepEvent {
  readonly kind: "step";
  /** Steps taken, this one included, of all. */
  readonly step: number;
  readonly steps: number;
  /** Epochs done, as a number with a fraction. */
  readonly epoch: number;
  readonly loss: number;
  readonly classLoss: number;
  readonly boxLoss: number;
  readonly iouLoss?: number;
  readonly learningRate: number;
  readonly gradientNorm: number;
  /** Anchors that belonged to an object. */
  readonly positives: number;
  readonly imagesPerSecond: number;
  /** Estimate for what is left, evaluations included. */
  readonly secondsLeft: number;
  /** Share of the time that steps waited for pictures. */
  readonly waiting: number;
}

/** An epoch was evaluated. Numbers of COCO's metric are from 0 to 1; −1 where one does not exist. */
export interface EpochEvent {
  readonly kind: "epoch";
  /** Epochs done, of all. */
  readonly epoch: number;
  readonly epochs: number;
  /** Mean over the epoch's steps. */
  readonly loss: number;
  readonly AP: number;
  readonly AP50: number;
  readonly AP75: number;
  readonly APs: number;
  readonly APm: number;
  readonly APl: number;
  readonly AR100: number;
  readonly perClass: Readonly<Record<string, { readonly AP: number; readonly AP50: number }>>;
  /** Whether it is the best so far; its weights are then in `best.safetensors`. */
  readonly best: boolean;
  /** Time of training so far. */
  readonly seconds: number;
}

/** What a run tells while it goes on. */
export type TrainEvent =
  | { readonly kind: "plan"; readonly plan: RunPlan }
  | StepEvent
  | EpochEvent
  /** Something besides steps takes time. */
  | {
      readonly kind: "progress";
      readonly phase: "download" | "features" | "statistics" | "validation";
      readonly done: number;
      readonly total?: number;
    }
  /** A checkpoint was written. */
  | { readonly kind: "saved"; readonly step: number }
  /** What a person should know. */
  | { readonly kind: "note"; readonly message: string }
  /** Something is wrong, but training goes on. */
  | { readonly kind: "warning"; readonly message: string };
