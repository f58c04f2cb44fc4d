import {
  allocate,
  elementCount,
  strides,
  tensor,
  type DType,
  type Shape,
  type Tensor,
} from "../../tensor/index.ts";
import type { Dim, Type } from "../ir.ts";
import { mismatch } from "../op.ts";

/** The shape that `a` and `b` broadcast to (NumPy's rule); a named size meets itself or 1. */
export function broadcastShape(op: string, a: Type, b: Type): Dim[] {
  const rank = Math.max(a.shape.length, b.shape.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a.shape[i - rank + a.shape.length] ?? 1;
    const y = b.shape[i - rank + b.shape.length] ?? 1;
    if (x === y || y === 1) return x;
    if (x === 1) return y;
    throw mismatch(op, [a, b], `sizes ${x} and ${y} of axis ${i} do not broadcast`);
  });
}

/** For each element of `target`, in C order, the offset into a tensor of shape `source` broadcast to it. */
export function broadcastOffsets(source: Shape, target: Shape): Int32Array {
  const step = strides(source);
  const steps = target.map((_, i) => {
    const axis = i - target.length + source.length;
    return axis < 0 || source[axis] === 1 ? 0 : step[axis]!;
  });
  const offsets = new Int32Array(elementCount(target));
  const index = new Array<number>(target.length).fill(0);
  let offset = 0;
  for (let i = 0; i < offsets.length; i++) {
    offsets[i] = offset;
    for (let axis = target.length - 1; axis >= 0; axis--) {
      offset += steps[axis]!;
      if (++index[axis]! < target[axis]!) break;
      offset -= steps[axis]! * target[axis]!;
      index[axis] = 0;
    }
  }
  return offsets;
}

/** A tensor from numbers, converted to `dtype` (int64 from whole numbers). */
export function fromNumbers(dtype: DType, shape: Shape, values: ArrayLike<number>): Tensor {
  const data = allocate(dtype, values.length);
  if (data instanceof BigInt64Array) for (let i = 0; i < values.length; i++) data[i] = BigInt(values[i]!);
  else for (let i = 0; i < values.length; i++) data[i] = values[i]!;
  return tensor(dtype, shape, data);
}

/** The elements as numbers. */
export function toNumbers(source: Tensor): ArrayLike<number> {
  return source.data instanceof BigInt64Array ? Array.from(source.data, Number) : source.data;
}
