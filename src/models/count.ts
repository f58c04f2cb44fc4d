import { elementCount } from "../tensor/index.ts";
import { graphNodes, nameOf, staticShape, type Graph, type Value } from "../graph/index.ts";
import type { Model } from "./efficientdet.ts";

/** Trainable numbers: kernels, biases, batch normalisation's γ and β, fusion weights; not running statistics. */
export function countParameters(parameters: readonly Value[]): number {
  return parameters.reduce(
    (sum, p) =>
      sum + (p.source.kind === "parameter" && p.source.trainable ? elementCount(staticShape(p)) : 0),
    0,
  );
}

/** Multiply-adds of the convolutions (and matrix products) of one run of the graph. */
export function countMultiplyAdds(graph: Graph): number {
  return graphNodes(graph).reduce((sum, node) => sum + (node.op.properties.multiplyAdds?.(node) ?? 0), 0);
}

/** Parameters and multiply-adds of a model, and of its three parts. */
export function countModel(
  model: Model,
): Record<"all" | "backbone" | "features" | "heads", { parameters: number; multiplyAdds: number }> {
  const part = (name: string): "backbone" | "features" | "heads" =>
    name.startsWith("backbone.") ? "backbone" : name.startsWith("fpn.") ? "features" : "heads";
  const result = {
    all: { parameters: 0, multiplyAdds: 0 },
    backbone: { parameters: 0, multiplyAdds: 0 },
    features: { parameters: 0, multiplyAdds: 0 },
    heads: { parameters: 0, multiplyAdds: 0 },
  };
  for (const p of model.parameters) {
    const count = countParameters([p]);
    result.all.parameters += count;
    result[part(nameOf(p)!)].parameters += count;
  }
  for (const node of graphNodes(model.graph)) {
    const count = node.op.properties.multiplyAdds?.(node) ?? 0;
    result.all.multiplyAdds += count;
    const kernel = node.inputs.map(nameOf).find((name) => name?.includes("."));
    if (count > 0 && kernel) result[part(kernel)].multiplyAdds += count;
  }
  return result;
}
