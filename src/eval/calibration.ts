import type { Arrangement } from "./arrangement.ts";
import { IGNORED, RIGHT } from "./matching.ts";
import type { Outcomes } from "./outcomes.ts";

/** Detections whose scores lie in one tenth. */
export interface CalibrationBin {
  readonly from: number;
  readonly to: number;
  readonly detections: number;
  /** Mean score; what the share of right ones should be. −1 if empty. */
  readonly meanScore: number;
  /** Share that is right. −1 if empty. */
  readonly precision: number;
}

/** Whether a score of 0.7 means that seven of ten are right. */
export interface Calibration {
  readonly iouThreshold: number;
  readonly bins: readonly CalibrationBin[];
  /** Mean distance of score and precision over the bins, weighted by their detections; −1 without detections. */
  readonly expectedError: number;
}

/** Calibration of all detections that are right or wrong, in ten bins (Guo et al. 2017, for detections). */
export function calibration({ detections }: Arrangement, { verdict, iouThreshold }: Outcomes): Calibration {
  const count = new Float64Array(10);
  const sum = new Float64Array(10);
  const right = new Float64Array(10);
  for (let d = 0; d < detections.count; d++) {
    if (verdict[d] === IGNORED) continue;
    const score = detections.scores[d]!;
    const bin = Math.max(0, Math.min(9, Math.floor(score * 10)));
    count[bin]!++;
    sum[bin]! += score;
    if (verdict[d] === RIGHT) right[bin]!++;
  }
  const total = count.reduce((a, b) => a + b, 0);
  const bins = Array.from(count, (n, bin) => ({
    from: bin / 10,
    to: (bin + 1) / 10,
    detections: n,
    meanScore: n === 0 ? -1 : sum[bin]! / n,
    precision: n === 0 ? -1 : right[bin]! / n,
  }));
  const expectedError = bins.reduce(
    (error, { detections: n, meanScore, precision }) =>
      error + (n === 0 ? 0 : (n / total) * Math.abs(meanScore - precision)),
    0,
  );
  return { iouThreshold, bins, expectedError: total === 0 ? -1 : expectedError };
}
