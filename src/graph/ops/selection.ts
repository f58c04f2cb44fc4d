import { allocate, elementCount, int64, tensor, type Tensor } from "../../tensor/index.ts";
import type { Value } from "../ir.ts";
import { apply, applyAll, defineOp, mismatch } from "../op.ts";
import { full, zerosOf } from "../cotangents.ts";
import { fromNumbers } from "./broadcast.ts";
import { reshape } from "./movement.ts";

/**
 * `base` with `updates` added at index tuples: the transpose of {@link gatherNdOp}. `indices [rows, axes]` int64,
 * `updates [rows, …]`; rows that meet add up.
 */
export const scatterAddOp = defineOp("scatterAdd", {
  infer: (inputs) => {
    const [base, indices, updates] = inputs;
    const depth = indices!.shape[1];
    if (
      indices!.dtype !== "int64" ||
      indices!.shape.length !== 2 ||
      typeof depth !== "number" ||
      depth > base!.shape.length
    )
      throw mismatch("scatterAdd", inputs, "it wants int64 indices [rows, axes]");
    const wanted = [indices!.shape[0]!, ...base!.shape.slice(depth)];
    if (
      updates!.dtype !== base!.dtype ||
      wanted.length !== updates!.shape.length ||
      wanted.some((dim, i) => dim !== updates!.shape[i] && typeof dim === typeof updates!.shape[i])
    )
      throw mismatch("scatterAdd", inputs, `the updates must be [${wanted.join(", ")}]`);
    return base!;
  },
  evaluate: ([base, indices, updates]) => {
    const depth = indices!.shape[1]!;
    const inner = elementCount(base!.shape.slice(depth));
    const data = base!.data.slice() as Float64Array;
    for (let row = 0; row < indices!.shape[0]!; row++) {
      let at = 0;
      for (let axis = 0; axis < depth; axis++) {
        const index = Number(indices!.data[row * depth + axis]);
        at = at * base!.shape[axis]! + (index < 0 ? index + base!.shape[axis]! : index);
      }
      for (let i = 0; i < inner; i++)
        data[at * inner + i]! += (updates!.data as Float64Array)[row * inner + i]!;
    }
    return tensor(base!.dtype, base!.shape, data as never);
  },
  emit: (e) => e.node("ScatterND", e.inputs, { reduction: { text: "add" } }),
  gradient: ({ inputs: [base, indices], cotangent, wants }) => [
    cotangent,
    undefined,
    wants(2) ? gatherNd(full(cotangent, base!.shape), indices!) : undefined,
  ],
  properties: {},
});

/** `base` with `updates [rows, …]` added at index tuples `[rows, axes]`. */
export function scatterAdd(base: Value, indices: Value, updates: Value): Value {
  return apply(scatterAddOp, [base, indices, updates], {});
}

/**
 * The `k` largest elements of the last axis, best first (the earlier of equals first), and their indices (int64).
 * `k` is an int64 tensor of one element, at most the axis's size; the result's axis is called `size`.
 */
export const topKOp = defineOp<{ size: string }>("topK", {
  infer: ([x, k], { size }) => {
    if (k!.dtype !== "int64") throw mismatch("topK", [x!, k!], "k wants int64");
    const shape = [...x!.shape.slice(0, -1), size];
    return [
      { dtype: x!.dtype, shape },
      { dtype: "int64", shape },
    ];
  },
  evaluate: ([x, k]) => {
    const count = Number(k!.data[0]);
    const row = x!.shape.at(-1)!;
    const rows = elementCount(x!.shape.slice(0, -1));
    const values = allocate(x!.dtype, rows * count) as Float64Array;
    const indices = new Float64Array(rows * count);
    for (let r = 0; r < rows; r++) {
      const own = (x!.data as Float64Array).subarray(r * row, (r + 1) * row);
      const order = Array.from(own.keys()).sort((a, b) => own[b]! - own[a]! || a - b);
      for (let i = 0; i < count; i++) {
        indices[r * count + i] = order[i]!;
        values[r * count + i] = own[order[i]!]!;
      }
    }
    const shape = [...x!.shape.slice(0, -1), count];
    return [tensor(x!.dtype, shape, values as never), fromNumbers("int64", shape, indices)];
  },
  emit: (e) => e.nodes("TopK", e.inputs, 2, { axis: { int: -1 }, largest: { int: 1 }, sorted: { int: 1 } }),
  gradient: ({ inputs: [x], outputs: [, indices], cotangents: [dy] }) => {
    if (x!.shape.length !== 1) throw new TypeError("the gradient of topK is there for vectors only");
    if (!dy) return [];
    return [scatterAdd(zerosOf(x!.shape), reshape(indices!, [indices!.shape[0]!, 1]), dy)];
  },
  properties: {},
});

/** The `k` largest elements of the last axis and their indices. */
export function topK(x: Value, k: Value, size: string): { values: Value; indices: Value } {
  const [values, indices] = applyAll(topKOp, [x, k], { size });
  return { values: values!, indices: indices! };
}

/**
 * Hard non-maximum suppression per class: `boxes [N, anchors, 4]` (yMin, xMin, yMax, xMax), `scores [N, classes, anchors]`,
 * then the most boxes kept per class (int64 `[1]`), the IoU above which a box goes, and the score above which one counts
 * (float32 `[1]` each). Gives int64 `[selected, 3]`: picture, class, anchor; by class, best first.
 */
export const nonMaxSuppressionOp = defineOp("nonMaxSuppression", {
  infer: (inputs) => {
    const [boxes, scores] = inputs;
    if (
      boxes!.shape.length !== 3 ||
      scores!.shape.length !== 3 ||
      boxes!.shape[1] !== scores!.shape[2] ||
      inputs.length !== 5
    )
      throw mismatch(
        "nonMaxSuppression",
        inputs,
        "it wants [N, anchors, 4], [N, classes, anchors] and three limits",
      );
    return { dtype: "int64", shape: ["selected", 3] };
  },
  evaluate: ([boxes, scores, most, overlap, score]) => {
    const [n, classes, anchors] = scores!.shape as [number, number, number];
    const rows: number[] = [];
    for (let b = 0; b < n; b++)
      for (let c = 0; c < classes; c++) {
        const own = (scores!.data as Float32Array).subarray(
          (b * classes + c) * anchors,
          (b * classes + c + 1) * anchors,
        );
        const order = Array.from(own.keys())
          .filter((i) => own[i]! > Number(score!.data[0]))
          .sort((i, j) => own[j]! - own[i]! || i - j);
        const kept: number[] = [];
        for (const i of order) {
          if (kept.length >= Number(most!.data[0])) break;
          if (
            kept.every(
              (j) =>
                intersectionOverUnion(boxes!, b * anchors + i, b * anchors + j) <= Number(overlap!.data[0]),
            )
          )
            kept.push(i);
        }
        for (const i of kept) rows.push(b, c, i);
      }
    return int64(rows, [rows.length / 3, 3]);
  },
  emit: (e) => e.node("NonMaxSuppression", e.inputs, { center_point_box: { int: 0 } }),
  gradient: "none",
  properties: {},
});

function intersectionOverUnion(boxes: Tensor, i: number, j: number): number {
  const [a, b] = [i, j].map((k) => (boxes.data as Float32Array).subarray(k * 4, k * 4 + 4));
  const height = Math.min(a![2]!, b![2]!) - Math.max(a![0]!, b![0]!);
  const width = Math.min(a![3]!, b![3]!) - Math.max(a![1]!, b![1]!);
  if (height <= 0 || width <= 0) return 0;
  const area = (box: Float32Array): number => (box[2]! - box[0]!) * (box[3]! - box[1]!);
  return (height * width) / (area(a!) + area(b!) - height * width);
}

/** Hard non-maximum suppression per class; see {@link nonMaxSuppressionOp}. */
export function nonMaxSuppression(
  boxes: Value,
  scores: Value,
  mostPerClass: Value,
  iouThreshold: Value,
  scoreThreshold: Value,
): Value {
  return apply(nonMaxSuppressionOp, [boxes, scores, mostPerClass, iouThreshold, scoreThreshold], {});
}

/** Elements of `x` at index tuples: `indices [rows, rank]` int64 gives `[rows]`. */
export const gatherNdOp = defineOp("gatherNd", {
  infer: (inputs) => {
    const [x, indices] = inputs;
    if (
      indices!.dtype !== "int64" ||
      indices!.shape.length !== 2 ||
      typeof indices!.shape[1] !== "number" ||
      indices!.shape[1] > x!.shape.length
    )
      throw mismatch("gatherNd", inputs, "it wants int64 indices [rows, axes]");
    return { dtype: x!.dtype, shape: [indices!.shape[0]!, ...x!.shape.slice(indices!.shape[1])] };
  },
  evaluate: ([x, indices], _, [type]) => {
    const depth = indices!.shape[1]!;
    const inner = elementCount(x!.shape.slice(depth));
    const shape = [indices!.shape[0]!, ...x!.shape.slice(depth)];
    const data = allocate(type!.dtype, elementCount(shape)) as Float64Array;
    for (let row = 0; row < shape[0]!; row++) {
      let at = 0;
      for (let axis = 0; axis < depth; axis++) {
        const index = Number(indices!.data[row * depth + axis]);
        at = at * x!.shape[axis]! + (index < 0 ? index + x!.shape[axis]! : index);
      }
      data.set((x!.data as Float64Array).subarray(at * inner, (at + 1) * inner), row * inner);
    }
    return tensor(type!.dtype, shape, data as never);
  },
  emit: (e) => e.node("GatherND", e.inputs),
  gradient: ({ inputs: [x, indices], outputs: [y], cotangent }) => [
    scatterAdd(zerosOf(x!.shape), indices!, full(cotangent, y!.shape)),
  ],
  properties: { movesData: true },
});

/** Elements (or rows) of `x` at index tuples `[rows, axes]`. */
export function gatherNd(x: Value, indices: Value): Value {
  return apply(gatherNdOp, [x, indices], {});
}

/** The sizes of a tensor, int64 `[rank]`: for those that are only known when the graph runs. */
export const shapeOfOp = defineOp("shapeOf", {
  infer: ([x]) => ({ dtype: "int64", shape: [x!.shape.length] }),
  evaluate: ([x]) => int64(x!.shape),
  emit: (e) => e.node("Shape", e.inputs),
  gradient: "none",
  properties: {},
});

/** The sizes of a tensor, int64 `[rank]`. */
export function shapeOf(x: Value): Value {
  return apply(shapeOfOp, [x], {});
}
