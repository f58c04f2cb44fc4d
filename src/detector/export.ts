import { forInference } from "../graph/index.ts";
import { buildModel, pictureToBoxes } from "../models/index.ts";
import { toOnnx, type OnnxModel } from "../onnx/index.ts";
import { formatModelMetadata } from "../weights/index.ts";
import { configMetadata } from "../weights/known-models.ts";
import { detectDefaults } from "./options.ts";
import type { ReadyModel } from "./ready-model.ts";

export interface ExportOptions {
  /** How the weights are stored; arithmetic is float32 in both. Default float32. */
  readonly dtype?: "float32" | "float16";
  /** The network alone: normalised pictures `[N, 3, H, W]` in, level maps out. */
  readonly raw?: boolean;
  /** ONNX opset, 17 to 23; default 17. */
  readonly opset?: number;
  /** What the file keeps to where its inputs `score_threshold`, `iou_threshold`, `max_detections` are left out; defaults 0.3, 0.5, 100. */
  readonly scoreThreshold?: number;
  readonly iouThreshold?: number;
  readonly maxDetections?: number;
  /** Name of the file beside the model that takes its constants; default: only where the model would exceed 2 GB. */
  readonly externalData?: string;
}

/**
 * A model as one ONNX file of standard operators only: picture in, boxes out (see `pictureToBoxes`), or `raw`.
 * Class names, normalisation, anchors and source are in its metadata, under the names of the weight files.
 */
export function exportOnnx(model: ReadyModel, options: ExportOptions = {}): OnnxModel {
  const { config, classes } = model;
  const graph = options.raw
    ? buildModel(config, { batch: "batch" }).graph
    : pictureToBoxes(
        config,
        classes.map(({ id }) => id),
        {
          scoreThreshold: options.scoreThreshold ?? detectDefaults.scoreThreshold,
          iouThreshold: options.iouThreshold ?? detectDefaults.iouThreshold,
          maxDetections: options.maxDetections ?? detectDefaults.maxDetections,
        },
      );
  const metadata = formatModelMetadata({
    ...configMetadata(config),
    classes,
    source: model.source,
    creator: "efficientdet",
  });
  return toOnnx(forInference(graph, model.weights), {
    dialect: "onnx",
    opset: options.opset ?? 17,
    storage: options.dtype ?? "float32",
    metadata,
    externalData: options.externalData === undefined ? undefined : { file: options.externalData },
  });
}
