import { allocate, elementCount, int64, tensor, type Tensor } from "../../tensor/index.ts";
import type { Dim, Type, Value } from "../ir.ts";
import { apply, defineOp, mismatch, type Op } from "../op.ts";
import { fromNumbers } from "./broadcast.ts";

interface ReduceAttributes {
  readonly axes: readonly number[];
  readonly [key: string]: readonly number[];
}

/** A reduction over some axes, which stay with size 1. `operator` takes its axes as an input from `axesInputSince` on. */
function reduction(name: string, operator: string, axesInputSince: number, start: number, step: (sum: number, x: number) => number, mean = false): Op<ReduceAttributes> {
  return defineOp<ReduceAttributes>(name, {
    infer: ([x], { axes }) => {
      if (axes.some((axis) => axis < 0 || axis >= x!.shape.length)) throw mismatch(name, [x!], `there is no axis ${axes.join(", ")}`);
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

export const reduceSumOp = reduction("reduceSum", "ReduceSum", 13, 0, (sum, x) => sum + x);
export const reduceMeanOp = reduction("reduceMean", "ReduceMean", 18, 0, (sum, x) => sum + x, true);
export const reduceMaxOp = reduction("reduceMax", "ReduceMax", 18, -Infinity, Math.max);

const reduce = (op: Op<ReduceAttributes>) => (x: Value, axes: readonly number[]): Value => apply(op, [x], { axes });

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
    const [source, largest, sums] = [x!.data as Float64Array, new Float64Array(groups).fill(-Infinity), new Float64Array(groups)];
    const data = allocate(x!.dtype, source.length) as Float64Array;
    forEachReduced(x!, [axis], (from, to) => (largest[to] = Math.max(largest[to]!, source[from]!)));
    forEachReduced(x!, [axis], (from, to) => (sums[to]! += Math.exp(source[from]! - largest[to]!)));
    forEachReduced(x!, [axis], (from, to) => (data[from] = Math.exp(source[from]! - largest[to]!) / sums[to]!));
    return tensor(x!.dtype, x!.shape, data as never);
  },
  emit: (e) => e.node("Softmax", e.inputs, { axis: { int: e.attributes.axis } }),
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
    if (a.shape.length < 2 || b.shape.length !== a.shape.length || a.shape.at(-1) !== b.shape.at(-2) || a.dtype !== b.dtype)
      throw mismatch("matMul", inputs, "it wants […, m, k] and […, k, n] of one rank");
    const batch = a.shape.slice(0, -2).map((dim, i): Dim => {
      const other = b.shape[i]!;
      if (dim !== other && dim !== 1 && other !== 1) throw mismatch("matMul", inputs, `batch sizes ${dim} and ${other} differ`);
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
  properties: { multiplyAdds: (node) => elementCount(node.outputs[0]!.shape as number[]) * (node.inputs[0]!.shape.at(-1) as number) },
});

/** Matrix products of the last two axes. */
export function matMul(a: Value, b: Value): Value {
  return apply(matMulOp, [a, b], {});
}
