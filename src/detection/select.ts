import { ShapeError } from "../errors.ts";
import type { AnchorSpec } from "./anchors.ts";
import { anchorAt } from "./anchors.ts";
import type { ScoredBoxes } from "./nms.ts";
import { TopCandidates } from "./top-candidates.ts";

/** What the network says about one picture: a map for each pyramid level, lowest level first. */
export interface LevelMaps {
  /** Each `[perCell · classes, h, w]` (channel = anchor · classes + class): logits. */
  readonly classMaps: readonly Float32Array[];
  /** Each `[perCell · 4, h, w]` (channel = anchor · 4 + coordinate): ty, tx, th, tw. */
  readonly boxMaps: readonly Float32Array[];
}

/** Settings of {@link selectCandidates}. */
export interface SelectOptions {
  /** Lowest score that counts; default: any. */
  readonly scoreThreshold?: number;
  /**
   * k > 0: the k best pairs of anchor and class, so that one anchor may speak for several classes; 0: the best class
   * of each anchor. Default 5000.
   */
  readonly preselect?: number;
  /** Indices of the only classes to consider; default: all. */
  readonly classFilter?: readonly number[];
}

/** Candidates for suppression, with the anchors they come from. */
export interface Candidates extends ScoredBoxes {
  readonly boxes: Float64Array;
  /** `[N]`, indices of anchors. */
  readonly anchors: Int32Array;
}

/**
 * The boxes worth looking at: one pass over the logits, which are compared with the logit of the threshold; only what
 * survives is put through a sigmoid and decoded.
 *
 * @returns boxes in pixels of the network input, not clipped; with k > 0 best first, with 0 in order of anchors; equal
 * scores in the order anchor, class. Candidates whose numbers are no numbers (NaN) are left out.
 * @throws {ShapeError} if a map's length does not fit the anchors and classes
 * @see automl `postprocess.py: topk_class_boxes`, `MAX_DETECTION_POINTS` = 5000
 */
export function selectCandidates(
  maps: LevelMaps,
  spec: AnchorSpec,
  classes: number,
  options: SelectOptions = {},
): Candidates {
  const { scoreThreshold = 0, preselect = 5000 } = options;
  checkMaps(maps, spec, classes);
  const threshold = scoreThreshold > 0 ? Math.min(logit(scoreThreshold), 36) - 1e-6 : -Infinity; // scores of 1 begin above 36
  const top = new TopCandidates(preselect > 0 ? preselect : spec.count, threshold);
  const wanted = [...new Set(options.classFilter ?? Array(classes).keys())].filter(
    (c) => c >= 0 && c < classes,
  );
  wanted.sort((a, b) => a - b);
  for (const [index, level] of spec.levels.entries())
    for (let slot = 0; slot < spec.perCell; slot++) {
      const planes: ClassPlanes = {
        map: maps.classMaps[index]!,
        cells: level.height * level.width,
        channel: slot * classes,
        key: (cell, c) => (level.first + cell * spec.perCell + slot) * classes + c,
      };
      (preselect > 0 ? offerAll : offerBest)(planes, wanted, top);
    }
  const { logits, keys } = preselect > 0 ? top.best() : top.inOrder();
  return decodeCandidates(maps, spec, classes, logits, keys, scoreThreshold);
}

/**
 * Every anchor's box and scores, for tests and for looking closely: slow, and much memory.
 *
 * @returns boxes `[N, 4]` in pixels of the network input, scores `[N, classes]`, in order of anchors
 * @throws {ShapeError} if a map's length does not fit the anchors and classes
 */
export function decodeAll(
  maps: LevelMaps,
  spec: AnchorSpec,
  classes: number,
): { boxes: Float64Array; scores: Float64Array } {
  checkMaps(maps, spec, classes);
  const boxes = new Float64Array(spec.count * 4);
  const scores = new Float64Array(spec.count * classes);
  for (let anchor = 0; anchor < spec.count; anchor++) {
    const { index, map, slot, cell } = place(spec, anchor);
    decodeBox(maps.boxMaps[index]!, spec, anchor, boxes, anchor);
    const logits = maps.classMaps[index]!;
    for (let c = 0; c < classes; c++)
      scores[anchor * classes + c] = sigmoid(logits[(slot * classes + c) * map + cell]!);
  }
  return { boxes, scores };
}

/** The score of a logit: 1 / (1 + exp(-x)). */
export function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

/** The logit of a score: log(p / (1 - p)); infinite at 0 and 1. */
export function logit(p: number): number {
  return Math.log(p / (1 - p));
}

/** The logits of one anchor slot at one level: a plane of `cells` for each class. */
interface ClassPlanes {
  readonly map: Float32Array;
  readonly cells: number;
  /** Channel of class 0. */
  readonly channel: number;
  /** Index of a pair in the order level, y, x, anchor, class. */
  readonly key: (cell: number, classIndex: number) => number;
}

function offerAll(
  { map, cells, channel, key }: ClassPlanes,
  wanted: readonly number[],
  top: TopCandidates,
): void {
  for (const c of wanted) {
    const start = (channel + c) * cells;
    scan(map, start, start + cells, top, (at) => top.offer(map[at]!, key(at - start, c)));
  }
}

/** Offers the best wanted class of every anchor; of equals the first. */
function offerBest(
  { map, cells, channel, key }: ClassPlanes,
  wanted: readonly number[],
  top: TopCandidates,
): void {
  const best = new Float32Array(cells).fill(NaN);
  const owner = new Int32Array(cells);
  for (const c of wanted) {
    const start = (channel + c) * cells;
    scan(map, start, start + cells, top, (at) => {
      if (map[at]! <= best[at - start]!) return;
      best[at - start] = map[at]!;
      owner[at - start] = c;
    });
  }
  for (let cell = 0; cell < cells; cell++)
    if (!Number.isNaN(best[cell])) top.offer(best[cell]!, key(cell, owner[cell]!));
}

/**
 * Calls back for every element of `map` from `start` to `end` that reaches the threshold, which the call may raise.
 * Eight comparisons to a branch: four times faster than one by one, and nearly all of a picture is background.
 */
function scan(
  map: Float32Array,
  start: number,
  end: number,
  top: { readonly threshold: number },
  hit: (at: number) => void,
): void {
  let t = top.threshold;
  let at = start;
  for (const last = end - 7; at < last; at += 8) {
    if (
      map[at]! >= t ||
      map[at + 1]! >= t ||
      map[at + 2]! >= t ||
      map[at + 3]! >= t ||
      map[at + 4]! >= t ||
      map[at + 5]! >= t ||
      map[at + 6]! >= t ||
      map[at + 7]! >= t
    ) {
      for (let i = at; i < at + 8; i++) if (map[i]! >= t) hit(i);
      t = top.threshold;
    }
  }
  for (; at < end; at++) if (map[at]! >= t) hit(at);
}

function decodeCandidates(
  maps: LevelMaps,
  spec: AnchorSpec,
  classes: number,
  logits: Float32Array,
  keys: Float64Array,
  scoreThreshold: number,
): Candidates {
  const boxes = new Float64Array(keys.length * 4);
  const scores = new Float64Array(keys.length);
  const classIndices = new Int32Array(keys.length);
  const anchors = new Int32Array(keys.length);
  let count = 0;
  for (let i = 0; i < keys.length; i++) {
    const anchor = Math.floor(keys[i]! / classes);
    const score = sigmoid(logits[i]!);
    if (score < scoreThreshold) continue;
    if (!decodeBox(maps.boxMaps[place(spec, anchor).index]!, spec, anchor, boxes, count)) continue;
    scores[count] = score;
    classIndices[count] = keys[i]! - anchor * classes;
    anchors[count] = anchor;
    count++;
  }
  return {
    boxes: boxes.subarray(0, count * 4),
    scores: scores.subarray(0, count),
    classes: classIndices.subarray(0, count),
    anchors: anchors.subarray(0, count),
  };
}

/** Writes the box of one anchor to a row; false if a coordinate is no number. */
function decodeBox(
  boxMap: Float32Array,
  spec: AnchorSpec,
  anchor: number,
  boxes: Float64Array,
  row: number,
): boolean {
  const { map, slot, cell } = place(spec, anchor);
  const [yMin, xMin, yMax, xMax] = anchorAt(spec, anchor);
  const height = yMax - yMin;
  const width = xMax - xMin;
  const at = slot * 4 * map + cell;
  const y = boxMap[at]! * height + (yMin + yMax) / 2;
  const x = boxMap[at + map]! * width + (xMin + xMax) / 2;
  const halfHeight = (Math.exp(boxMap[at + 2 * map]!) * height) / 2;
  const halfWidth = (Math.exp(boxMap[at + 3 * map]!) * width) / 2;
  boxes[row * 4] = y - halfHeight;
  boxes[row * 4 + 1] = x - halfWidth;
  boxes[row * 4 + 2] = y + halfHeight;
  boxes[row * 4 + 3] = x + halfWidth;
  return !Number.isNaN(y + x + halfHeight + halfWidth);
}

/** Where an anchor's numbers lie: index of the level, size of its maps, anchor within the cell, cell. */
function place(spec: AnchorSpec, anchor: number): { index: number; map: number; slot: number; cell: number } {
  let index = spec.levels.length - 1;
  while (spec.levels[index]!.first > anchor) index--;
  const level = spec.levels[index]!;
  const cell = Math.floor((anchor - level.first) / spec.perCell);
  return { index, map: level.height * level.width, slot: (anchor - level.first) % spec.perCell, cell };
}

function checkMaps({ classMaps, boxMaps }: LevelMaps, spec: AnchorSpec, classes: number): void {
  const check = (kind: string, maps: readonly Float32Array[], channels: number) => {
    if (maps.length !== spec.levels.length)
      throw new ShapeError(`${maps.length} ${kind} maps for ${spec.levels.length} levels`);
    spec.levels.forEach(({ level, height, width }, index) => {
      if (maps[index]!.length !== channels * height * width)
        throw new ShapeError(
          `the ${kind} map of level ${level} has ${maps[index]!.length} numbers, not ${channels} × ${height} × ${width}`,
        );
    });
  };
  check("class", classMaps, spec.perCell * classes);
  check("box", boxMaps, spec.perCell * 4);
}
