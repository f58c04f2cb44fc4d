import { allocate, elementCount, int64, tensor, type Tensor } from "../../tensor/index.ts";
import { full, sumTo } from "../cotangents.ts";
import { staticShape, type Dim, type Type, type Value } from "../ir.ts";
import { apply, defineOp, mismatch, type GradientRule, type Op } from "../op.ts";
import { rowDots } from "./blocked.ts";
import { fromNumbers } from "./broadcast.ts";
import { cast, div, equal, mul, sub } from "./elementwise.ts";
import { transpose } from "./movement.ts";

interface ReduceAttributes {
  readonly axes: readonly number[];
  readonly [key: string]: readonly number[];
}

/** A reduction over some axes, which stay with size 1. `operator` takes its axes as an input from `axesInputSince` on. */
function reduction(
  name: string,
  operator: string,
  axesInputSince: number,
  start: number,
  step: (sum: number, x: number) => number,
  gradient: GradientRule<ReduceAttributes>,
  mean = false,
): Op<ReduceAttributes> {
  return defineOp<ReduceAttributes>(name, {
    infer: ([x], { axes }) => {
      if (axes.some((axis) => axis < 0 || axis >= x!.shape.length))
        throw mismatch(name, [x!], `there is no axis ${axes.join(", ")}`);
      return { dtype: x!.dtype, shape: x!.shape.map((dim, axis): Dim => (axes.includes(axis) ? 1 : dim)) };
    },
    evaluate: ([x], { axes }, [type]) => {
      const shape = type!.shape as number[];
      const data = (allocate(x!.dtype, elementCount(shape)) as Float64Array).fill(start);
      forEachReduced(x!, axes, (from, to) => (data[to] = step(data[to]!, (x!.data as Float64Array)[from]!)));
      if (mean) for (let i = 0, n = elementCount(x!.shape) / data.length; i < data.length; i++) data[i]! /= n;
      return tensor(x!.dtype, shape, data as never);
    },
    emit: (e) => {
      const { axes } = e.attributes;
      return e.opset >= axesInputSince
        ? e.node(operator, [e.inputs[0]!, e.constant(int64(axes))])
        : e.node(operator, e.inputs, { axes: { ints: axes } });
    },
    gradient,
    properties: {},
  });
}

/** Calls `visit(offset in x, offset in the reduced tensor)` for every element of `x`. */
function forEachReduced(x: Tensor, axes: readonly number[], visit: (from: number, to: number) => void): void {
  const steps = new Array<number>(x.shape.length).fill(0);
  for (let axis = x.shape.length - 1, step = 1; axis >= 0; axis--) {
    if (axes.includes(axis)) continue;
    steps[axis] = step;
    step *= x.shape[axis]!;
  }
  const index = new Array<number>(x.shape.length).fill(0);
  for (let from = 0, to = 0; from < x.data.length; from++) {
    visit(from, to);
    for (let axis = x.shape.length - 1; axis >= 0; axis--) {
      to += steps[axis]!;
      if (++index[axis]! < x.shape[axis]!) break;
      to -= steps[axis]! * x.shape[axis]!;
      index[axis] = 0;
    }
  }
}

/** The same cotangent goes to every element that was summed. */
export const reduceSumOp = reduction(
  "reduceSum",
  "ReduceSum",
  13,
  0,
  (sum, x) => sum + x,
  ({ cotangent }) => [cotangent],
);
export const reduceMeanOp = reduction(
  "reduceMean",
  "ReduceMean",
  18,
  0,
  (sum, x) => sum + x,
  ({ inputs: [x], attributes: { axes }, cotangent }) => [mul(cotangent, 1 / sizeOver(x!, axes))],
  true,
);
/** Equal largest elements share the cotangent. */
export const reduceMaxOp = reduction(
  "reduceMax",
  "ReduceMax",
  18,
  -Infinity,
  Math.max,
  ({ inputs: [x], outputs: [y], attributes: { axes }, cotangent }) => {
    const largest = cast(equal(x!, y!), x!.dtype);
    return [mul(div(cotangent, reduceSum(largest, axes)), largest)];
  },
);

/** How many elements of `x` one element of its reduction comes from. */
function sizeOver(x: Value, axes: readonly number[]): number {
  return elementCount(staticShape({ dtype: x.dtype, shape: axes.map((axis) => x.shape[axis]!) }));
}

const reduce =
  (op: Op<ReduceAttributes>) =>
  (x: Value, axes: readonly number[]): Value =>
    apply(op, [x], { axes });

/** Sum over some axes, which stay with size 1. */
export const reduceSum = reduce(reduceSumOp);
/** Mean over some axes, which stay with size 1. */
export const reduceMean = reduce(reduceMeanOp);
/** Maximum over some axes, which stay with size 1. */
export const reduceMax = reduce(reduceMaxOp);

/** Index of the largest element of an axis (the first of equals), int64; the axis goes. */
export const argMaxOp = defineOp<{ axis: number }>("argMax", {
  infer: ([x], { axis }) => ({ dtype: "int64", shape: x!.shape.filter((_, i) => i !== axis) }),
  evaluate: ([x], { axis }, [type]) => {
    const shape = type!.shape as number[];
    const best = new Float64Array(elementCount(shape)).fill(-Infinity);
    const at = new Float64Array(best.length);
    const inner = elementCount(x!.shape.slice(axis + 1));
    forEachReduced(x!, [axis], (from, to) => {
      const value = (x!.data as Float64Array)[from]!;
      if (value > best[to]!) [best[to], at[to]] = [value, Math.floor(from / inner) % x!.shape[axis]!];
    });
    return fromNumbers("int64", shape, at);
  },
  emit: (e) => e.node("ArgMax", e.inputs, { axis: { int: e.attributes.axis }, keepdims: { int: 0 } }),
  gradient: "none",
  properties: {},
});

/** Index of the largest element of an axis, int64; the axis goes. */
export function argMax(x: Value, axis: number): Value {
  return apply(argMaxOp, [x], { axis });
}

/** Softmax along an axis, `exp(x) / Σ exp(x)`. */
export const softmaxOp = defineOp<{ axis: number }>("softmax", {
  infer: ([x]) => x!,
  evaluate: ([x], { axis }) => {
    const groups = elementCount(x!.shape) / (x!.shape[axis] || 1);
    const [source, largest, sums] = [
      x!.data as Float64Array,
      new Float64Array(groups).fill(-Infinity),
      new Float64Array(groups),
    ];
    const data = allocate(x!.dtype, source.length) as Float64Array;
    forEachReduced(x!, [axis], (from, to) => (largest[to] = Math.max(largest[to]!, source[from]!)));
    forEachReduced(x!, [axis], (from, to) => (sums[to]! += Math.exp(source[from]! - largest[to]!)));
    forEachReduced(
      x!,
      [axis],
      (from, to) => (data[from] = Math.exp(source[from]! - largest[to]!) / sums[to]!),
    );
    return tensor(x!.dtype, x!.shape, data as never);
  },
  emit: (e) => e.node("Softmax", e.inputs, { axis: { int: e.attributes.axis } }),
  gradient: ({ outputs: [y], attributes: { axis }, cotangent }) => {
    const weighted = mul(cotangent, y!);
    return [sub(weighted, mul(y!, reduceSum(weighted, [axis])))];
  },
  properties: {},
});

/** Softmax along an axis. */
export function softmax(x: Value, axis: number): Value {
  return apply(softmaxOp, [x], { axis });
}

/** Matrix products of the last two axes, `[…, m, k] · […, k, n]`; the axes before them broadcast. */
export const matMulOp = defineOp("matMul", {
  infer: (inputs) => {
    const [a, b] = inputs as readonly [Type, Type];
    if (
      a.shape.length < 2 ||
      b.shape.length !== a.shape.length ||
      a.shape.at(-1) !== b.shape.at(-2) ||
      a.dtype !== b.dtype
    )
      throw mismatch("matMul", inputs, "it wants […, m, k] and […, k, n] of one rank");
    const batch = a.shape.slice(0, -2).map((dim, i): Dim => {
      const other = b.shape[i]!;
      if (dim !== other && dim !== 1 && other !== 1)
        throw mismatch("matMul", inputs, `batch sizes ${dim} and ${other} differ`);
      return dim === 1 ? other : dim;
    });
    return { dtype: a.dtype, shape: [...batch, a.shape.at(-2)!, b.shape.at(-1)!] };
  },
  evaluate: ([a, b], _, [type]) => {
    const shape = type!.shape as number[];
    const [m, k, n] = [a!.shape.at(-2)!, a!.shape.at(-1)!, b!.shape.at(-1)!];
    const data = allocate(a!.dtype, elementCount(shape)) as Float64Array;
    const [x, y] = [a!.data as Float64Array, b!.data as Float64Array];
    const batch = shape.slice(0, -2);
    const place = (own: readonly number[], flat: number): number => {
      let at = 0;
      for (let axis = batch.length - 1, step = 1, rest = flat; axis >= 0; axis--) {
        const i = rest % batch[axis]!;
        rest = Math.floor(rest / batch[axis]!);
        if (own[axis] !== 1) at += i * step;
        step *= own[axis]!;
      }
      return at;
    };
    for (let q = 0; q < elementCount(batch); q++) {
      const [atX, atY] = [place(a!.shape, q) * m * k, place(b!.shape, q) * k * n];
      for (let i = 0; i < m; i++)
        for (let j = 0; j < n; j++) {
          let sum = 0;
          for (let t = 0; t < k; t++) sum += x[atX + i * k + t]! * y[atY + t * n + j]!;
          data[(q * m + i) * n + j] = sum;
        }
    }
    return tensor(a!.dtype, shape, data as never);
  },
  emit: (e) => e.node("MatMul", e.inputs),
  gradient: ({ inputs: [a, b], outputs: [c], cotangent, wants }) => {
    const dy = full(cotangent, c!.shape);
    const over = (shape: readonly Dim[], other: Value): Dim[] => [
      ...c!.shape.slice(0, -2),
      shape.at(-2)!,
      other.shape.at(-1)!,
    ];
    const swapped = (x: Value): Value =>
      transpose(x, [...x.shape.slice(0, -2).map((_, i) => i), x.shape.length - 1, x.shape.length - 2]);
    const toA = wants(0) ? matMul(dy, swapped(b!)) : undefined;
    const toB = wants(1) ? matMul(swapped(a!), dy) : undefined;
    return [
      toA && sumTo(toA, over(dy.shape, toA), a!.shape),
      toB && sumTo(toB, over(toB.shape, toB), b!.shape),
    ];
  },
  properties: {
    multiplyAdds: (node) =>
      elementCount(node.outputs[0]!.shape as number[]) * (node.inputs[0]!.shape.at(-1) as number),
  },
});

/** Matrix products of the last two axes. */
export function matMul(a: Value, b: Value): Value {
  return apply(matMulOp, [a, b], {});
}

/**
 * `Σ a·b` over some axes, which stay with size 1, of two tensors of one shape: what products have as gradient where
 * one side was broadcast.
 *
 * Where the last axes go, engines that can read both tensors once and write nothing do so (`blocked.ts`).
 */
export const dotOp = defineOp<ReduceAttributes>("dot", {
  infer: (inputs, { axes }) => {
    const [a, b] = inputs;
    if (
      a!.dtype !== b!.dtype ||
      a!.shape.length !== b!.shape.length ||
      a!.shape.some((dim, i) => dim !== b!.shape[i])
    )
      throw mismatch("dot", inputs, "it wants two tensors of one type and shape");
    if (axes.some((axis) => axis < 0 || axis >= a!.shape.length))
      throw mismatch("dot", inputs, `there is no axis ${axes.join(", ")}`);
    return { dtype: a!.dtype, shape: a!.shape.map((dim, axis): Dim => (axes.includes(axis) ? 1 : dim)) };
  },
  evaluate: ([a, b], { axes }, [type]) => {
    const shape = type!.shape as number[];
    const data = allocate(a!.dtype, elementCount(shape)) as Float64Array;
    forEachReduced(
      a!,
      axes,
      (from, to) => (data[to]! += (a!.data as Float64Array)[from]! * (b!.data as Float64Array)[from]!),
    );
    return tensor(a!.dtype, shape, data as never);
  },
  emit: (e) => {
    const { axes } = e.attributes;
    const { shape } = e.types[0]!;
    let last = shape.length;
    while (last > 0 && axes.includes(last - 1)) last--;
    const known = shape.every((dim) => typeof dim === "number" && dim > 0);
    if (last === shape.length || !known)
      return e.node("ReduceSum", [e.node("Mul", e.inputs), e.constant(int64(axes))]);
    const front = shape.slice(0, last) as number[];
    const { sums, lanes } = rowDots(
      e,
      e.inputs[0]!,
      e.inputs[1]!,
      elementCount(front),
      elementCount(shape.slice(last) as number[]),
    );
    const parts = e.node("Reshape", [sums, e.constant(int64([...front, lanes]))]);
    const sum = e.node(
      "ReduceSum",
      [parts, e.constant(int64([...axes.filter((axis) => axis < last), last]))],
      { keepdims: { int: 0 } },
    );
    return e.node("Reshape", [sum, e.constant(int64(e.outputs[0]!.shape as number[]))]);
  },
  gradient: ({ inputs: [a, b], cotangent, wants }) => [
    wants(0) ? mul(cotangent, b!) : undefined,
    wants(1) ? mul(cotangent, a!) : undefined,
  ],
  properties: {},
});

/** `Σ a·b` over some axes, which stay with size 1; both have one shape. */
export function dot(a: Value, b: Value, axes: readonly number[]): Value {
  return apply(dotOp, [a, b], { axes });
}
