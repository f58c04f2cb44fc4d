import { ShapeError } from "../errors.ts";
import type { AnchorLevel, AnchorSpec } from "./anchors.ts";
import { anchorAt } from "./anchors.ts";
import type { BoxesYxyx } from "./boxes.ts";
import { area } from "./boxes.ts";
import { encode } from "./coder.ts";

/** An anchor that belongs to no box: it learns to be silent. */
export const background = -1;
/** An anchor that teaches nothing. */
export const ignored = -2;

/** When an anchor belongs to a box. */
export interface MatchOptions {
  /** An anchor with at least this IoU belongs to the box it overlaps most; default 0.5. */
  readonly positiveIou?: number;
  /** Below this IoU it is background, between the two it is ignored; default: the same, so nothing is ignored. */
  readonly negativeIou?: number;
  /** Whether every box also gets the anchor that overlaps it most, however little; default true. */
  readonly forceMatch?: boolean;
}

/** {@link MatchOptions}, and regions to learn nothing from. */
export interface AssignOptions extends MatchOptions {
  /** Regions (crowds, difficult objects), `[M, 4]`: anchors in them that belong to no box are ignored. */
  readonly ignore?: BoxesYxyx;
  /** Share of an anchor's area that a region must cover; default 0.5. */
  readonly ignoreOverlap?: number;
}

/** What the network should have said at every anchor. */
export interface AnchorTargets {
  /** `[N]`: class index from 0, {@link background} or {@link ignored}. */
  readonly classes: Int32Array;
  /** `[N, 4]`: ty, tx, th, tw where an anchor belongs to a box, else 0. */
  readonly boxes: Float32Array;
  /** How many anchors belong to a box. */
  readonly positives: number;
}

/**
 * The box that each anchor belongs to, from a matrix of IoUs: the box it overlaps most, if that is enough. Every box
 * also takes its best anchor (the first of equals), even from another box; of several that want the same one, the box
 * with the lowest index gets it, and the others may be left with none.
 *
 * @param iou `[boxes, anchors]` in C order
 * @param anchors how many columns it has
 * @returns `[anchors]`: index of a box, {@link background} or {@link ignored}; all background without boxes
 * @throws {ShapeError} if the matrix is no whole number of rows
 * @see automl `argmax_matcher.py`, `force_match_for_each_row`. Differs: nothing.
 */
export function matchByIou(
  iou: Float64Array | Float32Array,
  anchors: number,
  options: MatchOptions = {},
): Int32Array {
  const boxes = anchors === 0 ? 0 : iou.length / anchors;
  if (!Number.isInteger(boxes))
    throw new ShapeError(`${iou.length} IoUs are no whole rows of ${anchors} anchors`);
  const best = new Float64Array(anchors);
  const owner = new Int32Array(anchors);
  const forced = new Int32Array(boxes);
  for (let box = 0; box < boxes; box++)
    for (let anchor = 0, bestOfBox = 0; anchor < anchors; anchor++) {
      const value = iou[box * anchors + anchor]!;
      if (value > best[anchor]!) [best[anchor], owner[anchor]] = [value, box];
      if (value > bestOfBox) [bestOfBox, forced[box]] = [value, anchor];
    }
  return decide(best, owner, forced, boxes, options);
}

/**
 * The box that each anchor belongs to, by {@link matchByIou}'s rule, without the matrix: only anchors that a box
 * touches are looked at.
 *
 * @param boxes `[M, 4]` in pixels of the network input; they may leave it
 * @returns `[N]`: index of a box, {@link background} or {@link ignored}; all background without boxes
 * @see automl `anchors.py: AnchorLabeler`. Differs: a box that touches no anchor gets none (there it would take
 * the very first one); ignored regions are ours.
 */
export function assignAnchors(boxes: BoxesYxyx, spec: AnchorSpec, options: AssignOptions = {}): Int32Array {
  const count = boxes.length / 4;
  const best = new Float64Array(spec.count);
  const owner = new Int32Array(spec.count);
  const forced = new Int32Array(count).fill(-1);
  for (let box = 0; box < count; box++) {
    const boxArea = area(boxes, box);
    let bestOfBox = 0;
    eachTouched(boxes, box, spec, (anchor, shared, anchorArea) => {
      const value = shared / (boxArea + anchorArea - shared);
      if (value > best[anchor]!) {
        best[anchor] = value;
        owner[anchor] = box;
      }
      if (value > bestOfBox) {
        bestOfBox = value;
        forced[box] = anchor;
      }
    });
  }
  const match = decide(best, owner, forced, count, options);
  const { ignore, ignoreOverlap = 0.5 } = options;
  for (let region = 0; ignore !== undefined && region < ignore.length / 4; region++)
    eachTouched(ignore, region, spec, (anchor, shared, anchorArea) => {
      if (match[anchor] === background && shared >= ignoreOverlap * anchorArea) match[anchor] = ignored;
    });
  return match;
}

/**
 * Class and box targets of every anchor.
 *
 * @param match what {@link assignAnchors} gave
 * @param boxes `[M, 4]`, the same boxes
 * @param classes `[M]`, class indices from 0
 * @throws {ShapeError} if a length does not fit
 */
export function anchorTargets(
  match: Int32Array,
  boxes: BoxesYxyx,
  classes: ArrayLike<number>,
  spec: AnchorSpec,
): AnchorTargets {
  if (match.length !== spec.count || classes.length * 4 !== boxes.length)
    throw new ShapeError(
      `${match.length} matches for ${spec.count} anchors, ${classes.length} classes for ${boxes.length / 4} boxes`,
    );
  const targets = new Float32Array(spec.count * 4);
  const classTargets = new Int32Array(spec.count);
  let positives = 0;
  for (let anchor = 0; anchor < spec.count; anchor++) {
    const box = match[anchor]!;
    classTargets[anchor] = box < 0 ? box : classes[box]!;
    if (box < 0) continue;
    positives++;
    const row = Float64Array.from(boxes.subarray(box * 4, box * 4 + 4));
    targets.set(encode(row, Float64Array.from(anchorAt(spec, anchor))), anchor * 4);
  }
  return { classes: classTargets, boxes: targets, positives };
}

/** The rule itself: `forced` holds each box's best anchor, or -1. */
function decide(
  best: Float64Array,
  owner: Int32Array,
  forced: Int32Array,
  boxes: number,
  { positiveIou = 0.5, negativeIou = positiveIou, forceMatch = true }: MatchOptions,
): Int32Array {
  const match = new Int32Array(best.length).fill(background);
  if (boxes === 0) return match;
  for (let anchor = 0; anchor < match.length; anchor++)
    if (best[anchor]! >= positiveIou) match[anchor] = owner[anchor]!;
    else if (best[anchor]! >= negativeIou) match[anchor] = ignored;
  if (forceMatch) for (let box = boxes - 1; box >= 0; box--) if (forced[box]! >= 0) match[forced[box]!] = box; // the lowest stays
  return match;
}

/** Calls back for every anchor that shares area with a box, in order of index, with both areas. */
function eachTouched(
  boxes: BoxesYxyx,
  box: number,
  spec: AnchorSpec,
  visit: (anchor: number, shared: number, anchorArea: number) => void,
): void {
  const [yMin, xMin, yMax, xMax] = boxes.subarray(box * 4, box * 4 + 4) as unknown as [
    number,
    number,
    number,
    number,
  ];
  if (!(yMax > yMin && xMax > xMin)) return;
  for (const level of spec.levels) {
    const [rowStart, rowEnd] = cells(yMin, yMax, level, 0);
    const [columnStart, columnEnd] = cells(xMin, xMax, level, 1);
    for (let row = rowStart; row < rowEnd; row++)
      for (let column = columnStart; column < columnEnd; column++) {
        const y = level.strideY / 2 + row * level.strideY;
        const x = level.strideX / 2 + column * level.strideX;
        const first = level.first + (row * level.width + column) * spec.perCell;
        for (let shape = 0; shape < spec.perCell; shape++) {
          const top = y - level.halves[shape * 2]!;
          const bottom = y + level.halves[shape * 2]!;
          const left = x - level.halves[shape * 2 + 1]!;
          const right = x + level.halves[shape * 2 + 1]!;
          const height = Math.min(yMax, bottom) - Math.max(yMin, top);
          const width = Math.min(xMax, right) - Math.max(xMin, left);
          if (height > 0 && width > 0) visit(first + shape, height * width, (bottom - top) * (right - left));
        }
      }
  }
}

/** Rows (axis 0) or columns (axis 1) of a level whose largest anchors can reach into an interval, and one to spare. */
function cells(min: number, max: number, level: AnchorLevel, axis: 0 | 1): [start: number, end: number] {
  const stride = axis === 0 ? level.strideY : level.strideX;
  const size = axis === 0 ? level.height : level.width;
  let reach = 0;
  for (let at: number = axis; at < level.halves.length; at += 2) reach = Math.max(reach, level.halves[at]!);
  const start = Math.floor((min - reach) / stride - 0.5);
  const end = Math.ceil((max + reach) / stride - 0.5) + 1;
  return [Math.max(0, start), Math.min(size, end)];
}
