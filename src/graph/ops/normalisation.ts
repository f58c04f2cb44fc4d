import { allocate, tensor } from "../../tensor/index.ts";
import { full } from "../cotangents.ts";
import type { Value } from "../ir.ts";
import { apply, defineOp, mismatch } from "../op.ts";
import { add, div, mul, neg, reciprocal, sqrt, sub } from "./elementwise.ts";
import { reshape } from "./movement.ts";
import { dot, reduceMean, reduceSum } from "./reduction.ts";

/** Batch normalisation by stored statistics: `γ (x − mean) / √(variance + ε) + β` per channel of `x [N, C, …]`. */
export const batchNormOp = defineOp<{ epsilon: number }>("batchNorm", {
  infer: (inputs) => {
    const [x, ...vectors] = inputs;
    if (vectors.length !== 4 || vectors.some((v) => v.shape.length !== 1 || v.shape[0] !== x!.shape[1]))
      throw mismatch("batchNorm", inputs, "γ, β, mean and variance want one element per channel");
    return x!;
  },
  evaluate: ([x, gamma, beta, mean, variance], { epsilon }) => {
    const [n, c, ...rest] = x!.shape;
    const area = rest.reduce((product, size) => product * size, 1);
    const [source, g, b, m, v] = [x!, gamma!, beta!, mean!, variance!].map((t) => t.data as Float64Array);
    const data = allocate(x!.dtype, source!.length) as Float64Array;
    for (let plane = 0; plane < n! * c!; plane++) {
      const k = plane % c!;
      const scale = g![k]! / Math.sqrt(v![k]! + epsilon);
      for (let i = plane * area; i < (plane + 1) * area; i++)
        data[i] = (source![i]! - m![k]!) * scale + b![k]!;
    }
    return tensor(x!.dtype, x!.shape, data as never);
  },
  emit: (e) => e.node("BatchNormalization", e.inputs, { epsilon: { float: e.attributes.epsilon } }),
  gradient: ({
    inputs: [x, gamma, beta, mean, variance],
    outputs: [y],
    attributes: { epsilon },
    cotangent,
    wants,
  }) => {
    const dy = full(cotangent, y!.shape);
    const rank = x!.shape.length;
    const axes = Array.from({ length: rank }, (_, i) => i).filter((i) => i !== 1);
    const channels = (v: Value): Value =>
      reshape(
        v,
        Array.from({ length: rank }, (_, i) => (i === 1 ? v.shape[0]! : 1)),
      );
    const vector = (v: Value): Value => reshape(v, gamma!.shape);
    const scale = reciprocal(sqrt(add(variance!, epsilon))); // per channel
    const slope = mul(gamma!, scale);
    const sum = vector(reduceSum(dy, axes));
    const centred = (): Value => sub(vector(dot(dy, x!, axes)), mul(sum, mean!)); // Σ dy (x − mean)
    return [
      wants(0) ? mul(dy, channels(slope)) : undefined,
      wants(1) ? mul(centred(), scale) : undefined,
      beta && wants(2) ? sum : undefined,
      wants(3) ? neg(mul(sum, slope)) : undefined,
      wants(4) ? mul(mul(centred(), slope), mul(mul(scale, scale), -0.5)) : undefined,
    ];
  },
  properties: {},
});

/** Batch normalisation by stored statistics; the vectors have one element per channel of `x [N, C, h, w]`. */
export function batchNorm(
  x: Value,
  gamma: Value,
  beta: Value,
  mean: Value,
  variance: Value,
  epsilon = 1e-3,
): Value {
  return apply(batchNormOp, [x, gamma, beta, mean, variance], { epsilon });
}

/**
 * Group normalisation (Wu and He 2018) of `x [N, C, h, w]`: over the places and channels of each group of channels,
 * whatever the batch; then `γ` and `β` per channel, `[C]`.
 */
export function groupNorm(x: Value, gamma: Value, beta: Value, groups: number, epsilon = 1e-3): Value {
  const [n, c, h, w] = x.shape as number[];
  const grouped = reshape(x, [n!, groups, (c! / groups) * h! * w!]);
  const centred = sub(grouped, reduceMean(grouped, [2]));
  const normal = div(centred, sqrt(add(reduceMean(mul(centred, centred), [2]), epsilon)));
  const channels = (v: Value): Value => reshape(v, [1, c!, 1, 1]);
  return add(mul(reshape(normal, [n!, c!, h!, w!]), channels(gamma)), channels(beta));
}
