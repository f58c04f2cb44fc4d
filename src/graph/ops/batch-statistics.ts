import { allocate, float32, int64, tensor, type Tensor } from "../../tensor/index.ts";
import { full } from "../cotangents.ts";
import type { Type, Value } from "../ir.ts";
import { applyAll, defineOp, mismatch, type EmitContext } from "../op.ts";
import { relu6Gradient, reluGradient } from "./activation-gradients.ts";
import { activated, channelLine, rowDots, rowSums, type FusedActivation } from "./blocked.ts";

/*
 * Batch normalisation by the statistics of the batch itself, forward and backward. Both are written as reading passes
 * that collect sums per channel, and passes that write a line (`scale · x + shift`) per channel.
 */

interface BatchNormTraining {
  readonly epsilon: number;
  /** What is done to the result before it is written; nothing by default. */
  readonly activation?: FusedActivation;
  readonly [key: string]: number | string | undefined;
}

const channelTypes = (x: Type): Type => ({ dtype: x.dtype, shape: [x.shape[1]!] });

/** Calls `visit(offset, channel)` for every element of `x [N, C, …]`. */
function forEachChannel(x: Tensor, visit: (at: number, channel: number) => void): void {
  const [n, c, ...rest] = x.shape;
  const area = rest.reduce((product, size) => product * size, 1);
  for (let plane = 0, at = 0; plane < n! * c!; plane++)
    for (let i = 0; i < area; i++) visit(at++, plane % c!);
}

/**
 * `γ (x − mean) / √(variance + ε) + β` of `x [N, C, h, w]`, by the mean and the biased variance of its own channels,
 * which are the second and third output, `[C]`; with an activation, which `fuseActivations` puts in, at the end.
 */
export const batchNormTrainingOp = defineOp<BatchNormTraining>("batchNormTraining", {
  infer: (inputs) => {
    const [x, gamma, beta] = inputs;
    if (
      x!.shape.length !== 4 ||
      [gamma, beta].some((v) => v!.shape.length !== 1 || v!.shape[0] !== x!.shape[1])
    )
      throw mismatch(
        "batchNormTraining",
        inputs,
        "it wants [N, C, h, w], and γ and β of one element per channel",
      );
    return [x!, channelTypes(x!), channelTypes(x!)];
  },
  evaluate: ([x, gamma, beta], { epsilon, activation = "" }) => {
    const channels = x!.shape[1]!;
    const [source, g, b] = [x!, gamma!, beta!].map((t) => t.data as Float64Array);
    const [mean, variance] = [allocate(x!.dtype, channels), allocate(x!.dtype, channels)] as Float64Array[];
    const count = source!.length / channels;
    forEachChannel(x!, (at, k) => (mean![k]! += source![at]! / count));
    forEachChannel(x!, (at, k) => (variance![k]! += (source![at]! - mean![k]!) ** 2 / count));
    const data = allocate(x!.dtype, source!.length) as Float64Array;
    forEachChannel(
      x!,
      (at, k) =>
        (data[at] = activated(
          activation,
          ((source![at]! - mean![k]!) / Math.sqrt(variance![k]! + epsilon)) * g![k]! + b![k]!,
        )),
    );
    return [
      tensor(x!.dtype, x!.shape, data as never),
      tensor(x!.dtype, [channels], mean as never),
      tensor(x!.dtype, [channels], variance as never),
    ];
  },
  emit: (e) => {
    const [x, gamma, beta] = e.inputs as [string, string, string];
    const { epsilon, activation = "" } = e.attributes;
    const shape = e.types[0]!.shape as number[];
    const count = shape[0]! * shape[2]! * shape[3]!;
    const scalar = (value: number): string => e.constant(float32([value], []));
    const op = (operator: string, ...inputs: string[]): string => e.node(operator, inputs);
    const mean = channelSum(e, x, shape, 1 / count);
    const square = op("Mul", channelDot(e, x, x, shape), scalar(1 / count));
    // Rounding may take E[x²] − mean² below zero where a channel hardly varies.
    const variance = op("Max", op("Sub", square, op("Mul", mean, mean)), scalar(0));
    const scale = op("Div", gamma, op("Sqrt", op("Add", variance, scalar(epsilon))));
    const shift = op("Sub", beta, op("Mul", mean, scale));
    const line = channelLine(e, [[x, scale]], shift, shape, activation);
    if (line !== undefined) return [line, mean, variance];
    const y = e.node("BatchNormalization", [x, gamma, beta, mean, variance], { epsilon: { float: epsilon } });
    if (activation === "") return [y, mean, variance];
    const active = activation === "relu" ? op("Relu", y) : op("Clip", y, scalar(0), scalar(6));
    return [active, mean, variance];
  },
  gradient: ({
    inputs: [x, gamma],
    outputs: [y, mean, variance],
    attributes: { epsilon, activation = "" },
    cotangents: [cotangent, dMean, dVariance],
    wants,
  }) => {
    if (dMean || dVariance) throw new TypeError("batch statistics are not differentiated");
    const dActive = full(cotangent!, y!.shape);
    const dy =
      activation === "relu6"
        ? relu6Gradient(y!, dActive)
        : activation === "relu"
          ? reluGradient(y!, dActive)
          : dActive;
    const [dx, dGamma, dBeta] = applyAll(batchNormTrainingGradientOp, [x!, dy, gamma!, mean!, variance!], {
      epsilon,
    });
    return [wants(0) ? dx : undefined, wants(1) ? dGamma : undefined, wants(2) ? dBeta : undefined];
  },
  properties: {},
});

/** Batch normalisation by the statistics of the batch; the mean and the biased variance, `[C]`, come out too. */
export function batchNormTraining(
  x: Value,
  gamma: Value,
  beta: Value,
  epsilon = 1e-3,
): { y: Value; mean: Value; variance: Value } {
  const [y, mean, variance] = applyAll(batchNormTrainingOp, [x, gamma, beta], { epsilon });
  return { y: y!, mean: mean!, variance: variance! };
}

/**
 * The cotangents of `x`, `γ` and `β` of {@link batchNormTrainingOp}, from `x`, `dy`, `γ` and the statistics:
 * with `x̂ = (x − mean) / √(variance + ε)` and means over a channel, `dx = γ / √(variance + ε) · (dy − mean(dy) − x̂ · mean(dy · x̂))`.
 */
export const batchNormTrainingGradientOp = defineOp<{ epsilon: number }>("batchNormTrainingGradient", {
  infer: (inputs) => {
    const [x, dy, gamma] = inputs;
    if (inputs.length !== 5 || x!.shape.length !== 4 || x!.shape.some((dim, i) => dim !== dy!.shape[i]))
      throw mismatch("batchNormTrainingGradient", inputs, "it wants x, dy, γ, mean and variance");
    return [x!, gamma!, gamma!];
  },
  evaluate: ([x, dy, gamma, mean, variance], { epsilon }) => {
    const channels = x!.shape[1]!;
    const [source, from, g, m, v] = [x!, dy!, gamma!, mean!, variance!].map((t) => t.data as Float64Array);
    const count = source!.length / channels;
    const normal = (at: number, k: number): number => (source![at]! - m![k]!) / Math.sqrt(v![k]! + epsilon);
    const [dGamma, dBeta] = [allocate(x!.dtype, channels), allocate(x!.dtype, channels)] as Float64Array[];
    forEachChannel(x!, (at, k) => {
      dGamma![k]! += from![at]! * normal(at, k);
      dBeta![k]! += from![at]!;
    });
    const dx = allocate(x!.dtype, source!.length) as Float64Array;
    forEachChannel(x!, (at, k) => {
      dx[at] =
        (g![k]! / Math.sqrt(v![k]! + epsilon)) *
        (from![at]! - dBeta![k]! / count - (normal(at, k) * dGamma![k]!) / count);
    });
    return [
      tensor(x!.dtype, x!.shape, dx as never),
      tensor(x!.dtype, [channels], dGamma as never),
      tensor(x!.dtype, [channels], dBeta as never),
    ];
  },
  emit: (e) => {
    const [x, dy, gamma, mean, variance] = e.inputs as [string, string, string, string, string];
    const shape = e.types[0]!.shape as number[];
    const [, c] = shape as [number, number];
    const scalar = (value: number): string => e.constant(float32([value], []));
    const op = (operator: string, ...inputs: string[]): string => e.node(operator, inputs);
    const count = shape[0]! * shape[2]! * shape[3]!;
    const scale = op("Reciprocal", op("Sqrt", op("Add", variance, scalar(e.attributes.epsilon))));
    const dBeta = channelSum(e, dy, shape);
    const dGamma = op("Mul", op("Sub", channelDot(e, dy, x, shape), op("Mul", dBeta, mean)), scale);
    // dx = a · dy + b · x + shift, per channel.
    const a = op("Mul", gamma, scale);
    const b = op("Mul", op("Mul", op("Mul", a, scale), dGamma), scalar(-1 / count));
    const shift = op("Sub", op("Mul", op("Mul", a, dBeta), scalar(-1 / count)), op("Mul", b, mean));
    const terms = [
      [x, b],
      [dy, a],
    ] as const;
    const line = channelLine(e, terms, shift, shape);
    if (line !== undefined) return [line, dGamma, dBeta];
    const per = (v: string): string => e.node("Reshape", [v, e.constant(int64([1, c, 1, 1]))]);
    const zero = e.constant(float32(new Float32Array(c)));
    const one = e.constant(float32(new Float32Array(c).fill(1)));
    const straight = e.node("BatchNormalization", [x, b, shift, zero, one], { epsilon: { float: 0 } });
    return [op("Add", op("Mul", dy, per(a)), straight), dGamma, dBeta];
  },
  gradient: "unsupported",
  properties: {},
});

/** Sums over pictures and places, `[C]`, times `factor`. */
function channelSum(e: EmitContext, x: string, [n, c, h, w]: readonly number[], factor = 1): string {
  const { sums, lanes, share } = rowSums(e, x, n! * c!, h! * w!);
  const sum = overPictures(e, sums, [n!, c!, lanes]);
  return share * factor === 1 ? sum : e.node("Mul", [sum, e.constant(float32([share * factor], []))]);
}

/** Sums of products over pictures and places, `[C]`. */
function channelDot(e: EmitContext, a: string, b: string, [n, c, h, w]: readonly number[]): string {
  const { sums, lanes } = rowDots(e, a, b, n! * c!, h! * w!);
  return overPictures(e, sums, [n!, c!, lanes]);
}

/** What is left to sum of such rows, `[N · C, lanes]` to `[C]`. */
function overPictures(e: EmitContext, sums: string, shape: readonly [number, number, number]): string {
  const parts = e.node("Reshape", [sums, e.constant(int64([...shape]))]);
  return e.node("ReduceSum", [parts, e.constant(int64([0, 2]))], { keepdims: { int: 0 } });
}
