import { elementCount, tensor, type Tensor } from "../../tensor/index.ts";
import { evaluate } from "../interpreter.ts";
import { constant, constantOf, producerOf, type Graph, type Value } from "../ir.ts";
import { applyAll } from "../op.ts";
import { conv2dOp } from "../ops/convolution.ts";
import { add, div, mul, neg, sqrt, sub } from "../ops/elementwise.ts";
import { reshape } from "../ops/movement.ts";
import { batchNormOp } from "../ops/normalisation.ts";
import { rewrite } from "./rewrite.ts";

/** Computes what depends on constants only, such as normalised fusion weights. */
export function foldConstants(graph: Graph): Graph {
  return rewrite(graph, ({ node, inputs }) => {
    const tensors = inputs.map(constantOf);
    if (tensors.length === 0 || tensors.includes(undefined)) return undefined;
    return evaluate(node.op, tensors as Tensor[], node.attributes).map(constant);
  });
}

/**
 * Folds batch normalisation by constant statistics into the convolution before it:
 * `w' = w · γ / √(σ² + ε)`, `b' = (b − μ) · γ / √(σ² + ε) + β`, per output channel, in float64 and rounded once.
 * A convolution that others read too is left alone.
 */
export function foldBatchNorm(graph: Graph): Graph {
  return rewrite(graph, ({ node, inputs, readers }) => {
    if (node.op !== (batchNormOp as unknown)) return undefined;
    const [x, ...vectors] = inputs as [Value, ...Value[]];
    const convolution = producerOf(x);
    if (!convolution || convolution.op !== (conv2dOp as unknown) || readers(x) !== 1) return undefined;
    const [input, kernel, bias] = convolution.inputs as [Value, Value, Value?];
    const weights = constantOf(kernel);
    const statistics = vectors.map((v) => constantOf(v)?.data as Float32Array | undefined);
    if (!weights || statistics.includes(undefined) || (bias && !constantOf(bias))) return undefined;
    const [gamma, beta, mean, variance] = statistics as Float32Array[];
    const before = bias && (constantOf(bias)!.data as Float32Array);
    const epsilon = node.attributes.epsilon as number;
    const scale = Float64Array.from(gamma!, (g, k) => g / Math.sqrt(variance![k]! + epsilon));
    const shift = Float32Array.from(scale, (s, k) => ((before?.[k] ?? 0) - mean![k]!) * s + beta![k]!);
    const inputsFolded = [
      input,
      constant(scaledRows(weights, scale)),
      constant(tensor("float32", [shift.length], shift)),
    ];
    return applyAll(convolution.op, inputsFolded, convolution.attributes);
  });
}

/**
 * The same fold while weights and statistics are values: the kernel is scaled and the bias shifted in the graph, so
 * that a network trained with frozen statistics makes no pass over its features for them, forward or backward.
 */
export function foldFrozenBatchNorm(graph: Graph): Graph {
  return rewrite(graph, ({ node, inputs, readers }) => {
    if (node.op !== (batchNormOp as unknown)) return undefined;
    const [x, gamma, beta, mean, variance] = inputs as [Value, Value, Value, Value, Value];
    const convolution = producerOf(x);
    if (!convolution || convolution.op !== (conv2dOp as unknown) || readers(x) !== 1) return undefined;
    const [input, kernel, bias] = convolution.inputs as [Value, Value, Value?];
    const scale = div(gamma, sqrt(add(variance, node.attributes.epsilon as number)));
    const scaled = mul(kernel, reshape(scale, [kernel.shape[0]!, 1, 1, 1]));
    const shift = add(beta, mul(bias ? sub(bias, mean) : neg(mean), scale));
    return applyAll(convolution.op, [input, scaled, shift], convolution.attributes);
  });
}

function scaledRows(weights: Tensor, scale: Float64Array): Tensor {
  const source = weights.data as Float32Array;
  const row = elementCount(weights.shape.slice(1));
  const data = new Float32Array(source.length);
  for (let k = 0, i = 0; k < scale.length; k++)
    for (let end = i + row; i < end; i++) data[i] = source[i]! * scale[k]!;
  return tensor("float32", weights.shape, data);
}
