export type { Box, Detection } from "./detection/index.ts";
export { Detector, type LoadOptions, type NodePicture } from "./detector/node.ts";
export { defaultModel, openModel, type ModelSource, type OpenOptions } from "./detector/open-node.ts";
export { exportOnnx, type ExportOptions } from "./detector/export.ts";
export type { DetectAllOptions, DetectOptions } from "./detector/options.ts";
export type { ReadyModel } from "./detector/ready-model.ts";
export type { DetectedPicture, DetectionResult, FailedPicture, Timings } from "./detector/result.ts";
export * from "./errors.ts";
export {
  decodePicture,
  drawDetections,
  type DrawDetectionsOptions,
  type Picture,
  type RawPicture,
} from "./image/index.ts";
export { describeModel, listModels, type ModelDescription } from "./detector/list-models.ts";
