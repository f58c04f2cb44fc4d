import type { BoxesYxyx } from "./boxes.ts";
import { diou, iou } from "./boxes.ts";

/**
 * How boxes that overlap a better one are treated. `hard`: dropped above an IoU. `diou`: the same by DIoU (Zheng et al.
 * 2020), which spares boxes whose centres lie apart. `soft`: score × exp(-IoU² / σ) (Bodla et al. 2017).
 * `linear`: score × (1 - IoU) above an IoU.
 */
export type NmsMethod = "hard" | "soft" | "diou" | "linear";

/** Settings of {@link suppress}. */
export interface NmsOptions {
  readonly method?: NmsMethod;
  /** `class`: only boxes of one class compete (default); `global`: all do. */
  readonly scope?: "class" | "global";
  /** For all but `soft`: overlap above which a box suffers; default 0.5, for `linear` 0.3. */
  readonly iouThreshold?: number;
  /** For `soft`; default 0.5. */
  readonly sigma?: number;
  /** Lowest score that stays, after decay; default: any for `hard` and `diou`, 0.001 for the soft ones. */
  readonly scoreThreshold?: number;
  /** How many boxes to keep at most; default 100. */
  readonly maxDetections?: number;
}

/** Scored boxes: row i of all three belongs together. */
export interface ScoredBoxes {
  /** `[N, 4]`: yMin, xMin, yMax, xMax. */
  readonly boxes: BoxesYxyx;
  /** `[N]`, from 0 to 1. */
  readonly scores: Float64Array;
  /** `[N]`, class indices from 0. */
  readonly classes: Int32Array;
}

/** What survives: indices into the candidates, best first, and their scores after decay. */
export interface Kept {
  readonly indices: Int32Array;
  readonly scores: Float64Array;
}

/**
 * Non-maximum suppression: goes from the best score down and lets each box that is kept suppress (`hard`, `diou`) or
 * weaken (`soft`, `linear`) those that overlap it. Of equal scores the earlier candidate counts as better, over all
 * classes. Overlap must be *above* the threshold, scores *at least* theirs; a NaN score is never kept.
 *
 * @returns at most `maxDetections`, best first; empty in, empty out
 * @see automl `nms_np.py`, TensorFlow `NonMaxSuppressionV5`. Differs: IoU without the legacy "+1 pixel" of the first;
 * soft-NMS has no hard cut; scores equal to the threshold stay (TensorFlow drops them).
 */
export function suppress(candidates: ScoredBoxes, options: NmsOptions = {}): Kept {
  const { method = "hard" } = options;
  return method === "hard" || method === "diou"
    ? suppressHard(candidates, options)
    : weaken(candidates, options);
}

/**
 * Only what has been kept is compared with, and the walk stops when enough is kept: the cost is candidates × kept, not
 * candidates squared.
 */
function suppressHard({ boxes, scores, classes }: ScoredBoxes, options: NmsOptions): Kept {
  const {
    method,
    scope = "class",
    iouThreshold = 0.5,
    scoreThreshold = -Infinity,
    maxDetections = 100,
  } = options;
  const measure = method === "diou" ? diou : iou;
  const kept: number[] = [];
  for (const candidate of byScore(scores, scoreThreshold)) {
    if (kept.length >= maxDetections) break;
    const free = kept.every(
      (better) =>
        (scope === "class" && classes[better] !== classes[candidate]) ||
        !(measure(boxes, better, boxes, candidate) > iouThreshold),
    );
    if (free) kept.push(candidate);
  }
  return {
    indices: Int32Array.from(kept),
    scores: Float64Array.from(kept, (candidate) => scores[candidate]!),
  };
}

function weaken({ boxes, scores, classes }: ScoredBoxes, options: NmsOptions): Kept {
  const { method, scope = "class", iouThreshold = 0.3, sigma = 0.5 } = options;
  const { scoreThreshold = 0.001, maxDetections = 100 } = options;
  const alive = byScore(scores, scoreThreshold).sort(); // typed arrays sort by value: back to candidate order
  const current = scores.slice();
  const indices: number[] = [];
  const finals: number[] = [];
  let count = alive.length;
  while (count > 0 && indices.length < maxDetections) {
    let best = 0;
    for (let i = 1; i < count; i++) if (current[alive[i]!]! > current[alive[best]!]!) best = i;
    const winner = alive[best]!;
    indices.push(winner);
    finals.push(current[winner]!);
    let left = 0;
    for (let i = 0; i < count; i++) {
      const candidate = alive[i]!;
      if (candidate === winner) continue;
      if (scope === "global" || classes[candidate] === classes[winner]) {
        const overlap = iou(boxes, winner, boxes, candidate);
        if (method === "soft")
          current[candidate]! *= overlap > 0 ? Math.exp(-(overlap * overlap) / sigma) : 1;
        else if (overlap > iouThreshold) current[candidate]! *= 1 - overlap;
      }
      if (current[candidate]! >= scoreThreshold) alive[left++] = candidate;
    }
    count = left;
  }
  return { indices: Int32Array.from(indices), scores: Float64Array.from(finals) };
}

/** Candidates with at least a score, best first, equal scores in the order given. */
function byScore(scores: Float64Array, threshold: number): Int32Array {
  const indices = new Int32Array(scores.length);
  let count = 0;
  for (let i = 0; i < scores.length; i++) if (scores[i]! >= threshold) indices[count++] = i;
  return indices.subarray(0, count).sort((a, b) => scores[b]! - scores[a]! || a - b);
}
