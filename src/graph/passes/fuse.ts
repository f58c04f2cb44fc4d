import { graphNodes, producerOf, type Graph, type Node } from "../ir.ts";
import { applyAll } from "../op.ts";
import { batchNormTrainingOp } from "../ops/batch-statistics.ts";
import type { FusedActivation } from "../ops/blocked.ts";
import { relu6Op, reluOp } from "../ops/elementwise.ts";
import { readersOf, rewrite } from "./rewrite.ts";

/** Activations that the operation before them may do. */
export const fusedActivations: ReadonlyMap<unknown, FusedActivation> = new Map<unknown, FusedActivation>([
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
  const nodes = graphNodes(graph);
  const readers = readersOf(graph, nodes);
  for (const node of nodes) {
    const activation = fusedActivations.get(node.op);
    const before = activation && producerOf(node.inputs[0]!);
    if (!before || before.op !== (batchNormTrainingOp as unknown)) continue;
    if (node.inputs[0] !== before.outputs[0] || readers.get(node.inputs[0]!)!.length !== 1) continue;
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
