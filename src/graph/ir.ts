import type { DType, Tensor } from "../tensor/index.ts";
import type { Attributes, Op } from "./op.ts";

/**
 * The whole of a graph's form, on one screen.
 *
 * A {@link Value} is a tensor that will exist when the graph runs; it knows its element type, its shape, and where it
 * comes from. A {@link Node} is one application of an operation. Both are immutable: calling `add(x, y)` makes a node
 * and gives back its value, and a pass that changes a graph makes a new one. Nothing lists the nodes of a graph:
 * what its outputs reach is what it holds, so dead code cannot exist.
 */
export interface Value {
  readonly dtype: DType;
  readonly shape: readonly Dim[];
  readonly source: Source;
}

/** A size that is known when the graph is built, or the name of one that is known when it runs. */
export type Dim = number | string;

/** Element type and shape: what {@link Op.infer} computes with. */
export interface Type {
  readonly dtype: DType;
  readonly shape: readonly Dim[];
}

/** Where a value comes from. A parameter is a weight: bound to a tensor when the graph is compiled, or fed at each run. */
export type Source =
  | { readonly kind: "input"; readonly name: string; readonly fallback?: Tensor }
  | { readonly kind: "parameter"; readonly name: string; readonly trainable: boolean }
  | { readonly kind: "constant"; readonly tensor: Tensor }
  | { readonly kind: "node"; readonly node: Node; readonly output: number };

/** One application of an operation to values. */
export interface Node {
  readonly op: Op;
  readonly inputs: readonly Value[];
  readonly attributes: Attributes;
  readonly outputs: readonly Value[];
}

/** What goes in, in order, and what comes out, by name. */
export interface Graph {
  readonly inputs: readonly Value[];
  readonly outputs: Readonly<Record<string, Value>>;
}

/** A value that is fed at each run; where it is not, `fallback` stands in. */
export function input(name: string, dtype: DType, shape: readonly Dim[], fallback?: Tensor): Value {
  return { dtype, shape, source: { kind: "input", name, fallback } };
}

/** A weight, by its state-dict name. Running statistics and counters are not trainable. */
export function parameter(
  name: string,
  shape: readonly number[],
  trainable = true,
  dtype: DType = "float32",
): Value {
  return { dtype, shape, source: { kind: "parameter", name, trainable } };
}

/** A tensor that is part of the graph. */
export function constant(tensor: Tensor): Value {
  return { dtype: tensor.dtype, shape: tensor.shape, source: { kind: "constant", tensor } };
}

/** The nodes that `roots` reach, every node after those it reads from. Iterative: a training step is deep. */
export function nodesOf(roots: Iterable<Value>): Node[] {
  const order: Node[] = [];
  const seen = new Set<Node>();
  const stack: { node: Node; next: number }[] = [];
  const visit = (value: Value): void => {
    if (value.source.kind === "node" && !seen.has(value.source.node)) {
      seen.add(value.source.node);
      stack.push({ node: value.source.node, next: 0 });
    }
  };
  for (const root of roots) {
    visit(root);
    while (stack.length > 0) {
      const top = stack.at(-1)!;
      if (top.next < top.node.inputs.length) visit(top.node.inputs[top.next++]!);
      else order.push(stack.pop()!.node);
    }
  }
  return order;
}

/** The nodes of a graph in an order they can run in. */
export function graphNodes(graph: Graph): Node[] {
  return nodesOf(Object.values(graph.outputs));
}

/** The parameters that a graph reads, each once, in the order of first use. */
export function graphParameters(graph: Graph): Value[] {
  const found = new Map<string, Value>();
  const note = (value: Value): void => {
    if (value.source.kind === "parameter" && !found.has(value.source.name))
      found.set(value.source.name, value);
  };
  for (const node of graphNodes(graph)) node.inputs.forEach(note);
  Object.values(graph.outputs).forEach(note);
  return [...found.values()];
}

/** The name of a parameter or input; `undefined` for other values. */
export function nameOf(value: Value): string | undefined {
  return value.source.kind === "parameter" || value.source.kind === "input" ? value.source.name : undefined;
}

/** The tensor of a constant; `undefined` for other values. */
export function constantOf(value: Value): Tensor | undefined {
  return value.source.kind === "constant" ? value.source.tensor : undefined;
}

/** The node that makes a value; `undefined` for inputs, parameters and constants. */
export function producerOf(value: Value): Node | undefined {
  return value.source.kind === "node" ? value.source.node : undefined;
}

/** A shape with every size known. */
export function staticShape(value: Type): number[] {
  return value.shape.map((dim) => {
    if (typeof dim !== "number")
      throw new TypeError(`the size ${dim} of [${value.shape.join(", ")}] is only known when the graph runs`);
    return dim;
  });
}
