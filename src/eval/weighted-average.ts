import type { Arrangement } from "./arrangement.ts";
import type { CocoSettings } from "./coco-metric.ts";
import { matchClass, MatchBuffers, IGNORED, MIXED, RIGHT } from "./matching.ts";
import { areaSlices } from "./slices.ts";

/**
 * The COCO AP of any weighting of the pictures, quickly: what a picture contributes does not depend on the others, so
 * everything is matched once, and a weighting only has to add up again.
 */
export interface WeightedAverage {
  /**
   * AP where picture `i` occurs `weights[i]` times.
   *
   * @param weights whole numbers, `[images]`
   * @returns AP over all classes that have objects, and of each class, −1 where one has none; averaged over the
   * thresholds, and `AP50` at the one of 0.5 (−1 if that is not among them)
   */
  (weights: Float64Array): { readonly AP: number; readonly AP50: number; readonly perClass: Float64Array };
}

/** Only what happens at some threshold is kept: right detections, and those ignored at some thresholds. */
interface ClassEvents {
  /** Pictures of the detections that are wrong or right at some threshold, by falling score. */
  readonly pictures: Int32Array;
  /** By threshold: positions in `pictures` of the right ones, and of those to pass over. */
  readonly right: Int32Array[];
  readonly ignored: Int32Array[];
  /** Pictures of the objects that count. */
  readonly objects: Int32Array;
}

/** Prepares {@link WeightedAverage} for the detections of an arrangement; areas other than "all" are not looked at. */
export function weightedAverage(arrangement: Arrangement, settings: CocoSettings): WeightedAverage {
  const thresholds = settings.iouThresholds;
  const half = thresholds.findIndex((t) => Math.abs(t - 0.5) < 1e-9);
  const recalls = settings.recallThresholds;
  const slices = areaSlices(arrangement, { all: settings.areas.all! });
  const buffers = new MatchBuffers();
  const classes = arrangement.categories.map((_, k) => events(arrangement, k, thresholds, slices, buffers));
  const longest = Math.max(0, ...classes.map(({ pictures }) => pictures.length));
  const sums = new Float64Array(longest + 1);
  const precisions = new Float64Array(longest);
  const found = new Float64Array(longest);

  return (weights) => {
    const perClass = new Float64Array(classes.length).fill(-1);
    let total = 0;
    let total50 = 0;
    let existing = 0;
    classes.forEach(({ pictures, right, ignored, objects }, k) => {
      let positives = 0;
      for (const picture of objects) positives += weights[picture]!;
      if (positives === 0) return;
      for (let i = 0; i < pictures.length; i++) sums[i + 1] = sums[i]! + weights[pictures[i]!]!;
      let sum = 0;
      thresholds.forEach((_, t) => {
        const average = averageAt(right[t]!, ignored[t]!, pictures, weights, positives);
        sum += average;
        if (t === half) total50 += average;
      });
      perClass[k] = sum / thresholds.length;
      total += perClass[k]!;
      existing++;
    });
    return existing === 0
      ? { AP: -1, AP50: -1, perClass }
      : { AP: total / existing, AP50: half < 0 ? -1 : total50 / existing, perClass };
  };

  function averageAt(
    right: Int32Array,
    ignored: Int32Array,
    pictures: Int32Array,
    weights: Float64Array,
    positives: number,
  ): number {
    let count = 0;
    let rightSoFar = 0;
    let ignoredSoFar = 0;
    let nextIgnored = 0;
    for (const at of right) {
      while (nextIgnored < ignored.length && ignored[nextIgnored]! < at)
        ignoredSoFar += weights[pictures[ignored[nextIgnored++]!]!]!;
      const weight = weights[pictures[at]!]!;
      if (weight === 0) continue;
      rightSoFar += weight;
      found[count] = rightSoFar;
      precisions[count++] = rightSoFar / (sums[at + 1]! - ignoredSoFar);
    }
    for (let n = count - 1; n > 0; n--)
      if (precisions[n]! > precisions[n - 1]!) precisions[n - 1] = precisions[n]!;
    let sum = 0;
    let n = 0;
    for (let r = 0; r < recalls.length; r++) {
      while (n < count && found[n]! / positives < recalls[r]!) n++;
      if (n === count) break;
      sum += precisions[n]!;
    }
    return sum / recalls.length;
  }
}

function events(
  arrangement: Arrangement,
  k: number,
  thresholds: readonly number[],
  slices: ReturnType<typeof areaSlices>,
  buffers: MatchBuffers,
): ClassEvents {
  const { objects, detections } = arrangement;
  const { overall, verdict } = matchClass(arrangement, k, slices, thresholds, buffers);
  const first = detections.start[k]!;
  const T = thresholds.length;
  const pictures: number[] = [];
  const right = thresholds.map((): number[] => []);
  const ignored = thresholds.map((): number[] => []);
  for (let i = first; i < detections.start[k + 1]!; i++) {
    const d = detections.curve[i]!;
    const row = d - first;
    if (overall[row] === IGNORED) continue;
    if (overall[row] === MIXED)
      for (let t = 0; t < T; t++) {
        if (verdict[row * T + t] === RIGHT) right[t]!.push(pictures.length);
        else if (verdict[row * T + t] === IGNORED) ignored[t]!.push(pictures.length);
      }
    pictures.push(detections.image[d]!);
  }
  const counting: number[] = [];
  for (let g = objects.start[k]!; g < objects.start[k + 1]!; g++)
    if (!objects.ignore[g] && !slices[0]!.objectsOutside?.[g]) counting.push(objects.image[g]!);
  return {
    // What comes after the last right detection changes no precision that counts; in most files that is the larger part.
    pictures: Int32Array.from(pictures.slice(0, 1 + Math.max(-1, ...right.map((list) => list.at(-1) ?? -1)))),
    right: right.map((list) => Int32Array.from(list)),
    ignored: ignored.map((list) => Int32Array.from(list)),
    objects: Int32Array.from(counting),
  };
}
