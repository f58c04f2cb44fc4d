/**
 * Takes our training steps when told to: the side of bench/training-step.ts that is ours, in a process of its own so that
 * its memory can be told. Arguments (but for the engine) and answers are those of bench/peers/training_step.py; a file
 * prefix as last argument has the engine write its profile there.
 */
import { createInterface } from "node:readline";
import { anchorTargets, assignAnchors } from "../src/detection/index.ts";
import { initialWeights, modelAnchors, modelConfig, type VariantName } from "../src/models/index.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { float32, Random } from "../src/tensor/index.ts";
import { createTrainingStep } from "../src/train/index.ts";

const [name, batchText, sizeText, mode, threads, profile] = process.argv.slice(2);
const [batchSize, size] = [Number(batchText), Number(sizeText)];
const started = performance.now();
const config = modelConfig(name as VariantName, { classes: 3, imageSize: size });
const step = await createTrainingStep(
  config,
  {
    runtime: nodeRuntime,
    runtimeOptions: { threads: Number(threads), ...(profile !== undefined && { profile }) },
    batchSize,
    batchNorm: mode === "frozen" ? "frozen" : "batch",
    ...(mode === "fine-tune" && { frozen: /^backbone\.(conv_stem|bn1|blocks\.[01])\./ }),
    gradient: { weightDecay: 4e-5, clipGlobal: 10, clipVariable: Infinity },
    learningRate: 0.001,
  },
  initialWeights(config, 0),
);

const random = new Random(0);
const images = float32(
  Float32Array.from({ length: batchSize * 3 * size * size }, () => random.normal()),
  [batchSize, 3, size, size],
);
const spec = modelAnchors(config);
const targets = Array.from({ length: batchSize }, () => {
  const boxes = Array.from({ length: 10 }, () => {
    const [y, x] = [random.uniform(0, 0.7), random.uniform(0, 0.7)];
    return [y, x, y + random.uniform(0.1, 0.3), x + random.uniform(0.1, 0.3)].map((at) => at * size);
  });
  const flat = Float64Array.from(boxes.flat());
  const classes = boxes.map(() => random.integer(3));
  return anchorTargets(assignAnchors(flat, spec), flat, classes, spec);
});

await step.run({ images, targets });
console.log(`ready ${(performance.now() - started) / 1000}`);
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "peak") {
    console.log(process.resourceUsage().maxRSS / 1024);
    continue;
  }
  if (line === "end") break;
  const start = performance.now();
  const { loss } = await step.run({ images, targets });
  console.log(performance.now() - start, loss);
}
await step.dispose();
