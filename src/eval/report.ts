import { arrange } from "./arrangement.ts";
import type { Breakdown } from "./breakdown.ts";
import { breakdowns } from "./breakdown.ts";
import type { Calibration } from "./calibration.ts";
import { calibration } from "./calibration.ts";
import type { Detections, GroundTruth } from "./coco-format.ts";
import { detectionColumns, groundTruthColumns } from "./columns.ts";
import type { ConfusionMatrix } from "./confusion.ts";
import { confusionMatrix } from "./confusion.ts";
import type { ErrorKind, ErrorKinds } from "./error-kinds.ts";
import { errorKinds } from "./error-kinds.ts";
import type { EvaluateOptions } from "./evaluate.ts";
import { evaluate, evaluateArranged, readSettings } from "./evaluate.ts";
import { findings } from "./findings.ts";
import type { JudgedImage } from "./hardest-images.ts";
import { hardestImages } from "./hardest-images.ts";
import type { InputProblem } from "./input-checks.ts";
import { checkInputs } from "./input-checks.ts";
import { outcomesAt } from "./outcomes.ts";
import type { EvaluationSummary } from "./result.ts";
import { evaluationSummary } from "./result.ts";
import type { ScoreCurve } from "./score-curves.ts";
import { scoreCurve } from "./score-curves.ts";

/** How a report is made. */
export interface ReportOptions extends EvaluateOptions {
  /** What was evaluated; the headline. @default "Evaluation" */
  readonly title?: string;
  /** Pictures to show, those in which most went wrong. @default 12 */
  readonly worstImages?: number;
  /** IoU from which a detection counts as right in curves, confusion, calibration and error kinds. @default 0.5 */
  readonly reportIou?: number;
  /**
   * Detections below it count as not made in the confusion matrix and the worst pictures. Default: the threshold of
   * the best F1.
   */
  readonly scoreThreshold?: number;
}

/** All that a report shows, as plain data. */
export interface EvaluationReport {
  readonly title: string;
  readonly summary: EvaluationSummary;
  readonly images: number;
  readonly boxes: number;
  readonly detections: number;
  /** Sentences on what to do about it, the most rewarding first. */
  readonly findings: readonly string[];
  readonly problems: readonly InputProblem[];
  readonly warnings: readonly string[];
  readonly reportIou: number;
  readonly scoreThreshold: number;
  readonly overall: ScoreCurve;
  /** In the order of the summary's `perClass`. */
  readonly curves: readonly ScoreCurve[];
  readonly breakdowns: readonly Breakdown[];
  readonly confusion: ConfusionMatrix;
  readonly errors: Omit<ErrorKinds, "ofDetection">;
  readonly calibration: Calibration;
  readonly worst: readonly JudgedImage[];
}

/**
 * Evaluates and looks into what is wrong and why.
 *
 * The headline numbers are those of the metric asked for; all further parts are judged by the COCO metric's matching
 * (the error kinds by TIDE's), with at most as many detections for each picture and class as its last limit.
 * @throws {DataError} if the input has not the form of COCO
 * @throws {UsageError} if an option is unknown or out of its range
 */
export function evaluationReport(
  groundTruth: GroundTruth,
  detections: Detections,
  options: ReportOptions = {},
): EvaluationReport {
  const { title = "Evaluation", worstImages = 12, reportIou = 0.5, scoreThreshold, ...rest } = options;
  const truth = groundTruthColumns(groundTruth);
  const found = detectionColumns(detections);
  const settings = readSettings({ ...rest, metric: "coco", maxDetections: rest.maxDetections ?? 100 });
  const useIgnore = rest.useIgnore ?? ((rest.metric ?? "coco") === "coco" ? undefined : true);
  const arrangement = arrange(truth, found, { limit: settings.maxDetections.at(-1)!, useIgnore });
  const asked = rest.metric ?? "coco";
  const evaluation =
    asked === "coco" ? evaluateArranged(arrangement, settings) : evaluate(truth, found, rest);
  const outcomes = outcomesAt(arrangement, reportIou);
  const overall = scoreCurve(arrangement, outcomes);
  const threshold = scoreThreshold ?? overall.best?.score ?? 0;
  // TIDE knows no ignored objects, only regions within which detections do not count.
  const regions = useIgnore
    ? { ...truth, crowd: Uint8Array.from(truth.crowd, (crowd, row) => (crowd || truth.ignore[row] ? 1 : 0)) }
    : truth;
  const { ofDetection, ...errors } = errorKinds(regions, found, { iouThreshold: reportIou });
  const report = {
    title,
    summary: evaluationSummary(evaluation),
    images: evaluation.images,
    boxes: evaluation.boxes,
    detections: evaluation.detections,
    problems: checkInputs(truth, found),
    warnings: evaluation.warnings,
    reportIou,
    scoreThreshold: threshold,
    overall,
    curves: arrangement.categories.map((_, k) => scoreCurve(arrangement, outcomes, k)),
    breakdowns: breakdowns(arrangement, settings),
    confusion: confusionMatrix(arrangement, outcomes, threshold),
    errors,
    calibration: calibration(arrangement, outcomes),
    worst: hardestImages(
      arrangement,
      outcomes,
      threshold,
      worstImages,
      ofDetection as ReadonlyMap<number, ErrorKind>,
    ),
  };
  return { ...report, findings: findings(report) };
}

/** The report as the text of a JSON file. */
export function reportJson(report: EvaluationReport): string {
  return `${JSON.stringify(report, null, 1)}\n`;
}
