import { ShapeError } from "../../errors.ts";
import { halfToFloat32, tensor, type Tensor } from "../../tensor/index.ts";
import { constant, type Graph, type Value } from "../ir.ts";
import { typeText } from "../op.ts";
import { rewrite } from "./rewrite.ts";

/**
 * The graph with its parameters made constants. Half-precision tensors are widened.
 *
 * @throws {ShapeError} naming the parameter that is missing or has another shape
 */
export function bindParameters(graph: Graph, tensors: ReadonlyMap<string, Tensor>): Graph {
  return rewrite(
    graph,
    () => undefined,
    (value) =>
      value.source.kind === "parameter"
        ? bound(value, value.source.name, tensors.get(value.source.name))
        : value,
  );
}

function bound(value: Value, name: string, found: Tensor | undefined): Value {
  if (!found) throw new ShapeError(`the weights have no ${name}, ${typeText(value)}`);
  if (found.shape.length !== value.shape.length || found.shape.some((size, i) => size !== value.shape[i]))
    throw new ShapeError(`${name} is ${typeText(found)} in the weights, but ${typeText(value)} in the model`);
  return constant(
    found.dtype === "float16"
      ? tensor("float32", found.shape, halfToFloat32(found.data as Uint16Array))
      : found,
  );
}
