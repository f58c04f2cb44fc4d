import { graphNodes, producerOf, type Graph, type Node, type Value } from "../ir.ts";
import { applyAll } from "../op.ts";
import { batchNormTrainingOp } from "../ops/batch-statistics.ts";
import type { FusedActivation } from "../ops/blocked.ts";
import { relu6Op, reluOp } from "../ops/elementwise.ts";
import { rewrite } from "./rewrite.ts";

const activations = new Map<unknown, FusedActivation>([
  [reluOp, "relu"],
  [relu6Op, "relu6"],
]);

/**
 * Makes relu and relu6 part of the batch normalisation by batch statistics before them, which is a pass over the map
 * less. Before differentiation: their gradients need only what comes out of them.
 */
export function fuseActivations(graph: Graph): Graph {
  const fused = new Map<Node, FusedActivation>();
  const parts = new Set<Node>();
  const readers = readersOf(graph);
  for (const node of graphNodes(graph)) {
    const activation = activations.get(node.op);
    const before = activation && producerOf(node.inputs[0]!);
    if (!before || before.op !== (batchNormTrainingOp as unknown)) continue;
    if (node.inputs[0] !== before.outputs[0] || readers.get(node.inputs[0]!) !== 1) continue;
    fused.set(before, activation);
    parts.add(node);
  }
  return rewrite(graph, ({ node, inputs }) => {
    if (parts.has(node)) return inputs;
    const activation = fused.get(node);
    return activation === undefined
      ? undefined
      : applyAll(node.op, inputs, { ...node.attributes, activation });
  });
}

function readersOf(graph: Graph): Map<Value, number> {
  const readers = new Map<Value, number>();
  const values = [...graphNodes(graph).flatMap((node) => node.inputs), ...Object.values(graph.outputs)];
  for (const value of values) readers.set(value, (readers.get(value) ?? 0) + 1);
  return readers;
}
