import { describe, expect, it } from "vitest";
import { anchorTargets, assignAnchors, type AnchorTargets } from "../detection/index.ts";
import { nameOf } from "../graph/index.ts";
import { buildModel, modelAnchors, modelConfig, type ModelConfig } from "../models/index.ts";
import { nodeRuntime } from "../runtime/node.ts";
import { float32, type Tensor } from "../tensor/index.ts";
import { referenceJson, referenceMissing } from "../testing/reference.ts";
import { rulePicture, ruleTensor, type RuleVariant } from "../testing/rule.ts";
import { createTrainingStep, type TrainingBatch, type TrainingOptions } from "./step.ts";
import { targetFeeds } from "./targets.ts";
import { trainingGraph } from "./training-graph.ts";

interface Loss {
  total: number;
  class: number;
  box: number;
}
interface StepCase {
  variant: RuleVariant;
  batchNormMode: "batch" | "frozen";
  classes: number;
  size: [number, number];
  pictures: { name: string; dy: number; dx: number }[];
  boxes: number[][][];
  classIndices: number[][];
  positives: number;
  steps: { loss: Loss; globalNorm: { gradient: number; withDecay: number } }[];
  lossAfterStep2: Loss;
  parameters: Record<
    string,
    { norm: number; at: number[]; gradient: number[]; afterStep1: number[]; afterStep2: number[] }
  >;
  batchNorm: Record<string, { at: number[]; mean: number[]; variance: number[]; varianceUnbiased: number[] }>;
  negligible: string[];
}

/** Tolerances of the reference data for float32: relative to a variable's norm, and to the norm of all. */
const tolerances = {
  "d0 frozen": { gradient: [1e-3, 1e-5], loss: [1e-4, 1e-4, 2e-3] },
  "lite0 frozen": { gradient: [1e-2, 1e-4], loss: [1e-4, 1e-4, 2e-3] },
  "d0 batch": { gradient: [0.02, 5e-4], loss: [1e-4, 1e-3, 1e-2] },
  "lite0 batch": { gradient: [0.1, 0], loss: [1e-4, 0.02, 0.1] },
} as const;

function weightsOf(config: ModelConfig, variant: RuleVariant): Map<string, Tensor> {
  return new Map(
    buildModel(config).parameters.map((p) => [
      nameOf(p)!,
      ruleTensor(nameOf(p)!, p.shape as number[], variant),
    ]),
  );
}

function batchOf(
  config: ModelConfig,
  one: Pick<StepCase, "pictures" | "boxes" | "classIndices">,
): TrainingBatch & { readonly images: Tensor } {
  const [height, width] = config.imageSize;
  const spec = modelAnchors(config);
  const images = new Float32Array(one.pictures.length * 3 * height * width);
  one.pictures.forEach(({ name, dy, dx }, b) => {
    const pixels = rulePicture(height, width, name, dy, dx);
    for (let i = 0; i < height * width; i++)
      for (let c = 0; c < 3; c++)
        images[(b * 3 + c) * height * width + i] = (pixels[i * 3 + c]! - config.mean[c]!) / config.std[c]!;
  });
  const targets = one.boxes.map((boxes, b): AnchorTargets => {
    const flat = Float64Array.from(boxes.flat());
    return anchorTargets(assignAnchors(flat, spec), flat, one.classIndices[b]!, spec);
  });
  return { images: float32(images, [one.pictures.length, 3, height, width]), targets };
}

const near = (actual: number, expected: number, tolerance: number): void => {
  expect(Math.abs(actual - expected), `${actual} instead of ${expected}`).toBeLessThanOrEqual(tolerance);
};

const file = referenceMissing("reference/train_step.json")
  ? undefined
  : referenceJson<{ cases: StepCase[] }>("reference/train_step.json");
const cases = (file?.cases ?? []).toReversed();

describe
  .skipIf(!file)
  .each(cases.map((one) => [`${one.variant} ${one.batchNormMode}` as keyof typeof tolerances, one] as const))(
  "a step of %s",
  (name, one) => {
    const config = modelConfig(one.variant, { imageSize: one.size, classes: one.classes });
    const weights = weightsOf(config, one.variant);
    const batch = batchOf(config, one);
    const { gradient, loss } = tolerances[name];

    it("has the reference's losses and gradients", { timeout: 120_000 }, async () => {
      const training = trainingGraph(config, {
        pictures: 2,
        batchNorm: one.batchNormMode,
        frozen: () => false,
        stochasticDepth: false,
        loss: {},
      });
      const session = await nodeRuntime.compile(training.graph, { optimise: false });
      const outputs = await session.run({
        ...Object.fromEntries(weights),
        ...targetFeeds(batch.targets, modelAnchors(config), config.classes),
        images: batch.images,
        normaliser: float32([1 / (one.positives + 1)], []),
      });
      await session.dispose();
      const expected = one.steps[0]!;
      near(outputs.loss!.data[0] as number, expected.loss.total, loss[0] * expected.loss.total);
      near(outputs.class!.data[0] as number, expected.loss.class, loss[0] * expected.loss.class);
      near(outputs.box!.data[0] as number, expected.loss.box, loss[0] * expected.loss.box);
      expect(training.trained.map((p) => nameOf(p)!).sort()).toEqual(Object.keys(one.parameters).sort());
      for (const [variable, { norm, at, gradient: values }] of Object.entries(one.parameters)) {
        const slope = outputs[`gradient/${variable}`]!.data as Float32Array;
        const tolerance = gradient[0] * norm + Math.max(gradient[1], 1e-7) * expected.globalNorm.gradient;
        const own = Math.sqrt(slope.reduce((sum, x) => sum + x * x, 0));
        expect(
          Math.abs(own - norm),
          `the norm of ${variable}, ${own} instead of ${norm}`,
        ).toBeLessThanOrEqual(tolerance);
        at.forEach((i, k) =>
          expect(Math.abs(slope[i]! - values[k]!), `${variable}[${i}]`).toBeLessThanOrEqual(tolerance),
        );
      }
    });

    it(
      "moves the weights and running statistics as the reference does, twice",
      { timeout: 120_000 },
      async () => {
        const options: TrainingOptions = {
      runtime: nodeRuntime, batchSize: 2, batchNorm: one.batchNormMode, picturesAtOnce: 2, stochasticDepth: false, learningRate: 0.01,
    }; // prettier-ignore
        const step = await createTrainingStep(config, options, weights);
        const after: Map<string, Tensor>[] = [];
        for (const [i, { loss: expected, globalNorm }] of one.steps.entries()) {
          const metrics = await step.run(batch);
          expect(metrics).toMatchObject({ step: i, positives: one.positives, finite: true });
          near(metrics.loss, expected.total, loss[i]! * expected.total);
          if (i === 0) near(metrics.gradientNorm, globalNorm.withDecay, gradient[0] * globalNorm.withDecay);
          after.push(step.parameters());
        }
        const last = await step.run(batch);
        await step.dispose();
        near(last.loss, one.lossAfterStep2.total, loss[2] * one.lossAfterStep2.total);
        for (const [variable, { at, afterStep1, afterStep2 }] of Object.entries(one.parameters)) {
          // What a step may move a weight by, at most: learning rate times the clipped norm, and as much again by momentum.
          const most = 0.01 * 10 * gradient[0] + 1e-6;
          const kept = one.batchNormMode === "batch" && one.variant === "lite0" ? 10 : 1;
          at.forEach((i, k) => {
            near(Number(after[0]!.get(variable)!.data[i]), afterStep1[k]!, most * kept);
            near(Number(after[1]!.get(variable)!.data[i]), afterStep2[k]!, 3 * most * kept);
          });
        }
        for (const [norm, { at, mean, varianceUnbiased }] of Object.entries(one.batchNorm))
          at.forEach((i, k) => {
            near(
              Number(after[0]!.get(`${norm}.running_mean`)!.data[i]),
              mean[k]!,
              1e-4 * (1 + Math.abs(mean[k]!)),
            );
            near(
              Number(after[0]!.get(`${norm}.running_var`)!.data[i]),
              varianceUnbiased[k]!,
              1e-3 * varianceUnbiased[k]!,
            );
          });
      },
    );
  },
);

describe.skipIf(file === undefined)("the reference steps", () => {
  it("are there", () => expect(cases.length).toBeGreaterThan(0));
});
