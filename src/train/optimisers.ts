import {
  add,
  div,
  dot,
  input,
  mul,
  pow,
  reshape,
  sqrt,
  sub,
  type Graph,
  type Value,
} from "../graph/index.ts";
import { chunkRows, rowLength } from "./flat.ts";

/** How weights follow from gradients. */
export type OptimiserOptions =
  | {
      readonly kind: "sgd";
      /** Default 0.9. */ readonly momentum?: number;
      /** Default false. */ readonly nesterov?: boolean;
    }
  | {
      readonly kind: "adam" | "adamw";
      /** Default 0.9. */
      readonly beta1?: number;
      /** Default 0.999. */
      readonly beta2?: number;
      /** Default 1e-8. */
      readonly epsilon?: number;
    };

/** What is done to gradients before the optimiser sees them. */
export interface GradientOptions {
  /** Weight decay of kernels (4-d weights, depthwise ones too; not batch normalisation, biases or fusion weights); default 4e-5. */
  readonly weightDecay?: number;
  /** Largest norm of one variable's gradient; default 10, `Infinity` for none. */
  readonly clipVariable?: number;
  /** Largest norm of all of them together, after that; default 10, `Infinity` for none. */
  readonly clipGlobal?: number;
}

/** Names of an optimiser's own arrays, one number a weight each. */
export function optimiserState(options: OptimiserOptions): readonly string[] {
  return options.kind === "sgd" ? ["velocity"] : ["mean", "square"];
}

const scalarInput = (name: string): Value => input(name, "float32", []);
const rows = (name: string, columns: number): Value => input(name, "float32", [chunkRows, columns]);

/** What the optimiser is shown of a chunk: the gradient, with the weights' decay added but for AdamW. */
function slopeOf(options: OptimiserOptions): { gradient: Value; weights: Value; decay: Value; slope: Value } {
  const [gradient, weights, decay] = [
    rows("gradient", rowLength),
    rows("weights", rowLength),
    rows("decay", 1),
  ];
  const slope = options.kind === "adamw" ? gradient : add(gradient, mul(weights, decay));
  return { gradient, weights, decay, slope };
}

/**
 * The sums of squares by which gradients are clipped, of a chunk of `chunkRows` rows.
 *
 * Inputs `gradient`, `weights` `[rows, rowLength]` and `decay` `[rows, 1]` (not for AdamW); output `squares` `[rows]`.
 */
export function squaresGraph(options: OptimiserOptions): Graph {
  const { gradient, weights, decay, slope } = slopeOf(options);
  return {
    inputs: options.kind === "adamw" ? [gradient] : [gradient, weights, decay],
    outputs: { squares: reshape(dot(slope, slope, [1]), [chunkRows]) },
  };
}

/**
 * From gradients to new weights, for a chunk of `chunkRows` rows of them.
 *
 * Inputs, `[rows, rowLength]`: `weights`, each of {@link optimiserState}, `average` if `averaged`, and `gradient`;
 * `[rows, 1]`: `decay`, `factor` (what clipping leaves of the gradient) and `rate` (the variable's learning rate);
 * without dimensions: `averageDecay`, and `step` for Adam. Outputs: `next/…` of the first three.
 *
 * The order is automl's (spec B1): decay is added to the gradient (AdamW: applied to the weight instead), each
 * variable's gradient is clipped, then all of them; velocity `v = μ v + g`, weight `w − lr · v`.
 */
export function updateGraph(options: OptimiserOptions, averaged: boolean): Graph {
  const { gradient, weights, decay, slope } = slopeOf(options);
  const [factor, rate] = [rows("factor", 1), rows("rate", 1)];
  const state = optimiserState(options).map((name) => rows(name, rowLength));
  const average = rows("average", rowLength);
  const [averageDecay, step] = [scalarInput("averageDecay"), scalarInput("step")];
  const rule = rules[options.kind === "sgd" ? "sgd" : "adam"];
  const { change, state: after } = rule(mul(slope, factor), state, options, step);
  const wanted = options.kind === "adamw" ? add(change, mul(weights, decay)) : change;
  const moved = sub(weights, mul(wanted, rate));
  const follow = add(average, mul(sub(moved, average), sub(1, averageDecay)));
  return {
    inputs: [
      weights,
      ...state,
      ...(averaged ? [average, averageDecay] : []),
      gradient,
      decay,
      factor,
      rate,
      ...(options.kind === "sgd" ? [] : [step]),
    ],
    outputs: {
      "next/weights": moved,
      ...Object.fromEntries(optimiserState(options).map((name, i) => [`next/${name}`, after[i]!])),
      ...(averaged ? { "next/average": follow } : {}),
    },
  };
}

/**
 * What clipping leaves of each variable's gradient: its own norm is held to `clipVariable`, then that of all together to
 * `clipGlobal`.
 *
 * @param squares the sum of squares of each variable's gradient
 * @returns a factor for each variable, and the norm of all before clipping
 */
export function clipping(
  squares: ArrayLike<number>,
  { clipVariable = 10, clipGlobal = 10 }: GradientOptions,
): { factors: Float64Array; norm: number } {
  const own = Float64Array.from(
    squares,
    (square) => clipVariable / Math.max(Math.sqrt(square), clipVariable),
  );
  if (clipVariable === Infinity) own.fill(1);
  let [before, after] = [0, 0];
  own.forEach((factor, i) => {
    before += squares[i]!;
    after += squares[i]! * factor ** 2;
  });
  const together = clipGlobal === Infinity ? 1 : clipGlobal / Math.max(Math.sqrt(after), clipGlobal);
  return { factors: own.map((factor) => factor * together), norm: Math.sqrt(before) };
}

type Rule = (
  gradient: Value,
  state: readonly Value[],
  options: OptimiserOptions,
  step: Value,
) => { change: Value; state: Value[] };

const rules: Record<"sgd" | "adam", Rule> = {
  sgd: (gradient, [velocity], options) => {
    const { momentum = 0.9, nesterov = false } = options as OptimiserOptions & { kind: "sgd" };
    const after = add(mul(velocity!, momentum), gradient);
    return { change: nesterov ? add(gradient, mul(after, momentum)) : after, state: [after] };
  },
  /** Adam (Kingma and Ba 2015), with its bias corrections. */
  adam: (gradient, [mean, square], options, step) => {
    const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 } = options as OptimiserOptions & { kind: "adam" };
    const nextMean = add(mul(mean!, beta1), mul(gradient, 1 - beta1));
    const nextSquare = add(mul(square!, beta2), mul(mul(gradient, gradient), 1 - beta2));
    const count = add(step, 1);
    const correction = div(sqrt(sub(1, pow(beta2, count))), sub(1, pow(beta1, count)));
    const scaled = sqrt(sub(1, pow(beta2, count)));
    const change = div(mul(nextMean, correction), add(sqrt(nextSquare), mul(scaled, epsilon)));
    return { change, state: [nextMean, nextSquare] };
  },
};
