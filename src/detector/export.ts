import {
  beforeQuantisation,
  forInference,
  input,
  letterbox,
  quantiseGraph,
  valuesToObserve,
  type Graph,
  type QuantiseOptions,
} from "../graph/index.ts";
import type { Picture } from "../image/picture.ts";
import { buildModel, pictureToBoxes, type ModelConfig } from "../models/index.ts";
import { toOnnx, type OnnxModel } from "../onnx/index.ts";
import type { Runtime, RuntimeOptions } from "../runtime/session.ts";
import { tensor, type Tensor } from "../tensor/index.ts";
import { formatModelMetadata } from "../weights/index.ts";
import { configMetadata } from "../weights/known-models.ts";
import { observeValues } from "./calibrate.ts";
import { detectDefaults } from "./options.ts";
import type { ReadyModel } from "./ready-model.ts";

/** What every exported file has, however its numbers are stored. */
export interface ExportGraphOptions {
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

export interface ExportOptions extends ExportGraphOptions {
  /** How the weights are stored; arithmetic is float32 in both. Default float32. For eight bits see {@link exportOnnxInt8}. */
  readonly dtype?: "float32" | "float16";
}

/**
 * A model as one ONNX file of standard operators only: picture in, boxes out (see `pictureToBoxes`), or `raw`.
 * Class names, normalisation, anchors and source are in its metadata, under the names of the weight files.
 */
export function exportOnnx(model: ReadyModel, options: ExportOptions = {}): OnnxModel {
  return written(inferenceGraph(model, options), model, options);
}

/**
 * The same file with the network's arithmetic in eight bits (see `quantiseGraph`); pre-processing and decoding stay
 * float32, and so do inputs and outputs.
 *
 * @param pictures such as the network will see: a few hundred show what ranges its values take; at least one
 */
export async function exportOnnxInt8(
  model: ReadyModel,
  pictures: AsyncIterable<Picture>,
  runtime: Runtime,
  options: ExportGraphOptions & QuantiseOptions & RuntimeOptions = {},
): Promise<OnnxModel> {
  const graph = beforeQuantisation(inferenceGraph(model, options));
  const feeds = options.raw ? networkInputs(pictures, model.config, runtime) : pictureInputs(pictures);
  const observed = await observeValues(graph, valuesToObserve(graph, options), feeds, runtime, options);
  return written(quantiseGraph(graph, observed, options), model, options);
}

function inferenceGraph({ config, classes, weights }: ReadyModel, options: ExportGraphOptions): Graph {
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
  return forInference(graph, weights);
}

function written(graph: Graph, { config, classes, source }: ReadyModel, options: ExportOptions): OnnxModel {
  const metadata = formatModelMetadata({
    ...configMetadata(config),
    classes,
    source,
    creator: "efficientdet",
  });
  return toOnnx(graph, {
    dialect: "onnx",
    opset: options.opset ?? 17,
    storage: options.dtype ?? "float32",
    metadata,
    externalData: options.externalData === undefined ? undefined : { file: options.externalData },
  });
}

async function* pictureInputs(pictures: AsyncIterable<Picture>): AsyncGenerator<Record<string, Tensor>> {
  for await (const { data, width, height } of pictures)
    yield { image: tensor("uint8", [height, width, 3], data) };
}

/** Pictures as the bare network takes them. */
async function* networkInputs(
  pictures: AsyncIterable<Picture>,
  { imageSize: [height, width], mean, std }: ModelConfig,
  runtime: Runtime,
): AsyncGenerator<Record<string, Tensor>> {
  const image = input("image", "uint8", ["height", "width", 3]);
  const boxed = letterbox(image, { height, width, mean, std });
  const session = await runtime.compile({ inputs: [image], outputs: { boxed: boxed.input } });
  try {
    for await (const feed of pictureInputs(pictures)) {
      const { boxed: network } = await session.run(feed);
      yield { image: network! };
    }
  } finally {
    await session.dispose();
  }
}
