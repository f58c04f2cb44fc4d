import { tensor, type Tensor } from "../../tensor/index.ts";
import { constant, constantOf, graphNodes, type Graph, type Node, type Value } from "../ir.ts";
import { apply, applyAll } from "../op.ts";
import { conv2dOp, type ConvolutionAttributes } from "../ops/convolution.ts";
import { addOp, mul, mulOp, relu6Op, reluOp, sigmoid, sigmoidOp, swishOp } from "../ops/elementwise.ts";
import { maxPool2dOp } from "../ops/pooling.ts";
import { dequantise, quantise, roundEven, type Quantisation } from "../ops/quantisation.ts";
import { resizeNearestOp } from "../ops/resize.ts";
import { readersOf, rewrite } from "./rewrite.ts";

/** What was seen of a map on some pictures. */
export interface ObservedValue {
  /** The numbers that eight bits shall hold; what lies outside is taken for the nearer end. */
  readonly low: number;
  readonly high: number;
  /** The mean of each channel. */
  readonly means: Float32Array;
}

export interface QuantiseOptions {
  /** Convolutions that stay in float32; default none. */
  readonly keepFloat?: (node: Node) => boolean;
}

/** Numbers from and to. */
type Range = Pick<ObservedValue, "low" | "high">;
type Observe = (value: Value) => ObservedValue;

/**
 * A graph with constant weights, prepared for {@link quantiseGraph}: swish is the product that it is, so that its two
 * parts have ranges of their own.
 */
export function beforeQuantisation(graph: Graph): Graph {
  return rewrite(graph, ({ node, inputs: [x] }) => (is(node, swishOp) ? [mul(x!, sigmoid(x!))] : undefined));
}

/** The values that {@link quantiseGraph} must know of, given the same options. */
export function valuesToObserve(graph: Graph, options: QuantiseOptions = {}): Value[] {
  const asked = new Set<Value>();
  intoWholeNumbers(
    graph,
    (value) => {
      asked.add(value);
      return { low: -1, high: 1, means: new Float32Array(value.shape[1] as number) };
    },
    options,
  );
  return [...asked];
}

/**
 * The graph in eight bits, in the form that engines look for (ONNX's QuantizeLinear and DequantizeLinear around each
 * operation, which ONNX Runtime makes one of whole numbers): maps are uint8, kernels int8 with a scale for each output
 * channel, biases int32. What is no map (`[N, C, h, w]`), and so pre-processing and decoding, stays float32.
 *
 * Kernels that sum over channels use 7 of their 8 bits, −64…64: on x86 processors without VNNI the engine adds two
 * products of uint8 by int8 in 16 bits, which 2 · 255 · 64 just fits and 2 · 255 · 127 would not (ONNX Runtime's
 * documentation, "reduce range"). Depthwise kernels are not multiplied that way and keep all 8.
 *
 * Rounding moves the mean of each output channel a little, by the kernel's errors times the means of what it reads; the
 * bias takes that back (Nagel et al. 2019, "Data-free quantization through weight equalization and bias correction", §4.2,
 * with means that were seen).
 *
 * @param observed all of {@link valuesToObserve}; ranges of clipped values are narrowed to what clipping leaves
 */
export function quantiseGraph(
  graph: Graph,
  observed: ReadonlyMap<Value, ObservedValue>,
  options: QuantiseOptions = {},
): Graph {
  const observe: Observe = (value) => {
    const seen = observed.get(value);
    if (!seen) throw new TypeError("a value was not observed that is to be quantised");
    return seen;
  };
  return intoWholeNumbers(graph, observe, options);
}

/** Whole numbers and what they stand for. */
interface Whole {
  readonly value: Value;
  readonly as: Quantisation;
}

/** The forms of the graph's values: as whole numbers, as float32, each made when it is first wanted. */
class Forms {
  readonly #whole = new Map<Value, Whole>();
  readonly #float = new Map<Value, Value>();
  readonly #observe: Observe;

  constructor(observe: Observe) {
    this.#observe = observe;
  }

  /** The mean of each channel of a value. */
  means(value: Value): Float32Array {
    return this.#observe(value).means;
  }

  isWhole(value: Value): boolean {
    return this.#whole.has(value);
  }

  whole(value: Value): Whole {
    let form = this.#whole.get(value);
    if (!form) this.#whole.set(value, (form = this.rounded(this.float(value), value)));
    return form;
  }

  float(value: Value): Value {
    const whole = this.#whole.get(value);
    let form = this.#float.get(value);
    if (!form) this.#float.set(value, (form = whole ? dequantise(whole.value, whole.as) : value));
    return form;
  }

  /** `float` rounded to the range of `value`. */
  rounded(float: Value, value: Value, within: Range = { low: -Infinity, high: Infinity }): Whole {
    const range = this.#observe(value);
    const as = bytesFor({
      low: Math.max(range.low, within.low),
      high: Math.min(range.high, within.high),
    });
    return { value: quantise(float, as), as };
  }

  putWhole(value: Value, form: Whole): void {
    this.#whole.set(value, form);
  }

  putFloat(value: Value, form: Value): void {
    this.#float.set(value, form);
  }
}

/** uint8 for a range, which is widened to hold zero. */
function bytesFor(range: Range): Quantisation {
  const [low, high] = [Math.min(range.low, 0), Math.max(range.high, 0)];
  const scale = Math.fround((high - low) / 255) || 1;
  return {
    dtype: "uint8",
    scales: Float32Array.of(scale),
    zeroPoint: Math.min(255, Math.round(-low / scale)),
  };
}

const is = (node: Node, op: unknown): boolean => node.op === op;
const isMap = (value: Value): boolean => value.dtype === "float32" && value.shape.length === 4;

/** What clipping leaves. */
const clipped = new Map<unknown, Range>([
  [reluOp, { low: 0, high: Infinity }],
  [relu6Op, { low: 0, high: 6 }],
]);

function intoWholeNumbers(graph: Graph, observe: Observe, { keepFloat }: QuantiseOptions): Graph {
  const forms = new Forms(observe);
  const nodes = graphNodes(graph);
  const readers = readersOf(graph, nodes);
  /** Results that only clipping reads: rounding to the clipped range clips. */
  const unclipped = new Map<Value, Value>();
  for (const node of nodes) {
    const [output] = node.outputs as [Value];
    const [x] = node.inputs as [Value?];
    const clip = clipped.get(node.op);
    if (clip && x && unclipped.has(x)) {
      forms.putWhole(output, forms.rounded(unclipped.get(x)!, output, clip));
      continue;
    }
    const moved = asTheyAre(node, forms);
    if (moved) {
      forms.putWhole(output, moved);
      continue;
    }
    const stays = is(node, conv2dOp) && keepFloat?.(node);
    const result = stays ? undefined : fromWholeNumbers(node, forms);
    if (!result) {
      inFloat(node, forms);
      continue;
    }
    const [only, ...more] = readers.get(output)!;
    if (only && more.length === 0 && clipped.has(only.op)) unclipped.set(output, result);
    else forms.putWhole(output, forms.rounded(result, output));
  }
  return {
    inputs: graph.inputs,
    outputs: Object.fromEntries(
      Object.entries(graph.outputs).map(([name, value]) => [name, forms.float(value)]),
    ),
  };
}

function inFloat(node: Node, forms: Forms): void {
  const inputs = node.inputs.map((value) => forms.float(value));
  const outputs = inputs.every((value, i) => value === node.inputs[i])
    ? node.outputs
    : applyAll(node.op, inputs, node.attributes);
  node.outputs.forEach((value, i) => forms.putFloat(value, outputs[i]!));
}

/** What only moves whole numbers, or changes what they stand for. */
function asTheyAre(node: Node, forms: Forms): Whole | undefined {
  if (is(node, mulOp)) {
    const { number, map } = scaledMap(node) ?? {};
    if (!map || !forms.isWhole(map)) return undefined;
    const { value, as } = forms.whole(map);
    return { value, as: { ...as, scales: as.scales.map((scale) => scale * number!) } };
  }
  // Which element is the largest, or the nearest, does not depend on what the numbers stand for.
  if (!is(node, maxPool2dOp) && !is(node, resizeNearestOp)) return undefined;
  const [x] = node.inputs as [Value];
  if (!forms.isWhole(x)) return undefined;
  const { value, as } = forms.whole(x);
  return { value: apply(node.op, [value], node.attributes), as };
}

/** The float result, not yet rounded, of what engines compute on whole numbers. */
function fromWholeNumbers(node: Node, forms: Forms): Value | undefined {
  if (is(node, conv2dOp)) return hasConstantKernel(node) ? convolution(node, forms) : undefined;
  if (!is(node, addOp) && !is(node, mulOp) && !is(node, sigmoidOp)) return undefined;
  if (!node.inputs.every((value) => isMap(value) && forms.isWhole(value))) return undefined;
  return apply(
    node.op,
    node.inputs.map((value) => forms.float(value)),
    node.attributes,
  );
}

/** The number above zero and the map of a product of these, which is that map at another scale. */
function scaledMap(node: Node): { number: number; map: Value } | undefined {
  const [a, b] = node.inputs as [Value, Value];
  for (const [one, map] of [
    [a, b],
    [b, a],
  ] as const) {
    const scalar = constantOf(one);
    const number = scalar?.data.length === 1 ? Number(scalar.data[0]) : 0;
    if (number > 0 && isMap(map)) return { number, map };
  }
  return undefined;
}

function hasConstantKernel(node: Node): boolean {
  const [x, kernel, bias] = node.inputs as [Value, Value, Value?];
  return isMap(x) && constantOf(kernel)?.dtype === "float32" && (!bias || constantOf(bias) !== undefined);
}

/** The convolution of whole numbers, its sum as float32. */
function convolution(node: Node, forms: Forms): Value {
  const [kernel, bias] = node.inputs.slice(1).map((value) => constantOf(value)!) as [Tensor, Tensor?];
  const { groups } = node.attributes as ConvolutionAttributes;
  const depthwise = groups > 1 && kernel.shape[1] === 1 && kernel.shape[0] === groups;
  const x = forms.whole(node.inputs[0]!);
  const inputScale = x.as.scales[0]!;
  const rows = wholeRows(kernel, depthwise ? 127 : 64, bias?.data as Float32Array | undefined, inputScale);
  const offsets = correctedBias(kernel, rows, groups, forms.means(node.inputs[0]!), bias);
  // A step of the bias is one of the input times one of the kernel.
  const biasAs: Quantisation = {
    ...rows.as,
    dtype: "int32",
    scales: rows.as.scales.map((s) => s * inputScale),
  };
  const wholeBias = Int32Array.from(offsets, (value, k) => roundEven(value / biasAs.scales[k]!));
  const inputs = [
    dequantise(x.value, x.as),
    dequantise(constant(tensor("int8", kernel.shape, rows.data)), rows.as, 0),
    dequantise(constant(tensor("int32", [wholeBias.length], wholeBias)), biasAs, 0),
  ];
  return apply(node.op, inputs, node.attributes);
}

interface WholeRows {
  readonly data: Int8Array<ArrayBuffer>;
  readonly as: Quantisation;
}

/** A kernel `[O, …]` as whole numbers from −most to most, each output channel at its own scale. */
function wholeRows(
  kernel: Tensor,
  most: number,
  bias: Float32Array | undefined,
  inputScale: number,
): WholeRows {
  const source = kernel.data as Float32Array;
  const scales = new Float32Array(kernel.shape[0]!);
  const row = source.length / scales.length;
  const data = new Int8Array(source.length);
  for (let k = 0; k < scales.length; k++) {
    let largest = 0;
    for (let i = k * row; i < (k + 1) * row; i++) largest = Math.max(largest, Math.abs(source[i]!));
    // A bias far above its kernel must fit 32 bits too.
    const least = Math.abs(bias?.[k] ?? 0) / inputScale / 2 ** 30;
    scales[k] = Math.max(largest / most, least) || 1;
    for (let i = k * row; i < (k + 1) * row; i++)
      data[i] = Math.max(-most, Math.min(most, roundEven(source[i]! / scales[k]!)));
  }
  return { data, as: { dtype: "int8", scales, zeroPoint: 0 } };
}

/** The bias less what rounding the kernel adds to each output channel's mean; padding is taken for more of the same. */
function correctedBias(
  kernel: Tensor,
  { data, as }: WholeRows,
  groups: number,
  means: Float32Array,
  bias: Tensor | undefined,
): Float64Array {
  const [outputs, each, height, width] = kernel.shape as [number, number, number, number];
  const source = kernel.data as Float32Array;
  const area = height * width;
  const offsets = bias ? Float64Array.from(bias.data as Float32Array) : new Float64Array(outputs);
  for (let k = 0, i = 0; k < outputs; k++) {
    const first = Math.floor((k * groups) / outputs) * each;
    for (let c = 0; c < each; c++)
      for (let end = i + area; i < end; i++)
        offsets[k]! -= (data[i]! * as.scales[k]! - source[i]!) * means[first + c]!;
  }
  return offsets;
}
