import { allocate, elementCount, tensor } from "../../tensor/index.ts";
import { full } from "../cotangents.ts";
import { staticShape, type Dim, type Value } from "../ir.ts";
import { apply, defineOp, mismatch } from "../op.ts";
import { blockedDepthwise, blockedKernel, fitsBlocks, intoBlocks, outOfBlocks } from "./blocked.ts";
import { conv2dInputGradient, conv2dKernelGradient } from "./convolution-gradients.ts";
import { reshape } from "./movement.ts";
import { reduceSum } from "./reduction.ts";

/** How a window moves over a map: rows before columns everywhere. */
export interface Window {
  readonly stride: readonly [number, number];
  readonly dilation: readonly [number, number];
  /** Rows above, columns left, rows below, columns right. */
  readonly pads: readonly [number, number, number, number];
}

/** A convolution as a node has it. */
export interface ConvolutionAttributes extends Window {
  readonly groups: number;
  readonly [key: string]: number | readonly number[];
}

/** Padding of TensorFlow's SAME: the output has ⌈size / stride⌉; the smaller half comes first (spec A2). */
export function samePads(
  [height, width]: readonly [number, number],
  [kernelHeight, kernelWidth]: readonly [number, number],
  [strideY, strideX]: readonly [number, number],
  [dilationY, dilationX]: readonly [number, number] = [1, 1],
): [number, number, number, number] {
  const total = (size: number, kernel: number, stride: number, dilation: number): number =>
    Math.max((Math.ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0);
  const y = total(height, kernelHeight, strideY, dilationY);
  const x = total(width, kernelWidth, strideX, dilationX);
  return [Math.floor(y / 2), Math.floor(x / 2), Math.ceil(y / 2), Math.ceil(x / 2)];
}

/** The size of a map after a window has moved over it. */
export function windowOutput(
  size: Dim,
  kernel: number,
  before: number,
  after: number,
  stride: number,
  dilation: number,
): Dim {
  if (typeof size === "string") throw new TypeError(`a window needs a known size, not ${size}`);
  return Math.floor((size + before + after - (kernel - 1) * dilation - 1) / stride) + 1;
}

/**
 * Convolution of `x [N, C, h, w]` by `kernel [O, C / groups, kh, kw]`, plus `bias [O]` if there is one.
 * Groups = C is the depthwise convolution.
 */
export const conv2dOp = defineOp<ConvolutionAttributes>("conv2d", {
  infer: (inputs, { stride, dilation, pads, groups }) => {
    const [x, kernel, bias] = inputs;
    if (x!.shape.length !== 4 || kernel!.shape.length !== 4)
      throw mismatch("conv2d", inputs, "it wants [N, C, h, w] and [O, C/groups, kh, kw]");
    const [outputs, channels, kh, kw] = staticShape(kernel!) as [number, number, number, number];
    if (x!.shape[1] !== channels * groups || outputs % groups !== 0)
      throw mismatch("conv2d", inputs, `in ${groups} groups the kernel takes ${channels * groups} channels`);
    if (bias && bias.shape[0] !== outputs)
      throw mismatch("conv2d", inputs, `the bias wants ${outputs} elements`);
    const h = windowOutput(x!.shape[2]!, kh, pads[0], pads[2], stride[0], dilation[0]);
    const w = windowOutput(x!.shape[3]!, kw, pads[1], pads[3], stride[1], dilation[1]);
    return { dtype: x!.dtype, shape: [x!.shape[0]!, outputs, h, w] };
  },
  evaluate: ([x, kernel, bias], { stride, dilation, pads, groups }, [type]) => {
    const [n, o, oh, ow] = type!.shape as [number, number, number, number];
    const [, c, h, w] = x!.shape as [number, number, number, number];
    const [, cg, kh, kw] = kernel!.shape as [number, number, number, number];
    const data = allocate(x!.dtype, elementCount([n, o, oh, ow])) as Float64Array;
    const [source, weights] = [x!.data as Float64Array, kernel!.data as Float64Array];
    const offset = bias?.data as Float64Array | undefined;
    let at = 0;
    for (let b = 0; b < n; b++)
      for (let k = 0; k < o; k++) {
        const first = b * c + Math.floor(k / (o / groups)) * cg;
        for (let i = 0; i < oh; i++)
          for (let j = 0; j < ow; j++) {
            let sum = offset?.[k] ?? 0;
            for (let q = 0; q < cg; q++)
              for (let u = 0; u < kh; u++) {
                const y = i * stride[0] + u * dilation[0] - pads[0];
                if (y < 0 || y >= h) continue;
                for (let v = 0; v < kw; v++) {
                  const z = j * stride[1] + v * dilation[1] - pads[1];
                  if (z >= 0 && z < w)
                    sum +=
                      source[((first + q) * h + y) * w + z]! * weights[((k * cg + q) * kh + u) * kw + v]!;
                }
              }
            data[at++] = sum;
          }
      }
    return tensor(x!.dtype, [n, o, oh, ow], data as never);
  },
  emit: (e) => {
    const { stride, dilation, pads, groups } = e.attributes;
    const [channels, each, kh, kw] = e.types[1]!.shape as [number, number, number, number];
    if (each === 1 && groups === channels && kh * kw > 1 && fitsBlocks(e, channels)) {
      const places = Array.from({ length: kh * kw }, (_, i) => i);
      const kernel = blockedKernel(e, e.inputs[1]!, channels, [kh, kw], places, [kh, kw]);
      return outOfBlocks(
        e,
        blockedDepthwise(
          e,
          intoBlocks(e, e.inputs[0]!),
          kernel,
          channels,
          [kh, kw],
          e.attributes,
          e.inputs[2],
        ),
        channels,
      );
    }
    return e.node("Conv", e.inputs, {
      kernel_shape: { ints: e.types[1]!.shape.slice(2) as number[] },
      strides: { ints: stride },
      dilations: { ints: dilation },
      pads: { ints: pads },
      group: { int: groups },
    });
  },
  gradient: ({ inputs: [x, kernel, bias], outputs: [y], attributes, cotangent, wants }) => {
    const dy = full(cotangent, y!.shape);
    return [
      wants(0) ? conv2dInputGradient(dy, kernel!, x!.shape, attributes) : undefined,
      wants(1) ? conv2dKernelGradient(x!, dy, kernel!.shape, attributes) : undefined,
      bias && wants(2) ? reshape(reduceSum(dy, [0, 2, 3]), bias.shape) : undefined,
    ];
  },
  properties: {
    multiplyAdds: (node) =>
      elementCount(staticShape(node.outputs[0]!)) * elementCount(staticShape(node.inputs[1]!).slice(1)),
  },
});

export interface ConvolutionOptions {
  readonly stride?: number | readonly [number, number];
  readonly dilation?: number | readonly [number, number];
  readonly groups?: number;
  /** TensorFlow's SAME (the default), none, or rows above, columns left, rows below, columns right. */
  readonly padding?: "same" | "valid" | readonly [number, number, number, number];
}

/** Convolution of `x [N, C, h, w]` by `kernel [O, C / groups, kh, kw]`. */
export function conv2d(x: Value, kernel: Value, bias?: Value, options: ConvolutionOptions = {}): Value {
  const { stride = 1, dilation = 1, groups = 1, padding = "same" } = options;
  const strides = typeof stride === "number" ? ([stride, stride] as const) : stride;
  const dilations = typeof dilation === "number" ? ([dilation, dilation] as const) : dilation;
  const [, , kh, kw] = staticShape(kernel) as [number, number, number, number];
  const pads =
    padding === "same"
      ? samePads(x.shape.slice(2) as [number, number], [kh, kw], strides, dilations)
      : padding === "valid"
        ? ([0, 0, 0, 0] as const)
        : padding;
  return apply(conv2dOp, bias ? [x, kernel, bias] : [x, kernel], {
    stride: strides,
    dilation: dilations,
    pads,
    groups,
  });
}
