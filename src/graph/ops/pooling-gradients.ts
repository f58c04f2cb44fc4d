import { allocate, elementCount, float32, int64, tensor, type Tensor } from "../../tensor/index.ts";
import { full } from "../cotangents.ts";
import { constant, type Value } from "../ir.ts";
import { apply, defineOp, mismatch } from "../op.ts";
import { conv2dInputGradient } from "./convolution-gradients.ts";
import { div, mul } from "./elementwise.ts";
import type { PoolAttributes } from "./pooling.ts";

type Four = [number, number, number, number];

/** For each window, in order, the offset in `x` of its largest element: the first of equals, by rows. */
function largestOffsets(
  x: Tensor,
  { kernel, stride, pads }: PoolAttributes,
  [, , oh, ow]: readonly number[],
): number[] {
  const [n, c, h, w] = x.shape as Four;
  const source = x.data as Float64Array;
  const offsets: number[] = [];
  for (let plane = 0; plane < n * c; plane++)
    for (let i = 0; i < oh!; i++)
      for (let j = 0; j < ow!; j++) {
        let best = -1;
        for (let u = 0; u < kernel[0]; u++)
          for (let v = 0; v < kernel[1]; v++) {
            const [row, column] = [i * stride[0] + u - pads[0], j * stride[1] + v - pads[1]];
            if (row < 0 || row >= h || column < 0 || column >= w) continue;
            const at = (plane * h + row) * w + column;
            if (best < 0 || source[at]! > source[best]!) best = at;
          }
        offsets.push(best);
      }
  return offsets;
}

/**
 * The cotangent of max-pooling's input, from `x [N, C, h, w]` and `dy`: each window's goes to its largest element (the
 * first of equals), and where windows overlap they add up.
 */
export const maxPool2dGradientOp = defineOp<PoolAttributes>("maxPool2dGradient", {
  infer: (inputs) => {
    const [x, dy] = inputs;
    if (x!.shape.length !== 4 || dy!.shape.length !== 4 || x!.shape[1] !== dy!.shape[1])
      throw mismatch("maxPool2dGradient", inputs, "it wants [N, C, h, w] and [N, C, oh, ow]");
    return x!;
  },
  evaluate: ([x, dy], attributes) => {
    const dx = allocate(x!.dtype, x!.data.length) as Float64Array;
    largestOffsets(x!, attributes, dy!.shape).forEach(
      (to, from) => (dx[to]! += (dy!.data as Float64Array)[from]!),
    );
    return tensor(x!.dtype, x!.shape, dx as never);
  },
  emit: (e) => {
    const { kernel, stride, pads } = e.attributes;
    const shape = e.types[0]!.shape as number[];
    const indices = e.nodes("MaxPool", [e.inputs[0]!], 2, {
      kernel_shape: { ints: kernel },
      strides: { ints: stride },
      pads: { ints: pads },
    })[1]!;
    const flat = (name: string): string => e.node("Reshape", [name, e.constant(int64([-1]))]);
    const zero = e.node("Expand", [e.constant(float32([0])), e.constant(int64([elementCount(shape)]))]);
    const sum = e.node("ScatterElements", [zero, flat(indices), flat(e.inputs[1]!)], {
      axis: { int: 0 },
      reduction: { text: "add" },
    });
    return e.node("Reshape", [sum, e.constant(int64(shape))], {
      allowzero: { int: shape.includes(0) ? 1 : 0 },
    });
  },
  gradient: "unsupported",
  properties: {},
});

/** The cotangent of max-pooling's input. */
export function maxPool2dGradient(x: Value, dy: Value, { kernel, stride, pads }: PoolAttributes): Value {
  return apply(maxPool2dGradientOp, [x, dy], { kernel, stride, pads });
}

/** The cotangent of average-pooling's input: each window's is shared out among its elements inside the map. */
export function averagePool2dGradient(x: Value, dy: Value, { kernel, stride, pads }: PoolAttributes): Value {
  const [, channels, h, w] = x.shape as Four;
  const [, , oh, ow] = dy.shape as Four;
  const inside = (i: number, axis: 0 | 1, side: number): number => {
    const start = i * stride[axis] - pads[axis];
    return Math.min(start + kernel[axis], side) - Math.max(start, 0);
  };
  const counts = Float32Array.from(
    { length: oh * ow },
    (_, i) => inside(Math.floor(i / ow), 0, h) * inside(i % ow, 1, w),
  );
  const even = counts.every((count) => count === counts[0]);
  const shared = even
    ? mul(full(dy, dy.shape), 1 / (counts[0] ?? 1))
    : div(dy, constant(float32(counts, [1, 1, oh, ow])));
  const ones = constant(
    float32(new Float32Array(channels * kernel[0] * kernel[1]).fill(1), [channels, 1, ...kernel]),
  );
  return conv2dInputGradient(shared, ones, x.shape, { stride, dilation: [1, 1], pads, groups: channels });
}
