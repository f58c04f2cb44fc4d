import type { Shape, Tensor } from "../tensor/index.ts";
import { allocate, strides, tensor } from "../tensor/index.ts";
import type { LazyTensor } from "./checkpoint.ts";

/**
 * A tensor with its dimensions in another order, copied: dimension `i` of the result is dimension `order[i]` of the
 * source.
 */
export function permuted(source: Tensor, order: readonly number[]): Tensor {
  const shape = order.map((axis) => source.shape[axis]!);
  const from = strides(source.shape);
  const steps = order.map((axis) => from[axis]!);
  const data = allocate(source.dtype, source.data.length);
  const index = new Array<number>(shape.length).fill(0);
  let position = 0;
  for (let to = 0; to < data.length; to++) {
    data[to] = source.data[position]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      position += steps[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      position -= steps[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return tensor(source.dtype, shape, data);
}

/** {@link permuted}, done when the tensor is read. */
export function permutedLazily(source: LazyTensor, order: readonly number[]): LazyTensor {
  const shape: Shape = order.map((axis) => source.shape[axis]!);
  return { dtype: source.dtype, shape, read: () => permuted(source.read(), order) };
}
