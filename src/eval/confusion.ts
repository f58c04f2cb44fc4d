import type { Arrangement } from "./arrangement.ts";
import { IGNORED, RIGHT } from "./matching.ts";
import type { Outcomes } from "./outcomes.ts";
import { overlapXywh } from "./overlap.ts";

/** Which classes are taken for which, among detections of at least a score. */
export interface ConfusionMatrix {
  readonly scoreThreshold: number;
  readonly iouThreshold: number;
  /** Classes in the order of the evaluation's `perClass`; K of them. */
  readonly names: readonly string[];
  /**
   * `[K + 1][K + 1]`: rows are what an object is, columns what it was taken for. The last row is background that was
   * taken for an object, the last column objects that were missed; their corner is 0.
   */
  readonly counts: readonly (readonly number[])[];
}

/**
 * The confusion matrix with background.
 *
 * A detection first claims an object of its own class (as the metric does); of those left, by falling score, each
 * takes the object of another class that it overlaps most by at least the threshold, if nobody has that one. What then
 * has no object is background, a second detection of one object included. Crowds and ignored objects count nowhere.
 */
export function confusionMatrix(
  arrangement: Arrangement,
  outcomes: Outcomes,
  scoreThreshold: number,
): ConfusionMatrix {
  const { objects, detections, categories, images } = arrangement;
  const K = categories.length;
  const counts = Array.from({ length: K + 1 }, () => new Array<number>(K + 1).fill(0));
  const objectsOf = groupByImage(objects, images.length);
  const taken = new Uint8Array(objects.count);
  const left: number[] = [];
  for (let k = 0; k < K; k++)
    for (let d = detections.start[k]!; d < detections.start[k + 1]!; d++) {
      if (detections.scores[d]! < scoreThreshold || outcomes.verdict[d] === IGNORED) continue;
      if (outcomes.verdict[d] === RIGHT) {
        taken[outcomes.object[d]!] = 1;
        counts[k]![k]!++;
      } else left.push(d);
    }
  const classOfDetection = classOf(detections.start, K);
  const classOfObject = classOf(objects.start, K);
  left.sort((a, b) => detections.scores[b]! - detections.scores[a]!);
  for (const d of left) {
    const own = classOfDetection(d);
    let best = -1;
    let most = outcomes.iouThreshold;
    for (const g of objectsOf[detections.image[d]!]!) {
      if (taken[g] || objects.ignore[g] || classOfObject(g) === own) continue;
      const overlap = overlapXywh(detections.boxes, d, objects.boxes, g, false);
      if (overlap < most || (overlap === most && best >= 0)) continue;
      [best, most] = [g, overlap];
    }
    if (best >= 0) taken[best] = 1;
    counts[best < 0 ? K : classOfObject(best)]![own]!++;
  }
  for (let k = 0; k < K; k++)
    for (let g = objects.start[k]!; g < objects.start[k + 1]!; g++)
      if (!taken[g] && !objects.ignore[g]) counts[k]![K]!++;
  return {
    scoreThreshold,
    iouThreshold: outcomes.iouThreshold,
    names: categories.map(({ name }) => name),
    counts,
  };
}

/** Positions of every picture's boxes, over all classes. */
export function groupByImage(
  boxes: { readonly count: number; readonly image: Int32Array },
  images: number,
): number[][] {
  const groups = Array.from({ length: images }, (): number[] => []);
  for (let at = 0; at < boxes.count; at++) groups[boxes.image[at]!]!.push(at);
  return groups;
}

/** Gives the class of a position from where the classes begin. */
export function classOf(start: Int32Array, classes: number): (at: number) => number {
  return (at) => {
    let low = 0;
    let high = classes - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (start[middle]! <= at) low = middle;
      else high = middle - 1;
    }
    return low;
  };
}
