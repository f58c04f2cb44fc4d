import type { CocoSettings } from "./coco-metric.ts";
import type { PrecisionRecall } from "./precision-recall.ts";

/** The metrics that {@link evaluate} knows. */
export type Metric = "coco" | "voc" | "voc07" | "openimages";

/** The numbers of one class; −1 where one does not exist. */
export interface ClassResult {
  readonly id: number;
  readonly name: string;
  readonly AP: number;
  readonly AP50: number;
  readonly AR100: number;
  /** Objects that count: neither crowd nor ignored. */
  readonly boxes: number;
  /** Pictures with such an object. */
  readonly images: number;
}

/** The twelve numbers of a COCO evaluation, from 0 to 1; −1 where one does not exist. */
export interface Summary {
  readonly AP: number;
  readonly AP50: number;
  readonly AP75: number;
  readonly APs: number;
  readonly APm: number;
  readonly APl: number;
  readonly AR1: number;
  readonly AR10: number;
  readonly AR100: number;
  readonly ARs: number;
  readonly ARm: number;
  readonly ARl: number;
}

/** The result that `efficientdet eval --json` prints. */
export interface EvaluationSummary extends Summary {
  readonly metric: Metric;
  readonly perClass: readonly ClassResult[];
}

/** An evaluation with all it was computed from. */
export interface Evaluation extends EvaluationSummary {
  readonly settings: CocoSettings;
  /** The curves of the COCO metric; classes in the order of `perClass`. */
  readonly curves: PrecisionRecall | undefined;
  readonly images: number;
  /** Objects that count. */
  readonly boxes: number;
  /** Detections that were judged. */
  readonly detections: number;
  /** Sentences about input that was left out or is odd; empty where all is well. */
  readonly warnings: readonly string[];
}

/** The names of the twelve numbers in the order of the reference's `stats`. */
export const summaryNames = [
  "AP",
  "AP50",
  "AP75",
  "APs",
  "APm",
  "APl",
  "AR1",
  "AR10",
  "AR100",
  "ARs",
  "ARm",
  "ARl",
] as const satisfies readonly (keyof Summary)[];

/** The plain object of `--json`: the summary and the classes, without curves and settings. */
export function evaluationSummary(evaluation: EvaluationSummary): EvaluationSummary {
  const { metric, AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm, ARl, perClass } = evaluation;
  return { metric, AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm, ARl, perClass };
}
