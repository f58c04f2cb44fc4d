import { allocate, tensor } from "../../tensor/index.ts";
import type { Value } from "../ir.ts";
import { apply, defineOp, mismatch } from "../op.ts";

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
      for (let i = plane * area; i < (plane + 1) * area; i++) data[i] = (source![i]! - m![k]!) * scale + b![k]!;
    }
    return tensor(x!.dtype, x!.shape, data as never);
  },
  emit: (e) => e.node("BatchNormalization", e.inputs, { epsilon: { float: e.attributes.epsilon } }),
  properties: {},
});

/** Batch normalisation by stored statistics; the vectors have one element per channel of `x [N, C, h, w]`. */
export function batchNorm(x: Value, gamma: Value, beta: Value, mean: Value, variance: Value, epsilon = 1e-3): Value {
  return apply(batchNormOp, [x, gamma, beta, mean, variance], { epsilon });
}
