import { batchNorm, parameter, type Value } from "../graph/index.ts";

/** Batch normalisation's ε everywhere in the family (spec A2; arXiv v1's 1e-4 was not what was released). */
export const batchNormEpsilon = 1e-3;

/**
 * What differs between a network that is run and one that is trained. The builders ask it; they know of nothing else
 * that training does.
 */
export interface Mode {
  /** Batch normalisation of `x [N, C, h, w]`; its vectors lie in `parameters`. */
  batchNorm(x: Value, parameters: Parameters): Value;
  /** A block's output before it is added to its input; `survival` is its probability to count in training. */
  stochasticDepth(x: Value, survival: number): Value;
}

/** Stored statistics, no randomness. */
export const inference: Mode = {
  batchNorm: (x, p) => {
    const { gamma, beta, mean, variance } = batchNormVectors(x.shape[1] as number, p);
    return batchNorm(x, gamma, beta, mean, variance, batchNormEpsilon);
  },
  stochasticDepth: (x) => x,
};

/** The four vectors of a batch normalisation of `channels` channels. */
export function batchNormVectors(
  channels: number,
  p: Parameters,
): Record<"gamma" | "beta" | "mean" | "variance", Value> {
  return {
    gamma: p.get("weight", [channels]),
    beta: p.get("bias", [channels]),
    mean: p.get("running_mean", [channels], false),
    variance: p.get("running_var", [channels], false),
  };
}

/** A place in the state dict: names parameters by path, as effdet does, and gives the same value for the same name. */
export class Parameters {
  readonly mode: Mode;
  readonly #path: string;
  readonly #known: Map<string, Value>;

  constructor(mode: Mode = inference, path = "", known = new Map<string, Value>()) {
    this.mode = mode;
    this.#path = path;
    this.#known = known;
  }

  /** The place `name` within this one; dots go deeper. */
  in(name: string): Parameters {
    return new Parameters(this.mode, `${this.#path}${name}.`, this.#known);
  }

  /** The parameter `name` of this place, made at its first use. Kernels are `[out, in / groups, kh, kw]`. */
  get(name: string, shape: readonly number[], trainable = true): Value {
    const path = this.#path + name;
    let value = this.#known.get(path);
    if (!value) this.#known.set(path, (value = parameter(path, shape, trainable)));
    return value;
  }

  /** All that were made so far, in order. */
  all(): Value[] {
    return [...this.#known.values()];
  }
}
