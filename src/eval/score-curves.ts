import type { Arrangement } from "./arrangement.ts";
import { IGNORED, RIGHT } from "./matching.ts";
import type { Outcomes } from "./outcomes.ts";

/** Keeping the detections of at least `score` gives this precision, recall and F1, all from 0 to 1. */
export interface OperatingPoint {
  readonly score: number;
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
}

/** How precision and recall trade against each other in one class, or in all together. */
export interface ScoreCurve {
  /** By falling score, so by rising recall; thinned to at most 200 points for large sets. Empty without detections. */
  readonly points: readonly OperatingPoint[];
  /** The point of the largest F1 (the first of equals, so the highest score); undefined if nothing is right. */
  readonly best: OperatingPoint | undefined;
}

const MOST_POINTS = 200;

/** The curve of class `k`, or of all classes pooled where `k` is undefined. */
export function scoreCurve({ detections }: Arrangement, outcomes: Outcomes, k?: number): ScoreCurve {
  const objects = k === undefined ? outcomes.counted.reduce((a, b) => a + b, 0) : outcomes.counted[k]!;
  if (objects === 0) return { points: [], best: undefined };
  const order =
    k === undefined
      ? pooledOrder(detections.scores)
      : detections.curve.subarray(detections.start[k], detections.start[k + 1]);
  const points: OperatingPoint[] = [];
  let best: OperatingPoint | undefined;
  let right = 0;
  let wrong = 0;
  for (let i = 0; i < order.length; i++) {
    const d = order[i]!;
    const verdict = outcomes.verdict[d];
    if (verdict === RIGHT) right++;
    else if (verdict !== IGNORED) wrong++;
    const score = detections.scores[d]!;
    // A threshold keeps all detections of one score or none.
    if (i + 1 < order.length && detections.scores[order[i + 1]!] === score) continue;
    if (right + wrong === 0) continue;
    const point = {
      score,
      precision: right / (right + wrong),
      recall: right / objects,
      f1: (2 * right) / (right + wrong + objects),
    };
    points.push(point);
    if (point.f1 > (best?.f1 ?? 0)) best = point;
  }
  return { points: thin(points), best };
}

function pooledOrder(scores: Float64Array): Int32Array {
  return Int32Array.from(scores.keys()).sort((a, b) => scores[b]! - scores[a]!);
}

/** Points spread evenly along the curve's length in the plane of recall and precision; the ends stay. */
function thin(points: readonly OperatingPoint[]): OperatingPoint[] {
  if (points.length <= MOST_POINTS) return [...points];
  const along = new Float64Array(points.length);
  for (let i = 1; i < points.length; i++) {
    const [a, b] = [points[i - 1]!, points[i]!];
    const move =
      Math.abs(a.recall - b.recall) + Math.abs(a.precision - b.precision) + Math.abs(a.score - b.score);
    along[i] = along[i - 1]! + move;
  }
  const step = along.at(-1)! / (MOST_POINTS - 1);
  let next = 0;
  return points.filter((_, i) => {
    if (i !== points.length - 1 && along[i]! < next) return false;
    next = along[i]! + step;
    return true;
  });
}
