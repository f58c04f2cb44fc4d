import type { Arrangement } from "./arrangement.ts";
import type { ClassMatches } from "./matching.ts";
import { IGNORED, RIGHT, WRONG } from "./matching.ts";

/**
 * Precision at fixed recalls, and the recall reached, for every setting; flat arrays in C order with the axes
 * T thresholds, R recalls, K classes, S slices, M limits. −1 where a class has no object that counts.
 */
export interface PrecisionRecall {
  /** `[T, R, K, S, M]`: the best precision at that recall or beyond; 0 where it is never reached. */
  readonly precision: Float64Array;
  /** `[T, R, K, S, M]`: score of the detection at which that recall is reached. */
  readonly scores: Float64Array;
  /** `[T, K, S, M]`: the highest recall. */
  readonly recall: Float64Array;
  readonly shape: {
    readonly T: number;
    readonly R: number;
    readonly K: number;
    readonly S: number;
    readonly M: number;
  };
}

/** Arrays full of −1 for {@link accumulateClass} to fill. */
export function emptyPrecisionRecall(shape: PrecisionRecall["shape"]): PrecisionRecall {
  const { T, R, K, S, M } = shape;
  return {
    precision: new Float64Array(T * R * K * S * M).fill(-1),
    scores: new Float64Array(T * R * K * S * M).fill(-1),
    recall: new Float64Array(T * K * S * M).fill(-1),
    shape,
  };
}

/** numpy's `spacing(1)`, which the reference adds to the number of detections so far. */
const EPSILON = 2 ** -52;

/**
 * Fills in the curves of class `k` from its matches.
 *
 * Only detections that are right can begin a new recall, and the best precision from there on is always that of one
 * of them; so one walk over the detections by falling score notes, at each right one, how many wrong ones came
 * before, and nothing is stored for the wrong ones.
 * @param limits detections kept per picture, for each of the M settings
 * @see cocoapi `cocoeval.py: accumulate`. Differs: nothing.
 */
export function accumulateClass(
  { detections }: Arrangement,
  k: number,
  { overall, verdict, counted }: ClassMatches,
  limits: readonly number[],
  recalls: ArrayLike<number>,
  into: PrecisionRecall,
): void {
  const { T, R, K, S, M } = into.shape;
  const first = detections.start[k]!;
  const end = detections.start[k + 1]!;
  const D = end - first;
  const { curve, rank, scores } = detections;

  const right = new Int32Array(M * T);
  const wrong = new Int32Array(M * T);
  const wrongEverywhere = new Int32Array(M);
  // The first detection of the curve is the best of its picture, so it is within every limit.
  const topScore = D === 0 ? 0 : scores[curve[first]!]!;
  for (let s = 0; s < S; s++) {
    const objects = counted[s]!;
    if (objects === 0) continue;
    // Of each right detection, by limit and threshold: precision there, and score.
    const stride = Math.min(objects, D);
    const precisions = new Float64Array(M * T * stride);
    const reachedAt = new Float64Array(M * T * stride);
    right.fill(0);
    wrong.fill(0);
    wrongEverywhere.fill(0);
    for (let i = first; i < end; i++) {
      const d = curve[i]!;
      const row = s * D + d - first;
      const all = overall[row];
      if (all === IGNORED) continue;
      let from = 0;
      while (from < M && rank[d]! >= limits[from]!) from++;
      for (let m = from; m < M; m++) {
        if (all === WRONG) {
          wrongEverywhere[m]!++;
          continue;
        }
        for (let t = 0, at = m * T; t < T; t++, at++) {
          const judged = verdict[row * T + t];
          if (judged === RIGHT) {
            const n = right[at]!++;
            precisions[at * stride + n] = (n + 1) / (wrongEverywhere[m]! + wrong[at]! + (n + 1) + EPSILON);
            reachedAt[at * stride + n] = scores[d]!;
          } else if (judged === WRONG) wrong[at]!++;
        }
      }
    }
    for (let m = 0; m < M; m++)
      for (let t = 0; t < T; t++) {
        const found = right[m * T + t]!;
        const base = (m * T + t) * stride;
        into.recall[((t * K + k) * S + s) * M + m] = found / objects;
        for (let n = found - 1; n > 0; n--)
          if (precisions[base + n]! > precisions[base + n - 1]!)
            precisions[base + n - 1] = precisions[base + n]!;
        let n = 0;
        for (let r = 0; r < R; r++) {
          const at = (((t * R + r) * K + k) * S + s) * M + m;
          const wanted = recalls[r]!;
          if (wanted <= 0) {
            // Recall 0 is reached by the first detection, right or not.
            into.precision[at] = found > 0 ? precisions[base]! : 0;
            into.scores[at] = topScore;
            continue;
          }
          while (n < found && (n + 1) / objects < wanted) n++;
          into.precision[at] = n < found ? precisions[base + n]! : 0;
          into.scores[at] = n < found ? reachedAt[base + n]! : 0;
        }
      }
  }
}
