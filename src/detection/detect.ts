import type { AnchorSpec } from "./anchors.ts";
import type { NmsOptions } from "./nms.ts";
import { suppress } from "./nms.ts";
import type { LevelMaps, SelectOptions } from "./select.ts";
import { selectCandidates } from "./select.ts";

/** Settings of {@link detectFromMaps}. */
export interface DetectOptions extends Omit<SelectOptions, "scoreThreshold">, Omit<NmsOptions, "method"> {
  /** Default "hard". */
  readonly nms?: NmsOptions["method"];
  /** Pixels of the original picture to one pixel of the network input; default 1. */
  readonly imageScale?: number;
  /** Height and width of the original picture, to clip boxes to; default: no clipping. */
  readonly pictureSize?: readonly [height: number, width: number];
}

/** Detections, best first: row i of all belongs together. */
export interface RawDetections {
  /** `[N, 4]`: yMin, xMin, yMax, xMax in pixels of the original picture. */
  readonly boxes: Float64Array;
  /** `[N]`, from 0 to 1. */
  readonly scores: Float64Array;
  /** `[N]`, class indices from 0. */
  readonly classes: Int32Array;
}

/**
 * From what the network says about one picture to boxes: selection, decoding, suppression, then back to the original
 * picture and clipped to it. What lies wholly outside it (in the padding) is left out.
 *
 * @throws {ShapeError} if a map's length does not fit the anchors and classes
 * @see automl `postprocess.py`. Differs: clips to the picture, not to the padded input, in every mode; a score equal to
 * the threshold stays.
 */
export function detectFromMaps(
  maps: LevelMaps,
  spec: AnchorSpec,
  classes: number,
  options: DetectOptions = {},
): RawDetections {
  const { nms = "hard", imageScale = 1, pictureSize } = options;
  const scoreThreshold = options.scoreThreshold ?? (nms === "soft" || nms === "linear" ? 0.001 : 0);
  const candidates = selectCandidates(maps, spec, classes, { ...options, scoreThreshold });
  const kept = suppress(candidates, { ...options, method: nms, scoreThreshold });
  const [height, width] = pictureSize ?? [Infinity, Infinity];
  const lowest = pictureSize === undefined ? -Infinity : 0;
  const boxes = new Float64Array(kept.indices.length * 4);
  const scores = new Float64Array(kept.indices.length);
  const classIndices = new Int32Array(kept.indices.length);
  let count = 0;
  for (const [rank, candidate] of kept.indices.entries()) {
    for (let edge = 0; edge < 4; edge++) {
      const value = candidates.boxes[candidate * 4 + edge]! * imageScale;
      boxes[count * 4 + edge] = Math.min(Math.max(value, lowest), edge % 2 === 0 ? height : width);
    }
    const at = count * 4;
    const empty = !(boxes[at + 2]! > boxes[at]! && boxes[at + 3]! > boxes[at + 1]!);
    if (pictureSize !== undefined && empty) continue;
    scores[count] = kept.scores[rank]!;
    classIndices[count] = candidates.classes[candidate]!;
    count++;
  }
  return {
    boxes: boxes.subarray(0, count * 4),
    scores: scores.subarray(0, count),
    classes: classIndices.subarray(0, count),
  };
}
