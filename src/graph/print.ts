import { graphNodes, graphParameters, type Graph, type Value } from "./ir.ts";
import { typeText } from "./op.ts";

/**
 * A graph as text, one line a node, for people and for snapshots:
 *
 *     input image: float32[1, 3, 8, 8]
 *     parameter conv.weight: float32[4, 3, 3, 3]
 *     %0: float32[1, 4, 4, 4] = conv2d(image, conv.weight) stride=[2, 2] …
 *     output features = %0
 */
export function printGraph(graph: Graph): string {
  const lines: string[] = [];
  const names = new Map<Value, string>();
  const constants: string[] = [];
  const name = (value: Value): string => {
    const { source } = value;
    if (source.kind === "input" || source.kind === "parameter") return source.name;
    if (source.kind === "constant") {
      if (source.tensor.data.length === 1) return String(source.tensor.data[0]);
      if (!names.has(value)) {
        names.set(value, `#${constants.length}`);
        constants.push(`constant #${constants.length}: ${typeText(value)}`);
      }
    }
    return names.get(value)!;
  };
  graphNodes(graph).forEach(({ op, inputs, outputs, attributes }, i) => {
    outputs.forEach((output, k) => names.set(output, outputs.length === 1 ? `%${i}` : `%${i}.${k}`));
    const told = Object.entries(attributes).map(
      ([key, value]) => ` ${key}=${Array.isArray(value) ? `[${value.join(", ")}]` : value}`,
    );
    const left = outputs.map((output) => `${name(output)}: ${typeText(output)}`).join(", ");
    lines.push(`${left} = ${op.name}(${inputs.map(name).join(", ")})${told.join("")}`);
  });
  return [
    ...graph.inputs.map((value) => `input ${name(value)}: ${typeText(value)}`),
    ...graphParameters(graph).map((value) => `parameter ${name(value)}: ${typeText(value)}`),
    ...constants,
    ...lines,
    ...Object.entries(graph.outputs).map(([key, value]) => `output ${key} = ${name(value)}`),
  ].join("\n");
}
