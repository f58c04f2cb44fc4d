import { graphNodes, parameter, staticShape, type Graph, type Value } from "../ir.ts";
import { rewrite } from "./rewrite.ts";

/** A graph in two: what follows from parameters alone, and the rest. */
export interface Hoisted {
  /** Makes the values that the rest reads, as outputs `hoisted/0` …; its inputs are parameters only. */
  readonly before: Graph;
  /** The graph, with those values as parameters `hoisted/0` …. */
  readonly after: Graph;
  /** Each of them as it is made in `before`, with the parameter that stands for it in `after`. */
  readonly values: readonly { readonly made: Value; readonly read: Value }[];
}

/**
 * Takes out of a graph what depends on no input, so that it is computed once where the rest runs many times: kernels
 * scaled by batch normalisation, normalised fusion weights. Parameters that are read as they are stay where they are.
 */
export function hoist(graph: Graph): Hoisted {
  const moving = new Set<Value>();
  const isMoving = (value: Value): boolean => value.source.kind === "input" || moving.has(value);
  const nodes = graphNodes(graph);
  for (const node of nodes)
    if (node.inputs.some(isMoving)) node.outputs.forEach((value) => moving.add(value));
  const reads = new Map<Value, Value>();
  for (const node of nodes) {
    if (!moving.has(node.outputs[0]!)) continue;
    for (const value of node.inputs)
      if (value.source.kind === "node" && !moving.has(value) && !reads.has(value))
        reads.set(value, parameter(`hoisted/${reads.size}`, staticShape(value)));
  }
  const after = rewrite(graph, ({ node }) =>
    node.outputs.some((value) => reads.has(value))
      ? node.outputs.map((value) => reads.get(value) ?? value)
      : undefined,
  );
  const values = [...reads].map(([made, read]) => ({ made, read }));
  return {
    before: { inputs: [], outputs: Object.fromEntries(values.map(({ made }, i) => [`hoisted/${i}`, made])) },
    after,
    values,
  };
}
