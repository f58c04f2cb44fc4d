import { graphNodes, type Graph, type Node, type Value } from "../ir.ts";
import { applyAll } from "../op.ts";

/** A node with its inputs already rewritten, and how often its output is read in the graph as it was. */
export interface Visit {
  readonly node: Node;
  readonly inputs: readonly Value[];
  /** Readers of a value of the rewritten graph, counted in the original one. */
  readers(value: Value): number;
}

/** The nodes that read each value, `undefined` for the graph itself. */
export function readersOf(graph: Graph, nodes: readonly Node[]): Map<Value, (Node | undefined)[]> {
  const readers = new Map<Value, (Node | undefined)[]>();
  const read = (value: Value, by: Node | undefined): void => {
    const list = readers.get(value);
    if (list) list.push(by);
    else readers.set(value, [by]);
  };
  for (const node of nodes) for (const value of node.inputs) read(value, node);
  for (const value of Object.values(graph.outputs)) read(value, undefined);
  return readers;
}

/**
 * The graph with each node offered to `replace`, inputs first. What it returns takes the place of the node's outputs;
 * `undefined` keeps the node. Sources (inputs, parameters, constants) are offered to `source`.
 */
export function rewrite(
  graph: Graph,
  replace: (visit: Visit) => readonly Value[] | undefined,
  source: (value: Value) => Value = (value) => value,
): Graph {
  const nodes = graphNodes(graph);
  const read = readersOf(graph, nodes);

  const replaced = new Map<Value, Value>();
  const original = new Map<Value, Value>();
  const put = (before: Value, after: Value): void => {
    replaced.set(before, after);
    original.set(after, before);
  };
  const now = (value: Value): Value => {
    if (!replaced.has(value)) put(value, value.source.kind === "node" ? value : source(value));
    return replaced.get(value)!;
  };
  for (const node of nodes) {
    const inputs = node.inputs.map(now);
    const readers = (value: Value): number => read.get(original.get(value) ?? value)?.length ?? 0;
    const kept = inputs.every((value, i) => value === node.inputs[i]) ? node.outputs : undefined;
    const outputs = replace({ node, inputs, readers }) ?? kept ?? applyAll(node.op, inputs, node.attributes);
    node.outputs.forEach((before, i) => put(before, outputs[i]!));
  }
  return {
    inputs: graph.inputs,
    outputs: Object.fromEntries(Object.entries(graph.outputs).map(([name, value]) => [name, now(value)])),
  };
}
