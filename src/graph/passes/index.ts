import type { Tensor } from "../../tensor/index.ts";
import type { Graph } from "../ir.ts";
import { bindParameters } from "./bind.ts";
import { foldBatchNorm, foldConstants } from "./fold.ts";

export { bindParameters } from "./bind.ts";
export { blockLayout } from "./block-layout.ts";
export { foldBatchNorm, foldConstants, foldFrozenBatchNorm } from "./fold.ts";
export { fuseActivations } from "./fuse.ts";
export { hoist, type Hoisted } from "./hoist.ts";
export {
  beforeQuantisation,
  quantiseGraph,
  valuesToObserve,
  type ObservedValue,
  type QuantiseOptions,
} from "./quantise.ts";
export { rewrite } from "./rewrite.ts";

/** The graph as it is run with fixed weights: parameters bound, constants computed, batch normalisation folded. */
export function forInference(graph: Graph, weights: ReadonlyMap<string, Tensor>): Graph {
  return foldBatchNorm(foldConstants(bindParameters(graph, weights)));
}
