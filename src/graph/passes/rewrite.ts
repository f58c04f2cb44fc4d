import { graphNodes, type Graph, type Node, type Value } from "../ir.ts";
import { applyAll } from "../op.ts";

/** A node with its inputs already rewritten, and how often its output is read in the graph as it was. */
export interface Visit {
  readonly node: Node;
  readonly inputs: readonly Value[];
  /** Readers of a value of the rewritten graph, counted in the original one. */
  readers(value: Value): number;
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
  const count = new Map<Value, number>();
  const read = (value: Value): void => void count.set(value, (count.get(value) ?? 0) + 1);
  const nodes = graphNodes(graph);
  for (const node of nodes) node.inputs.forEach(read);
  Object.values(graph.outputs).forEach(read);

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
    const readers = (value: Value): number => count.get(original.get(value) ?? value) ?? 0;
    const kept = inputs.every((value, i) => value === node.inputs[i]) ? node.outputs : undefined;
    const outputs = replace({ node, inputs, readers }) ?? kept ?? applyAll(node.op, inputs, node.attributes);
    node.outputs.forEach((before, i) => put(before, outputs[i]!));
  }
  return {
    inputs: graph.inputs,
    outputs: Object.fromEntries(Object.entries(graph.outputs).map(([name, value]) => [name, now(value)])),
  };
}
