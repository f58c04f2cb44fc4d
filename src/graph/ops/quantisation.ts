import { allocate, elementCount, tensor, type DType } from "../../tensor/index.ts";
import { constant, type Type, type Value } from "../ir.ts";
import { apply, defineOp, mismatch } from "../op.ts";
import { fromNumbers } from "./broadcast.ts";

/** Element types that numbers are rounded to, and the least and greatest of each. */
const limits = {
  uint8: [0, 255],
  int8: [-128, 127],
  int32: [-(2 ** 31), 2 ** 31 - 1],
} as const satisfies Partial<Record<DType, readonly [number, number]>>;

/** What whole numbers `q` stand for: `(q − zeroPoint) · scale`, for the whole tensor or per index of an axis. */
export interface Quantisation {
  readonly dtype: keyof typeof limits;
  /** One, or one per index of the axis; above 0. */
  readonly scales: Float32Array;
  /** The same for all; within the element type, so that zero is exact. */
  readonly zeroPoint: number;
}

/** `axis` −1: one scale for the whole tensor. */
type AxisAttribute = { readonly axis: number };

function inferLike(name: string, inputs: readonly Type[], axis: number, dtype: DType): Type {
  const [x, scale, zeroPoint] = inputs as [Type, Type, Type?];
  if (scale.dtype !== "float32" || (zeroPoint && !(zeroPoint.dtype in limits)))
    throw mismatch(name, inputs, "it wants a float32 scale and an integer zero point");
  const wanted = axis < 0 ? [] : [x.shape[axis]];
  for (const { shape } of zeroPoint ? [scale, zeroPoint] : [scale])
    if (shape.length !== wanted.length || shape[0] !== wanted[0])
      throw mismatch(
        name,
        inputs,
        axis < 0 ? "scale and zero point are without dimensions" : `scale and zero point go by axis ${axis}`,
      );
  return { dtype, shape: x.shape };
}

/** For each element, in C order, the index of its scale. */
function scaleIndex(shape: readonly number[], axis: number): (i: number) => number {
  if (axis < 0) return () => 0;
  const step = elementCount(shape.slice(axis + 1));
  return (i) => Math.floor(i / step) % shape[axis]!;
}

/** To the nearest whole number; from halfway to the even one. */
export function roundEven(x: number): number {
  const nearest = Math.round(x);
  return nearest - x === 0.5 && nearest % 2 !== 0 ? nearest - 1 : nearest;
}

const axisOf = (axis: number): { axis: { int: number } } | undefined =>
  axis < 0 ? undefined : { axis: { int: axis } };

/**
 * `round(x / scale) + zeroPoint`, held within the zero point's element type (ONNX QuantizeLinear): halves go to the
 * even number. Inputs: `x`, the scale, the zero point.
 */
export const quantiseOp = defineOp<AxisAttribute>("quantise", {
  infer: (inputs, { axis }) => inferLike("quantise", inputs, axis, inputs[2]!.dtype),
  evaluate: ([x, scale, zeroPoint], { axis }) => {
    const dtype = zeroPoint!.dtype as keyof typeof limits;
    const [least, most] = limits[dtype];
    const at = scaleIndex(x!.shape, axis);
    const data = allocate(dtype, x!.data.length);
    const [source, scales, zeros] = [x!.data, scale!.data, zeroPoint!.data] as Float32Array[];
    for (let i = 0; i < data.length; i++) {
      const part = at(i);
      const exact = Math.fround(source![i]! / scales![part]!); // the engine divides in float32
      data[i] = Math.min(Math.max(roundEven(exact) + zeros![part]!, least), most);
    }
    return tensor(dtype, x!.shape, data);
  },
  emit: (e) => e.node("QuantizeLinear", e.inputs, axisOf(e.attributes.axis)),
  gradient: "none",
  properties: {},
});

/** `(q − zeroPoint) · scale` as float32 (ONNX DequantizeLinear). Inputs: `q`, the scale, the zero point (0 where it is left out). */
export const dequantiseOp = defineOp<AxisAttribute>("dequantise", {
  infer: (inputs, { axis }) => {
    const [q, , zeroPoint] = inputs;
    if (!(q!.dtype in limits) || (zeroPoint && q!.dtype !== zeroPoint.dtype))
      throw mismatch("dequantise", inputs, "it wants whole numbers, and a zero point of their element type");
    return inferLike("dequantise", inputs, axis, "float32");
  },
  evaluate: ([q, scale, zeroPoint], { axis }) => {
    const at = scaleIndex(q!.shape, axis);
    const [source, scales] = [q!.data, scale!.data] as Int32Array[];
    const zeros = zeroPoint?.data as Int32Array | undefined;
    const data = Float32Array.from(
      source!,
      (value, i) => Math.fround(value - (zeros?.[at(i)] ?? 0)) * scales![at(i)]!,
    );
    return tensor("float32", q!.shape, data);
  },
  emit: (e) => e.node("DequantizeLinear", e.inputs, axisOf(e.attributes.axis)),
  gradient: "unsupported",
  properties: {},
});

/** `x` as whole numbers; `axis`: where the scales go by an axis. */
export function quantise(x: Value, { dtype, scales, zeroPoint }: Quantisation, axis = -1): Value {
  const shape = axis < 0 ? [] : [scales.length];
  const zeros = Array.from(scales, () => zeroPoint);
  return apply(
    quantiseOp,
    [x, constant(tensor("float32", shape, scales)), constant(fromNumbers(dtype, shape, zeros))],
    { axis },
  );
}

/** What whole numbers stand for, as float32; `axis`: where the scales go by an axis. */
export function dequantise(q: Value, { dtype, scales, zeroPoint }: Quantisation, axis = -1): Value {
  const shape = axis < 0 ? [] : [scales.length];
  const inputs = [q, constant(tensor("float32", shape, scales))];
  if (zeroPoint !== 0)
    inputs.push(
      constant(
        fromNumbers(
          dtype,
          shape,
          Array.from(scales, () => zeroPoint),
        ),
      ),
    );
  return apply(dequantiseOp, inputs, { axis });
}
