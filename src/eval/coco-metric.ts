import type { Arrangement } from "./arrangement.ts";
import type { Slice } from "./matching.ts";
import { matchClass, MatchBuffers } from "./matching.ts";
import type { PrecisionRecall } from "./precision-recall.ts";
import { accumulateClass, emptyPrecisionRecall } from "./precision-recall.ts";
import type { AreaRange } from "./slices.ts";
import { areaSlices, cocoAreas } from "./slices.ts";

/** What a COCO evaluation was made with. */
export interface CocoSettings {
  readonly iouThresholds: readonly number[];
  readonly recallThresholds: readonly number[];
  /** Name to bounds; "all" comes first. */
  readonly areas: Readonly<Record<string, AreaRange>>;
  /** Detections counted per picture and class, ascending. */
  readonly maxDetections: readonly number[];
}

/** The published setting: IoU 0.50 to 0.95 by 0.05, 101 recalls, four area ranges, 1, 10 and 100 detections. */
export const cocoSettings: CocoSettings = {
  iouThresholds: evenly(0.5, 0.95, 10),
  recallThresholds: evenly(0, 1, 101),
  areas: cocoAreas,
  maxDetections: [1, 10, 100],
};

/**
 * The COCO metric's curves of all classes of an arrangement, which must keep at least the last limit's detections.
 *
 * @param slices parts of the objects to judge alone; by default those of `settings.areas`
 */
export function cocoPrecisionRecall(
  arrangement: Arrangement,
  settings: CocoSettings,
  slices: readonly Slice[] = areaSlices(arrangement, settings.areas),
): PrecisionRecall {
  const { iouThresholds, recallThresholds, maxDetections } = settings;
  const curves = emptyPrecisionRecall({
    T: iouThresholds.length,
    R: recallThresholds.length,
    K: arrangement.categories.length,
    S: slices.length,
    M: maxDetections.length,
  });
  const buffers = new MatchBuffers();
  for (let k = 0; k < arrangement.categories.length; k++) {
    const matches = matchClass(arrangement, k, slices, iouThresholds, buffers);
    accumulateClass(arrangement, k, matches, maxDetections, recallThresholds, curves);
  }
  return curves;
}

/** Which part of {@link PrecisionRecall} a mean is taken over; everything where a field is missing. */
export interface Selection {
  readonly t?: number;
  readonly k?: number;
  readonly s: number;
  readonly m: number;
}

/** Mean precision over thresholds, recalls and classes that exist; −1 if none does or the slice is missing. */
export function meanPrecision({ precision, shape }: PrecisionRecall, { t, k, s, m }: Selection): number {
  const { T, R, K, S, M } = shape;
  if (s < 0 || m < 0 || t === -1) return -1;
  let sum = 0;
  let count = 0;
  for (let ti = t ?? 0; ti < (t === undefined ? T : t + 1); ti++)
    for (let r = 0; r < R; r++)
      for (let ki = k ?? 0; ki < (k === undefined ? K : k + 1); ki++) {
        const value = precision[(((ti * R + r) * K + ki) * S + s) * M + m]!;
        if (value <= -1) continue;
        sum += value;
        count++;
      }
  return count === 0 ? -1 : sum / count;
}

/** Mean of the highest recalls over thresholds and classes that exist; −1 if none does or the slice is missing. */
export function meanRecall({ recall, shape }: PrecisionRecall, { t, k, s, m }: Selection): number {
  const { T, K, S, M } = shape;
  if (s < 0 || m < 0 || t === -1) return -1;
  let sum = 0;
  let count = 0;
  for (let ti = t ?? 0; ti < (t === undefined ? T : t + 1); ti++)
    for (let ki = k ?? 0; ki < (k === undefined ? K : k + 1); ki++) {
      const value = recall[((ti * K + ki) * S + s) * M + m]!;
      if (value <= -1) continue;
      sum += value;
      count++;
    }
  return count === 0 ? -1 : sum / count;
}

/** `count` numbers from `from` to `to`, rounded as numpy's `linspace` rounds them. */
function evenly(from: number, to: number, count: number): number[] {
  const step = (to - from) / (count - 1);
  return Array.from({ length: count }, (_, i) => (i === count - 1 ? to : i * step + from));
}
