import { UsageError } from "../errors.ts";
import { arrange } from "./arrangement.ts";
import type { Detections, GroundTruth } from "./coco-format.ts";
import type { EvaluateOptions } from "./evaluate.ts";
import { evaluateArranged, readSettings } from "./evaluate.ts";
import type { Evaluation } from "./result.ts";
import type { WeightedAverage } from "./weighted-average.ts";
import { weightedAverage } from "./weighted-average.ts";

/** A number of both files, B minus A, and how sure that difference is. */
export interface Difference {
  readonly a: number;
  readonly b: number;
  /** B minus A. */
  readonly difference: number;
  /** The middle share (`confidence`) of the differences that resampling gave. */
  readonly interval: readonly [low: number, high: number];
  /** Share of resamplings in which B was better. */
  readonly bBetter: number;
  /** The interval does not hold 0. */
  readonly real: boolean;
}

/** Two result files on one ground truth. */
export interface Comparison {
  readonly a: Evaluation;
  readonly b: Evaluation;
  readonly AP: Difference;
  readonly AP50: Difference;
  /** Classes with objects, the largest difference of AP first. */
  readonly perClass: readonly (Difference & { readonly id: number; readonly name: string })[];
  readonly samples: number;
  readonly confidence: number;
  readonly images: number;
  /** One sentence: whether B is better, and whether the pictures suffice to say so. */
  readonly verdict: string;
}

/** How two result files are compared. */
export interface CompareOptions extends Omit<EvaluateOptions, "metric"> {
  /** @default 1000 */
  readonly samples?: number;
  /** @default 0.95 */
  readonly confidence?: number;
  /** @default 1 */
  readonly seed?: number;
}

/**
 * Compares two detectors' results by the COCO metric, with a paired bootstrap over pictures (Efron 1979; Koehn 2004
 * for the paired form): both are evaluated on the same pictures, drawn with replacement, again and again.
 *
 * The interval says how much the difference depends on which pictures happened to be in the set; it says nothing of
 * training's own randomness. Classes that a drawing leaves without objects do not count in it.
 * @throws {DataError} if the input has not the form of COCO
 * @throws {UsageError} if an option is out of its range
 */
export function compare(
  groundTruth: GroundTruth,
  a: Detections,
  b: Detections,
  options: CompareOptions = {},
): Comparison {
  const { samples = 1000, confidence = 0.95, seed = 1, ...rest } = options;
  if (!(Number.isInteger(samples) && samples >= 10 && samples <= 1_000_000))
    throw new UsageError(
      `the number of resamplings must be a whole number from 10 to a million (${samples})`,
    );
  if (!(confidence > 0 && confidence < 1))
    throw new UsageError(`confidence must lie between 0 and 1 (${confidence})`);
  const settings = readSettings(rest);
  const limit = settings.maxDetections.at(-1)!;
  const [left, right] = [a, b].map((detections) => {
    const arrangement = arrange(groundTruth, detections, { limit, useIgnore: rest.useIgnore });
    return {
      evaluation: evaluateArranged(arrangement, settings),
      average: weightedAverage(arrangement, settings),
      images: arrangement.images.length,
    };
  }) as [Side, Side];

  const images = left.images;
  const draw = random(seed);
  const weights = new Float64Array(images);
  const classes = left.evaluation.perClass.length;
  const drawn = { AP: new Float64Array(samples), AP50: new Float64Array(samples) };
  const drawnOfClass = Array.from({ length: classes }, () => new Float64Array(samples));
  for (let sample = 0; sample < samples && images > 0; sample++) {
    weights.fill(0);
    for (let i = 0; i < images; i++) weights[Math.floor(draw() * images)]!++;
    const [ofA, ofB] = [left.average(weights), right.average(weights)];
    drawn.AP[sample] = ofB.AP - ofA.AP;
    drawn.AP50[sample] = ofB.AP50 - ofA.AP50;
    for (let k = 0; k < classes; k++) drawnOfClass[k]![sample] = ofB.perClass[k]! - ofA.perClass[k]!;
  }
  const AP = differ(left.evaluation.AP, right.evaluation.AP, drawn.AP, confidence);
  return {
    a: left.evaluation,
    b: right.evaluation,
    AP,
    AP50: differ(left.evaluation.AP50, right.evaluation.AP50, drawn.AP50, confidence),
    perClass: left.evaluation.perClass
      .map(({ id, name, AP }, k) => ({
        id,
        name,
        ...differ(AP, right.evaluation.perClass[k]!.AP, drawnOfClass[k]!, confidence),
      }))
      .filter(({ a }) => a > -1)
      .sort((x, y) => Math.abs(y.difference) - Math.abs(x.difference)),
    samples,
    confidence,
    images,
    verdict: verdict(AP, confidence, images),
  };
}

interface Side {
  readonly evaluation: Evaluation;
  readonly average: WeightedAverage;
  readonly images: number;
}

function differ(a: number, b: number, drawn: Float64Array, confidence: number): Difference {
  const sorted = drawn.toSorted();
  const quantile = (share: number): number => {
    const at = share * (sorted.length - 1);
    const low = Math.floor(at);
    return sorted[low]! + (at - low) * (sorted[Math.min(low + 1, sorted.length - 1)]! - sorted[low]!);
  };
  const interval = [quantile((1 - confidence) / 2), quantile((1 + confidence) / 2)] as const;
  const better = drawn.reduce((count, value) => count + (value > 0 ? 1 : value === 0 ? 0.5 : 0), 0);
  return {
    a,
    b,
    difference: b - a,
    interval,
    bBetter: better / drawn.length,
    real: interval[0] > 0 || interval[1] < 0,
  };
}

function verdict(
  { a, b, difference, interval, real }: Difference,
  confidence: number,
  images: number,
): string {
  const points = (value: number): string => `${value >= 0 ? "+" : "−"}${Math.abs(value * 100).toFixed(2)}`;
  if (a < 0 || b < 0) return "There is no ground truth to compare on.";
  const range = `${(confidence * 100).toFixed(0)} % interval ${points(interval[0])} to ${points(interval[1])}`;
  if (difference === 0 && interval[0] === 0 && interval[1] === 0) return "Both are equal on every picture.";
  return real
    ? `B is ${difference > 0 ? "better" : "worse"} by ${Math.abs(difference * 100).toFixed(2)} AP, and the difference is real (${range}).`
    : `B differs by ${points(difference)} AP, which ${images} pictures cannot tell from chance (${range}).`;
}

/** Mulberry32: the same drawings for the same seed, everywhere. */
function random(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
