/**
 * TensorFlow.js's side of bench/inference.ts, in a process of its own: our network with the rule's weights in its
 * operations, held against ONNX Runtime before anything is timed. Arguments: the folder in which
 * bench/peers/tfjs/package.json is installed, the model, threads. A line `run` is answered with the milliseconds of one
 * run, from pixels in memory to every output read back.
 */
import { createInterface } from "node:readline";
import { forInference, nameOf, staticShape } from "../../../src/graph/index.ts";
import { buildModel, modelConfig } from "../../../src/models/index.ts";
import { nodeRuntime } from "../../../src/runtime/node.ts";
import { float32, Random } from "../../../src/tensor/index.ts";
import { ruleTensor, type RuleVariant } from "../../../src/testing/rule.ts";
import { loadTensorFlow } from "./library.ts";
import { inTensorFlow } from "./network.ts";

/** Largest difference from ONNX Runtime's outputs, in standard deviations of the output, that rounding explains. */
const tolerance = 1e-3;

const [folder, name, threads] = process.argv.slice(2) as [string, RuleVariant, string];
const { tf, engine } = await loadTensorFlow(folder, Number(threads));
const model = buildModel(modelConfig(name));
const weights = new Map(
  model.parameters.map((p) => [nameOf(p)!, ruleTensor(nameOf(p)!, staticShape(p), name)]),
);
const graph = forInference(model.graph, weights);
const network = inTensorFlow(graph, tf);

const shape = staticShape(graph.inputs[0]!);
const random = new Random(0);
const image = float32(
  Float32Array.from({ length: shape.reduce((product, size) => product * size) }, () => random.normal()),
  shape,
);
const pixels = tf.transpose(tf.tensor(image.data, shape), [0, 2, 3, 1]).dataSync();

const difference = await largestDifference();
if (!(difference <= tolerance)) {
  console.error(
    `TensorFlow.js's outputs are ${difference} deviations from ONNX Runtime's: not the same network`,
  );
  process.exit(1);
}
console.log(`ready ${engine}, outputs within ${difference.toExponential(1)} deviations of ONNX Runtime's`);
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "end") break;
  const start = performance.now();
  network.run(pixels);
  console.log(performance.now() - start);
}
process.exit(); // its threads would keep the process

/** Of all elements of all outputs, in standard deviations of the output that they are of. */
async function largestDifference(): Promise<number> {
  const session = await nodeRuntime.compile(graph, { threads: Number(threads) });
  const expected = await session.run({ image });
  await session.dispose();
  let largest = 0;
  for (const [key, found] of network.run(pixels)) {
    const [n, c, h, w] = expected[key]!.shape as [number, number, number, number];
    const ours = expected[key]!.data as Float32Array;
    const theirs = tf.transpose(tf.tensor(found, [n, h, w, c]), [0, 3, 1, 2]).dataSync();
    const mean = ours.reduce((sum, value) => sum + value, 0) / ours.length;
    const variance = ours.reduce((sum, value) => sum + (value - mean) ** 2, 0) / ours.length;
    const worst = ours.reduce((most, value, i) => Math.max(most, Math.abs(value - theirs[i]!)), 0);
    largest = Math.max(largest, worst / Math.sqrt(variance)); // a NaN stays one, and is refused
  }
  return largest;
}
