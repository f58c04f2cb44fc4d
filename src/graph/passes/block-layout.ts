import { tensor } from "../../tensor/index.ts";
import { constant, constantOf, graphNodes, producerOf, type Graph, type Node, type Value } from "../ir.ts";
import { applyAll, apply, type Op } from "../op.ts";
import {
  blockedConvOp, blockedFilter, blockedMaxPoolOp, blockedMeanOp, blockedRepeatOp, blockedScaleOp, reorderInput, reorderOutput, scaledFilterOp, wholeBlocks,
  type FilterLayout,
} from "../ops/channel-blocks.ts"; // prettier-ignore
import type { FusedActivation } from "../ops/blocked.ts";
import { conv2dOp } from "../ops/convolution.ts";
import { addOp, mulOp } from "../ops/elementwise.ts";
import { maxPool2dOp } from "../ops/pooling.ts";
import { reduceMeanOp } from "../ops/reduction.ts";
import { resizeNearestOp } from "../ops/resize.ts";
import { fusedActivations } from "./fuse.ts";
import { rewrite } from "./rewrite.ts";

/**
 * Brings a graph with constant weights into ONNX Runtime's blocked layout as a whole.
 *
 * The engine does so by itself, but leaves blocks and comes back for every operation that it does not know there: swish
 * above all, which costs D0 a hundred reorderings of its maps. Here everything element by element stays in blocks,
 * squeeze-and-excite's gate goes into the filter after it where that is smaller than the map, and sums and clipping
 * are part of the convolution before them.
 *
 * @param block channels of a block: 8 or 16, as the processor has it
 */
export function blockLayout(graph: Graph, block: number): Graph {
  return fuseIntoConvolutions(intoBlocks(graph, block));
}

/** A value's two forms, each made when it is first wanted. */
class Forms {
  readonly #plain = new Map<Value, Value>();
  readonly #blocked = new Map<Value, Value>();
  readonly #block: number;

  constructor(block: number) {
    this.#block = block;
  }

  isBlocked(value: Value): boolean {
    return this.#blocked.has(value);
  }

  plain(value: Value): Value {
    let form = this.#plain.get(value);
    if (!form) {
      const blocked = this.#blocked.get(value);
      form = blocked ? reorderOutput(blocked, value.shape[1] as number, this.#block) : value;
      this.#plain.set(value, form);
    }
    return form;
  }

  blocked(value: Value): Value {
    let form = this.#blocked.get(value);
    if (!form) this.#blocked.set(value, (form = reorderInput(this.plain(value), this.#block)));
    return form;
  }

  put(value: Value, form: Value, layout: "plain" | "blocked"): void {
    (layout === "plain" ? this.#plain : this.#blocked).set(value, form);
  }
}

function intoBlocks(graph: Graph, block: number): Graph {
  const forms = new Forms(block);
  for (const node of graphNodes(graph)) {
    const blocked = inBlocks(node, forms, block);
    if (blocked) forms.put(node.outputs[0]!, blocked.value, blocked.layout);
    else {
      const inputs = node.inputs.map((value) => forms.plain(value));
      const outputs = inputs.every((value, i) => value === node.inputs[i])
        ? node.outputs
        : applyAll(node.op, inputs, node.attributes);
      node.outputs.forEach((value, i) => forms.put(value, outputs[i]!, "plain"));
    }
  }
  return {
    inputs: graph.inputs,
    outputs: Object.fromEntries(
      Object.entries(graph.outputs).map(([name, value]) => [name, forms.plain(value)]),
    ),
  };
}

interface Blocked {
  readonly value: Value;
  readonly layout: "plain" | "blocked";
}

const isMap = (value: Value): boolean =>
  value.dtype === "float32" &&
  value.shape.length === 4 &&
  value.shape.every((dim) => typeof dim === "number");
const area = (value: Value): number => (value.shape[2] as number) * (value.shape[3] as number);
const isScalar = (value: Value): boolean => value.shape.every((dim) => dim === 1);
const is = (node: Node, op: unknown): boolean => node.op === op;

/** The node in blocks, where it can be and pays; on maps of one place blocked and plain are the same, and matrix products quicker. */
function inBlocks(node: Node, forms: Forms, block: number): Blocked | undefined {
  const [x] = node.inputs as [Value, ...Value[]];
  if (!node.inputs.some((value) => isMap(value) && area(value) > 1)) return undefined;
  if (is(node, conv2dOp)) return convolution(node, forms, block);
  if (is(node, mulOp) && isGate(node))
    return forms.isBlocked(x)
      ? blockedValue(
          apply(blockedScaleOp, [forms.blocked(x), fullGate(node.inputs[1]!, forms, block)], { block }),
        )
      : undefined;
  if (node.op.properties.elementwise) return elementwise(node, forms);
  if (!forms.isBlocked(x)) return undefined;
  if (is(node, maxPool2dOp))
    return blockedValue(
      apply(blockedMaxPoolOp, [forms.blocked(x)], { ...(node.attributes as object), block } as never),
    );
  if (is(node, resizeNearestOp)) return repeat(node, forms.blocked(x), block);
  if (is(node, reduceMeanOp) && String(node.attributes.axes) === "2,3")
    return mean(node, forms.blocked(x), block);
  return undefined;
}

const blockedValue = (value: Value): Blocked => ({ value, layout: "blocked" });

function convolution(node: Node, forms: Forms, block: number): Blocked | undefined {
  const [x, kernel, bias] = node.inputs as [Value, Value, Value?];
  const [filter, offset] = [constantOf(kernel), bias && constantOf(bias)];
  const { groups, stride, dilation, pads } = node.attributes as unknown as {
    groups: number;
    stride: [number, number];
    dilation: [number, number];
    pads: [number, number, number, number];
  };
  if (!isMap(x) || area(x) === 1 || filter?.dtype !== "float32" || (bias && !offset)) return undefined;
  const [outputs, perGroup] = filter.shape as [number, number, number, number];
  const depthwise = groups > 1 && perGroup === 1 && outputs === groups;
  if ((groups > 1 && !depthwise) || (depthwise && outputs % 4 !== 0)) return undefined;
  const few = groups === 1 && perGroup < block;
  if (groups === 1 && !few && perGroup % 4 !== 0) return undefined;
  const layout: FilterLayout = depthwise || few ? "outputs" : "both";
  const width = wholeBlocks(outputs, block);
  const offsets = new Float32Array(width);
  if (offset) offsets.set(offset.data as Float32Array);
  const weights = constant(blockedFilter(filter, layout, block));
  const attributes = {
    stride,
    dilation,
    pads,
    block,
    layout,
    groups: depthwise ? width : 1,
    activation: "" as FusedActivation,
  };
  const gated =
    layout === "both" && kernel.shape[2] === 1 && kernel.shape[3] === 1
      ? gateBefore(x, outputs, forms)
      : undefined;
  const [map, own] = gated
    ? [
        forms.blocked(gated.map),
        apply(scaledFilterOp, [weights, fullGate(gated.gate, forms, block)], { block }),
      ]
    : [few ? forms.plain(x) : forms.blocked(x), weights];
  return blockedValue(
    apply(blockedConvOp, [map, own, constant(tensor("float32", [width], offsets))], attributes),
  );
}

/** `map · gate` before a 1×1 convolution of one picture, where the filter has fewer elements than the map. */
function gateBefore(x: Value, outputs: number, forms: Forms): { map: Value; gate: Value } | undefined {
  const node = producerOf(x);
  if (!node || !is(node, mulOp) || !isGate(node) || x.shape[0] !== 1 || outputs > area(x)) return undefined;
  const [map, gate] = node.inputs as [Value, Value];
  return forms.isBlocked(map) ? { map, gate } : undefined;
}

/** A multiplication of a map by one number per picture and channel. */
function isGate({ inputs: [map, gate] }: Node): boolean {
  return (
    isMap(map!) &&
    isMap(gate!) &&
    area(map!) > 1 &&
    area(gate!) === 1 &&
    gate!.shape[1] === map!.shape[1] &&
    gate!.shape[0] === map!.shape[0]
  );
}

/** A gate for whole blocks of channels. */
function fullGate(gate: Value, forms: Forms, block: number): Value {
  return (gate.shape[1] as number) % block === 0 ? forms.plain(gate) : forms.blocked(gate);
}

function elementwise(node: Node, forms: Forms): Blocked | undefined {
  const maps = node.inputs.filter((value) => !isScalar(value));
  const same = maps.every(
    (value) => isMap(value) && value.shape.every((dim, axis) => dim === maps[0]!.shape[axis]),
  );
  if (!same || !maps.some((value) => forms.isBlocked(value)) || (maps[0]!.shape[1] as number) % 4 !== 0)
    return undefined;
  const inputs = node.inputs.map((value) => (isScalar(value) ? forms.plain(value) : forms.blocked(value)));
  return blockedValue(apply(node.op as Op, inputs, node.attributes));
}

function repeat(node: Node, x: Value, block: number): Blocked | undefined {
  const { height, width } = node.attributes as { height: number; width: number };
  const factors = [height / (x.shape[2] as number), width / (x.shape[3] as number)] as const;
  return factors.every(Number.isInteger)
    ? blockedValue(apply(blockedRepeatOp, [x], { block, factors }))
    : undefined;
}

function mean(node: Node, x: Value, block: number): Blocked {
  const value = apply(blockedMeanOp, [x], { block });
  const channels = node.outputs[0]!.shape[1] as number;
  return channels === x.shape[1]
    ? { value, layout: "plain" }
    : { value: reorderOutput(value, channels, block), layout: "plain" };
}

/** Clipping and sums that follow a convolution which nothing else reads become part of it. */
function fuseIntoConvolutions(graph: Graph): Graph {
  const clipped = (source: Graph): Graph =>
    rewrite(source, ({ node, inputs, readers }) => {
      const activation = fusedActivations.get(node.op);
      const conv = activation === undefined ? undefined : lonely(inputs[0]!, readers);
      return conv && applyAll(conv.op, conv.inputs, { ...conv.attributes, activation });
    });
  const summed = rewrite(graph, ({ node, inputs, readers }) => {
    if (!is(node, addOp) || inputs.some((value) => !isMap(value))) return undefined;
    for (const [i, other] of [
      [1, 0],
      [0, 1],
    ] as const) {
      const conv = lonely(inputs[i]!, readers);
      if (conv?.inputs.length === 3 && sameShape(inputs[i]!, inputs[other]!))
        return applyAll(conv.op, [...conv.inputs, inputs[other]!], conv.attributes);
    }
    return undefined;
  });
  return clipped(summed);
}

/** The convolution that makes a value which is read once, and that has no activation yet. */
function lonely(value: Value, readers: (value: Value) => number): Node | undefined {
  const node = producerOf(value);
  return node && is(node, blockedConvOp) && node.attributes.activation === "" && readers(value) === 1
    ? node
    : undefined;
}

function sameShape(a: Value, b: Value): boolean {
  return a.shape.every((dim, axis) => dim === b.shape[axis]);
}
