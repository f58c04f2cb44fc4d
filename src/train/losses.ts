import {
  abs, add, atan, concat, constant, div, equal, exp, focalBackground, gather, less, maximum, minimum, mul, neg, pow, reduceSum, reshape, sigmoid,
  slice, softplus, stopGradient, sub, where, type FocalOptions, type Value,
} from "../graph/index.ts"; // prettier-ignore
import { int64 } from "../tensor/index.ts";

/** What the losses are made of; the defaults are the paper's (spec B1). */
export interface LossOptions {
  /** Focal loss: weight of the objects, default 0.25, and exponent, default 1.5. */
  readonly alpha?: number;
  readonly gamma?: number;
  /** Share of the class target that goes to the other side; default 0. */
  readonly labelSmoothing?: number;
  /** Where Huber's loss turns from a square to a line, in units of the box offsets; default 0.1. */
  readonly delta?: number;
  /** Weight of the box loss; default 50. */
  readonly boxWeight?: number;
  /** An overlap loss of the decoded boxes beside Huber's; default none. */
  readonly iouLoss?: IouLoss;
  /** Its weight; default 1. */
  readonly iouWeight?: number;
}

export type IouLoss = "iou" | "giou" | "diou" | "ciou";

/** The paper's losses. */
export const defaultLoss = {
  alpha: 0.25, gamma: 1.5, labelSmoothing: 0, delta: 0.1, boxWeight: 50, iouLoss: undefined, iouWeight: 1,
} as const satisfies LossOptions; // prettier-ignore

/** A sum over all elements, without dimensions. */
function total(x: Value): Value {
  return x.shape.length === 0
    ? x
    : reshape(
        reduceSum(
          x,
          x.shape.map((_, axis) => axis),
        ),
        [],
      );
}

/**
 * Focal loss (Lin et al. 2017) of one level's class logits, summed. Every logit counts with target 0; those named in
 * `positive` are then counted with target 1 instead, and those in `ignored` not at all.
 *
 * @param logits `[N, anchors · classes, h, w]`
 * @param positive `[P]` int64: flat places in `logits` whose target is 1
 * @param ignored `[I]` int64: flat places of the first class of anchors that teach nothing
 */
export function focalLoss(
  logits: Value,
  positive: Value,
  ignored: Value,
  classes: number,
  options: FocalOptions,
): Value {
  const { alpha, gamma, labelSmoothing } = options;
  const [, , h, w] = logits.shape as number[];
  const flat = reshape(logits, [logits.shape.reduce<number>((product, dim) => product * (dim as number), 1)]);
  const background = focalBackground(logits, options);
  const asBackground = (z: Value): Value =>
    mul(mul(pow(sigmoid(z), gamma), sub(softplus(z), mul(z, labelSmoothing / 2))), 1 - alpha);
  const asObject = (z: Value): Value =>
    mul(mul(pow(sigmoid(neg(z)), gamma), sub(softplus(z), mul(z, 1 - labelSmoothing / 2))), alpha);
  const z = gather(flat, positive, 0);
  const steps = constant(
    int64(
      Array.from({ length: classes }, (_, k) => k * h! * w!),
      [1, classes],
    ),
  );
  const column = reshape(ignored, [ignored.shape[0]!, 1]);
  const silent = gather(flat, reshape(add(column, steps), [`${ignored.shape[0]}·classes`]), 0);
  return sub(add(background, total(sub(asObject(z), asBackground(z)))), total(asBackground(silent)));
}

/**
 * Huber's loss of box offsets, summed: `½ e²` where `|e| ≤ δ`, else `δ |e| − ½ δ²`. Targets that are exactly 0 do not
 * count (spec B1: automl masks by element).
 */
export function huberLoss(offsets: Value, targets: Value, delta: number): Value {
  const error = abs(sub(offsets, targets));
  // ½ q² + δ (|e| − q) with q = min(|e|, δ): no branch, and the slope is right on both sides.
  const quadratic = minimum(error, delta);
  const loss = add(mul(mul(quadratic, quadratic), 0.5), mul(sub(error, quadratic), delta));
  return total(where(equal(targets, 0), 0, loss));
}

/**
 * Overlap losses of pairs of boxes, `[P, 4]` yMin, xMin, yMax, xMax, summed (automl `iou_utils.py`):
 * 1 − IoU; − the share of the enclosing box that neither covers (Rezatofighi et al. 2019); − the centres' distance
 * relative to the enclosing diagonal (Zheng et al. 2020), and with the difference of the aspects.
 * A target without area counts 0.
 */
export function overlapLoss(predicted: Value, target: Value, kind: IouLoss): Value {
  const side = (box: Value, i: number): Value => slice(box, 1, i, i + 1); // [P, 1]
  const [pTop, pLeft, pBottom, pRight] = [0, 1, 2, 3].map((i) => side(predicted, i)) as [
    Value,
    Value,
    Value,
    Value,
  ];
  const [tTop, tLeft, tBottom, tRight] = [0, 1, 2, 3].map((i) => side(target, i)) as [
    Value,
    Value,
    Value,
    Value,
  ];
  const extent = (from: Value, to: Value): Value => maximum(sub(to, from), 0);
  const [pHeight, pWidth] = [extent(pTop, pBottom), extent(pLeft, pRight)];
  const [tHeight, tWidth] = [extent(tTop, tBottom), extent(tLeft, tRight)];
  const shared = mul(
    extent(maximum(pTop, tTop), minimum(pBottom, tBottom)),
    extent(maximum(pLeft, tLeft), minimum(pRight, tRight)),
  );
  const targetArea = mul(tHeight, tWidth);
  const union = sub(add(mul(pHeight, pWidth), targetArea), shared);
  const iou = quotient(shared, union);
  const [height, width] = [
    extent(minimum(pTop, tTop), maximum(pBottom, tBottom)),
    extent(minimum(pLeft, tLeft), maximum(pRight, tRight)),
  ];
  const penalty = (): Value => {
    if (kind === "giou") return quotient(sub(mul(height, width), union), mul(height, width));
    const middle = (a: Value, b: Value, c: Value, d: Value): Value => mul(sub(add(a, b), add(c, d)), 0.5);
    const square = (x: Value): Value => mul(x, x);
    const distance = add(
      square(middle(pTop, pBottom, tTop, tBottom)),
      square(middle(pLeft, pRight, tLeft, tRight)),
    );
    const diou = quotient(distance, add(square(height), square(width)));
    if (kind === "diou") return diou;
    const aspects = sub(atan(quotient(tWidth, tHeight)), atan(quotient(pWidth, pHeight)));
    const v = mul(square(aspects), 4 / Math.PI ** 2);
    // How much the aspect counts is taken as given, as in the paper's and automl's gradient.
    const weight = stopGradient(quotient(v, add(sub(1, iou), v)));
    return add(diou, mul(weight, v));
  };
  const loss = kind === "iou" ? sub(1, iou) : add(sub(1, iou), penalty());
  return total(where(less(0, targetArea), loss, 0));
}

/** `a / b`, 0 where `b` is 0. */
function quotient(a: Value, b: Value): Value {
  return where(equal(b, 0), 0, div(a, where(equal(b, 0), 1, b)));
}

/**
 * Boxes of anchors and offsets, `[P, 4]` each (yMin, xMin, yMax, xMax; ty, tx, th, tw): the box coder of
 * `detection/coder.ts` as a graph.
 */
export function decodedBoxes(offsets: Value, anchors: Value): Value {
  const half = (from: number): Value => slice(anchors, 1, from, from + 2);
  const size = sub(half(2), half(0));
  const centre = add(mul(slice(offsets, 1, 0, 2), size), mul(add(half(0), half(2)), 0.5));
  const halves = mul(mul(exp(slice(offsets, 1, 2, 4)), size), 0.5);
  return concat([sub(centre, halves), add(centre, halves)], 1);
}
