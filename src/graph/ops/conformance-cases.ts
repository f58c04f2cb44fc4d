import { elementCount, type DType, type Shape, type Tensor } from "../../tensor/index.ts";
import { Random } from "../../tensor/random.ts";
import type { Attributes } from "../op.ts";
import { fromNumbers } from "./broadcast.ts";

/** How the elements of an input are drawn, or what they are. */
export type Draw =
  | "normal" // mean 0, deviation 2
  | "positive" // from 0.5 to 3
  | "distinct" // a permutation: no two are nearer than 0.05, none is nearer to 0 than 0.025
  | "probability" // from 0 to 1
  | "bool"
  | "pixels" // whole numbers from 0 to 255
  | { readonly below: number } // whole numbers from 0
  | readonly number[];

/** One input of a case. */
export interface CaseInput {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly draw: Draw;
}

/** An application of an operation that every engine must agree on, and whose gradient is checked. */
export interface ConformanceCase {
  readonly inputs: readonly CaseInput[];
  readonly attributes: Attributes;
  /** Largest difference, absolute and relative; default 1e-5. */
  readonly tolerance?: number;
  /** Why ONNX Runtime is not asked. */
  readonly notInEngine?: string;
  /** Why the gradient is not compared with finite differences. */
  readonly noGradientCheck?: string;
}

const f = (shape: Shape, draw: Draw = "normal"): CaseInput => ({ dtype: "float32", shape, draw });
const whole = (shape: Shape, draw: Draw): CaseInput => ({ dtype: "int64", shape, draw });
const byte = (dtype: "uint8" | "int8" | "int32", shape: Shape, draw: Draw): CaseInput => ({
  dtype,
  shape,
  draw,
});
const of = (
  inputs: readonly CaseInput[],
  attributes: Attributes = {},
  more: Partial<ConformanceCase> = {},
): ConformanceCase => ({ inputs, attributes, ...more });

/** The same case for one picture, for three, and for none. */
const batches = (make: (n: number) => ConformanceCase): ConformanceCase[] => [1, 3, 0].map(make);

/** What is hard for clipping between 0 and 6, over and over. */
const edges = (count: number): number[] => {
  const values = [0, 6, 4e-7, 5.9999995, 3, -4e-7, 6.0000005, -100, 100, -1e4, 1e4, 0.5];
  return Array.from({ length: count }, (_, i) => values[i % values.length]!);
};

const unary = (draw: Draw = "distinct"): ConformanceCase[] => [
  of([f([], draw)]), of([f([7], draw)]), of([f([0, 3], draw)]), ...batches((n) => of([f([n, 3, 5, 4], draw)])),
]; // prettier-ignore

const binary = (draw: Draw = "distinct"): ConformanceCase[] => [
  of([f([3, 4], draw), f([3, 4], draw)]),
  of([f([], draw === "distinct" ? "normal" : draw), f([], draw === "distinct" ? "normal" : draw)]),
  of([f([2, 3, 4], draw), f([4], draw)]),
  of([f([], draw), f([2, 3], draw)]),
  of([f([2, 1, 4], draw), f([3, 1], draw)]),
  of([f([1, 3, 1, 1], draw), f([2, 3, 2, 5], draw)]),
  of([f([0, 3], draw), f([1, 3], draw)]),
];
const wholePairs: ConformanceCase[] = [
  of([whole([5], { below: 3 }), whole([5], { below: 3 })]),
  of([whole([2, 3], { below: 4 }), whole([], { below: 4 })]),
];

const inBlocks = { notInEngine: "the engine's block depends on the processor" };
const blockedWindow = (layout: string, groups: number, activation: string): Attributes => ({
  stride: [2, 2], dilation: [1, 1], pads: [1, 1, 1, 1], groups, layout, activation, block: 8,
}); // prettier-ignore

const pool = { kernel: [3, 3], stride: [2, 2], pads: [0, 0, 1, 1] };
const pools = (draw: Draw): ConformanceCase[] => [
  ...batches((n) => of([f([n, 2, 8, 6], draw)], pool)),
  of([f([1, 3, 7, 5], draw)], { ...pool, pads: [1, 1, 1, 1] }),
  of([f([2, 2, 6, 6], draw)], { kernel: [2, 2], stride: [2, 2], pads: [0, 0, 0, 0] }),
  of([f([2, 1, 9, 7], draw)], { kernel: [5, 3], stride: [4, 2], pads: [0, 1, 1, 1] }),
  of([f([1, 2, 5, 5], draw)], { kernel: [3, 3], stride: [1, 1], pads: [1, 1, 1, 1] }),
  of([f([1, 2, 2, 2], draw)], { kernel: [3, 3], stride: [2, 2], pads: [0, 0, 1, 1] }),
];

const window = { stride: [1, 1], dilation: [1, 1], pads: [0, 0, 0, 0], groups: 1 };

const poolGradients: ConformanceCase[] = [
  ...batches((n) => of([f([n, 2, 8, 6], "distinct"), f([n, 2, 4, 3])], pool)),
  of([f([1, 3, 7, 5], "distinct"), f([1, 3, 4, 3])], { ...pool, pads: [1, 1, 1, 1] }),
  of([f([2, 2, 6, 6], "distinct"), f([2, 2, 3, 3])], { kernel: [2, 2], stride: [2, 2], pads: [0, 0, 0, 0] }),
  of([f([2, 1, 9, 7], "distinct"), f([2, 1, 2, 4])], { kernel: [5, 3], stride: [4, 2], pads: [0, 1, 1, 1] }),
  of([f([1, 1, 3, 3], [1, 1, 1, 1, 1, 1, 1, 1, 1]), f([1, 1, 3, 3])], {
    kernel: [3, 3],
    stride: [1, 1],
    pads: [1, 1, 1, 1],
  }),
  of([f([1, 2, 2, 2], "distinct"), f([1, 2, 1, 1])], { kernel: [3, 3], stride: [2, 2], pads: [0, 0, 1, 1] }),
];

/** Channels enough for the engine's own layout (`blocked.ts`), whose blocks have 8 or 16. */
const wide: readonly (readonly [x: Shape, kernel: Shape, attributes: Partial<typeof window>])[] = [
  [[2, 16, 6, 5], [16, 1, 3, 3], { pads: [1, 1, 1, 1], groups: 16 }],
  [[1, 16, 7, 8], [16, 1, 5, 5], { pads: [2, 2, 2, 2], groups: 16 }],
  [[2, 32, 8, 6], [32, 1, 3, 3], { stride: [2, 2], pads: [0, 0, 1, 1], groups: 32 }],
  [[2, 16, 8, 10], [16, 1, 5, 5], { stride: [2, 2], pads: [1, 1, 2, 2], groups: 16 }],
  [[1, 16, 6, 8], [16, 1, 5, 3], { stride: [1, 2], pads: [2, 0, 2, 1], groups: 16 }],
  [[1, 16, 7, 5], [16, 1, 3, 3], { stride: [2, 2], pads: [1, 1, 1, 1], groups: 16 }],
  [[1, 16, 10, 9], [16, 1, 3, 3], { stride: [2, 2], groups: 16 }],
  [[2, 16, 1, 1], [16, 1, 3, 3], { pads: [1, 1, 1, 1], groups: 16 }],
  [[1, 16, 2, 2], [16, 1, 5, 5], { stride: [2, 2], pads: [1, 1, 2, 2], groups: 16 }],
  [[1, 16, 6, 6], [16, 1, 3, 3], { dilation: [2, 2], pads: [2, 2, 2, 2], groups: 16 }],
];

/** Sizes of convolutions: input, kernel (without a bias), and how it moves. The output is worked out. */
const convolutions: readonly (readonly [x: Shape, kernel: Shape, attributes: Partial<typeof window>])[] = [
  [[2, 5, 4, 3], [6, 5, 1, 1], {}],
  [[1, 3, 5, 5], [2, 3, 1, 1], {}],
  [[3, 3, 8, 8], [4, 3, 3, 3], { stride: [2, 2], pads: [0, 0, 1, 1] }],
  [[2, 2, 7, 6], [3, 2, 3, 3], { pads: [1, 1, 1, 1] }],
  [[2, 4, 5, 6], [4, 1, 3, 3], { pads: [1, 1, 1, 1], groups: 4 }],
  [[1, 3, 9, 9], [3, 1, 5, 5], { pads: [2, 2, 2, 2], groups: 3 }],
  [[2, 3, 8, 8], [3, 1, 3, 3], { stride: [2, 2], pads: [0, 0, 1, 1], groups: 3 }],
  [[2, 3, 8, 6], [3, 1, 5, 5], { stride: [2, 2], pads: [1, 1, 2, 2], groups: 3 }],
  [[1, 3, 7, 5], [3, 1, 5, 5], { stride: [2, 2], pads: [2, 2, 2, 2], groups: 3 }],
  [[1, 3, 7, 5], [3, 1, 3, 3], { stride: [2, 2], pads: [1, 1, 1, 1], groups: 3 }],
  [[1, 2, 10, 9], [2, 1, 3, 3], { stride: [2, 2], groups: 2 }],
  [[2, 3, 1, 1], [3, 1, 3, 3], { pads: [1, 1, 1, 1], groups: 3 }],
  [[2, 4, 7, 9], [6, 2, 3, 3], { stride: [2, 2], pads: [1, 1, 1, 1], groups: 2 }],
  [[1, 3, 9, 8], [2, 3, 3, 2], { dilation: [2, 1], pads: [2, 0, 2, 1] }],
  [[2, 3, 6, 5], [3, 1, 3, 3], { dilation: [2, 2], pads: [2, 2, 2, 2], groups: 3 }],
  [[1, 2, 9, 9], [2, 2, 3, 3], { stride: [3, 2] }],
  [[1, 2, 6, 6], [2, 2, 1, 1], { stride: [2, 2] }],
  ...wide,
];
const convolutionGradients = (
  make: (x: Shape, kernel: Shape, y: Shape, attributes: Attributes) => ConformanceCase,
): ConformanceCase[] =>
  convolutions.map(([x, kernel, given]) => {
    const attributes = { ...window, ...given };
    const side = (axis: number): number =>
      Math.floor(
        (x[axis + 2]! +
          attributes.pads[axis]! +
          attributes.pads[axis + 2]! -
          (kernel[axis + 2]! - 1) * attributes.dilation[axis]! -
          1) /
          attributes.stride[axis]!,
      ) + 1;
    return make(x, kernel, [x[0]!, kernel[0]!, side(0), side(1)], attributes);
  });

const reductions: ConformanceCase[] = [
  of([f([2, 3, 4], "distinct")], { axes: [1] }),
  of([f([2, 3, 4], "distinct")], { axes: [0, 2] }),
  of([f([5], "distinct")], { axes: [0] }),
  ...batches((n) => of([f([n, 3, 4, 5], "distinct")], { axes: [2, 3] })),
  of([f([3, 2, 4, 5], "distinct")], { axes: [0, 2, 3] }),
];

const focals = [
  { alpha: 0.25, gamma: 1.5, labelSmoothing: 0 },
  { alpha: 0.25, gamma: 1.5, labelSmoothing: 0.1 },
  { alpha: 0.5, gamma: 2, labelSmoothing: 0 },
  { alpha: 0.25, gamma: 1, labelSmoothing: 0 },
  { alpha: 0.4, gamma: 0.7, labelSmoothing: 0.2 },
];

/** A picture to pre-process, and a size to bring it to. Float32 coordinates are worth 1e-3 of a standard deviation. */
const picture = (h: number, w: number, height: number, width: number): ConformanceCase =>
  of(
    [{ dtype: "uint8", shape: [h, w, 3], draw: "pixels" }],
    { height, width, mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375] },
    { tolerance: 1e-3 },
  );

/** Cases of every operation, by its name: the tests run over all of them, and an operation without is a failing test. */
export const conformanceCases: Readonly<Record<string, readonly ConformanceCase[]>> = {
  neg: unary(),
  abs: unary(),
  exp: unary("normal"),
  log: unary("positive"),
  sqrt: unary("positive"),
  reciprocal: unary("positive"),
  floor: unary(),
  sign: unary(),
  tanh: unary(),
  atan: unary(),
  stopGradient: unary(),
  sigmoid: unary(),
  softplus: unary(),
  relu: unary(),
  relu6: [...unary(), of([f([9], [-3, -0.1, 0.1, 3, 5.9, 6.1, 7, 100, -100])])],
  swish: unary(),
  hardSwish: [...unary(), of([f([6], [-4, -2.9, -1, 1, 2.9, 4])])],
  mish: unary(),
  add: [...binary(), ...wholePairs],
  sub: [...binary(), ...wholePairs],
  mul: [...binary(), ...wholePairs],
  div: binary("positive"),
  pow: binary("positive"),
  min: [...binary(), ...wholePairs],
  max: [...binary(), ...wholePairs],
  greater: [...binary(), ...wholePairs],
  less: [...binary(), ...wholePairs],
  equal: [...binary(), ...wholePairs],
  where: [
    of([{ dtype: "bool", shape: [3, 4], draw: "bool" }, f([3, 4]), f([3, 4])]),
    of([{ dtype: "bool", shape: [4], draw: "bool" }, f([3, 1]), f([])]),
    of([{ dtype: "bool", shape: [2, 1, 1], draw: "bool" }, f([1, 3, 2]), f([2, 3, 2])]),
    of([{ dtype: "bool", shape: [0], draw: "bool" }, f([1]), f([0])]),
  ],
  cast: [
    of([f([5], [-1.7, -0.2, 0.4, 1.9, 3])], { to: "int64" }),
    of([f([4], [0, 1, -2, 0])], { to: "bool" }),
    of([whole([4], { below: 9 })], { to: "float32" }),
    of([{ dtype: "bool", shape: [2, 3], draw: "bool" }], { to: "float32" }),
    of([{ dtype: "uint8", shape: [2, 3], draw: "pixels" }], { to: "float32" }),
    of([f([0])], { to: "int64" }),
  ],
  conv2d: [
    ...batches((n) =>
      of([f([n, 3, 8, 8]), f([4, 3, 3, 3]), f([4])], { ...window, stride: [2, 2], pads: [0, 0, 1, 1] }),
    ),
    ...batches((n) => of([f([n, 4, 5, 6]), f([4, 1, 3, 3])], { ...window, pads: [1, 1, 1, 1], groups: 4 })),
    of([f([2, 5, 4, 3]), f([6, 5, 1, 1])], window),
    of([f([1, 5, 1, 1]), f([2, 5, 1, 1]), f([2])], window),
    of([f([2, 4, 7, 9]), f([6, 2, 3, 3]), f([6])], {
      ...window,
      stride: [2, 2],
      pads: [1, 1, 1, 1],
      groups: 2,
    }),
    of([f([2, 3, 8, 8]), f([3, 1, 5, 5])], { ...window, stride: [2, 2], pads: [1, 1, 2, 2], groups: 3 }),
    of([f([2, 3, 7, 7]), f([3, 1, 5, 5])], { ...window, stride: [2, 2], pads: [2, 2, 2, 2], groups: 3 }),
    of([f([1, 3, 9, 8]), f([2, 3, 3, 2])], { ...window, dilation: [2, 1], pads: [2, 0, 2, 1] }),
    of([f([1, 2, 1, 1]), f([2, 1, 3, 3])], { ...window, pads: [1, 1, 1, 1], groups: 2 }),
    of([f([1, 2, 9, 9]), f([2, 2, 3, 3])], { ...window, stride: [3, 2] }),
    of([f([2, 3, 6, 5]), f([3, 1, 3, 3])], { ...window, dilation: [2, 2], pads: [2, 2, 2, 2], groups: 3 }),
    ...wide.map(([x, kernel, attributes]) =>
      of([f(x), f(kernel), f([kernel[0]!])], { ...window, ...attributes }),
    ),
  ],
  maxPool2d: pools("distinct"),
  averagePool2d: pools("normal"),
  batchNorm: [
    ...batches((n) => of([f([n, 3, 4, 5]), f([3]), f([3]), f([3]), f([3], "positive")], { epsilon: 1e-3 })),
    of([f([2, 3]), f([3]), f([3]), f([3]), f([3], "positive")], { epsilon: 1e-3 }),
  ],
  letterbox: [
    picture(6, 9, 32, 32),
    picture(40, 30, 16, 24),
    picture(1, 50, 32, 32),
    picture(32, 32, 32, 32),
    picture(7, 3, 8, 5),
  ],
  reduceSum: reductions,
  reduceMean: reductions,
  reduceMax: reductions,
  argMax: [
    of([f([2, 3, 4], "distinct")], { axis: 1 }),
    of([f([5], "distinct")], { axis: 0 }),
    of([f([2, 6], "distinct")], { axis: 1 }),
    of([f([6], [1, 3, 3, 0, 3, 2])], { axis: 0 }),
    of([f([0, 6])], { axis: 1 }),
  ],
  softmax: [
    of([f([4])], { axis: 0 }),
    of([f([2, 3, 4])], { axis: 1 }),
    of([f([2, 3, 4])], { axis: 2 }),
    of([f([3], [1000, 0, -1000])], { axis: 0 }),
    of([f([0, 3])], { axis: 1 }),
  ],
  matMul: [
    of([f([3, 4]), f([4, 5])]),
    of([f([2, 3, 4]), f([2, 4, 5])]),
    of([f([1, 2, 3, 4]), f([3, 1, 4, 2])]),
    of([f([2, 1, 7]), f([2, 7, 1])]),
    of([f([0, 3, 4]), f([1, 4, 5])]),
  ],
  reshape: [
    of([f([2, 6])], { shape: [3, 4], named: "", place: -1 }),
    of([f([1])], { shape: [], named: "", place: -1 }),
    of([f([])], { shape: [1, 1], named: "", place: -1 }),
    of([f([4, 3])], { shape: [-1, 6], named: "rows", place: 0 }),
    of([f([0, 3])], { shape: [3, 0], named: "", place: -1 }),
    of([whole([4], { below: 9 })], { shape: [2, 2], named: "", place: -1 }),
  ],
  transpose: [
    of([f([2, 3])], { order: [1, 0] }),
    of([f([2, 3, 4, 5])], { order: [0, 2, 3, 1] }),
    of([f([2, 3, 4])], { order: [2, 0, 1] }),
    of([f([0, 3])], { order: [1, 0] }),
  ],
  concat: [
    of([f([2, 3]), f([4, 3])], { axis: 0 }),
    of([f([2, 1, 2]), f([2, 3, 2]), f([2, 2, 2])], { axis: 1 }),
    of([f([0, 3]), f([2, 3])], { axis: 0 }),
    of([f([3])], { axis: 0 }),
    of([whole([2], { below: 9 }), whole([1], { below: 9 })], { axis: 0 }),
  ],
  slice: [
    of([f([5, 3])], { axis: 0, start: 1, end: 4, step: 1 }),
    of([f([2, 7])], { axis: 1, start: 0, end: 7, step: 2 }),
    of([f([2, 7])], { axis: 1, start: 1, end: 6, step: 3 }),
    of([f([4])], { axis: 0, start: 2, end: 2, step: 1 }),
    of([f([0, 4])], { axis: 1, start: 1, end: 3, step: 1 }),
  ],
  pad: [
    of([f([2, 3])], { before: [1, 0], after: [0, 2], value: 0 }),
    of([f([1, 2, 3, 3])], { before: [0, 0, 1, 2], after: [0, 0, 2, 1], value: -1.5 }),
    of([f([0, 2])], { before: [0, 1], after: [0, 1], value: 0 }),
  ],
  gather: [
    of([f([5, 3]), whole([4], [0, 4, -1, 2])], { axis: 0 }),
    of([f([2, 5]), whole([2, 2], [4, 0, 0, 1])], { axis: 1 }),
    of([f([5]), whole([], [3])], { axis: 0 }),
    of([f([5, 2]), whole([0], [])], { axis: 0 }),
    of([f([3, 2, 2]), whole([3], [1, 1, 1])], { axis: 1 }),
    of([whole([4], { below: 99 }), whole([3], [3, 0, 3])], { axis: 0 }),
  ],
  expand: [
    of([f([1, 3])], { shape: [4, 3] }),
    of([f([2, 1, 1, 3])], { shape: [2, 2, 2, 3] }),
    of([f([1])], { shape: [0] }),
    of([f([2, 3])], { shape: [2, 3] }),
  ],
  resizeNearest: [
    ...batches((n) => of([f([n, 2, 3, 2])], { height: 6, width: 4 })),
    of([f([1, 2, 3, 3])], { height: 5, width: 5 }),
    of([f([2, 1, 2, 3])], { height: 3, width: 6 }),
    of([f([1, 1, 5, 5])], { height: 9, width: 10 }),
    of([f([1, 1, 1, 1])], { height: 2, width: 3 }),
    of([f([1, 2, 6, 4])], { height: 3, width: 2 }),
  ],
  topK: [
    of([f([9], "distinct"), whole([1], [4])], { size: "k" }),
    of(
      [f([2, 5], "distinct"), whole([1], [5])],
      { size: "k" },
      { noGradientCheck: "there for vectors only" },
    ),
    of(
      [f([7], [1, 3, 3, 2, 3, 0, 3]), whole([1], [3])],
      { size: "k" },
      { noGradientCheck: "equal elements" },
    ),
    of([f([4], "distinct"), whole([1], [0])], { size: "k" }),
  ],
  nonMaxSuppression: [
    of([
      f([1, 3, 4], [0, 0, 10, 10, 0, 1, 10, 11, 20, 20, 30, 30]),
      f([1, 2, 3], [0.9, 0.8, 0.7, 0.2, 0.6, 0.1]),
      whole([1], [10]),
      f([1], [0.5]),
      f([1], [0.15]),
    ]),
    of([
      f([1, 2, 4], [0, 0, 10, 10, 0, 5, 10, 15]),
      f([1, 1, 2], [0.4, 0.9]),
      whole([1], [1]),
      f([1], [0.5]),
      f([1], [0]),
    ]),
    of([
      f([2, 2, 4], [0, 0, 1, 1, 0, 0, 1, 1, 5, 5, 6, 6, 0, 0, 1, 1]),
      f([2, 1, 2], [0.1, 0.2, 0.3, 0.4]),
      whole([1], [5]),
      f([1], [0.5]),
      f([1], [0]),
    ]),
    of([
      f([1, 2, 4], [0, 0, 1, 1, 0, 0, 1, 1]),
      f([1, 1, 2], [0.1, 0.2]),
      whole([1], [5]),
      f([1], [0.5]),
      f([1], [0.5]),
    ]),
  ],
  gatherNd: [
    of([f([3, 4]), whole([5, 2], [0, 0, 2, 3, 1, 1, 1, 1, 2, 0])]),
    of([f([3, 2, 2]), whole([2, 1], [2, 0])]),
    of([f([3, 4]), whole([0, 2], [])]),
  ],
  swishGradient: [
    of([f([9]), f([9]), f([9])]),
    ...batches((n) => of([f([n, 2, 3, 3]), f([n, 2, 3, 3]), f([n, 2, 3, 3])])),
  ],
  relu6Gradient: [
    of([f([9], [-3, -0.1, 0.1, 3, 5.9, 6.1, 7, -9, 60]), f([9])]),
    of([f([2], [0, 6]), f([2])], {}, { noGradientCheck: "at the kinks" }),
    of(
      [f([2, 32, 32, 64], edges(2 * 32 * 32 * 64)), f([2, 32, 32, 64])],
      {},
      { noGradientCheck: "at the kinks" },
    ),
    ...batches((n) => of([f([n, 2, 3, 3]), f([n, 2, 3, 3])])),
  ],
  reluGradient: [
    of([f([9], [-3, -0.1, 0.1, 3, 5.9, 6.1, 7, -9, 60]), f([9])]),
    of([f([3], [0, 1e-29, -1e-29]), f([3])], {}, { noGradientCheck: "at the kink" }),
    ...batches((n) => of([f([n, 2, 3, 3]), f([n, 2, 3, 3])])),
  ],
  batchNormTraining: [
    ...[1, 3].map((n) => of([f([n, 3, 4, 5]), f([3]), f([3])], { epsilon: 1e-3 }, { tolerance: 1e-4 })),
    of(
      [f([2, 4, 1, 1]), f([4]), f([4])],
      { epsilon: 1e-3 },
      { tolerance: 1e-3, noGradientCheck: "two elements a channel leave no slope" },
    ),
    of([f([2, 3, 4, 4]), f([3]), f([3])], { epsilon: 1e-3 }, { tolerance: 1e-4 }),
    of([f([1, 1, 2, 3], [5, 5, 5, 5, 5, 5]), f([1]), f([1])], { epsilon: 1e-3 }, { tolerance: 1e-4 }),
    // Small, and large enough to be taken in blocks.
    ...["relu", "relu6"].map((activation) =>
      of([f([2, 3, 4, 4]), f([3]), f([3])], { epsilon: 1e-3, activation }, { tolerance: 1e-4 }),
    ),
    ...["", "relu", "relu6"].map((activation) =>
      of(
        [f([2, 16, 48, 48]), f([16]), f([16])],
        { epsilon: 1e-3, activation },
        { tolerance: 1e-4, noGradientCheck: "too large" },
      ),
    ),
  ],
  // The last map is large enough to be taken in blocks.
  batchNormTrainingGradient: [
    [1, 3, 4, 5],
    [3, 3, 4, 5],
    [2, 16, 48, 48],
  ].map((map) =>
    of(
      [f(map), f(map), f([map[1]!]), f([map[1]!]), f([map[1]!], "positive")],
      { epsilon: 1e-3 },
      { tolerance: 1e-4 },
    ),
  ),
  conv2dInputGradient: convolutionGradients((x, kernel, y, attributes) =>
    of([f(y), f(kernel)], { ...attributes, size: x.slice(2) }),
  ),
  conv2dKernelGradient: convolutionGradients((x, kernel, y, attributes) =>
    of([f(x), f(y)], { ...attributes, size: kernel.slice(2) }),
  ),
  maxPool2dGradient: poolGradients,
  resizeBilinear: [
    ...batches((n) => of([f([n, 2, 3, 2])], { height: 6, width: 4 })),
    of([f([1, 2, 3, 3])], { height: 5, width: 7 }),
    of([f([1, 1, 8, 6])], { height: 3, width: 4 }),
    of([f([1, 1, 1, 1])], { height: 2, width: 3 }),
  ],
  scatterAdd: [
    of([f([6]), whole([4, 1], [0, 5, 2, 5]), f([4])]),
    of([f([3, 2]), whole([3, 1], [2, 2, -1]), f([3, 2])]),
    of([f([3, 4]), whole([3, 2], [0, 0, 2, 3, 0, 0]), f([3])]),
    of([f([3, 2]), whole([0, 1], []), f([0, 2])]),
  ],
  dot: [
    of([f([2, 3, 4]), f([2, 3, 4])], { axes: [2] }),
    of([f([2, 3, 4]), f([2, 3, 4])], { axes: [0, 1, 2] }),
    of([f([2, 3, 4]), f([2, 3, 4])], { axes: [1] }),
    of([f([5]), f([5])], { axes: [0] }),
    ...batches((n) => of([f([n, 3, 4, 5]), f([n, 3, 4, 5])], { axes: [2, 3] })),
    of([f([3, 2, 4, 5]), f([3, 2, 4, 5])], { axes: [0, 2, 3] }),
    of([f([0, 2]), f([0, 2])], { axes: [0] }),
    of([f([2, 3, 4, 4]), f([2, 3, 4, 4])], { axes: [0, 2, 3] }),
    of([f([8192]), f([8192])], { axes: [0] }, { tolerance: 1e-4 }),
  ],
  focalBackground: focals.flatMap((options) => [
    of([f([2, 6, 4, 4])], options, { tolerance: 1e-4 }),
    of([f([2, 6, 3, 4])], options, { tolerance: 1e-4 }),
    of([f([1, 3, 1, 1])], options),
  ]),
  focalBackgroundGradient: focals.map((options) => of([f([2, 6, 3, 4]), f([])], options)),
  // The engine's block depends on the processor: passes/block-layout.test.ts runs these in it.
  reorderInput: [
    of([f([2, 12, 3, 5])], { block: 8 }, inBlocks),
    of([f([1, 16, 1, 2])], { block: 16 }, inBlocks),
  ],
  reorderOutput: [of([f([2, 16, 3, 5])], { block: 8, channels: 10 }, inBlocks)],
  blockedConv: [
    of([f([1, 3, 6, 7]), f([16, 3, 3, 3]), f([16])], blockedWindow("outputs", 1, ""), inBlocks),
    of([f([2, 16, 6, 7]), f([16, 1, 3, 3]), f([16])], blockedWindow("outputs", 16, "relu"), inBlocks),
    of(
      [f([2, 16, 6, 7]), f([24, 16, 3, 3]), f([24]), f([2, 24, 3, 4])],
      blockedWindow("both", 1, "relu6"),
      inBlocks,
    ),
  ],
  blockedMaxPool: [of([f([2, 16, 8, 6])], { ...pool, block: 8 }, inBlocks)],
  blockedRepeat: [of([f([2, 16, 2, 3])], { factors: [2, 3], block: 8 }, inBlocks)],
  blockedMean: [of([f([2, 16, 2, 3])], { block: 8 }, inBlocks)],
  blockedScale: [of([f([2, 16, 2, 3]), f([2, 16, 1, 1])], { block: 8 }, inBlocks)],
  scaledFilter: [of([f([16, 24, 1, 1]), f([1, 24, 1, 1])], { block: 8 }, inBlocks)],
  quantise: [
    of([f([2, 3, 4]), f([], [0.05]), byte("uint8", [], [117])], { axis: -1 }),
    of(
      [
        f([12], [-99, -2.5, -1.5, -0.5, 0, 0.5, 1.5, 2.5, 126.5, 127.5, 254.5, 999]),
        f([], [1]),
        byte("uint8", [], [2]),
      ],
      { axis: -1 },
    ),
    of([f([4, 3, 2, 2]), f([4], [0.1, 0.03, 1, 0.007]), byte("int8", [4], [0, 0, 0, 0])], { axis: 0 }),
    of([f([0, 3]), f([], [1]), byte("uint8", [], [0])], { axis: -1 }),
  ],
  dequantise: [
    of([byte("uint8", [2, 3, 4], "pixels"), f([], [0.05]), byte("uint8", [], [117])], { axis: -1 }),
    of(
      [byte("int8", [3, 2], [-128, -64, -1, 0, 1, 127]), f([3], [0.1, 0.5, 2]), byte("int8", [3], [0, 0, 0])],
      { axis: 0 },
    ),
    of([byte("int32", [3], [-70000, 0, 123456]), f([3], [0.001, 0.5, 2]), byte("int32", [3], [0, 0, 0])], {
      axis: 0,
    }),
    of([byte("int8", [3, 2], [-128, -64, -1, 0, 1, 127]), f([3], [0.1, 0.5, 2])], { axis: 0 }),
    of([byte("uint8", [2, 3], "pixels"), f([], [0.3])], { axis: -1 }),
    of([byte("uint8", [0, 3], []), f([], [1]), byte("uint8", [], [0])], { axis: -1 }),
  ],
  shapeOf: [of([f([2, 3, 4])]), of([f([])]), of([f([0, 5])])],
};

/** The tensors of a case, the same at every run. */
export function caseTensors(inputs: readonly CaseInput[], seed: number): Tensor[] {
  const random = new Random(seed);
  return inputs.map(({ dtype, shape, draw }) =>
    fromNumbers(dtype, shape, drawn(draw, elementCount(shape), random)),
  );
}

function drawn(draw: Draw, count: number, random: Random): ArrayLike<number> {
  if (typeof draw === "object" && !("below" in draw)) return draw;
  if (draw === "distinct")
    return Array.from(
      random.permutation(count),
      (rank) => (rank - Math.floor(count / 2) + 0.5) * Math.max(0.05, 4 / (count + 1)),
    );
  const next = {
    normal: () => random.normal() * 2,
    positive: () => random.uniform(0.5, 3),
    probability: () => random.uniform(),
    bool: () => random.integer(2),
    pixels: () => random.integer(256),
  };
  return Array.from(
    { length: count },
    typeof draw === "string" ? next[draw] : () => random.integer(draw.below),
  );
}
