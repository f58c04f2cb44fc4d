import {
  graphNodes,
  producerOf,
  staticShape,
  type Graph,
  type Node,
  type Value,
} from "../../../src/graph/index.ts";
import type { TensorFlow, TfTensor } from "./library.ts";
import { convolutionStep, fusable, plainStep, type Step } from "./operations.ts";

/** A network in TensorFlow.js's own operations. */
export interface TfNetwork {
  /** Runs it on a picture `[1, h, w, 3]`; gives each output, `[1, h, w, C]`, read back from the backend. */
  run(image: Float32Array): Map<string, Float32Array>;
}

/**
 * Our inference graph, node by node, as TensorFlow.js runs it best: channels last, weights brought there once, bias and
 * activation part of the convolution where its backend can, and each map given back as soon as nothing reads it any more.
 *
 * @throws {Error} naming an operation that has no counterpart here
 */
export function inTensorFlow(graph: Graph, tf: TensorFlow): TfNetwork {
  const outputs = Object.entries(graph.outputs);
  const steps = plan(graph, tf);
  const last = lastReaders(steps, Object.values(graph.outputs));
  const [image] = graph.inputs;
  const [n, c, h, w] = staticShape(image!) as [number, number, number, number];
  return {
    run(pixels) {
      const results = new Map<string, Float32Array>();
      tf.tidy(() => {
        const known = new Map<Value, TfTensor>([[image!, tf.tensor(pixels, [n, h, w, c])]]);
        for (const step of steps) {
          known.set(step.output, step.apply(step.inputs.map((value) => known.get(value)!)));
          for (const value of last.get(step) ?? []) known.get(value)!.dispose();
        }
        for (const [name, value] of outputs) results.set(name, known.get(value)!.dataSync());
      });
      return results;
    },
  };
}

/** One step for each node, but for activations that go into the convolution before them. */
function plan(graph: Graph, tf: TensorFlow): Step[] {
  const nodes = graphNodes(graph);
  const readers = new Map<Value, Node[]>();
  for (const node of nodes)
    for (const value of node.inputs) readers.set(value, [...(readers.get(value) ?? []), node]);
  const outputs = new Set(Object.values(graph.outputs));

  /** The activation that alone reads what a convolution makes. */
  const activationOf = (convolution: Node): Node | undefined => {
    const value = convolution.outputs[0]!;
    const [reader, ...more] = readers.get(value) ?? [];
    return reader && more.length === 0 && !outputs.has(value) && reader.op.name in fusable
      ? reader
      : undefined;
  };
  return nodes.flatMap((node) => {
    if (node.op.name === "conv2d") return [convolutionStep(node, activationOf(node), tf)];
    const before = producerOf(node.inputs[0]!);
    const fused = before?.op.name === "conv2d" && activationOf(before) === node;
    return fused ? [] : [plainStep(node, tf)];
  });
}

/** For each step, the values that no later one reads and that are not `kept`. */
function lastReaders(steps: readonly Step[], kept: readonly Value[]): Map<Step, Value[]> {
  const reader = new Map<Value, Step>();
  for (const step of steps) for (const value of step.inputs) reader.set(value, step);
  for (const value of kept) reader.delete(value);
  const last = new Map<Step, Value[]>();
  for (const [value, step] of reader) last.set(step, [...(last.get(step) ?? []), value]);
  return last;
}
