import type { Type, Value } from "../ir.ts";
import { apply, defineOp, mismatch, type EmitContext } from "../op.ts";
import type { Tensor } from "../../tensor/index.ts";
import { fromNumbers, toNumbers } from "./broadcast.ts";
import { float32 } from "../../tensor/index.ts";

/*
 * What activations have going backward, as operations of their own: written with as few passes over memory as ONNX
 * Runtime's kernels allow, for passes are what a training step spends its time on.
 */

function alike(name: string, inputs: readonly Type[]): Type {
  const [x] = inputs;
  for (const other of inputs)
    if (
      other.dtype !== x!.dtype ||
      other.shape.length !== x!.shape.length ||
      other.shape.some((dim, i) => dim !== x!.shape[i])
    )
      throw mismatch(name, inputs, "it wants tensors of one type and shape");
  return x!;
}

function mapped(inputs: readonly Tensor[], f: (...values: number[]) => number): Tensor {
  const [first, ...rest] = inputs.map(toNumbers);
  const values = Array.from(first!, (value, i) => f(value, ...rest.map((other) => other[i]!)));
  return fromNumbers(inputs[0]!.dtype, inputs[0]!.shape, values);
}

/**
 * `dx` of swish from `x`, `y = x · σ(x)` and `dy`: `dy · (y + σ (1 − y))`.
 */
export const swishGradientOp = defineOp("swishGradient", {
  infer: (inputs) => alike("swishGradient", inputs),
  evaluate: (inputs) => mapped(inputs, (x, y, dy) => dy * (y + (1 - y) / (1 + Math.exp(-x)))),
  emit: (e) => {
    const [x, y, dy] = e.inputs as [string, string, string];
    const rest = e.node("Mul", [e.node("Sigmoid", [x]), e.node("Sub", [e.constant(float32([1], [])), y])]);
    return e.node("Mul", [dy, e.node("Add", [y, rest])]);
  },
  gradient: "unsupported",
  properties: { elementwise: true },
});

/** `dx` of swish from `x`, its output and the cotangent of that. */
export function swishGradient(x: Value, y: Value, dy: Value): Value {
  return apply(swishGradientOp, [x, y, dy], {});
}

/** `dx` of relu6 from `x` (or its output, which says the same) and `dy`: `dy` where `0 < x < 6`. */
export const relu6GradientOp = defineOp("relu6Gradient", {
  infer: (inputs) => alike("relu6Gradient", inputs),
  evaluate: (inputs) => mapped(inputs, (x, dy) => (x > 0 && x < 6 ? dy : 0)),
  emit: (e) => {
    // Comparisons, `And` and `Where` take two thirds longer. Steep enough to be 0 or 1 exactly for every float32 between.
    const [x, dy] = e.inputs as [string, string];
    const three = e.constant(float32([3], []));
    const fromMiddle = e.node("Abs", [e.node("Sub", [x, three])]);
    return e.node("Mul", [dy, step(e, fromMiddle, -(2 ** 22), 3)]);
  },
  gradient: ({ inputs: [x], cotangent }) => [undefined, relu6Gradient(x!, cotangent)],
  properties: { elementwise: true },
});

/** `dx` of relu6 from `x`, or its output, and the cotangent of its output. */
export function relu6Gradient(x: Value, dy: Value): Value {
  return apply(relu6GradientOp, [x, dy], {});
}

/** `dx` of relu from `x` (or its output) and `dy`: `dy` where `x > 0`. */
export const reluGradientOp = defineOp("reluGradient", {
  infer: (inputs) => alike("reluGradient", inputs),
  evaluate: (inputs) => mapped(inputs, (x, dy) => (x > 0 ? dy : 0)),
  emit: (e) => e.node("Mul", [e.inputs[1]!, step(e, e.inputs[0]!, 2 ** 100, 0)]),
  gradient: ({ inputs: [x], cotangent }) => [undefined, reluGradient(x!, cotangent)],
  properties: { elementwise: true },
});

/** `dx` of relu from `x`, or its output, and the cotangent of its output. */
export function reluGradient(x: Value, dy: Value): Value {
  return apply(reluGradientOp, [x, dy], {});
}

/** 1 on one side of `edge`, 0 on the other, in one pass: a clipped line of this slope. */
function step(e: EmitContext, x: string, slope: number, edge: number): string {
  return e.node("HardSigmoid", [x], { alpha: { float: slope }, beta: { float: -slope * edge } });
}
