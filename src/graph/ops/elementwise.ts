import { constant, type Value } from "../ir.ts";
import { sumProductTo, sumTo } from "../cotangents.ts";
import {
  apply,
  defineOp,
  mismatch,
  type EmitContext,
  type GradientContext,
  type GradientRule,
  type Op,
} from "../op.ts";
import { elementCount, float32, tensor, type DType } from "../../tensor/index.ts";
import { relu6Gradient, reluGradient, swishGradient } from "./activation-gradients.ts";
import { broadcastOffsets, broadcastShape, fromNumbers, toNumbers } from "./broadcast.ts";

/** `dx` of `y = f(x)`, from `x`, `y` and `dy`. */
type Derivative = (x: Value, y: Value, dy: Value) => Value;

/** An operation on each element of one tensor. `emit` is an ONNX operator's name, or writes several. */
function unary(
  name: string,
  f: (x: number) => number,
  emit: string | ((context: EmitContext) => string),
  derivative: Derivative | "none",
  properties: { monotone?: boolean } = {},
): Op {
  return defineOp(name, {
    infer: ([x]) => x!,
    evaluate: ([x]) => fromNumbers(x!.dtype, x!.shape, Array.from(toNumbers(x!), f)),
    emit: typeof emit === "string" ? (context) => context.node(emit, context.inputs) : emit,
    gradient:
      derivative === "none"
        ? "none"
        : ({ inputs: [x], outputs: [y], cotangent }) => [derivative(x!, y!, cotangent)],
    properties: { elementwise: true, ...properties },
  });
}

/** An operation on pairs of elements, broadcast. Comparisons give bool. */
function binary(
  name: string,
  f: (x: number, y: number) => number,
  operator: string,
  gradient: GradientRule | "none",
  result?: DType,
): Op {
  return defineOp(name, {
    infer: ([x, y]) => {
      if (x!.dtype !== y!.dtype) throw mismatch(name, [x!, y!], "it wants one element type");
      return { dtype: result ?? x!.dtype, shape: broadcastShape(name, x!, y!) };
    },
    evaluate: ([x, y], _, [type]) => {
      const shape = type!.shape as number[];
      const [a, b] = [toNumbers(x!), toNumbers(y!)];
      const [ia, ib] = [broadcastOffsets(x!.shape, shape), broadcastOffsets(y!.shape, shape)];
      return fromNumbers(
        type!.dtype,
        shape,
        Array.from({ length: elementCount(shape) }, (_, i) => f(a[ia[i]!]!, b[ib[i]!]!)),
      );
    },
    emit: (context) => context.node(operator, context.inputs),
    gradient,
    properties: { elementwise: true },
  });
}

const sigmoidOf = (x: number): number => 1 / (1 + Math.exp(-x));
const softplusOf = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

export const negOp = unary(
  "neg",
  (x) => -x,
  "Neg",
  (_x, _y, dy) => neg(dy),
);
export const absOp = unary("abs", Math.abs, "Abs", (x, _, dy) => mul(dy, sign(x)));
export const expOp = unary("exp", Math.exp, "Exp", (_, y, dy) => mul(dy, y), { monotone: true });
export const logOp = unary("log", Math.log, "Log", (x, _, dy) => div(dy, x), { monotone: true });
export const sqrtOp = unary("sqrt", Math.sqrt, "Sqrt", (_, y, dy) => div(mul(dy, 0.5), y), {
  monotone: true,
});
export const reciprocalOp = unary(
  "reciprocal",
  (x) => 1 / x,
  "Reciprocal",
  (_, y, dy) => neg(mul(dy, mul(y, y))),
);
export const floorOp = unary("floor", Math.floor, "Floor", "none", { monotone: true });
export const signOp = unary("sign", Math.sign, "Sign", "none", { monotone: true });
export const tanhOp = unary("tanh", Math.tanh, "Tanh", (_, y, dy) => mul(dy, sub(1, mul(y, y))), {
  monotone: true,
});
export const atanOp = unary("atan", Math.atan, "Atan", (x, _, dy) => div(dy, add(mul(x, x), 1)), {
  monotone: true,
});
export const sigmoidOp = unary("sigmoid", sigmoidOf, "Sigmoid", (_, y, dy) => mul(dy, mul(y, sub(1, y))), {
  monotone: true,
});
export const softplusOp = unary("softplus", softplusOf, "Softplus", (x, _, dy) => mul(dy, sigmoid(x)), {
  monotone: true,
});
export const reluOp = unary(
  "relu",
  (x) => Math.max(x, 0),
  "Relu",
  (_, y, dy) => reluGradient(y, dy),
  { monotone: true },
);

/** The value itself, through which no gradient flows. */
export const stopGradientOp = unary("stopGradient", (x) => x, "Identity", "none", { monotone: true });

/** relu6, `min(max(x, 0), 6)`: the Lite models' activation. */
export const relu6Op = unary(
  "relu6",
  (x) => Math.min(Math.max(x, 0), 6),
  (e) => e.node("Clip", [e.inputs[0]!, e.constant(scalarLike(e, 0)), e.constant(scalarLike(e, 6))]),
  (_, y, dy) => relu6Gradient(y, dy), // the output is kept anyway, for what reads it
  { monotone: true },
);

/**
 * Swish, `x · σ(x)` (Ramachandran et al. 2017; SiLU): the activation of D0–D7x.
 *
 * ONNX Runtime has it in one pass as QuickGelu with α = 1, and finds it by itself in standard ONNX's Sigmoid and Mul.
 */
export const swishOp = unary(
  "swish",
  (x) => x * sigmoidOf(x),
  (e) =>
    // Written as it runs, the sigmoid is kept for the way back; it is also the quicker of the two.
    e.dialect === "onnxruntime" && e.channelBlock === 0 && e.types[0]!.dtype === "float32"
      ? e.node("QuickGelu", e.inputs, { alpha: { float: 1 } }, "com.microsoft")
      : e.node("Mul", [e.inputs[0]!, e.node("Sigmoid", e.inputs)]),
  (x, y, dy) => swishGradient(x, y, dy),
);

/** Hard swish, `x · relu6(x + 3) / 6` (Howard et al. 2019). */
export const hardSwishOp = unary(
  "hardSwish",
  (x) => (x * Math.min(Math.max(x + 3, 0), 6)) / 6,
  "HardSwish",
  (x, _, dy) => mul(dy, where(less(abs(x), 3), add(mul(x, 1 / 3), 0.5), cast(greater(x, 0), "float32"))),
);

/** Mish, `x · tanh(softplus(x))` (Misra 2019). */
export const mishOp = unary(
  "mish",
  (x) => x * Math.tanh(softplusOf(x)),
  (e) => e.node("Mul", [e.inputs[0]!, e.node("Tanh", [e.node("Softplus", e.inputs)])]),
  (x, _, dy) => {
    const t = tanh(softplus(x));
    return mul(dy, add(t, mul(mul(x, sigmoid(x)), sub(1, mul(t, t)))));
  },
);

/** The rule of a pair: each input's cotangent has the output's shape, and is summed over what was broadcast. */
const pairRule =
  (
    dx: (context: GradientContext, x: Value, y: Value) => Value,
    dy: (context: GradientContext, x: Value, y: Value) => Value,
  ): GradientRule =>
  (context) => {
    const [x, y] = context.inputs as readonly [Value, Value];
    const shape = context.outputs[0]!.shape;
    return [
      context.wants(0) ? sumTo(dx(context, x, y), shape, x.shape) : undefined,
      context.wants(1) ? sumTo(dy(context, x, y), shape, y.shape) : undefined,
    ];
  };

export const addOp = binary(
  "add",
  (x, y) => x + y,
  "Add",
  pairRule(
    ({ cotangent }) => cotangent,
    ({ cotangent }) => cotangent,
  ),
);
export const subOp = binary(
  "sub",
  (x, y) => x - y,
  "Sub",
  pairRule(
    ({ cotangent }) => cotangent,
    ({ cotangent }) => neg(cotangent),
  ),
);
export const mulOp = binary(
  "mul",
  (x, y) => x * y,
  "Mul",
  ({ inputs: [x, y], outputs: [z], cotangent, wants }) => [
    wants(0) ? sumProductTo(cotangent, y!, z!.shape, x!.shape) : undefined,
    wants(1) ? sumProductTo(cotangent, x!, z!.shape, y!.shape) : undefined,
  ],
);
export const divOp = binary("div", (x, y) => x / y, "Div", pairRule(
  ({ cotangent }, _, y) => div(cotangent, y),
  ({ cotangent, outputs: [z] }, _, y) => neg(mul(cotangent, div(z!, y))),
)); // prettier-ignore
export const powOp = binary("pow", (x, y) => x ** y, "Pow", pairRule(
  ({ cotangent }, x, y) => mul(cotangent, mul(y, pow(x, sub(y, 1)))),
  ({ cotangent, outputs: [z] }, x) => mul(cotangent, mul(z!, log(x))),
)); // prettier-ignore
/** Of equal elements the first input's count as the smallest. */
export const minOp = binary("min", Math.min, "Min", pairRule(
  ({ cotangent }, x, y) => where(greater(x, y), 0, cotangent),
  ({ cotangent }, x, y) => where(greater(x, y), cotangent, 0),
)); // prettier-ignore
/** Of equal elements the first input's count as the largest. */
export const maxOp = binary("max", Math.max, "Max", pairRule(
  ({ cotangent }, x, y) => where(less(x, y), 0, cotangent),
  ({ cotangent }, x, y) => where(less(x, y), cotangent, 0),
)); // prettier-ignore
export const greaterOp = binary("greater", (x, y) => (x > y ? 1 : 0), "Greater", "none", "bool");
export const lessOp = binary("less", (x, y) => (x < y ? 1 : 0), "Less", "none", "bool");
export const equalOp = binary("equal", (x, y) => (x === y ? 1 : 0), "Equal", "none", "bool");

/** `condition ? x : y`, element by element, broadcast. */
export const whereOp = defineOp("where", {
  infer: ([condition, x, y]) => {
    if (condition!.dtype !== "bool" || x!.dtype !== y!.dtype)
      throw mismatch("where", [condition!, x!, y!], "it wants a bool condition and two values of one type");
    const shape = broadcastShape("where", x!, y!);
    return { dtype: x!.dtype, shape: broadcastShape("where", condition!, { dtype: x!.dtype, shape }) };
  },
  evaluate: ([condition, x, y], _, [type]) => {
    const shape = type!.shape as number[];
    const [c, a, b] = [condition!, x!, y!].map((t) => ({
      data: toNumbers(t),
      at: broadcastOffsets(t.shape, shape),
    }));
    return fromNumbers(
      type!.dtype,
      shape,
      Array.from({ length: elementCount(shape) }, (_, i) =>
        c!.data[c!.at[i]!] ? a!.data[a!.at[i]!]! : b!.data[b!.at[i]!]!,
      ),
    );
  },
  emit: (e) => e.node("Where", e.inputs),
  gradient: ({ inputs: [condition, x, y], outputs: [z], cotangent, wants }) => [
    undefined,
    wants(1) ? sumTo(where(condition!, cotangent, 0), z!.shape, x!.shape) : undefined,
    wants(2) ? sumTo(where(condition!, 0, cotangent), z!.shape, y!.shape) : undefined,
  ],
  properties: { elementwise: true },
});

const onnxTypes: Partial<Record<DType, number>> = {
  float32: 1, uint8: 2, int8: 3, uint16: 4, int16: 5, int32: 6, int64: 7, bool: 9, float16: 10, float64: 11,
}; // prettier-ignore

/** The number ONNX has for an element type (`TensorProto.DataType`). */
export function onnxType(dtype: DType): number {
  return onnxTypes[dtype]!;
}

/** Conversion to another element type; to integers by truncation toward zero. float16 is converted by the engine only. */
export const castOp = defineOp<{ to: DType }>("cast", {
  infer: ([x], { to }) => ({ dtype: to, shape: x!.shape }),
  evaluate: ([x], { to }) =>
    fromNumbers(
      to,
      x!.shape,
      Array.from(
        toNumbers(x!),
        to.startsWith("float") ? (v) => v : to === "bool" ? (v) => (v ? 1 : 0) : Math.trunc,
      ),
    ),
  emit: (e) => e.node("Cast", e.inputs, { to: { int: onnxType(e.attributes.to) } }),
  gradient: ({ inputs: [x], attributes: { to }, cotangent }) =>
    to.startsWith("float") && x!.dtype.startsWith("float") ? [cast(cotangent, x!.dtype)] : [],
  properties: { elementwise: true },
});

function scalarLike(e: EmitContext, value: number): ReturnType<typeof fromNumbers> {
  return fromNumbers(e.types[0]!.dtype, [], [value]);
}

/** A float32 constant without dimensions. */
export function scalar(value: number, dtype: DType = "float32"): Value {
  return constant(dtype === "float32" ? float32([value], []) : fromNumbers(dtype, [], [value]));
}

type Operand = Value | number;
const lift = (x: Operand, like: Operand): Value =>
  typeof x === "number" ? scalar(x, typeof like === "number" ? "float32" : like.dtype) : x;
const on =
  (op: Op) =>
  (x: Value): Value =>
    apply(op, [x], {});
const onPair =
  (op: Op) =>
  (x: Operand, y: Operand): Value =>
    apply(op, [lift(x, y), lift(y, x)], {});

export const neg = on(negOp);
export const abs = on(absOp);
export const exp = on(expOp);
export const log = on(logOp);
export const sqrt = on(sqrtOp);
export const reciprocal = on(reciprocalOp);
export const floor = on(floorOp);
export const sign = on(signOp);
export const tanh = on(tanhOp);
export const atan = on(atanOp);
export const stopGradient = on(stopGradientOp);
export const sigmoid = on(sigmoidOp);
export const softplus = on(softplusOp);
export const relu = on(reluOp);
export const relu6 = on(relu6Op);
export const swish = on(swishOp);
export const hardSwish = on(hardSwishOp);
export const mish = on(mishOp);
export const add = onPair(addOp);
export const sub = onPair(subOp);
export const mul = onPair(mulOp);
export const div = onPair(divOp);
export const pow = onPair(powOp);
export const minimum = onPair(minOp);
export const maximum = onPair(maxOp);
export const greater = onPair(greaterOp);
export const less = onPair(lessOp);
export const equal = onPair(equalOp);

/** `condition ? x : y`, element by element. */
export function where(condition: Value, x: Operand, y: Operand): Value {
  return apply(whereOp, [condition, lift(x, y), lift(y, x)], {});
}

/** Conversion to another element type; the value itself where it already has it. */
export function cast(x: Value, to: DType): Value {
  return x.dtype === to ? x : apply(castOp, [x], { to });
}

/** A constant of zeros. */
export function zeros(shape: readonly number[]): Value {
  return constant(tensor("float32", shape, new Float32Array(elementCount(shape))));
}
