/**
 * Evaluation of detectors: the COCO metric to the last digit of pycocotools, the metrics of Pascal VOC and Open Images,
 * and reports that say what is wrong. Nothing here needs Node; reading and writing files is in `files-node.ts`.
 */
export type {
  BoxXywh,
  CocoAnnotation,
  CocoCategory,
  CocoDataset,
  CocoImage,
  CocoResult,
  DetectionColumns,
  Detections,
  GroundTruth,
  GroundTruthColumns,
  ImageId,
} from "./coco-format.ts";
export type { EvaluateOptions } from "./evaluate.ts";
export { evaluate, metrics } from "./evaluate.ts";
export type { EvaluatedImage, TrueObject } from "./evaluator.ts";
export { CocoEvaluator } from "./evaluator.ts";
export type { ClassResult, Evaluation, EvaluationSummary, Metric, Summary } from "./result.ts";
export { evaluationSummary, summaryNames } from "./result.ts";
export type { CocoSettings } from "./coco-metric.ts";
export { cocoSettings } from "./coco-metric.ts";
export type { PrecisionRecall } from "./precision-recall.ts";
export type { AreaRange } from "./slices.ts";
export { cocoAreas } from "./slices.ts";
export { detectionColumns, detectionRows, groundTruthColumns } from "./columns.ts";
export type { FoundObject } from "./coco-writer.ts";
export { cocoResults, resultsJson } from "./coco-writer.ts";
export { GroundTruthReader, ResultsReader } from "./coco-reader.ts";
export type { InputProblem } from "./input-checks.ts";
export { checkInputs } from "./input-checks.ts";
export type { CompareOptions, Comparison, Difference } from "./comparison.ts";
export { compare } from "./comparison.ts";
export { comparisonHtml } from "./comparison-html.ts";
export type { ErrorKind, ErrorKinds } from "./error-kinds.ts";
export { errorKindNames, errorKinds } from "./error-kinds.ts";
export type { EvaluationReport, ReportOptions } from "./report.ts";
export { evaluationReport, reportJson } from "./report.ts";
export type { ReportPageOptions } from "./report-html.ts";
export { reportHtml } from "./report-html.ts";
export type { Breakdown, PartResult } from "./breakdown.ts";
export type { Calibration, CalibrationBin } from "./calibration.ts";
export type { ConfusionMatrix } from "./confusion.ts";
export type { JudgedDetection, JudgedImage, JudgedObject } from "./hardest-images.ts";
export type { OperatingPoint, ScoreCurve } from "./score-curves.ts";
export { comparisonText, evaluationText } from "./result-text.ts";
