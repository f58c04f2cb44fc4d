import { generateAnchors, type AnchorSpec, anchorSpec } from "../detection/index.ts";
import {
  add, cast, concat, constant, exp, gather, gatherNd, input, letterbox, maximum, minimum, mul, nonMaxSuppression, reshape, shapeOf, sigmoid, slice, sub,
  topK, transpose, type Graph, type Value,
} from "../graph/index.ts"; // prettier-ignore
import { float32, int64, tensor } from "../tensor/index.ts";
import { anchorsPerCell, type ModelConfig } from "./config.ts";
import { efficientDet, headLevels, namedOutputs, type RawDetections } from "./efficientdet.ts";
import { Parameters } from "./parameters.ts";

/** The anchors of a model at its image size. */
export function modelAnchors(config: ModelConfig): AnchorSpec {
  const levels = headLevels(config);
  return anchorSpec({ ...config, levels: { min: levels[0]!, max: levels.at(-1)! } });
}

/** The name of the input that picture `i` of a batch is fed to. */
export function pictureInput(i: number, batch: number): string {
  return batch === 1 ? "image" : `image/${i}`;
}

/**
 * From pictures as they are decoded to the raw outputs: letterbox, normalisation, network. Pictures of a batch may
 * differ in size, and no new session is needed for one of another size.
 *
 * Inputs `image` (or `image/0` …), uint8 `[height, width, 3]` RGB; outputs `class/3` …, `box/3` … as `buildModel`,
 * and `scale` (or `scale/0` …): picture pixels per network pixel.
 */
export function pictureToMaps(config: ModelConfig, batch = 1): Graph {
  const pictures = Array.from({ length: batch }, (_, i) => pictureAt(i, batch));
  const boxed = pictures.map((picture) => letterboxed(picture, config));
  const raw = efficientDet(
    concat(
      boxed.map((b) => b.input),
      0,
    ),
    config,
    new Parameters(),
  );
  const scales = boxed.map((b, i) => [batch === 1 ? "scale" : `scale/${i}`, b.imageScale] as const);
  return { inputs: pictures, outputs: { ...namedOutputs(raw, config), ...Object.fromEntries(scales) } };
}

function pictureAt(i: number, batch: number): Value {
  const [height, width] = batch === 1 ? ["height", "width"] : [`height_${i}`, `width_${i}`];
  return input(pictureInput(i, batch), "uint8", [height!, width!, 3]);
}

function letterboxed(
  picture: Value,
  { imageSize: [height, width], mean, std }: ModelConfig,
): { input: Value; imageScale: Value } {
  return letterbox(picture, { height, width, mean, std });
}

/** What the exported graph keeps where its caller does not say. */
export interface ExportDefaults {
  readonly scoreThreshold: number;
  readonly iouThreshold: number;
  readonly maxDetections: number;
}

/**
 * From a picture to boxes, whole: what `export` writes and any ONNX Runtime runs.
 *
 * Input `image` uint8 `[height, width, 3]` RGB; `score_threshold`, `iou_threshold` (float32) and `max_detections`
 * (int64), without dimensions, may be left out. Outputs `boxes` float32 `[n, 4]` (xMin, yMin, xMax, yMax, pixels of the
 * picture, clipped to it), `scores` float32 `[n]`, best first, `classes` int64 `[n]`, ids of the data set.
 * Suppression is hard and per class; at most `max_detections` of each class, and in all.
 */
export function pictureToBoxes(
  config: ModelConfig,
  classIds: readonly number[],
  defaults: ExportDefaults,
): Graph {
  const image = pictureAt(0, 1);
  const scoreThreshold = input("score_threshold", "float32", [], float32([defaults.scoreThreshold], []));
  const iouThreshold = input("iou_threshold", "float32", [], float32([defaults.iouThreshold], []));
  const maxDetections = input("max_detections", "int64", [], int64([defaults.maxDetections], []));

  const { input: network, imageScale } = letterboxed(image, config);
  const raw = efficientDet(network, config, new Parameters());
  const scores = sigmoid(classScores(raw, config)); // [1, classes, anchors]
  const boxes = decoded(raw, config); // [1, anchors, 4], yxyx, network pixels

  const anchors = boxes.shape[1] as number;
  const selected = nonMaxSuppression(
    boxes,
    scores,
    reshape(maxDetections, [1]),
    reshape(iouThreshold, [1]),
    reshape(scoreThreshold, [1]),
  );
  const selectedScores = gatherNd(reshape(scores, [config.classes, anchors]), slice(selected, 1, 1, 3));
  const best = topK(selectedScores, minimum(shapeOf(selectedScores), maxDetections), "detections");
  const rows = gather(selected, best.indices, 0);
  const column = (i: number): Value => gather(rows, constant(int64([i], [])), 1);

  const size = cast(slice(shapeOf(image), 0, 0, 2), "float32");
  const limits = gather(size, [0, 1, 0, 1], 0);
  const inPicture = mul(gather(reshape(boxes, [anchors, 4]), column(2), 0), imageScale);
  const clipped = minimum(maximum(inPicture, 0), limits);
  return {
    inputs: [image, scoreThreshold, iouThreshold, maxDetections],
    outputs: {
      boxes: gather(clipped, [1, 0, 3, 2], 1),
      scores: best.values,
      classes: gather(constant(int64(classIds)), column(1), 0),
    },
  };
}

/** The class logits of all levels, `[1, classes, anchors]`, anchors in the order level, y, x, anchor. */
function classScores(raw: RawDetections, config: ModelConfig): Value {
  const perCell = anchorsPerCell(config);
  const levels = raw.classes.map((map) => {
    const cells = (map.shape[2] as number) * (map.shape[3] as number);
    const parted = transpose(reshape(map, [1, perCell, config.classes, cells]), [0, 2, 3, 1]);
    return reshape(parted, [1, config.classes, cells * perCell]);
  });
  return concat(levels, 2);
}

/** Boxes of all anchors, `[1, anchors, 4]`: yMin, xMin, yMax, xMax in pixels of the network input. */
function decoded(raw: RawDetections, config: ModelConfig): Value {
  const perCell = anchorsPerCell(config);
  const levels = raw.boxes.map((map) => {
    const cells = (map.shape[2] as number) * (map.shape[3] as number);
    return reshape(transpose(reshape(map, [1, perCell, 4, cells]), [0, 3, 1, 2]), [1, cells * perCell, 4]);
  });
  const offsets = concat(levels, 1);
  const { centres, sizes } = anchorCentres(generateAnchors(modelAnchors(config)));
  const centre = add(mul(slice(offsets, 2, 0, 2), sizes), centres);
  const half = mul(mul(exp(slice(offsets, 2, 2, 4)), sizes), 0.5);
  return concat([sub(centre, half), add(centre, half)], 2);
}

/** Centres and sizes of anchors, `[1, anchors, 2]` each: y before x. */
function anchorCentres(anchors: Float32Array): { centres: Value; sizes: Value } {
  const count = anchors.length / 4;
  const centres = new Float32Array(count * 2);
  const sizes = new Float32Array(count * 2);
  for (let i = 0; i < count; i++)
    for (let axis = 0; axis < 2; axis++) {
      const [least, most] = [anchors[i * 4 + axis]!, anchors[i * 4 + axis + 2]!];
      centres[i * 2 + axis] = (least + most) / 2;
      sizes[i * 2 + axis] = most - least;
    }
  return {
    centres: constant(tensor("float32", [1, count, 2], centres)),
    sizes: constant(tensor("float32", [1, count, 2], sizes)),
  };
}
