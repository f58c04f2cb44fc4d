import {
  add, constant, div, dot, gather, input, maximum, mul, pow, reduceSum, reshape, scatterAdd, sqrt, sub, zerosOf, type Graph, type Value,
} from "../graph/index.ts"; // prettier-ignore
import { float32, int64 } from "../tensor/index.ts";
import { rowLength, type FlatLayout } from "./flat.ts";

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

/** The numbers that change from step to step: inputs without dimensions of {@link updateGraph}. */
export interface StepNumbers {
  readonly learningRate: number;
  /** Steps before this one. */
  readonly step: number;
  /** What the moving average keeps; 1 where there is none. */
  readonly averageDecay: number;
}

const scalarInput = (name: string): Value => input(name, "float32", []);

/**
 * From gradients to new weights, for all variables at once.
 *
 * Inputs, `[rows, rowLength]`: `weights`, each of {@link optimiserState}, `average` if `averaged`, and `gradient`;
 * `learningRate`, `averageDecay`, `step` without dimensions. Outputs: `next/…` of the
 * first three, and `norm`, the norm of all gradients together before they are clipped (no dimensions).
 *
 * The order is automl's (spec B1): decay is added to the gradient (AdamW: applied to the weight instead), each
 * variable's gradient is clipped, then all of them; velocity `v = μ v + g`, weight `w − lr · v`.
 *
 * @param rateOf a variable's own share of the learning rate, by its name; default 1
 */
export function updateGraph(
  layout: FlatLayout,
  options: OptimiserOptions,
  gradient: GradientOptions,
  averaged: boolean,
  rateOf: (name: string) => number = () => 1,
): Graph {
  const { weightDecay = 4e-5, clipVariable = 10, clipGlobal = 10 } = gradient;
  const array = (name: string): Value => input(name, "float32", [layout.rows, rowLength]);
  const perRow = (values: readonly number[]): Value => constant(float32(values, [layout.rows, 1]));
  const weights = array("weights");
  const gradientOfLoss = array("gradient");
  const state = optimiserState(options).map(array);
  const average = array("average");
  const [learningRate, averageDecay, step] = ["learningRate", "averageDecay", "step"].map(scalarInput) as [
    Value,
    Value,
    Value,
  ];

  const decays = layout
    .rowVariables()
    .map((variable) => (layout.shapes[variable]!.length === 4 ? weightDecay : 0));
  const decayed = weightDecay === 0 ? undefined : mul(weights, perRow(decays));
  const slope = decayed && options.kind !== "adamw" ? add(gradientOfLoss, decayed) : gradientOfLoss;
  const { factor, norm } = clipping(slope, layout, clipVariable, clipGlobal);
  const clipped = mul(slope, factor);

  const { change, state: after } = rules[options.kind === "sgd" ? "sgd" : "adam"](
    clipped,
    state,
    options,
    step,
  );
  const wanted = decayed && options.kind === "adamw" ? add(change, decayed) : change;
  const rates = layout.rowVariables().map((variable) => rateOf(layout.names[variable]!));
  const rate = rates.every((own) => own === 1) ? learningRate : mul(perRow(rates), learningRate);
  const moved = sub(weights, mul(wanted, rate));
  const follow = add(average, mul(sub(moved, average), sub(1, averageDecay)));
  return {
    inputs: [
      weights,
      ...state,
      ...(averaged ? [average] : []),
      gradientOfLoss,
      learningRate,
      ...(averaged ? [averageDecay] : []),
      ...(options.kind === "sgd" ? [] : [step]),
    ],
    outputs: {
      "next/weights": moved,
      ...Object.fromEntries(optimiserState(options).map((name, i) => [`next/${name}`, after[i]!])),
      ...(averaged ? { "next/average": follow } : {}),
      norm,
    },
  };
}

/** What every row is multiplied by, `[rows, 1]`, and the norm of all before that. */
function clipping(
  slope: Value,
  layout: FlatLayout,
  clipVariable: number,
  clipGlobal: number,
): { factor: Value; norm: Value } {
  const rowVariable = constant(int64(layout.rowVariables()));
  const rowSquares = reshape(dot(slope, slope, [1]), [layout.rows]);
  const squares = scatterAdd(
    zerosOf([layout.names.length]),
    reshape(rowVariable, [layout.rows, 1]),
    rowSquares,
  );
  const all = (x: Value): Value => sqrt(reshape(reduceSum(x, [0]), []));
  const own = Number.isFinite(clipVariable)
    ? div(clipVariable, maximum(sqrt(squares), clipVariable))
    : undefined;
  const after = all(own ? mul(squares, mul(own, own)) : squares);
  const together = Number.isFinite(clipGlobal) ? div(clipGlobal, maximum(after, clipGlobal)) : undefined;
  const ones = constant(float32(new Float32Array(layout.names.length).fill(1)));
  const factors = mul(own ?? ones, together ?? 1);
  return { factor: reshape(gather(factors, rowVariable, 0), [layout.rows, 1]), norm: all(squares) };
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
