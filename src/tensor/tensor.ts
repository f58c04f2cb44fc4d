import { ShapeError } from "../errors.ts";

/** Element types, by their safetensors-like long names. float16 is held as raw bits in a `Uint16Array`. */
export type DType =
  "float64" | "float32" | "float16" | "int64" | "int32" | "int16" | "int8" | "uint16" | "uint8" | "bool";

/** Sizes of a tensor's dimensions, outermost first; `[]` is a scalar. */
export type Shape = readonly number[];

/** What each element type is stored in. bool is one byte of 0 or 1. */
export interface DataOf {
  float64: Float64Array;
  float32: Float32Array;
  float16: Uint16Array;
  int64: BigInt64Array;
  int32: Int32Array;
  int16: Int16Array;
  int8: Int8Array;
  uint16: Uint16Array;
  uint8: Uint8Array;
  bool: Uint8Array;
}

/** A dense array on the host, in C order: plain data. */
export interface Tensor<D extends DType = DType> {
  readonly dtype: D;
  readonly shape: Shape;
  readonly data: DataOf[D];
}

const constructors = {
  float64: Float64Array,
  float32: Float32Array,
  float16: Uint16Array,
  int64: BigInt64Array,
  int32: Int32Array,
  int16: Int16Array,
  int8: Int8Array,
  uint16: Uint16Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const;

/** Bytes of one element. */
export function bytesPerElement(dtype: DType): number {
  return constructors[dtype].BYTES_PER_ELEMENT;
}

/** Number of elements of a shape; 1 for a scalar. */
export function elementCount(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Steps, in elements, from one index of each dimension to the next, in C order. */
export function strides(shape: Shape): number[] {
  const result = new Array<number>(shape.length);
  let step = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    result[axis] = step;
    step *= shape[axis]!;
  }
  return result;
}

/** A typed array of `length` zeros of the type that holds `dtype`. */
export function allocate<D extends DType>(dtype: D, length: number): DataOf[D] {
  return new constructors[dtype](length) as DataOf[D];
}

/**
 * A tensor over `data`, which is not copied.
 *
 * @throws {ShapeError} if the shape's product is not the data's length
 */
export function tensor<D extends DType>(dtype: D, shape: Shape, data: DataOf[D]): Tensor<D> {
  if (elementCount(shape) !== data.length)
    throw new ShapeError(
      `a tensor of shape [${shape.join(", ")}] needs ${elementCount(shape)} elements, not ${data.length}`,
    );
  return { dtype, shape, data };
}

/** A float32 tensor from numbers; without a shape, a vector of them. */
export function float32(values: ArrayLike<number>, shape: Shape = [values.length]): Tensor<"float32"> {
  return tensor("float32", shape, values instanceof Float32Array ? values : Float32Array.from(values));
}

/** An int64 tensor from numbers (integers within ±2^53); without a shape, a vector of them. */
export function int64(values: ArrayLike<number>, shape: Shape = [values.length]): Tensor<"int64"> {
  return tensor("int64", shape, BigInt64Array.from(Array.from(values), BigInt));
}

/** A tensor of zeros. */
export function zeros<D extends DType>(dtype: D, shape: Shape): Tensor<D> {
  return tensor(dtype, shape, allocate(dtype, elementCount(shape)));
}

/** The same elements under another shape of equal size; data is shared. */
export function reshaped<D extends DType>(source: Tensor<D>, shape: Shape): Tensor<D> {
  return tensor(source.dtype, shape, source.data);
}
