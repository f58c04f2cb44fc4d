import { int64 } from "../../tensor/index.ts";
import type { Value } from "../ir.ts";
import { apply, defineOp, type EmitContext } from "../op.ts";
import type { Window } from "./convolution.ts";

/*
 * ONNX Runtime's own layout of features on x86 and ARM: channels in blocks of 8 or 16, `[N, C / block, h, w, block]`
 * (the tensor keeps the shape `[N, C, h, w]`). It uses it by itself where kernels are constants; in a training graph
 * they are not, so the nodes are written here. Its convolutions of one channel each run several times as fast as those
 * of the plain layout, and their kernels may be as large as a map: gradients of depthwise kernels, and sums of products,
 * are such convolutions.
 */

const domain = "com.microsoft.nchwc";

/** Whether a depthwise convolution of this many channels can be written in blocks. */
export function fitsBlocks(e: EmitContext, channels: number): boolean {
  return e.channelBlock > 0 && channels % e.channelBlock === 0 && e.types[0]!.dtype === "float32";
}

/** Features in blocks. */
export function intoBlocks(e: EmitContext, x: string): string {
  return e.node("ReorderInput", [x], {}, domain);
}

/** Features in blocks, of any shape with this many channels, as plain ones. */
export function outOfBlocks(e: EmitContext, x: string, channels: number): string {
  return e.node("ReorderOutput", [x], { channels: { int: channels } }, domain);
}

/**
 * A depthwise kernel `[C, 1, kh, kw]` in blocks, with some of its places in some order.
 *
 * @param places flat places of the kernel, row by row of the result
 */
export function blockedKernel(
  e: EmitContext,
  kernel: string,
  channels: number,
  [kh, kw]: readonly [number, number],
  places: readonly number[],
  size: readonly [number, number],
): string {
  const ints = (...values: number[]): string => e.constant(int64(values));
  let rows = e.node("Reshape", [kernel, ints(channels / e.channelBlock, e.channelBlock, kh * kw)]);
  if (places.length !== kh * kw || places.some((place, i) => place !== i))
    rows = e.node("Gather", [rows, ints(...places)], { axis: { int: 2 } });
  return e.node("Reshape", [
    e.node("Transpose", [rows], { perm: { ints: [0, 2, 1] } }),
    ints(channels, 1, ...size),
  ]);
}

/** A depthwise convolution of features in blocks by a kernel in blocks. */
export function blockedDepthwise(
  e: EmitContext,
  x: string,
  kernel: string,
  channels: number,
  size: readonly [number, number],
  window: Window,
  bias?: string,
): string {
  const attributes = {
    kernel_shape: { ints: size },
    strides: { ints: window.stride },
    dilations: { ints: window.dilation },
    pads: { ints: window.pads },
    group: { int: channels },
  };
  return e.node("Conv", bias === undefined ? [x, kernel] : [x, kernel, bias], attributes, domain);
}

/**
 * Sums of products of the last axis of two tensors of `rows · columns` elements: the name of a `[rows, lanes]` tensor
 * whose last axis is still to be summed.
 *
 * In blocks, a row is taken for `block` channels of `columns / block` places, in memory's order, which is all the same
 * to a sum; a long row is cut so that threads share it.
 */
export function rowDots(
  e: EmitContext,
  a: string,
  b: string,
  rows: number,
  columns: number,
): { sums: string; lanes: number } {
  const ints = (...values: number[]): string => e.constant(int64(values));
  const block = e.channelBlock;
  if (block === 0 || columns % block !== 0 || e.types[0]!.dtype !== "float32")
    return { sums: e.node("Reshape", [e.node("Mul", [a, b]), ints(rows, columns)]), lanes: columns };
  const cuts = cutsOf(rows, columns, block);
  const [channels, places] = [rows * cuts * block, columns / cuts / block];
  const x = e.node("Reshape", [a, ints(1, channels, 1, places)]);
  const kernel = e.node("Reshape", [b, ints(channels, 1, 1, places)]);
  const window: Window = { stride: [1, 1], dilation: [1, 1], pads: [0, 0, 0, 0] };
  const sums = blockedDepthwise(e, x, kernel, channels, [1, places], window);
  return { sums: e.node("Reshape", [sums, ints(rows, cuts * block)]), lanes: cuts * block };
}

/**
 * Sums of the last axis of a tensor of `rows · columns` elements, as {@link rowDots} gives them, but each times
 * `1 / share`: the engine's means in blocks are several times as fast as its sums.
 */
export function rowSums(
  e: EmitContext,
  a: string,
  rows: number,
  columns: number,
): { sums: string; lanes: number; share: number } {
  const ints = (...values: number[]): string => e.constant(int64(values));
  const block = e.channelBlock;
  if (block === 0 || columns % block !== 0 || e.types[0]!.dtype !== "float32")
    return { sums: e.node("Reshape", [a, ints(rows, columns)]), lanes: columns, share: 1 };
  const cuts = cutsOf(rows, columns, block);
  const places = columns / cuts / block;
  const x = e.node("Reshape", [a, ints(1, rows * cuts * block, 1, places)]);
  const means = e.node("GlobalAveragePool", [x], {}, domain);
  return { sums: e.node("Reshape", [means, ints(rows, cuts * block)]), lanes: cuts * block, share: places };
}

/** Into how many parts a row is cut so that threads share it. */
function cutsOf(rows: number, columns: number, block: number): number {
  let cuts = 1;
  while (rows * cuts < 16 && columns % (cuts * 2 * block) === 0 && columns / (cuts * 2) >= 1024) cuts *= 2;
  return cuts;
}

/** A map `[N, C, h, w]` and what each of its channels is multiplied by, `[C]`. */
export type Term = readonly [map: string, factor: string];

/**
 * The sum of some terms and `shift[c]` of each channel, with an activation at the end: a pass for each term, on all
 * threads. Each is a depthwise convolution of one place, for which, as for {@link rowDots}, memory's order serves as one in
 * blocks. `undefined` where that does not fit, or is not worth its preparations.
 */
export function channelLine(
  e: EmitContext,
  terms: readonly Term[],
  shift: string,
  shape: readonly number[],
  activation: FusedActivation = "",
): string | undefined {
  const [n, c, h, w] = shape as [number, number, number, number];
  const block = e.channelBlock;
  if (block === 0 || (h * w) % block !== 0 || e.types[0]!.dtype !== "float32") return undefined;
  if (n * c * h * w < 1 << 16) return undefined;
  const ints = (...values: number[]): string => e.constant(int64(values));
  const channels = n * c * block;
  const repeated = (vector: string, ...dims: number[]): string => {
    const column = e.node("Reshape", [vector, ints(1, c, 1)]);
    return e.node("Reshape", [e.node("Expand", [column, ints(n, c, block)]), ints(...dims)]);
  };
  const line = terms.reduce<string | undefined>((sum, [map, factor], i) => {
    const rows = e.node("Reshape", [map, ints(1, channels, 1, (h * w) / block)]);
    const kernel = repeated(factor, channels, 1, 1, 1);
    const more = sum === undefined ? [repeated(shift, channels)] : ["", sum];
    const last = i === terms.length - 1 ? activationAttributes(activation) : {};
    return e.node("Conv", [rows, kernel, ...more], { ...onePlace(channels), ...last }, domain);
  }, undefined);
  return e.node("Reshape", [line!, ints(...shape)]);
}

/** Of a depthwise convolution that looks at one place. */
function onePlace(channels: number) {
  return {
    kernel_shape: { ints: [1, 1] },
    strides: { ints: [1, 1] },
    dilations: { ints: [1, 1] },
    pads: { ints: [0, 0, 0, 0] },
    group: { int: channels },
  };
}

/** What a convolution in blocks does to its output before it is written. */
export type FusedActivation = "" | "relu" | "relu6";

/** That, of one number. */
export function activated(activation: FusedActivation, value: number): number {
  return activation === "" ? value : Math.min(Math.max(value, 0), activation === "relu6" ? 6 : Infinity);
}

/** That, as its node has it. */
export function activationAttributes(activation: FusedActivation) {
  return {
    activation: activation === "" ? undefined : { text: activation === "relu6" ? "Clip" : "Relu" },
    activation_params: activation === "relu6" ? { floats: [0, 6] } : undefined,
  };
}

/** Only reorders: the runtime looks at what comes out to learn the size of a block. No part of any graph. */
const probeOp = defineOp("blockedProbe", {
  infer: ([x]) => x!,
  evaluate: ([x]) => x!,
  emit: (e) => intoBlocks(e, e.inputs[0]!),
  gradient: "none",
  properties: {},
});

/** `x` in blocks as they are on this machine; see `runtime/onnxruntime.ts`. */
export function blockedProbe(x: Value): Value {
  return apply(probeOp, [x], {});
}
