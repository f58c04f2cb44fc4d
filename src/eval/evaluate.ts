import { suggest, UsageError } from "../errors.ts";
import type { Arrangement } from "./arrangement.ts";
import { arrange, arrangementWarnings } from "./arrangement.ts";
import type { Detections, GroundTruth } from "./coco-format.ts";
import type { CocoSettings } from "./coco-metric.ts";
import { cocoPrecisionRecall, cocoSettings, meanPrecision, meanRecall } from "./coco-metric.ts";
import { evaluateByBestOverlap } from "./best-overlap-metric.ts";
import type { ClassResult, Evaluation, Metric, Summary } from "./result.ts";
import type { AreaRange } from "./slices.ts";
import { cocoAreas } from "./slices.ts";

/** How detections are judged. */
export interface EvaluateOptions {
  /** @default "coco" */
  readonly metric?: Metric;
  /**
   * IoU from which a detection has found an object, 0 to 1. Default: 0.50 to 0.95 by 0.05; 0.5 for the metrics of
   * Pascal VOC and Open Images.
   */
  readonly iouThresholds?: readonly number[];
  /**
   * Detections kept per picture and class, the best ones; the last limit is that of AP. One number stands for 1, 10
   * and itself. Default: 1, 10 and 100; no limit for the metrics of Pascal VOC and Open Images.
   */
  readonly maxDetections?: number | readonly number[];
  /** Area ranges by name, square pixels; "all" may be left out. Default: COCO's small, medium and large. */
  readonly areas?: Readonly<Record<string, AreaRange>>;
  /**
   * Leave objects marked `ignore` or `difficult` out, as Pascal VOC does with difficult ones: they need not be found,
   * and a detection of one is neither right nor wrong. Default: not for the COCO metric, since pycocotools overwrites
   * that mark; yes for the others.
   */
  readonly useIgnore?: boolean;
}

/**
 * Judges detections against ground truth.
 *
 * With default options the twelve numbers, those of each class and the curves are pycocotools' own. No ground truth
 * gives −1 everywhere; no detections give 0 for every class that has objects.
 * @throws {DataError} if the input has not the form of COCO
 * @throws {UsageError} if an option is unknown or out of its range
 */
export function evaluate(
  groundTruth: GroundTruth,
  detections: Detections,
  options: EvaluateOptions = {},
): Evaluation {
  const { metric = "coco" } = options;
  const settings = readSettings(options);
  const useIgnore = options.useIgnore ?? (metric === "coco" ? undefined : true);
  const arrangement = arrange(groundTruth, detections, { limit: settings.maxDetections.at(-1)!, useIgnore });
  return metric === "coco"
    ? evaluateArranged(arrangement, settings)
    : evaluateByBestOverlap(arrangement, metric, settings);
}

/** The COCO metric of an arrangement that keeps as many detections as the last limit. */
export function evaluateArranged(arrangement: Arrangement, settings: CocoSettings): Evaluation {
  const curves = cocoPrecisionRecall(arrangement, settings);
  const { iouThresholds, maxDetections } = settings;
  const names = Object.keys(settings.areas);
  const last = maxDetections.length - 1;
  const slice = (name: string): number => names.indexOf(name);
  const threshold = (value: number): number => iouThresholds.findIndex((t) => Math.abs(t - value) < 1e-9);
  const precision = (k: number | undefined, name: string, t?: number): number =>
    meanPrecision(curves, { k, t, s: slice(name), m: last });
  const recall = (k: number | undefined, name: string, m = last): number =>
    meanRecall(curves, { k, s: slice(name), m });

  const summary: Summary = {
    AP: precision(undefined, "all"),
    AP50: precision(undefined, "all", threshold(0.5)),
    AP75: precision(undefined, "all", threshold(0.75)),
    APs: precision(undefined, "small"),
    APm: precision(undefined, "medium"),
    APl: precision(undefined, "large"),
    AR1: recall(undefined, "all", maxDetections.indexOf(1)),
    AR10: recall(undefined, "all", maxDetections.indexOf(10)),
    AR100: recall(undefined, "all"),
    ARs: recall(undefined, "small"),
    ARm: recall(undefined, "medium"),
    ARl: recall(undefined, "large"),
  };
  const perClass = arrangement.categories.map(({ id, name }, k): ClassResult => ({
    id,
    name,
    AP: precision(k, "all"),
    AP50: precision(k, "all", threshold(0.5)),
    AR100: recall(k, "all"),
    ...countObjects(arrangement, k),
  }));
  return {
    metric: "coco",
    ...summary,
    perClass,
    settings,
    curves,
    images: arrangement.images.length,
    boxes: perClass.reduce((sum, { boxes }) => sum + boxes, 0),
    detections: arrangement.detections.count,
    warnings: arrangementWarnings(arrangement),
  };
}

/** Objects of class `k` that count, and the pictures that hold one. */
export function countObjects({ objects }: Arrangement, k: number): { boxes: number; images: number } {
  let boxes = 0;
  let images = 0;
  let last = -1;
  for (let g = objects.start[k]!; g < objects.start[k + 1]!; g++) {
    if (objects.ignore[g]) continue;
    boxes++;
    if (objects.image[g] !== last) images++;
    last = objects.image[g]!;
  }
  return { boxes, images };
}

/** Every metric there is. */
export const metrics = ["coco", "voc", "voc07", "openimages"] as const satisfies readonly Metric[];

const optionNames = ["metric", "iouThresholds", "maxDetections", "areas", "useIgnore"] as const;

/**
 * The settings that options ask for.
 *
 * @throws {UsageError} if an option is unknown or out of its range
 */
export function readSettings(options: EvaluateOptions): CocoSettings {
  for (const name of Object.keys(options))
    if (!(optionNames as readonly string[]).includes(name))
      throw new UsageError(`unknown evaluation option ${name}`, suggest(name, optionNames));
  const { metric = "coco", areas = cocoAreas } = options;
  if (!(metrics as readonly string[]).includes(metric))
    throw new UsageError(`unknown metric ${metric}`, suggest(metric, metrics));
  const { iouThresholds = metric === "coco" ? cocoSettings.iouThresholds : [0.5] } = options;
  if (iouThresholds.length === 0 || !iouThresholds.every((t) => t >= 0 && t <= 1))
    throw new UsageError(
      `IoU thresholds must lie between 0 and 1 (${iouThresholds.join(", ")})`,
      "give at least one",
    );
  const maxDetections = readLimits(
    options.maxDetections ?? (metric === "coco" ? cocoSettings.maxDetections : [Infinity]),
  );
  for (const [name, range] of Object.entries(areas))
    if (range?.length !== 2 || !(range[0] <= range[1]))
      throw new UsageError(`the area range ${name} is not [from, to] with from ≤ to (${String(range)})`);
  return {
    iouThresholds,
    recallThresholds: cocoSettings.recallThresholds,
    areas: { all: cocoAreas.all!, ...areas },
    maxDetections,
  };
}

function readLimits(given: number | readonly number[]): number[] {
  const limits =
    typeof given === "number" ? [...[1, 10].filter((limit) => limit < given), given] : [...given];
  if (
    limits.length === 0 ||
    !limits.every((limit) => limit === Infinity || (Number.isInteger(limit) && limit > 0))
  )
    throw new UsageError(`limits of detections must be whole numbers above 0 (${limits.join(", ")})`);
  return [...new Set(limits)].sort((a, b) => a - b);
}
