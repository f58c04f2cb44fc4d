import { allocate, elementCount, tensor, type Tensor } from "../../tensor/index.ts";
import { full } from "../cotangents.ts";
import type { Type, Value } from "../ir.ts";
import { apply, defineOp, mismatch } from "../op.ts";
import { averagePool2dGradient, maxPool2dGradient } from "./pooling-gradients.ts";
import { samePads, windowOutput } from "./convolution.ts";

/** A pool as a node has it. */
export interface PoolAttributes {
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly pads: readonly [number, number, number, number];
  readonly [key: string]: readonly number[];
}

function inferPool(name: string, inputs: readonly Type[], { kernel, stride, pads }: PoolAttributes): Type {
  const [x] = inputs;
  if (x!.shape.length !== 4) throw mismatch(name, inputs, "it wants [N, C, h, w]");
  const h = windowOutput(x!.shape[2]!, kernel[0], pads[0], pads[2], stride[0], 1);
  const w = windowOutput(x!.shape[3]!, kernel[1], pads[1], pads[3], stride[1], 1);
  return { dtype: x!.dtype, shape: [x!.shape[0]!, x!.shape[1]!, h, w] };
}

/** Runs `reduce` over the elements of each window that lie inside the map. */
function evaluatePool(
  x: Tensor,
  { kernel, stride, pads }: PoolAttributes,
  type: Type,
  reduce: (inside: number[]) => number,
): Tensor {
  const [n, c, oh, ow] = type.shape as [number, number, number, number];
  const [, , h, w] = x.shape as [number, number, number, number];
  const source = x.data as Float64Array;
  const data = allocate(x.dtype, elementCount([n, c, oh, ow])) as Float64Array;
  let at = 0;
  for (let plane = 0; plane < n * c; plane++)
    for (let i = 0; i < oh; i++)
      for (let j = 0; j < ow; j++) {
        const inside: number[] = [];
        for (let u = 0; u < kernel[0]; u++)
          for (let v = 0; v < kernel[1]; v++) {
            const [y, z] = [i * stride[0] + u - pads[0], j * stride[1] + v - pads[1]];
            if (y >= 0 && y < h && z >= 0 && z < w) inside.push(source[(plane * h + y) * w + z]!);
          }
        data[at++] = reduce(inside);
      }
  return tensor(x.dtype, [n, c, oh, ow], data as never);
}

/** Largest element of each window of `x [N, C, h, w]`; padding never wins (it is −∞). */
export const maxPool2dOp = defineOp<PoolAttributes>("maxPool2d", {
  infer: (inputs, attributes) => inferPool("maxPool2d", inputs, attributes),
  evaluate: ([x], attributes, [type]) => evaluatePool(x!, attributes, type!, (inside) => Math.max(...inside)),
  emit: (e) =>
    e.node("MaxPool", e.inputs, {
      kernel_shape: { ints: e.attributes.kernel },
      strides: { ints: e.attributes.stride },
      pads: { ints: e.attributes.pads },
    }),
  gradient: ({ inputs: [x], outputs: [y], attributes, cotangent }) => [
    maxPool2dGradient(x!, full(cotangent, y!.shape), attributes),
  ],
  properties: {},
});

/** Mean over each window of `x [N, C, h, w]`, of the elements inside the map. */
export const averagePool2dOp = defineOp<PoolAttributes>("averagePool2d", {
  infer: (inputs, attributes) => inferPool("averagePool2d", inputs, attributes),
  evaluate: ([x], attributes, [type]) =>
    evaluatePool(x!, attributes, type!, (inside) => inside.reduce((sum, v) => sum + v, 0) / inside.length),
  emit: (e) =>
    e.node("AveragePool", e.inputs, {
      kernel_shape: { ints: e.attributes.kernel },
      strides: { ints: e.attributes.stride },
      pads: { ints: e.attributes.pads },
    }),
  gradient: ({ inputs: [x], outputs: [y], attributes, cotangent }) => [
    averagePool2dGradient(x!, full(cotangent, y!.shape), attributes),
  ],
  properties: {},
});

export interface PoolOptions {
  readonly kernel: number | readonly [number, number];
  readonly stride: number | readonly [number, number];
  /** TensorFlow's SAME (the default), none, or rows above, columns left, rows below, columns right. */
  readonly padding?: "same" | "valid" | readonly [number, number, number, number];
}

function poolAttributes(x: Value, { kernel, stride, padding = "same" }: PoolOptions): PoolAttributes {
  const k = typeof kernel === "number" ? ([kernel, kernel] as const) : kernel;
  const s = typeof stride === "number" ? ([stride, stride] as const) : stride;
  const pads =
    padding === "same"
      ? samePads(x.shape.slice(2) as [number, number], k, s)
      : padding === "valid"
        ? ([0, 0, 0, 0] as const)
        : padding;
  return { kernel: k, stride: s, pads };
}

/** Max-pooling of `x [N, C, h, w]`. */
export function maxPool2d(x: Value, options: PoolOptions): Value {
  return apply(maxPool2dOp, [x], poolAttributes(x, options));
}

/** Average-pooling of `x [N, C, h, w]`; elements outside the map do not count. */
export function averagePool2d(x: Value, options: PoolOptions): Value {
  return apply(averagePool2dOp, [x], poolAttributes(x, options));
}
