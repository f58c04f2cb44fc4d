/** The learning rate of a step, counted from 0. */
export type Schedule = (step: number) => number;

/** The schedules by name. */
export const scheduleKinds = [
  "cosine",
  "automl-cosine",
  "step",
  "polynomial",
  "one-cycle",
  "constant",
] as const;

/** What every schedule knows. */
export interface ScheduleOptions {
  readonly kind: (typeof scheduleKinds)[number];
  /** The highest learning rate. */
  readonly learningRate: number;
  /** Steps in all. */
  readonly steps: number;
  /** Steps of linear warm-up at the start; default 0. */
  readonly warmUpSteps?: number;
  /** Learning rate that the warm-up starts from; default a tenth of the highest. */
  readonly warmUpFrom?: number;
  /** `step`: at which shares of all steps the rate falls to a tenth; default 2/3 and 5/6 (automl: epochs 200 and 250 of 300). */
  readonly drops?: readonly number[];
  /** `polynomial`: the exponent; default 0.9. */
  readonly power?: number;
  /** `one-cycle`: the rate at the end as a share of the highest; default 1e-4. */
  readonly finalShare?: number;
}

/** The learning rate for a batch of another size than the one it was chosen for: in proportion. */
export function scaledLearningRate(learningRate: number, batchSize: number, chosenFor = 64): number {
  return (learningRate * batchSize) / chosenFor;
}

/**
 * A learning-rate schedule.
 *
 * `cosine` falls from the end of the warm-up to the end of the run, by half a cosine. `automl-cosine` is what the paper's
 * networks were trained by: after the warm-up `½ · lr · (1 + cos(π · step / (steps − warmUpSteps)))` of the raw step, so it
 * is 0 `warmUpSteps` before the end and a hair more after that (spec B1); of 300 epochs with one of warm-up nobody
 * notices, of eight with a tenth of warm-up the last tenth learns nothing. `one-cycle` rises by half a cosine over the warm-up (default three tenths of the steps) and falls by
 * another to `finalShare` (Smith and Topin 2019). The others are told by their names.
 */
export function schedule(options: ScheduleOptions): Schedule {
  const { kind, learningRate, steps } = options;
  const warmUp = options.warmUpSteps ?? (kind === "one-cycle" ? Math.round(steps * 0.3) : 0);
  const from = options.warmUpFrom ?? learningRate / 10;
  const after = shapes[kind](options, warmUp);
  const half = (share: number): number => (1 - Math.cos(Math.PI * share)) / 2;
  return (step) => {
    if (step >= warmUp) return after(step);
    const share = step / warmUp;
    return from + (learningRate - from) * (kind === "one-cycle" ? half(share) : share);
  };
}

const shapes: Record<ScheduleOptions["kind"], (options: ScheduleOptions, warmUp: number) => Schedule> = {
  constant:
    ({ learningRate }) =>
    () =>
      learningRate,
  cosine: (options, warmUp) => halfCosine(options, warmUp, warmUp),
  "automl-cosine": (options, warmUp) => halfCosine(options, warmUp, 0),
  step:
    ({ learningRate, steps, drops = [2 / 3, 5 / 6] }) =>
    (step) =>
      learningRate * 0.1 ** drops.filter((share) => step >= share * steps).length,
  polynomial:
    ({ learningRate, steps, power = 0.9 }) =>
    (step) =>
      learningRate * Math.max(0, 1 - step / steps) ** power,
  "one-cycle":
    ({ learningRate, steps, finalShare = 1e-4 }, warmUp) =>
    (step) => {
      const share = Math.min(1, (step - warmUp) / Math.max(1, steps - 1 - warmUp));
      return learningRate * (finalShare + ((1 - finalShare) * (1 + Math.cos(Math.PI * share))) / 2);
    },
};

/** Falls to 0 over the steps that the warm-up leaves, from this step on. */
function halfCosine({ learningRate, steps }: ScheduleOptions, warmUp: number, first: number): Schedule {
  return (step) =>
    0.5 * learningRate * (1 + Math.cos((Math.PI * (step - first)) / Math.max(1, steps - warmUp)));
}

/**
 * The share of the old average that an exponential moving average keeps at optimiser step `n`, from 0:
 * `min(decay, (1 + n) / (10 + n))`, so that short runs do not end with an average of their beginning.
 */
export function averageDecay(decay: number, n: number): number {
  return Math.min(decay, (1 + n) / (10 + n));
}
