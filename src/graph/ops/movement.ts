import {
  allocate,
  elementCount,
  int64,
  strides,
  tensor,
  type Shape,
  type Tensor,
} from "../../tensor/index.ts";
import { constant, staticShape, type Dim, type Type, type Value } from "../ir.ts";
import { full, sumTo, zerosOf } from "../cotangents.ts";
import { apply, defineOp, mismatch, typeText } from "../op.ts";
import { scatterAdd } from "./selection.ts";

/** Takes elements of `source` by their flat offsets. */
export function take(source: Tensor, shape: Shape, offsets: ArrayLike<number>): Tensor {
  const data = allocate(source.dtype, offsets.length) as Float64Array;
  const from = source.data as Float64Array;
  for (let i = 0; i < offsets.length; i++) data[i] = from[offsets[i]!]!;
  return tensor(source.dtype, shape, data as never);
}

/** Flat offsets of the elements of `shape`, element `i` of axis `a` at `origin[a] + i · step[a]` of a tensor with strides `stride`. */
function gridOffsets(shape: Shape, steps: readonly number[], origin = 0): Int32Array {
  const offsets = new Int32Array(elementCount(shape));
  const index = new Array<number>(shape.length).fill(0);
  for (let i = 0, at = origin; i < offsets.length; i++) {
    offsets[i] = at;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += steps[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      at -= steps[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return offsets;
}

/** The same elements, in C order, under another shape. One size may be named if the input has that name too. */
export const reshapeOp = defineOp<{ shape: readonly number[]; named: string; place: number }>("reshape", {
  infer: ([x], { shape, named, place }) => {
    const to: Dim[] = [...shape];
    if (place >= 0) to[place] = x!.shape.some((dim) => typeof dim === "string") ? named : sizeLeft(x!, shape);
    if (to.every((dim) => typeof dim === "number") && x!.shape.every((dim) => typeof dim === "number"))
      if (elementCount(to) !== elementCount(x!.shape as number[]))
        throw mismatch("reshape", [x!], `[${to.join(", ")}] has another number of elements`);
    return { dtype: x!.dtype, shape: to };
  },
  evaluate: ([x], _, [type]) => tensor(x!.dtype, type!.shape as number[], x!.data as never),
  emit: (e) =>
    e.node("Reshape", [e.inputs[0]!, e.constant(int64(e.attributes.shape))], {
      allowzero: { int: e.attributes.shape.includes(0) ? 1 : 0 },
    }),
  gradient: ({ inputs: [x], outputs: [y], cotangent }) => [reshape(full(cotangent, y!.shape), x!.shape)],
  properties: { movesData: true },
});

function sizeLeft(x: Type, shape: readonly number[]): number {
  const rest = shape.reduce((product, size) => (size < 0 ? product : product * size), 1);
  return elementCount(staticShape(x)) / rest;
}

/** The same elements under another shape; a size that is only known when the graph runs is given by its name. */
export function reshape(x: Value, shape: readonly Dim[]): Value {
  const place = shape.findIndex((dim) => typeof dim === "string");
  const named = place < 0 ? "" : (shape[place] as string);
  return apply(reshapeOp, [x], {
    shape: shape.map((dim) => (typeof dim === "string" ? -1 : dim)),
    named,
    place,
  });
}

/** Axes in another order: axis `i` of the result is axis `order[i]` of `x`. */
export const transposeOp = defineOp<{ order: readonly number[] }>("transpose", {
  infer: ([x], { order }) => {
    if (order.length !== x!.shape.length)
      throw mismatch("transpose", [x!], `the order [${order.join(", ")}] has another rank`);
    return { dtype: x!.dtype, shape: order.map((axis) => x!.shape[axis]!) };
  },
  evaluate: ([x], { order }, [type]) => {
    const step = strides(x!.shape);
    const shape = type!.shape as number[];
    return take(
      x!,
      shape,
      gridOffsets(
        shape,
        order.map((axis) => step[axis]!),
      ),
    );
  },
  emit: (e) => e.node("Transpose", e.inputs, { perm: { ints: e.attributes.order } }),
  gradient: ({ attributes: { order }, cotangent }) => [
    transpose(
      cotangent,
      order.map((_, axis) => order.indexOf(axis)),
    ),
  ],
  properties: { movesData: true },
});

/** Axes in another order. */
export function transpose(x: Value, order: readonly number[]): Value {
  return apply(transposeOp, [x], { order });
}

/** Tensors one after another along an axis. */
export const concatOp = defineOp<{ axis: number }>("concat", {
  infer: (inputs, { axis }) => {
    const [first] = inputs;
    for (const other of inputs)
      if (other.dtype !== first!.dtype || other.shape.some((dim, i) => i !== axis && dim !== first!.shape[i]))
        throw mismatch("concat", inputs, `all sizes but axis ${axis} must be equal`);
    const named = inputs.find((x) => typeof x.shape[axis] === "string");
    const size = named
      ? inputs.length === 1
        ? named.shape[axis]!
        : `${inputs.map((x) => x.shape[axis]).join("+")}`
      : inputs.reduce((sum, x) => sum + (x.shape[axis] as number), 0);
    return { dtype: first!.dtype, shape: first!.shape.map((dim, i) => (i === axis ? size : dim)) };
  },
  evaluate: (inputs, { axis }, [type]) => {
    const shape = type!.shape as number[];
    const data = allocate(type!.dtype, elementCount(shape)) as Float64Array;
    const outer = elementCount(shape.slice(0, axis));
    const row = elementCount(shape.slice(axis));
    let start = 0;
    for (const x of inputs) {
      const size = elementCount(x.shape.slice(axis));
      for (let i = 0; i < outer; i++)
        data.set((x.data as Float64Array).subarray(i * size, (i + 1) * size), i * row + start);
      start += size;
    }
    return tensor(type!.dtype, shape, data as never);
  },
  emit: (e) => e.node("Concat", e.inputs, { axis: { int: e.attributes.axis } }),
  gradient: ({ inputs, outputs: [y], attributes: { axis }, cotangent, wants }) => {
    const dy = full(cotangent, y!.shape);
    let start = 0;
    return inputs.map((x, i) => {
      const size = staticShape({ dtype: x.dtype, shape: [x.shape[axis]!] })[0]!;
      start += size;
      return wants(i) ? slice(dy, axis, start - size, start) : undefined;
    });
  },
  properties: { movesData: true },
});

/** Tensors one after another along an axis. */
export function concat(inputs: readonly Value[], axis: number): Value {
  return inputs.length === 1 ? inputs[0]! : apply(concatOp, inputs, { axis });
}

interface SliceAttributes {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
  readonly step: number;
  readonly [key: string]: number;
}

/** Elements `start`, `start + step`, … below `end` of one axis. */
export const sliceOp = defineOp<SliceAttributes>("slice", {
  infer: ([x], { axis, start, end, step }) => {
    const size = x!.shape[axis];
    if (typeof size === "number" && (start < 0 || end > size || start > end))
      throw mismatch("slice", [x!], `axis ${axis} has no ${start}…${end}`);
    return {
      dtype: x!.dtype,
      shape: x!.shape.map((dim, i) => (i === axis ? Math.ceil((end - start) / step) : dim)),
    };
  },
  evaluate: ([x], { axis, start, step }, [type]) => {
    const shape = type!.shape as number[];
    const own = strides(x!.shape);
    return take(
      x!,
      shape,
      gridOffsets(
        shape,
        own.map((s, i) => (i === axis ? s * step : s)),
        start * own[axis]!,
      ),
    );
  },
  emit: (e) => {
    const { axis, start, end, step } = e.attributes;
    return e.node("Slice", [e.inputs[0]!, ...[start, end, axis, step].map((v) => e.constant(int64([v])))]);
  },
  gradient: ({ inputs: [x], outputs: [y], attributes: { axis, start, end, step }, cotangent }) => {
    if (cotangent.shape[axis] === 1 && y!.shape[axis] !== 1) cotangent = full(cotangent, y!.shape);
    const size = staticShape({ dtype: x!.dtype, shape: [x!.shape[axis]!] })[0]!;
    if (step === 1) {
      const around = (n: number): number[] => x!.shape.map((_, i) => (i === axis ? n : 0));
      return [pad(cotangent, around(start), around(size - end))];
    }
    const rows = Array.from({ length: y!.shape[axis] as number }, (_, i) => start + i * step);
    return [scatterRows(full(cotangent, y!.shape), constant(int64(rows)), axis, x!.shape)];
  },
  properties: { movesData: true },
});

/** The transpose of taking rows of an axis by their indices, `[rows]`. */
function scatterRows(dy: Value, rows: Value, axis: number, shape: readonly Dim[]): Value {
  const front = [axis, ...shape.map((_, i) => i).filter((i) => i !== axis)];
  const back = front.map((_, i) => front.indexOf(i));
  const indices = reshape(rows, [rows.shape[0]!, 1]);
  if (axis === 0) return scatterAdd(zerosOf(shape), indices, dy);
  return transpose(scatterAdd(zerosOf(front.map((i) => shape[i]!)), indices, transpose(dy, front)), back);
}

/** Elements `start`, `start + step`, … below `end` of one axis. */
export function slice(x: Value, axis: number, start: number, end: number, step = 1): Value {
  return apply(sliceOp, [x], { axis, start, end, step });
}

/** A border of one value around a tensor. */
export const padOp = defineOp<{ before: readonly number[]; after: readonly number[]; value: number }>("pad", {
  infer: ([x], { before, after }) => ({
    dtype: x!.dtype,
    shape: x!.shape.map((dim, i) => {
      const more = before[i]! + after[i]!;
      if (typeof dim === "string" && more > 0)
        throw mismatch("pad", [x!], "only axes of known size can be padded");
      return typeof dim === "string" ? dim : dim + more;
    }),
  }),
  evaluate: ([x], { before, value }, [type]) => {
    const shape = type!.shape as number[];
    const data = (allocate(x!.dtype, elementCount(shape)) as Float64Array).fill(value);
    const step = strides(shape);
    const origin = before.reduce((sum, n, i) => sum + n * step[i]!, 0);
    gridOffsets(x!.shape, step, origin).forEach((to, from) => (data[to] = (x!.data as Float64Array)[from]!));
    return tensor(x!.dtype, shape, data as never);
  },
  emit: (e) => {
    const { before, after, value } = e.attributes;
    return e.node("Pad", [
      e.inputs[0]!,
      e.constant(int64([...before, ...after])),
      e.constant(tensor("float32", [], Float32Array.of(value))),
    ]);
  },
  gradient: ({ inputs: [x], outputs: [y], attributes: { before }, cotangent }) => [
    before.reduce(
      (dy, first, axis) =>
        dy.shape[axis] === x!.shape[axis] ? dy : slice(dy, axis, first, first + (x!.shape[axis] as number)),
      full(cotangent, y!.shape),
    ),
  ],
  properties: { movesData: true },
});

/** A border of `value` around a float32 tensor: `before` and `after` count rows of each axis. */
export function pad(x: Value, before: readonly number[], after: readonly number[], value = 0): Value {
  return [...before, ...after].every((n) => n === 0) ? x : apply(padOp, [x], { before, after, value });
}

/** Rows of `x` along an axis, by their indices (int64, any shape, which takes the axis's place). */
export const gatherOp = defineOp<{ axis: number }>("gather", {
  infer: ([x, indices], { axis }) => {
    if (indices!.dtype !== "int64" || axis >= x!.shape.length)
      throw mismatch("gather", [x!, indices!], `it wants int64 indices into axis ${axis}`);
    return {
      dtype: x!.dtype,
      shape: [...x!.shape.slice(0, axis), ...indices!.shape, ...x!.shape.slice(axis + 1)],
    };
  },
  evaluate: ([x, indices], { axis }, [type]) => {
    const inner = elementCount(x!.shape.slice(axis + 1));
    const size = x!.shape[axis]!;
    const offsets: number[] = [];
    for (let outer = 0; outer < elementCount(x!.shape.slice(0, axis)); outer++)
      for (const index of indices!.data as BigInt64Array) {
        const row = Number(index) < 0 ? Number(index) + size : Number(index);
        for (let i = 0; i < inner; i++) offsets.push((outer * size + row) * inner + i);
      }
    return take(x!, type!.shape as number[], offsets);
  },
  emit: (e) => e.node("Gather", e.inputs, { axis: { int: e.attributes.axis } }),
  gradient: ({ inputs: [x, indices], outputs: [y], attributes: { axis }, cotangent }) => {
    const [rows, dy] = [indices!.shape, full(cotangent, y!.shape)];
    const flat = rows.length === 1 ? rows[0]! : elementCount(staticShape(indices!));
    const merged =
      rows.length === 1 ? dy : reshape(dy, [...x!.shape.slice(0, axis), flat, ...x!.shape.slice(axis + 1)]);
    return [scatterRows(merged, rows.length === 1 ? indices! : reshape(indices!, [flat]), axis, x!.shape)];
  },
  properties: { movesData: true },
});

/** Rows of `x` along an axis, by their indices. */
export function gather(x: Value, indices: Value | readonly number[], axis: number): Value {
  return apply(gatherOp, [x, "source" in indices ? indices : constant(int64(indices))], { axis });
}

/** `x` repeated along its axes of size 1 to another shape. */
export const expandOp = defineOp<{ shape: readonly number[] }>("expand", {
  infer: ([x], { shape }) => {
    if (x!.shape.length !== shape.length || x!.shape.some((dim, i) => dim !== 1 && dim !== shape[i]))
      throw mismatch("expand", [x!], `${typeText(x!)} does not repeat to [${shape.join(", ")}]`);
    return { dtype: x!.dtype, shape };
  },
  evaluate: ([x], { shape }) => {
    const step = strides(x!.shape);
    return take(
      x!,
      shape,
      gridOffsets(
        shape,
        step.map((s, i) => (x!.shape[i] === 1 ? 0 : s)),
      ),
    );
  },
  emit: (e) => e.node("Expand", [e.inputs[0]!, e.constant(int64(e.attributes.shape))]),
  gradient: ({ inputs: [x], outputs: [y], cotangent }) => [sumTo(cotangent, y!.shape, x!.shape)],
  properties: { movesData: true },
});

/** `x` repeated along its axes of size 1 to another shape of the same rank. */
export function expand(x: Value, shape: readonly number[]): Value {
  return apply(expandOp, [x], { shape });
}
