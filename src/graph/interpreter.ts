import type { Tensor } from "../tensor/index.ts";
import { graphNodes, type Graph, type Value } from "./ir.ts";
import { typeText, type Attributes, type Op } from "./op.ts";

/**
 * Runs a graph by each operation's own `evaluate`: slow, plain, in the precision of what it is fed (float64 for
 * gradient checks). What every engine is held against.
 *
 * @param feeds tensors of the graph's inputs and parameters, by name
 * @throws {Error} naming the input or parameter that is missing or has another type
 */
export function interpret(graph: Graph, feeds: ReadonlyMap<string, Tensor>): Record<string, Tensor> {
  const known = new Map<Value, Tensor>();
  const read = (value: Value): Tensor => {
    const { source } = value;
    if (source.kind === "constant") return source.tensor;
    if (source.kind === "node") return known.get(value)!;
    const fed = feeds.get(source.name) ?? (source.kind === "input" ? source.fallback : undefined);
    if (!fed) throw new Error(`the ${source.kind} ${source.name}, ${typeText(value)}, was not given`);
    if (
      fed.shape.length !== value.shape.length ||
      value.shape.some((dim, i) => typeof dim === "number" && dim !== fed.shape[i])
    )
      throw new Error(`the ${source.kind} ${source.name} is ${typeText(value)}, not ${typeText(fed)}`);
    return fed;
  };
  for (const { op, inputs, attributes, outputs } of graphNodes(graph)) {
    const tensors = alike(inputs.map(read), inputs);
    evaluate(op, tensors, attributes).forEach((tensor, i) => known.set(outputs[i]!, tensor));
  }
  return Object.fromEntries(Object.entries(graph.outputs).map(([name, value]) => [name, read(value)]));
}

/** Applies one operation to tensors. */
export function evaluate(op: Op, inputs: readonly Tensor[], attributes: Attributes): Tensor[] {
  const types = [op.infer(inputs, attributes)].flat();
  return [op.evaluate(inputs, attributes, types)].flat() as Tensor[];
}

/** Float constants of a graph that is fed float64 are widened, so that the whole runs in float64. */
function alike(tensors: readonly Tensor[], values: readonly Value[]): Tensor[] {
  if (!tensors.some((t) => t.dtype === "float64") || values.some((v) => v.dtype === "float64"))
    return [...tensors];
  return tensors.map((t) =>
    t.dtype === "float32"
      ? { dtype: "float64", shape: t.shape, data: Float64Array.from(t.data as Float32Array) }
      : t,
  );
}
