export type { Box, Detection } from "./detection/index.ts";
export { Detector, type WebModelSource, type WebPicture } from "./detector/web.ts";
export type { DetectAllOptions, DetectOptions } from "./detector/options.ts";
export type { DetectedPicture, DetectionResult, FailedPicture, Timings } from "./detector/result.ts";
export * from "./errors.ts";
