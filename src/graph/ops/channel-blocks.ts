import { allocate, tensor, type Tensor } from "../../tensor/index.ts";
import type { Value } from "../ir.ts";
import { apply, defineOp, mismatch, type Attributes } from "../op.ts";
import { activated, activationAttributes, type FusedActivation } from "./blocked.ts";
import { conv2dOp, windowOutput, type Window } from "./convolution.ts";
import { maxPool2dOp } from "./pooling.ts";

/**
 * Operations on maps in ONNX Runtime's blocked layout, `[N, C / b, h, w, b]` for blocks of `b` channels, which its
 * convolutions are fastest in. Such a value is declared as `[N, C, h, w]` with C rounded up to whole blocks; element by
 * element operations do not care about the order and apply as they are. The pass `blockLayout` puts these operations in.
 *
 * Only ONNX Runtime's CPU engine has them (domain `com.microsoft.nchwc`), and `b` depends on the processor.
 */
const domain = "com.microsoft.nchwc";

/** The next whole number of blocks. */
export function wholeBlocks(channels: number, block: number): number {
  return Math.ceil(channels / block) * block;
}

/** Copies between `[N, C, h, w]` in C order and in blocks; channels that are not there are 0, or are dropped. */
function permuted(x: Tensor, block: number, channels: number, intoBlocks: boolean): Tensor {
  const [n, from, h, w] = x.shape as [number, number, number, number];
  const data = allocate(x.dtype, n * channels * h * w) as Float64Array;
  const source = x.data as Float64Array;
  const area = h * w;
  for (let b = 0; b < n; b++)
    for (let c = 0; c < Math.min(from, channels); c++)
      for (let i = 0; i < area; i++) {
        const blocked =
          (b * (intoBlocks ? channels : from) + c - (c % block)) * area + i * block + (c % block);
        const plain = (b * (intoBlocks ? from : channels) + c) * area + i;
        if (intoBlocks) data[blocked] = source[plain]!;
        else data[plain] = source[blocked]!;
      }
  return tensor(x.dtype, [n, channels, h, w], data as never);
}

interface BlockAttributes extends Attributes {
  readonly block: number;
}

/** A map `[N, C, h, w]` brought into blocks; C must be a multiple of 4. */
export const reorderInputOp = defineOp<BlockAttributes>("reorderInput", {
  infer: ([x], { block }) => {
    if (x!.shape.length !== 4 || (x!.shape[1] as number) % 4 !== 0)
      throw mismatch("reorderInput", [x!], "it wants [N, C, h, w], C a multiple of 4");
    return {
      dtype: x!.dtype,
      shape: [x!.shape[0]!, wholeBlocks(x!.shape[1] as number, block), ...x!.shape.slice(2)],
    };
  },
  evaluate: ([x], { block }, [type]) => permuted(x!, block, type!.shape[1] as number, true),
  emit: (e) => e.node("ReorderInput", e.inputs, {}, domain),
  gradient: "none",
  properties: {},
});

/** A blocked map brought back to `[N, channels, h, w]`. */
export const reorderOutputOp = defineOp<BlockAttributes & { readonly channels: number }>("reorderOutput", {
  infer: ([x], { channels }) => ({ dtype: x!.dtype, shape: [x!.shape[0]!, channels, ...x!.shape.slice(2)] }),
  evaluate: ([x], { block, channels }) => permuted(x!, block, channels, false),
  emit: (e) => e.node("ReorderOutput", e.inputs, { channels: { int: e.attributes.channels } }, domain),
  gradient: "none",
  properties: {},
});

/** How a filter's elements are laid out: `OIHWBiBo`, or `OIHWBo` for filters of few or single input channels. */
export type FilterLayout = "both" | "outputs";

/** A filter `[O, I, kh, kw]` in blocks of output channels, and of input channels too with `both`; zeros where there are none. */
export function blockedFilter(filter: Tensor, layout: FilterLayout, block: number): Tensor {
  const [outputs, inputs, kh, kw] = filter.shape as [number, number, number, number];
  const [o, i] = [wholeBlocks(outputs, block), layout === "both" ? wholeBlocks(inputs, block) : inputs];
  const bi = layout === "both" ? block : 1;
  const data = new Float32Array(o * i * kh * kw);
  const source = filter.data as Float32Array;
  for (let k = 0; k < outputs; k++)
    for (let q = 0; q < inputs; q++)
      for (let u = 0; u < kh * kw; u++) {
        const place = (((k - (k % block)) * i) / block + Math.floor(q / bi) * bi) * kh * kw * block;
        data[place + (u * bi + (q % bi)) * block + (k % block)] = source[(k * inputs + q) * kh * kw + u]!;
      }
  return tensor("float32", [o, i, kh, kw], data);
}

function plainFilter(filter: Tensor, layout: FilterLayout, block: number): Tensor {
  const [o, i, kh, kw] = filter.shape as [number, number, number, number];
  const bi = layout === "both" ? block : 1;
  const data = allocate(filter.dtype, filter.data.length) as Float64Array;
  const source = filter.data as Float64Array;
  for (let k = 0; k < o; k++)
    for (let q = 0; q < i; q++)
      for (let u = 0; u < kh * kw; u++) {
        const place = (((k - (k % block)) * i) / block + Math.floor(q / bi) * bi) * kh * kw * block;
        data[(k * i + q) * kh * kw + u] = source[place + (u * bi + (q % bi)) * block + (k % block)]!;
      }
  return tensor(filter.dtype, filter.shape, data as never);
}

interface BlockedConvolution extends BlockAttributes, Window {
  readonly groups: number;
  readonly layout: FilterLayout;
  readonly activation: FusedActivation;
}

/**
 * Convolution of a blocked map (or, with fewer input channels than a block, of a plain one) by a blocked filter; gives a
 * blocked map. Inputs: map, filter, bias, and optionally a blocked map that is added before the activation.
 */
export const blockedConvOp = defineOp<BlockedConvolution>("blockedConv", {
  infer: ([x, filter], { stride, dilation, pads }) => {
    const [outputs, , kh, kw] = filter!.shape as number[];
    const h = windowOutput(x!.shape[2]!, kh!, pads[0], pads[2], stride[0], dilation[0]);
    const w = windowOutput(x!.shape[3]!, kw!, pads[1], pads[3], stride[1], dilation[1]);
    return { dtype: x!.dtype, shape: [x!.shape[0]!, outputs!, h, w] };
  },
  evaluate: ([x, filter, bias, sum], attributes, types) => {
    const { block, layout, groups, activation } = attributes;
    const channels = x!.shape[1]!;
    const plain = layout === "both" || groups > 1 ? permuted(x!, block, channels, false) : x!;
    const result = conv2dOp.evaluate(
      [plain, plainFilter(filter!, layout, block), bias!],
      attributes as never,
      types,
    ) as Tensor;
    const blocked = permuted(result, block, result.shape[1]!, true);
    const data = blocked.data as Float64Array;
    for (let i = 0; i < data.length; i++) {
      data[i] = activated(activation, data[i]! + ((sum?.data as Float64Array | undefined)?.[i] ?? 0));
    }
    return blocked;
  },
  emit: (e) => {
    const { stride, dilation, pads, groups, activation } = e.attributes;
    return e.node(
      "Conv",
      e.inputs,
      {
        kernel_shape: { ints: e.types[1]!.shape.slice(2) as number[] },
        strides: { ints: stride },
        dilations: { ints: dilation },
        pads: { ints: pads },
        group: { int: groups },
        ...activationAttributes(activation),
      },
      domain,
    );
  },
  gradient: "none",
  properties: {},
});

interface BlockedPool extends BlockAttributes {
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly pads: readonly [number, number, number, number];
}

/** Max-pooling of a blocked map. */
export const blockedMaxPoolOp = defineOp<BlockedPool>("blockedMaxPool", {
  infer: (inputs, attributes) => maxPool2dOp.infer(inputs, attributes as never),
  evaluate: ([x], attributes, types) => {
    const { block } = attributes;
    const plain = permuted(x!, block, x!.shape[1]!, false);
    return permuted(
      maxPool2dOp.evaluate([plain], attributes as never, types) as Tensor,
      block,
      x!.shape[1]!,
      true,
    );
  },
  emit: (e) => {
    const { kernel, stride, pads } = e.attributes;
    return e.node(
      "MaxPool",
      e.inputs,
      { kernel_shape: { ints: kernel }, strides: { ints: stride }, pads: { ints: pads } },
      domain,
    );
  },
  gradient: "none",
  properties: {},
});

/** A blocked map repeated by whole factors, rows and columns. */
export const blockedRepeatOp = defineOp<BlockAttributes & { readonly factors: readonly [number, number] }>(
  "blockedRepeat",
  {
    infer: ([x], { factors }) => ({
      dtype: x!.dtype,
      shape: [
        x!.shape[0]!,
        x!.shape[1]!,
        (x!.shape[2] as number) * factors[0],
        (x!.shape[3] as number) * factors[1],
      ],
    }),
    evaluate: ([x], { block, factors }, [type]) => {
      const [n, c, h, w] = type!.shape as [number, number, number, number];
      const data = allocate(x!.dtype, n * c * h * w) as Float64Array;
      const [, , fromH, fromW] = x!.shape as [number, number, number, number];
      for (let plane = 0, at = 0; plane < (n * c) / block; plane++)
        for (let i = 0; i < h; i++)
          for (let j = 0; j < w; j++)
            for (let q = 0; q < block; q++)
              data[at++] = (x!.data as Float64Array)[
                ((plane * fromH + Math.floor(i / factors[0])) * fromW + Math.floor(j / factors[1])) * block +
                  q
              ]!;
      return tensor(x!.dtype, [n, c, h, w], data as never);
    },
    emit: (e) => e.node("Upsample", e.inputs, { scales: { ints: [1, 1, ...e.attributes.factors] } }, domain),
    gradient: "none",
    properties: {},
  },
);

/** Mean of each channel of a blocked map, `[N, C, 1, 1]`: blocked or not is the same there. */
export const blockedMeanOp = defineOp<BlockAttributes>("blockedMean", {
  infer: ([x]) => ({ dtype: x!.dtype, shape: [x!.shape[0]!, x!.shape[1]!, 1, 1] }),
  evaluate: ([x], { block }) => {
    const [n, c, h, w] = permuted(x!, block, x!.shape[1]!, false).shape as [number, number, number, number];
    const plain = permuted(x!, block, c, false).data as Float64Array;
    const data = allocate(x!.dtype, n * c) as Float64Array;
    for (let i = 0; i < n * c; i++) {
      for (let k = 0; k < h * w; k++) data[i]! += plain[i * h * w + k]!;
      data[i]! /= h * w;
    }
    return tensor(x!.dtype, [n, c, 1, 1], data as never);
  },
  emit: (e) => e.node("GlobalAveragePool", e.inputs, {}, domain),
  gradient: "none",
  properties: {},
});

/** A blocked map times one number per picture and channel, `[N, C, 1, 1]`. */
export const blockedScaleOp = defineOp<BlockAttributes>("blockedScale", {
  infer: (inputs) => {
    const [x, factors] = inputs;
    if (factors!.shape[1] !== x!.shape[1])
      throw mismatch("blockedScale", inputs, "it wants [N, C, h, w] and [N, C, 1, 1]");
    return x!;
  },
  evaluate: ([x, factors], { block }) => {
    const [n, c, h, w] = x!.shape as [number, number, number, number];
    const data = (x!.data as Float64Array).slice();
    for (let plane = 0, at = 0; plane < (n * c) / block; plane++)
      for (let i = 0; i < h * w; i++)
        for (let q = 0; q < block; q++) data[at++]! *= (factors!.data as Float64Array)[plane * block + q]!;
    return tensor(x!.dtype, x!.shape, data as never);
  },
  emit: (e) => {
    const { block } = e.attributes;
    const [n, c, h, w] = e.types[0]!.shape as [number, number, number, number];
    const shape = (...sizes: number[]): string =>
      e.constant(tensor("int64", [sizes.length], BigInt64Array.from(sizes, BigInt)));
    const map = e.node("Reshape", [e.inputs[0]!, shape(n, c / block, h * w, block)]);
    const factors = e.node("Reshape", [e.inputs[1]!, shape(n, c / block, 1, block)]);
    return e.node("Reshape", [e.node("Mul", [map, factors]), shape(n, c, h, w)]);
  },
  gradient: "none",
  properties: {},
});

/** A `both`-blocked 1×1 filter `[O, I, 1, 1]` with input channel `i` times factor `i` of `[1, I, 1, 1]`: a gate moved from the map to the filter. */
export const scaledFilterOp = defineOp<BlockAttributes>("scaledFilter", {
  infer: ([filter]) => filter!,
  evaluate: ([filter, factors], { block }) => {
    const [o, i] = filter!.shape as [number, number, number, number];
    const data = (filter!.data as Float64Array).slice();
    for (let k = 0, at = 0; k < o / block; k++)
      for (let q = 0; q < i; q++)
        for (let b = 0; b < block; b++) data[at++]! *= (factors!.data as Float64Array)[q]!;
    return tensor(filter!.dtype, filter!.shape, data as never);
  },
  emit: (e) => {
    const { block } = e.attributes;
    const [o, i] = e.types[0]!.shape as [number, number, number, number];
    const shape = (...sizes: number[]): string =>
      e.constant(tensor("int64", [sizes.length], BigInt64Array.from(sizes, BigInt)));
    const filter = e.node("Reshape", [e.inputs[0]!, shape(o / block, i, block)]);
    const factors = e.node("Reshape", [e.inputs[1]!, shape(1, i, 1)]);
    return e.node("Reshape", [e.node("Mul", [filter, factors]), shape(o, i, 1, 1)]);
  },
  gradient: "none",
  properties: {},
});

/** A map brought into blocks. */
export function reorderInput(x: Value, block: number): Value {
  return apply(reorderInputOp, [x], { block });
}

/** A blocked map brought back; `channels` drops those that fill the last block up. */
export function reorderOutput(x: Value, channels: number, block: number): Value {
  return apply(reorderOutputOp, [x], { block, channels });
}
