import { ShapeError } from "../errors.ts";
import type { BoxesYxyx } from "./boxes.ts";

/** Smallest height and width that {@link encode} takes a box or anchor to have, in pixels. */
const smallestSide = 1e-8;

/**
 * The network's targets for boxes at their anchors: offsets of the centres in units of the anchor's size, logarithms
 * of the ratios of sizes; the inverse of {@link decode}.
 *
 * @param boxes `[N, 4]`, any frame
 * @param anchors `[N, 4]`, the same frame, one for each box
 * @returns `[N, 4]`: ty, tx, th, tw, in the precision of `boxes`; empty in, empty out
 * @throws {ShapeError} if the two differ in N
 * @see automl `faster_rcnn_box_coder`. Differs: nothing (effdet adds 1e-7 to sizes instead of clamping them to 1e-8).
 */
export function encode<T extends BoxesYxyx>(boxes: T, anchors: BoxesYxyx): T {
  checkRows("boxes", boxes, anchors);
  const codes = boxes.slice() as T;
  for (let at = 0; at < boxes.length; at += 4) {
    for (let axis = 0; axis < 2; axis++) {
      const start = boxes[at + axis]!;
      const anchorStart = anchors[at + axis]!;
      const side = boxes[at + axis + 2]! - start;
      const anchorSide = anchors[at + axis + 2]! - anchorStart;
      const clampedAnchor = Math.max(anchorSide, smallestSide);
      codes[at + axis] = (start + side / 2 - (anchorStart + anchorSide / 2)) / clampedAnchor;
      codes[at + axis + 2] = Math.log(Math.max(side, smallestSide) / clampedAnchor);
    }
  }
  return codes;
}

/**
 * Boxes from anchors and the network's offsets.
 *
 * @param offsets `[N, 4]`: ty, tx, th, tw, in units of the anchor's height and width (log for th, tw)
 * @param anchors `[N, 4]`, yMin, xMin, yMax, xMax in pixels of the network input; not clipped
 * @returns `[N, 4]`, same frame and order, in the precision of `offsets`; empty in, empty out
 * @throws {ShapeError} if the two differ in N
 * @see paper §5; automl `anchors.py: decode_box_outputs`. Differs: nothing (th and tw are not limited).
 */
export function decode<T extends BoxesYxyx>(offsets: T, anchors: BoxesYxyx): T {
  checkRows("offsets", offsets, anchors);
  const boxes = offsets.slice() as T;
  for (let at = 0; at < offsets.length; at += 4) {
    for (let axis = 0; axis < 2; axis++) {
      const start = anchors[at + axis]!;
      const end = anchors[at + axis + 2]!;
      const centre = offsets[at + axis]! * (end - start) + (start + end) / 2;
      const half = (Math.exp(offsets[at + axis + 2]!) * (end - start)) / 2;
      boxes[at + axis] = centre - half;
      boxes[at + axis + 2] = centre + half;
    }
  }
  return boxes;
}

function checkRows(name: string, rows: BoxesYxyx, anchors: BoxesYxyx): void {
  if (rows.length !== anchors.length || rows.length % 4 !== 0)
    throw new ShapeError(`${rows.length / 4} ${name} for ${anchors.length / 4} anchors`);
}
