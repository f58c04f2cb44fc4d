import { allocate, elementCount, int64, tensor, type Shape } from "../../tensor/index.ts";
import { full } from "../cotangents.ts";
import { staticShape, type Dim, type Value } from "../ir.ts";
import { apply, defineOp, mismatch, type EmitContext } from "../op.ts";
import { fromNumbers } from "./broadcast.ts";
import { blockedDepthwise, blockedKernel, fitsBlocks, intoBlocks, outOfBlocks } from "./blocked.ts";
import {
  conv2d,
  samePads,
  windowOutput,
  type ConvolutionAttributes,
  type ConvolutionOptions,
} from "./convolution.ts";

/*
 * A convolution is linear in its input and in its kernel. These are its two transposes; the gradients of all three are
 * each other.
 */

type Four = [number, number, number, number];

/** Calls `visit(offset in x, offset in the kernel, offset in y)` for every product that a convolution adds up. */
function forEachProduct(
  x: Shape,
  kernel: Shape,
  y: Shape,
  { stride, dilation, pads, groups }: ConvolutionAttributes,
  visit: (x: number, kernel: number, y: number) => void,
): void {
  const [n, o, oh, ow] = y as Four;
  const [, c, h, w] = x as Four;
  const [, cg, kh, kw] = kernel as Four;
  for (let b = 0, at = 0; b < n; b++)
    for (let k = 0; k < o; k++) {
      const first = b * c + Math.floor(k / (o / groups)) * cg;
      for (let i = 0; i < oh; i++)
        for (let j = 0; j < ow; j++, at++)
          for (let q = 0; q < cg; q++)
            for (let u = 0; u < kh; u++) {
              const row = i * stride[0] + u * dilation[0] - pads[0];
              if (row < 0 || row >= h) continue;
              for (let v = 0; v < kw; v++) {
                const column = j * stride[1] + v * dilation[1] - pads[1];
                if (column >= 0 && column < w)
                  visit(((first + q) * h + row) * w + column, ((k * cg + q) * kh + u) * kw + v, at);
              }
            }
    }
}

interface InputGradientAttributes extends ConvolutionAttributes {
  /** Height and width of the result. */
  readonly size: readonly [number, number];
}

/**
 * The transpose of a convolution in its input: from `dy [N, O, oh, ow]` and `kernel [O, C / groups, kh, kw]` the
 * `[N, C, h, w]` that the convolution came from. Transposed convolution is the same thing.
 */
export const conv2dInputGradientOp = defineOp<InputGradientAttributes>("conv2dInputGradient", {
  infer: (inputs, { stride, dilation, pads, groups, size }) => {
    const [dy, kernel] = inputs;
    if (dy!.shape.length !== 4 || kernel!.shape.length !== 4)
      throw mismatch("conv2dInputGradient", inputs, "it wants [N, O, h, w] and [O, C/groups, kh, kw]");
    const [outputs, channels, kh, kw] = staticShape(kernel!) as Four;
    const h = windowOutput(size[0], kh, pads[0], pads[2], stride[0], dilation[0]);
    const w = windowOutput(size[1], kw, pads[1], pads[3], stride[1], dilation[1]);
    if (dy!.shape[1] !== outputs || dy!.shape[2] !== h || dy!.shape[3] !== w || outputs % groups !== 0)
      throw mismatch(
        "conv2dInputGradient",
        inputs,
        `to [${size.join(", ")}] it wants ${outputs} channels of [${h}, ${w}]`,
      );
    return { dtype: dy!.dtype, shape: [dy!.shape[0]!, channels * groups, ...size] };
  },
  evaluate: ([dy, kernel], attributes, [type]) => {
    const shape = type!.shape as number[];
    const dx = allocate(dy!.dtype, elementCount(shape)) as Float64Array;
    const [from, weights] = [dy!.data as Float64Array, kernel!.data as Float64Array];
    forEachProduct(
      shape,
      kernel!.shape,
      dy!.shape,
      attributes,
      (x, k, y) => (dx[x]! += from[y]! * weights[k]!),
    );
    return tensor(dy!.dtype, shape, dx as never);
  },
  emit: emitInputGradient,
  gradient: ({ inputs: [dy, kernel], outputs: [dx], attributes, cotangent, wants }) => {
    const ddx = full(cotangent, dx!.shape);
    return [
      wants(0) ? conv2d(ddx, kernel!, undefined, { ...attributes, padding: attributes.pads }) : undefined,
      wants(1) ? conv2dKernelGradient(ddx, dy!, kernel!.shape, attributes) : undefined,
    ];
  },
  properties: {
    multiplyAdds: (node) =>
      elementCount(staticShape(node.inputs[0]!)) * elementCount(staticShape(node.inputs[1]!).slice(1)),
  },
});

function emitInputGradient(e: EmitContext<InputGradientAttributes>): string {
  const { stride, dilation, pads, groups, size } = e.attributes;
  const [outputs, channels, kh, kw] = e.types[1]!.shape as Four;
  const [dy, kernel] = e.inputs as [string, string];
  const ends = [kh, kw].map((k, axis) => (k - 1) * dilation[axis]!) as [number, number];
  // What the windows of the convolution did not reach of its input: rows below, columns right.
  const unseen = ends.map(
    (end, axis) =>
      size[axis]! +
      pads[axis]! +
      pads[axis + 2]! -
      end -
      1 -
      ((e.types[0]!.shape[axis + 2] as number) - 1) * stride[axis]!,
  ) as [number, number];
  const blocked =
    channels === 1 && outputs === groups && fitsBlocks(e, groups) ? blockedInputGradient(e) : undefined;
  if (blocked !== undefined) return blocked;
  if (
    stride[0] !== 1 ||
    stride[1] !== 1 ||
    ends.some((end, axis) => pads[axis]! > end || pads[axis + 2]! > end)
  )
    return e.node("ConvTranspose", [dy, kernel], {
      kernel_shape: { ints: [kh, kw] },
      strides: { ints: stride },
      dilations: { ints: dilation },
      pads: { ints: pads },
      output_padding: { ints: unseen },
      group: { int: groups },
    });
  const transposed = transposedKernel(e, kernel, [outputs, channels, kh, kw], groups);
  return e.node("Conv", [dy, transposed], {
    kernel_shape: { ints: [kh, kw] },
    dilations: { ints: dilation },
    pads: { ints: [ends[0] - pads[0], ends[1] - pads[1], ends[0] - pads[2], ends[1] - pads[3]] },
    group: { int: groups },
  });
}

/** Along one axis: what elements `phase`, `phase + stride`, … of the input's cotangent are made of. */
interface Phase {
  /** Places of the kernel, in the order in which a window over `dy` meets them. */
  readonly taps: readonly number[];
  readonly before: number;
  readonly after: number;
}

/**
 * A window that moves by `stride` takes every `stride`-th element of the cotangent from the same places of the kernel:
 * each such phase is a small convolution of `dy` of its own.
 */
function phasesOf(kernel: number, stride: number, pad: number, size: number, outputs: number): Phase[] {
  return Array.from({ length: stride }, (_, phase) => {
    const first = (phase + pad) % stride;
    const taps = Array.from(
      { length: Math.max(0, Math.ceil((kernel - first) / stride)) },
      (_, m) => first + m * stride,
    ).reverse();
    const shift = (phase + pad - first) / stride;
    return { taps, before: taps.length - 1 - shift, after: size / stride - 1 + shift - (outputs - 1) };
  });
}

/** The cotangent of a depthwise convolution's input in the engine's own layout; `undefined` for windows that do not come out even. */
function blockedInputGradient(e: EmitContext<InputGradientAttributes>): string | undefined {
  const { stride, dilation, pads, size } = e.attributes;
  const [channels, , kh, kw] = e.types[1]!.shape as Four;
  const [n, , oh, ow] = e.types[0]!.shape as Four;
  if (dilation.some((d) => d !== 1) || size.some((side, axis) => side % stride[axis]! !== 0))
    return undefined;
  const rows = phasesOf(kh, stride[0], pads[0], size[0], oh);
  const columns = phasesOf(kw, stride[1], pads[1], size[1], ow);
  if ([...rows, ...columns].some(({ taps, before, after }) => taps.length === 0 || before < 0 || after < 0))
    return undefined;
  const dy = intoBlocks(e, e.inputs[0]!);
  const ints = (...values: number[]): string => e.constant(int64(values));
  const block = e.channelBlock;
  const [h, w] = [size[0] / stride[0], size[1] / stride[1]];
  // Phases of a row lie side by side, block by block; rows of phases one after the other.
  const lines = rows.map((row) => {
    const parts = columns.map((column) => {
      const places = row.taps.flatMap((y) => column.taps.map((x) => y * kw + x));
      const taps = [row.taps.length, column.taps.length] as const;
      const kernel = blockedKernel(e, e.inputs[1]!, channels, [kh, kw], places, taps);
      const pads = [row.before, column.before, row.after, column.after] as const;
      return blockedDepthwise(e, dy, kernel, channels, taps, { stride: [1, 1], dilation: [1, 1], pads });
    });
    if (parts.length === 1) return parts[0]!;
    const flat = parts.map((part) => e.node("Reshape", [part, ints((n * channels * h * w) / block, block)]));
    return e.node("Concat", flat, { axis: { int: 1 } });
  });
  if (lines.length === 1 && columns.length === 1) return outOfBlocks(e, lines[0]!, channels);
  const flat = lines.map((line) =>
    e.node("Reshape", [line, ints((n * channels * h) / block, size[1] * block)]),
  );
  const whole = flat.length === 1 ? flat[0]! : e.node("Concat", flat, { axis: { int: 1 } });
  return outOfBlocks(e, e.node("Reshape", [whole, ints(n, channels, ...size)]), channels);
}

/** `[O, C / groups, kh, kw]` into `[C, O / groups, kh, kw]` with rows and columns in reverse. */
function transposedKernel(
  e: EmitContext,
  kernel: string,
  [outputs, channels, kh, kw]: Four,
  groups: number,
): string {
  const ints = (values: readonly number[]): string => e.constant(int64(values));
  let turned = kernel;
  if (groups === 1) turned = e.node("Transpose", [kernel], { perm: { ints: [1, 0, 2, 3] } });
  else if (channels !== 1 || outputs !== groups) {
    const parts = e.node("Reshape", [kernel, ints([groups, outputs / groups, channels, kh, kw])]);
    const swapped = e.node("Transpose", [parts], { perm: { ints: [0, 2, 1, 3, 4] } });
    turned = e.node("Reshape", [swapped, ints([groups * channels, outputs / groups, kh, kw])]);
  }
  if (kh === 1 && kw === 1) return turned;
  const rows = e.node("Reshape", [turned, ints([groups * channels, outputs / groups, kh * kw])]);
  const reversed = e.node(
    "Gather",
    [rows, ints(Array.from({ length: kh * kw }, (_, i) => kh * kw - 1 - i))],
    { axis: { int: 2 } },
  );
  return e.node("Reshape", [reversed, ints([groups * channels, outputs / groups, kh, kw])]);
}

/** The cotangent of a convolution's input `[N, C, h, w]`, of shape `shape`. */
export function conv2dInputGradient(
  dy: Value,
  kernel: Value,
  shape: readonly Dim[],
  { stride, dilation, pads, groups }: ConvolutionAttributes,
): Value {
  return apply(conv2dInputGradientOp, [dy, kernel], {
    stride,
    dilation,
    pads,
    groups,
    size: [shape[2] as number, shape[3] as number],
  });
}

interface KernelGradientAttributes extends ConvolutionAttributes {
  /** Height and width of the kernel. */
  readonly size: readonly [number, number];
}

/**
 * The transpose of a convolution in its kernel: from `x [N, C, h, w]` and `dy [N, O, oh, ow]` the cotangent of the
 * kernel, `[O, C / groups, kh, kw]`.
 */
export const conv2dKernelGradientOp = defineOp<KernelGradientAttributes>("conv2dKernelGradient", {
  infer: (inputs, { groups, size }) => {
    const [x, dy] = inputs;
    if (x!.shape.length !== 4 || dy!.shape.length !== 4 || x!.shape[0] !== dy!.shape[0])
      throw mismatch("conv2dKernelGradient", inputs, "it wants [N, C, h, w] and [N, O, oh, ow]");
    return { dtype: x!.dtype, shape: [dy!.shape[1]!, (x!.shape[1] as number) / groups, ...size] };
  },
  evaluate: ([x, dy], attributes, [type]) => {
    const shape = type!.shape as number[];
    const dk = allocate(x!.dtype, elementCount(shape)) as Float64Array;
    const [source, from] = [x!.data as Float64Array, dy!.data as Float64Array];
    forEachProduct(x!.shape, shape, dy!.shape, attributes, (i, k, y) => (dk[k]! += from[y]! * source[i]!));
    return tensor(x!.dtype, shape, dk as never);
  },
  emit: emitKernelGradient,
  gradient: ({ inputs: [x, dy], outputs: [dk], attributes, cotangent, wants }) => {
    const ddk = full(cotangent, dk!.shape);
    return [
      wants(0) ? conv2dInputGradient(dy!, ddk, x!.shape, attributes) : undefined,
      wants(1) ? conv2d(x!, ddk, undefined, { ...attributes, padding: attributes.pads }) : undefined,
    ];
  },
  properties: {
    multiplyAdds: (node) =>
      elementCount(staticShape(node.inputs[1]!)) * elementCount(staticShape(node.outputs[0]!).slice(1)),
  },
});

function emitKernelGradient(e: EmitContext<KernelGradientAttributes>): string {
  const { stride, dilation, pads, groups, size } = e.attributes;
  const [n, c, h, w] = e.types[0]!.shape as Four;
  const [, o, oh, ow] = e.types[1]!.shape as Four;
  const [kh, kw] = size;
  const ints = (...values: number[]): string => e.constant(int64(values));
  const [x, dy] = e.inputs as [string, string];
  if (kh * kw === 1 && groups === 1 && stride[0] === 1 && stride[1] === 1 && pads.every((n) => n === 0)) {
    const rows = e.node("Reshape", [dy, ints(n, o, oh * ow)]);
    const columns = e.node("Reshape", [x, ints(n, c, h * w)]);
    const product =
      e.dialect === "onnxruntime" && e.types[0]!.dtype === "float32"
        ? e.node("FusedMatMul", [rows, columns], { transB: { int: 1 } }, "com.microsoft")
        : e.node("MatMul", [rows, e.node("Transpose", [columns], { perm: { ints: [0, 2, 1] } })]);
    return perPicture(e, product, n, [o, c, 1, 1]);
  }
  // A convolution again, of the input by the cotangent: pictures and channels change places, stride and dilation too.
  // For depthwise convolutions every plane of every picture is a group, and the pictures are added up at the end.
  const after = [h, w].map((side, axis) => {
    const outputs = [oh, ow][axis]!;
    return (size[axis]! - 1) * dilation[axis]! + (outputs - 1) * stride[axis]! + 1 - side - pads[axis]!;
  }) as [number, number];
  if (groups === c && o === c && after[0] >= 0 && after[1] >= 0 && fitsBlocks(e, c)) {
    const planes = e.node("Reshape", [intoBlocks(e, x), ints(1, n * c, h, w)]);
    const kernels = e.node("Reshape", [intoBlocks(e, dy), ints(n * c, 1, oh, ow)]);
    const moves = {
      stride: dilation,
      dilation: stride,
      pads: [pads[0], pads[1], after[0], after[1]],
    } as const;
    const each = outOfBlocks(e, blockedDepthwise(e, planes, kernels, n * c, [oh, ow], moves), n * c);
    return perPicture(e, each, n, [c, 1, kh, kw]);
  }
  const cropped = cropTo(e, x, [h, w], after);
  const window = {
    kernel_shape: { ints: [oh, ow] },
    strides: { ints: dilation },
    dilations: { ints: stride },
    pads: { ints: [pads[0], pads[1], Math.max(after[0], 0), Math.max(after[1], 0)] },
  };
  const [ch, cw] = [h + Math.min(after[0], 0), w + Math.min(after[1], 0)];
  if (groups === c && o === c) {
    const planes = e.node("Reshape", [cropped, ints(1, n * c, ch, cw)]);
    const kernels = e.node("Reshape", [dy, ints(n * c, 1, oh, ow)]);
    return perPicture(e, e.node("Conv", [planes, kernels], { ...window, group: { int: n * c } }), n, [
      c,
      1,
      kh,
      kw,
    ]);
  }
  const parts = e.node("Reshape", [cropped, ints(n, groups, c / groups, ch, cw)]);
  const pictures = e.node("Reshape", [
    e.node("Transpose", [parts], { perm: { ints: [2, 1, 0, 3, 4] } }),
    ints(c / groups, groups * n, ch, cw),
  ]);
  const kernels = e.node("Transpose", [dy], { perm: { ints: [1, 0, 2, 3] } });
  const turned = e.node("Conv", [pictures, kernels], { ...window, group: { int: groups } });
  return e.node("Transpose", [turned], { perm: { ints: [1, 0, 2, 3] } });
}

/** Kernel by kernel of each picture, added up over the pictures: by a product with ones, which is ten times as fast as ReduceSum here. */
function perPicture(e: EmitContext, each: string, n: number, shape: Four): string {
  const ints = (...values: number[]): string => e.constant(int64(values));
  if (n === 1) return e.node("Reshape", [each, ints(...shape)]);
  const byPicture = e.node("Reshape", [each, ints(n, elementCount(shape))]);
  const ones = e.constant(fromNumbers(e.types[0]!.dtype, [1, n], new Array<number>(n).fill(1)));
  return e.node("Reshape", [e.node("MatMul", [ones, byPicture]), ints(...shape)]);
}

/** Without the rows and columns at the end that the convolution's windows never reached. */
function cropTo(e: EmitContext, x: string, [h, w]: [number, number], after: [number, number]): string {
  if (after[0] >= 0 && after[1] >= 0) return x;
  const ends = [h + Math.min(after[0], 0), w + Math.min(after[1], 0)];
  return e.node("Slice", [x, e.constant(int64([0, 0])), e.constant(int64(ends)), e.constant(int64([2, 3]))]);
}

/** The cotangent of a convolution's kernel, of shape `shape` `[O, C / groups, kh, kw]`. */
export function conv2dKernelGradient(
  x: Value,
  dy: Value,
  shape: readonly Dim[],
  { stride, dilation, pads, groups }: ConvolutionAttributes,
): Value {
  return apply(conv2dKernelGradientOp, [x, dy], {
    stride,
    dilation,
    pads,
    groups,
    size: [shape[2] as number, shape[3] as number],
  });
}

/**
 * Transposed convolution of `x [N, I, h, w]` by `kernel [I, O / groups, kh, kw]` to `[N, O, h · stride, w · stride]`:
 * the transpose of a convolution with SAME padding (Keras' `Conv2DTranspose`).
 */
export function transposedConv2d(
  x: Value,
  kernel: Value,
  options: Pick<ConvolutionOptions, "stride" | "groups"> = {},
): Value {
  const { stride = 1, groups = 1 } = options;
  const strides = typeof stride === "number" ? ([stride, stride] as const) : stride;
  const [, channels, kh, kw] = staticShape(kernel) as Four;
  const size = [(x.shape[2] as number) * strides[0], (x.shape[3] as number) * strides[1]] as const;
  const pads = samePads(size, [kh, kw], strides);
  return conv2dInputGradient(x, kernel, [x.shape[0]!, channels * groups, ...size], {
    stride: strides,
    dilation: [1, 1],
    pads,
    groups,
  });
}
