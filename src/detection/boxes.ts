/** One box: yMin, xMin, yMax, xMax. Right and bottom edges are exclusive: the height is `yMax - yMin`. */
export type BoxYxyx = readonly [yMin: number, xMin: number, yMax: number, xMax: number];

/** Boxes as rows, `[N, 4]` in C order: yMin, xMin, yMax, xMax. */
export type BoxesYxyx = Float32Array | Float64Array;

/** A box of a public result, in pixels of the original picture; `xMax - xMin` is the width. */
export interface Box {
  readonly xMin: number;
  readonly yMin: number;
  readonly xMax: number;
  readonly yMax: number;
}

/** How two boxes overlap; see {@link overlap}. */
export type Overlap = "iou" | "giou" | "diou" | "ciou";

/** Rows of four from single boxes; `[0, 4]` from none. */
export function boxRows(boxes: readonly (readonly number[])[]): Float64Array {
  const rows = new Float64Array(boxes.length * 4);
  boxes.forEach((box, row) => rows.set(box.slice(0, 4), row * 4));
  return rows;
}

/** Row `row` as a public {@link Box}, in the frame of `boxes`. */
export function toBox(boxes: BoxesYxyx, row = 0): Box {
  const at = row * 4;
  return { xMin: boxes[at + 1]!, yMin: boxes[at]!, xMax: boxes[at + 3]!, yMax: boxes[at + 2]! };
}

/** Public boxes as rows, `[N, 4]`, in the same frame. */
export function fromBoxes(boxes: readonly Box[]): Float64Array {
  return boxRows(boxes.map(({ xMin, yMin, xMax, yMax }) => [yMin, xMin, yMax, xMax]));
}

/** Height times width of row `row`; negative if exactly one side is. */
export function area(boxes: BoxesYxyx, row = 0): number {
  const at = row * 4;
  return (boxes[at + 2]! - boxes[at]!) * (boxes[at + 3]! - boxes[at + 1]!);
}

/** Area that row `i` of `a` and row `j` of `b` share; 0 where they only touch. */
export function intersection(a: BoxesYxyx, i: number, b: BoxesYxyx, j: number): number {
  const p = i * 4;
  const q = j * 4;
  const height = Math.min(a[p + 2]!, b[q + 2]!) - Math.max(a[p]!, b[q]!);
  if (!(height > 0)) return 0;
  const width = Math.min(a[p + 3]!, b[q + 3]!) - Math.max(a[p + 1]!, b[q + 1]!);
  return width > 0 ? height * width : 0;
}

/**
 * Intersection over union of row `i` of `a` and row `j` of `b`, from 0 to 1.
 *
 * 0 where the intersection is empty, so also for a box of no area with itself; no legacy "+1 pixel".
 */
export function iou(a: BoxesYxyx, i: number, b: BoxesYxyx, j: number): number {
  const shared = intersection(a, i, b, j);
  return shared > 0 ? shared / (area(a, i) + area(b, j) - shared) : 0;
}

/**
 * IoU less the share of the smallest enclosing box that neither covers, from -1 to 1 (Rezatofighi et al. 2019).
 * Two boxes without area: 0.
 */
export function giou(a: BoxesYxyx, i: number, b: BoxesYxyx, j: number): number {
  const shared = intersection(a, i, b, j);
  const union = area(a, i) + area(b, j) - shared;
  const [height, width] = enclosing(a, i, b, j);
  const hull = height * width;
  return (union > 0 ? shared / union : 0) - (hull > 0 ? (hull - union) / hull : 0);
}

/**
 * IoU less the squared distance of the centres over the squared diagonal of the smallest enclosing box, from -1 to 1
 * (Zheng et al. 2020).
 */
export function diou(a: BoxesYxyx, i: number, b: BoxesYxyx, j: number): number {
  const p = i * 4;
  const q = j * 4;
  const [height, width] = enclosing(a, i, b, j);
  const diagonal = height * height + width * width;
  const dy = (a[p]! + a[p + 2]! - b[q]! - b[q + 2]!) / 2;
  const dx = (a[p + 1]! + a[p + 3]! - b[q + 1]! - b[q + 3]!) / 2;
  return iou(a, i, b, j) - (dy * dy + dx * dx) / (diagonal > 0 ? diagonal : 1);
}

/** DIoU less a penalty for differing proportions, `v² / (1 - IoU + v)` (Zheng et al. 2020). */
export function ciou(a: BoxesYxyx, i: number, b: BoxesYxyx, j: number): number {
  const angle = proportion(a, i) - proportion(b, j);
  const v = (4 / Math.PI ** 2) * angle * angle;
  const rest = 1 - iou(a, i, b, j) + v;
  return diou(a, i, b, j) - (rest > 0 ? (v * v) / rest : 0);
}

const measures = { iou, giou, diou, ciou } as const;

/** One of the four overlaps of row `i` of `a` and row `j` of `b`, by its name. */
export function overlap(kind: Overlap, a: BoxesYxyx, i: number, b: BoxesYxyx, j: number): number {
  return measures[kind](a, i, b, j);
}

/** IoU of every row of `a` with every row of `b`, `[N, M]` in C order. */
export function iouMatrix(a: BoxesYxyx, b: BoxesYxyx): Float64Array {
  const rows = a.length / 4;
  const columns = b.length / 4;
  const matrix = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) matrix[i * columns + j] = iou(a, i, b, j);
  return matrix;
}

/** Boxes with every edge moved into `[0, height] × [0, width]`, as a new array; a box outside loses its area. */
export function clipBoxes<T extends BoxesYxyx>(
  boxes: T,
  [height, width]: readonly [height: number, width: number],
): T {
  return mapEdges(boxes, (edge, axis) => Math.min(Math.max(edge, 0), axis === 0 ? height : width));
}

/** Boxes with every edge multiplied, as a new array: `factor` for both axes, or y and x apart. */
export function scaleBoxes<T extends BoxesYxyx>(
  boxes: T,
  factor: number | readonly [y: number, x: number],
): T {
  const [y, x] = typeof factor === "number" ? [factor, factor] : factor;
  return mapEdges(boxes, (edge, axis) => edge * (axis === 0 ? y : x));
}

function mapEdges<T extends BoxesYxyx>(boxes: T, map: (edge: number, axis: 0 | 1) => number): T {
  const result = boxes.slice() as T;
  for (let at = 0; at < result.length; at++) result[at] = map(result[at]!, (at & 1) as 0 | 1);
  return result;
}

/** Height and width of the smallest box around both. */
function enclosing(a: BoxesYxyx, i: number, b: BoxesYxyx, j: number): [height: number, width: number] {
  const p = i * 4;
  const q = j * 4;
  return [
    Math.max(a[p + 2]!, b[q + 2]!) - Math.min(a[p]!, b[q]!),
    Math.max(a[p + 3]!, b[q + 3]!) - Math.min(a[p + 1]!, b[q + 1]!),
  ];
}

function proportion(boxes: BoxesYxyx, row: number): number {
  const at = row * 4;
  return Math.atan2(boxes[at + 3]! - boxes[at + 1]!, boxes[at + 2]! - boxes[at]!);
}
