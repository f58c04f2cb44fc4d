import { elementCount } from "../tensor/index.ts";
import { constantOf, producerOf, staticShape, type Dim, type Value } from "./ir.ts";
import { scalar, add, mul } from "./ops/elementwise.ts";
import { expand, expandOp, reshape } from "./ops/movement.ts";
import { dot, reduceSum } from "./ops/reduction.ts";
import { scatterAdd, scatterAddOp } from "./ops/selection.ts";

/*
 * Cotangents of a value have its rank. Where one is the same for all elements of an axis, it may have size 1 there:
 * means and sums then cost nothing going backward, and adding such a cotangent to another is one broadcast addition.
 */

const sameShape = (a: readonly Dim[], b: readonly Dim[]): boolean =>
  a.length === b.length && a.every((dim, i) => dim === b[i]);

/** A cotangent with its value's whole shape. */
export function full(cotangent: Value, shape: readonly Dim[]): Value {
  if (sameShape(cotangent.shape, shape)) return cotangent;
  return expand(cotangent, staticShape({ dtype: cotangent.dtype, shape }));
}

/**
 * The cotangent of something of shape `target` that was broadcast to `shape`: summed over what was repeated.
 *
 * @param cotangent of the broadcast value
 */
export function sumTo(cotangent: Value, shape: readonly Dim[], target: readonly Dim[]): Value {
  const { axes, factor } = repeated(cotangent.shape, shape, target);
  const summed = axes.length > 0 ? reduceSum(cotangent, axes) : cotangent;
  return inRank(factor === 1 ? summed : mul(summed, factor), target);
}

/** `sumTo(a · b)`, in one pass over both where they have one shape. */
export function sumProductTo(a: Value, b: Value, shape: readonly Dim[], target: readonly Dim[]): Value {
  const { axes } = repeated(a.shape, shape, target);
  if (axes.length === 0 || !sameShape(a.shape, b.shape) || !sameShape(a.shape, shape))
    return sumTo(mul(a, b), shape, target);
  return inRank(dot(a, b, axes), target);
}

/** The axes to sum over, and how often what a cotangent holds once stands for the elements that were repeated. */
function repeated(
  own: readonly Dim[],
  shape: readonly Dim[],
  target: readonly Dim[],
): { axes: number[]; factor: number } {
  const more = shape.length - target.length;
  const axes = shape.map((_, i) => i).filter((i) => i < more || (target[i - more] === 1 && shape[i] !== 1));
  const held = axes.filter((i) => own[i - shape.length + own.length] === shape[i]);
  const once = axes.filter((i) => !held.includes(i));
  return {
    axes: held,
    factor: elementCount(staticShape({ dtype: "float32", shape: once.map((i) => shape[i]!) })),
  };
}

/** Without the axes in front that the target does not have. */
function inRank(x: Value, target: readonly Dim[]): Value {
  return x.shape.length === target.length ? x : reshape(x, x.shape.slice(x.shape.length - target.length));
}

/** Zeros that are made when the graph runs. */
export function zerosOf(shape: readonly Dim[]): Value {
  const size = staticShape({ dtype: "float32", shape });
  return size.length === 0
    ? scalar(0)
    : expand(
        reshape(
          scalar(0),
          size.map(() => 1),
        ),
        size,
      );
}

/** The sum of a value's cotangents. Those that touch few elements are written into the sum of the others. */
export function sumOf(cotangents: readonly Value[]): Value {
  const sparse = cotangents.filter(isSparse);
  const dense = cotangents.filter((value) => !isSparse(value)).sort((a, b) => known(a) - known(b));
  const start = dense.length > 0 ? dense.reduce((sum, value) => add(sum, value)) : sparse.shift()!;
  return sparse.reduce((sum, value) => {
    const [, indices, updates] = producerOf(value)!.inputs;
    return scatterAdd(full(sum, value.shape), indices!, updates!);
  }, start);
}

const known = (value: Value): number =>
  value.shape.reduce<number>((size, dim) => (typeof dim === "number" ? size * dim : size), 1);

/** Whether a value is zero but for what is scattered into it. */
function isSparse(value: Value): boolean {
  const node = producerOf(value);
  if (!node || node.op !== (scatterAddOp as unknown)) return false;
  const base = producerOf(node.inputs[0]!);
  if (!base || base.op !== (expandOp as unknown)) return false;
  const inner = producerOf(base.inputs[0]!)?.inputs[0] ?? base.inputs[0]!;
  return constantOf(inner)?.data.length === 1 && Number(constantOf(inner)!.data[0]) === 0;
}
