import { add, batchNormTraining, floor, input, mul, nameOf, reshape, type Value } from "../graph/index.ts";
import {
  batchNormEpsilon,
  batchNormVectors,
  inference,
  type Mode,
  type Parameters,
} from "../models/index.ts";

/** Statistics of a batch that a batch normalisation has seen. */
export interface BatchStatistics {
  /** Names of the running mean and variance that they go into. */
  readonly names: { readonly mean: string; readonly variance: string };
  /** `[C]` each; the variance is the biased one. */
  readonly mean: Value;
  readonly variance: Value;
  /** Elements of a channel that they are over. */
  readonly count: number;
}

/** A network in training: normalised by its batch, with blocks left out at random. */
export class TrainingMode implements Mode {
  /** Of every batch normalisation that is not frozen, in the order of the network. */
  readonly statistics: BatchStatistics[] = [];
  /** Inputs `depth/0` …, `[N]` in [0, 1) each: chance, for the blocks that may be left out. */
  readonly depths: Value[] = [];
  readonly #stored: (name: string) => boolean;
  readonly #stochasticDepth: boolean;

  /**
   * @param stored whether the batch normalisation of this `weight` uses its stored statistics
   * @param stochasticDepth whether blocks are left out at random
   */
  constructor(stored: (name: string) => boolean, stochasticDepth: boolean) {
    this.#stored = stored;
    this.#stochasticDepth = stochasticDepth;
  }

  batchNorm(x: Value, p: Parameters): Value {
    const { gamma, beta, mean, variance } = batchNormVectors(x.shape[1] as number, p);
    if (this.#stored(nameOf(gamma)!)) return inference.batchNorm(x, p);
    const normal = batchNormTraining(x, gamma, beta, batchNormEpsilon);
    const [n, , h, w] = x.shape as number[];
    this.statistics.push({
      names: { mean: nameOf(mean)!, variance: nameOf(variance)! },
      mean: normal.mean,
      variance: normal.variance,
      count: n! * h! * w!,
    });
    return normal.y;
  }

  /** Stochastic depth (Huang et al. 2016), picture by picture: `x / p · ⌊p + U[0, 1)⌋` (automl `utils.drop_connect`). */
  stochasticDepth(x: Value, survival: number): Value {
    if (!this.#stochasticDepth || survival >= 1) return x;
    const chance = input(`depth/${this.depths.length}`, "float32", [x.shape[0]!]);
    this.depths.push(chance);
    return mul(x, reshape(mul(floor(add(chance, survival)), 1 / survival), [x.shape[0]!, 1, 1, 1]));
  }
}
