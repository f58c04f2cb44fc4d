import type { Arrangement } from "./arrangement.ts";
import { overlapXywh } from "./overlap.ts";

/** The detection is wrong: no object left for it at this threshold. */
export const WRONG = 0;
/** The detection found an object that counts. */
export const RIGHT = 1;
/** Neither right nor wrong: it matched a crowd or ignored object, or lies outside the slice and matched nothing. */
export const IGNORED = 2;

/**
 * A part of the objects to be judged alone, such as the small ones: those outside are treated like ignored ones,
 * and so are detections outside that match nothing.
 */
export interface Slice {
  readonly name: string;
  /** 1 for objects outside, `[objects]`; undefined: none is. */
  readonly objectsOutside: Uint8Array | undefined;
  /** 1 for detections outside, `[detections]`; undefined: none is. */
  readonly detectionsOutside: Uint8Array | undefined;
}

/** The verdict depends on the threshold. */
export const MIXED = 3;

/** What matching found for one class; sizes are those of the class (D detections, T thresholds, S slices). */
export interface ClassMatches {
  /** WRONG or IGNORED where that holds at every threshold, else MIXED, `[S, D]`. */
  readonly overall: Uint8Array;
  /** WRONG, RIGHT or IGNORED, `[S, D, T]`; written only where `overall` is MIXED. */
  readonly verdict: Uint8Array;
  /** Position among all objects of the one matched, −1 for none, `[S, D, T]`; written only where MIXED. */
  readonly matched: Int32Array;
  /** Objects that count, `[S]`. */
  readonly counted: Int32Array;
}

/** Buffers that {@link matchClass} fills anew for every class. */
export class MatchBuffers {
  verdict = new Uint8Array(0);
  overall = new Uint8Array(0);
  matched = new Int32Array(0);
  overlaps = new Float64Array(0);
  best = new Float64Array(0);
  order = new Int32Array(0);
  taken = new Uint8Array(0);
}

/**
 * Matches the detections of one class to its objects, picture by picture, as the COCO metric does.
 *
 * For every slice and threshold, detections choose in order of falling score: the object with the largest overlap
 * that is at least the threshold, among those nobody has taken (crowd regions can be taken by many); objects that
 * count come first, and an ignored one is chosen only where none that counts fits. Of equal overlaps the later
 * object wins.
 * @param thresholds ascending or not; each is judged alone
 * @see cocoapi `cocoeval.py: evaluateImg`. Differs: nothing, the treatment of annotation id 0 included.
 */
export function matchClass(
  { objects, detections }: Arrangement,
  k: number,
  slices: readonly Slice[],
  thresholds: readonly number[],
  buffers: MatchBuffers = new MatchBuffers(),
): ClassMatches {
  const firstObject = objects.start[k]!;
  const endObject = objects.start[k + 1]!;
  const first = detections.start[k]!;
  const end = detections.start[k + 1]!;
  const D = end - first;
  const T = thresholds.length;
  const S = slices.length;
  // The cap keeps a threshold of 1 reachable: an overlap of equal boxes may be a rounding below it.
  const limits = Float64Array.from(thresholds, (threshold) => Math.min(threshold, 1 - 1e-10));
  const lowest = limits.reduce((a, b) => Math.min(a, b), Infinity);
  const verdict = (buffers.verdict = sized(buffers.verdict, S * D * T, Uint8Array));
  const overall = (buffers.overall = sized(buffers.overall, S * D, Uint8Array)).fill(WRONG, 0, S * D);
  const matched = (buffers.matched = sized(buffers.matched, S * D * T, Int32Array));
  const counted = new Int32Array(S);
  const { boxes, image } = detections;

  slices.forEach(({ objectsOutside, detectionsOutside }, s) => {
    for (let g = firstObject; g < endObject; g++)
      if (!objects.ignore[g] && !objectsOutside?.[g]) counted[s]!++;
    if (detectionsOutside === undefined) return;
    for (let d = 0, at = s * D; d < D; d++, at++) if (detectionsOutside[first + d]) overall[at] = IGNORED;
  });

  let fromObject = firstObject;
  for (let from = first; from < end;) {
    const picture = image[from]!;
    let to = from + 1;
    while (to < end && image[to] === picture) to++;
    while (fromObject < endObject && objects.image[fromObject]! < picture) fromObject++;
    let toObject = fromObject;
    while (toObject < endObject && objects.image[toObject] === picture) toObject++;
    if (toObject > fromObject) matchPicture(from, to, fromObject, toObject);
    from = to;
    fromObject = toObject;
  }
  return { overall, verdict, matched, counted };

  function matchPicture(from: number, to: number, fromObject: number, toObject: number): void {
    const G = toObject - fromObject;
    const rows = to - from;
    const overlaps = (buffers.overlaps = sized(buffers.overlaps, rows * G, Float64Array));
    const best = (buffers.best = sized(buffers.best, rows, Float64Array));
    const order = (buffers.order = sized(buffers.order, G, Int32Array));
    const taken = (buffers.taken = sized(buffers.taken, G, Uint8Array));
    let some = false;
    for (let d = 0; d < rows; d++) {
      let most = 0;
      for (let g = 0; g < G; g++) {
        const overlap = overlapXywh(
          boxes,
          from + d,
          objects.boxes,
          fromObject + g,
          objects.crowd[fromObject + g] === 1,
        );
        overlaps[d * G + g] = overlap;
        if (overlap > most) most = overlap;
      }
      best[d] = most;
      some ||= most >= lowest;
    }
    if (!some && lowest > 0) return;

    for (let s = 0; s < S; s++) {
      const { objectsOutside, detectionsOutside } = slices[s]!;
      const counting = orderObjects(order, fromObject, G, objectsOutside);
      for (let t = 0; t < T; t++) {
        const limit = limits[t]!;
        taken.fill(0, 0, G);
        for (let d = 0; d < rows; d++) {
          if (best[d]! < limit) continue;
          let most = limit;
          let choice = -1;
          for (let j = 0; j < G; j++) {
            const g = order[j]!;
            if (taken[g] && !objects.crowd[fromObject + g]) continue;
            if (j >= counting && choice >= 0 && choice < counting) break;
            const overlap = overlaps[d * G + g]!;
            if (overlap < most) continue;
            most = overlap;
            choice = j;
          }
          if (choice < 0) continue;
          const g = order[choice]!;
          taken[g] = 1;
          const row = s * D + (from - first) + d;
          if (overall[row] !== MIXED) {
            verdict.fill(overall[row]!, row * T, row * T + T);
            matched.fill(-1, row * T, row * T + T);
            overall[row] = MIXED;
          }
          matched[row * T + t] = fromObject + g;
          verdict[row * T + t] = judge(
            choice >= counting,
            fromObject + g,
            detectionsOutside?.[from + d] === 1,
          );
        }
      }
    }
  }

  /** Objects that count first, the others after; returns how many count. */
  function orderObjects(
    order: Int32Array,
    fromObject: number,
    G: number,
    outside: Uint8Array | undefined,
  ): number {
    let counting = 0;
    for (let g = 0; g < G; g++)
      if (!objects.ignore[fromObject + g] && !outside?.[fromObject + g]) order[counting++] = g;
    if (counting === G) return counting;
    for (let g = 0, at = counting; g < G; g++)
      if (objects.ignore[fromObject + g] || outside?.[fromObject + g]) order[at++] = g;
    return counting;
  }

  function judge(ignored: boolean, object: number, outside: boolean): number {
    if (ignored) return IGNORED;
    // The reference notes a match as the object's id, and 0 is its "none": then the detection counts as unmatched.
    if (objects.idZero[object]) return outside ? IGNORED : WRONG;
    return RIGHT;
  }
}

function sized<A extends Uint8Array | Int32Array | Float64Array>(
  buffer: A,
  length: number,
  Type: new (length: number) => A,
): A {
  return buffer.length >= length ? buffer : new Type(Math.max(length, buffer.length * 2));
}
