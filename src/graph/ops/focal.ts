import { allocate, elementCount, float32, int64, tensor } from "../../tensor/index.ts";
import type { Value } from "../ir.ts";
import { apply, defineOp, mismatch, type EmitContext } from "../op.ts";
import { rowDots } from "./blocked.ts";
import { full } from "../cotangents.ts";

/** Focal loss's constants (Lin et al. 2017), and how much of the target goes to the other side. */
export interface FocalOptions {
  readonly alpha: number;
  readonly gamma: number;
  readonly labelSmoothing: number;
}

interface FocalAttributes extends FocalOptions {
  readonly [key: string]: number;
}

const sigmoidOf = (z: number): number => 1 / (1 + Math.exp(-z));
const softplusOf = (z: number): number => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));

/**
 * The focal loss of logits whose target is 0, summed over all of them: `Σ (1 − α) σ^γ · (softplus(z) − z · s / 2)`.
 *
 * All but a handful of the anchors times classes have this target, so the whole map goes through here once, and the
 * few others are corrected by what they gather (`train/losses.ts`).
 */
export const focalBackgroundOp = defineOp<FocalAttributes>("focalBackground", {
  infer: ([z]) => ({ dtype: z!.dtype, shape: [] }),
  evaluate: ([z], { alpha, gamma, labelSmoothing }) => {
    const data = allocate(z!.dtype, 1) as Float64Array;
    let sum = 0;
    for (const logit of z!.data as Float64Array)
      sum += sigmoidOf(logit) ** gamma * (softplusOf(logit) - (logit * labelSmoothing) / 2);
    data[0] = (1 - alpha) * sum;
    return tensor(z!.dtype, [], data as never);
  },
  emit: (e) => {
    const { alpha } = e.attributes;
    const [power, entropy] = [sigmoidPower(e, sigmoid(e)), crossEntropy(e)];
    const shape = e.types[0]!.shape as number[];
    const { sums } = rowDots(
      e,
      power,
      entropy,
      elementCount(shape.slice(0, 2)),
      elementCount(shape.slice(2)),
    );
    const sum = e.node("ReduceSum", [sums, e.constant(int64([0, 1]))], { keepdims: { int: 0 } });
    return e.node("Mul", [sum, e.constant(float32([1 - alpha], []))]);
  },
  gradient: ({ inputs: [z], attributes, cotangent }) => [
    apply(focalBackgroundGradientOp, [z!, full(cotangent, [])], attributes),
  ],
  properties: {},
});

/** The sum over all of `z` of the focal loss against target 0. */
export function focalBackground(z: Value, { alpha, gamma, labelSmoothing }: FocalOptions): Value {
  return apply(focalBackgroundOp, [z], { alpha, gamma, labelSmoothing });
}

/** The cotangent of {@link focalBackgroundOp}'s logits, from them and the cotangent of the sum (no dimensions). */
export const focalBackgroundGradientOp = defineOp<FocalAttributes>("focalBackgroundGradient", {
  infer: (inputs) => {
    const [z, dy] = inputs;
    if (dy!.shape.length !== 0 || dy!.dtype !== z!.dtype)
      throw mismatch("focalBackgroundGradient", inputs, "the cotangent of a sum has no dimensions");
    return z!;
  },
  evaluate: ([z, dy], { alpha, gamma, labelSmoothing }) => {
    const target = labelSmoothing / 2;
    const data = allocate(z!.dtype, z!.data.length) as Float64Array;
    const scale = (1 - alpha) * Number(dy!.data[0]);
    (z!.data as Float64Array).forEach((logit, i) => {
      const s = sigmoidOf(logit);
      data[i] = scale * s ** gamma * (gamma * (1 - s) * (softplusOf(logit) - target * logit) + s - target);
    });
    return tensor(z!.dtype, z!.shape, data as never);
  },
  emit: (e) => {
    const { alpha, gamma, labelSmoothing } = e.attributes;
    const scalar = (value: number): string => e.constant(float32([value], []));
    const op = (operator: string, ...inputs: string[]): string => e.node(operator, inputs);
    // The engine finds that the forward pass has made the first three already. With w = γ · entropy, the bracket is w + s (1 − w).
    const s = sigmoid(e);
    const power = sigmoidPower(e, s);
    const w = op("Mul", crossEntropy(e), scalar(gamma));
    const bracket = op("Add", w, op("Mul", s, op("Sub", scalar(1), w)));
    const shifted = labelSmoothing === 0 ? bracket : op("Sub", bracket, scalar(labelSmoothing / 2));
    return op("Mul", op("Mul", power, shifted), op("Mul", e.inputs[1]!, scalar(1 - alpha)));
  },
  gradient: "unsupported",
  properties: {},
});

function sigmoid(e: EmitContext<FocalAttributes>): string {
  return e.node("Sigmoid", [e.inputs[0]!]);
}

function sigmoidPower(e: EmitContext<FocalAttributes>, s: string): string {
  const { gamma } = e.attributes;
  if (gamma === 1) return s;
  if (gamma === 1.5) return e.node("Mul", [s, e.node("Sqrt", [s])]);
  if (gamma === 2) return e.node("Mul", [s, s]);
  return e.node("Pow", [s, e.constant(float32([gamma], []))]);
}

/** Cross-entropy against `labelSmoothing / 2`: `softplus(z) − z · labelSmoothing / 2`. */
function crossEntropy(e: EmitContext<FocalAttributes>): string {
  const z = e.inputs[0]!;
  const s = sigmoid(e);
  // softplus(z) = max(z, 0) − log max(σ, 1 − σ): the engine's own Softplus takes ten times as long as these five passes.
  const larger = e.node("Max", [s, e.node("Sub", [e.constant(float32([1], [])), s])]);
  const softplus = e.node("Sub", [e.node("Relu", [z]), e.node("Log", [larger])]);
  const { labelSmoothing } = e.attributes;
  if (labelSmoothing === 0) return softplus;
  return e.node("Sub", [softplus, e.node("Mul", [z, e.constant(float32([labelSmoothing / 2], []))])]);
}
