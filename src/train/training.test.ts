import { beforeAll, afterAll, describe, expect, it } from "vitest";
import { anchorTargets, assignAnchors } from "../detection/index.ts";
import { ShapeError } from "../errors.ts";
import { initialWeights, modelAnchors, modelConfig } from "../models/index.ts";
import { nodeRuntime } from "../runtime/node.ts";
import { webRuntime } from "../runtime/web.ts";
import { float32, type Tensor } from "../tensor/index.ts";
import { Random } from "../tensor/random.ts";
import {
  createTrainingStep,
  type TrainingBatch,
  type TrainingOptions,
  type TrainingState,
  type TrainingStep,
} from "./step.ts";

// The whole network in small: every kind of layer is there.
const config = modelConfig("d0", { imageSize: 64, classes: 2, width: 16, cells: 1, headRepeats: 1 });
const spec = modelAnchors(config);
const weights = initialWeights(config, 3);
const defaults: TrainingOptions = {
  runtime: nodeRuntime,
  batchSize: 2,
  batchNorm: "frozen",
  learningRate: 0.01,
  runtimeOptions: { threads: 1 },
};

function batch(seed: number, pictures = 2): TrainingBatch & { readonly images: Tensor } {
  const random = new Random(seed);
  const images = float32(
    Float32Array.from({ length: pictures * 3 * 64 * 64 }, () => random.normal()),
    [pictures, 3, 64, 64],
  );
  const targets = Array.from({ length: pictures }, (_, i) => {
    const boxes = Float64Array.of(4, 6 + 8 * i, 40, 44, 20, 10, 62, 60).subarray(0, i === 1 ? 4 : 8);
    return anchorTargets(assignAnchors(boxes, spec), boxes, i === 1 ? [1] : [0, 1], spec);
  });
  return { images, targets };
}

const opened: TrainingStep[] = [];
async function start(
  options: Partial<TrainingOptions> = {},
  from: ReadonlyMap<string, Tensor> = weights,
  model = config,
): Promise<TrainingStep> {
  const step = await createTrainingStep(model, { ...defaults, ...options }, from);
  opened.push(step);
  return step;
}
afterAll(async () => {
  for (const step of opened) await step.dispose();
});

const worst = (a: ReadonlyMap<string, Tensor>, b: ReadonlyMap<string, Tensor>): number =>
  Math.max(
    ...[...a].map(([name, { data }]) =>
      (data as Float32Array).reduce(
        (most, x, i) => Math.max(most, Math.abs(x - Number(b.get(name)!.data[i]))),
        0,
      ),
    ),
  );

/** Names of what differs in a bit. */
function different({ step, tensors }: TrainingState, other: TrainingState): string[] {
  const bytes = ({ data }: Tensor): Buffer =>
    Buffer.from(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
  const names = [...new Set([...tensors.keys(), ...other.tensors.keys()])];
  return [
    ...(step === other.step ? [] : ["step"]),
    ...names.filter((name) => !bytes(tensors.get(name)!).equals(bytes(other.tensors.get(name)!))),
  ];
}

describe("a training step", () => {
  it("lowers the loss of a batch that it sees again and again", async () => {
    const step = await start({ batchNorm: "batch", learningRate: 0.05 });
    const losses: number[] = [];
    for (let i = 0; i < 8; i++) losses.push((await step.run(batch(1))).loss);
    expect(losses.at(-1)!).toBeLessThan(losses[0]! * 0.85);
  });

  it("adds up parts of the batch to the gradient of the whole", async () => {
    const [whole, parts] = [await start({ picturesAtOnce: 2 }), await start({ picturesAtOnce: 1 })];
    const [a, b] = [await whole.run(batch(1)), await parts.run(batch(1))];
    expect(a.loss / b.loss).toBeCloseTo(1, 5);
    expect(a.gradientNorm / b.gradientNorm).toBeCloseTo(1, 4);
    expect(worst(whole.parameters(), parts.parameters())).toBeLessThan(1e-5);
  });

  it("is the same by running in WebAssembly", async () => {
    const [native, web] = [
      await start({ batchNorm: "batch" }),
      await start({ batchNorm: "batch", runtime: webRuntime }),
    ];
    const [a, b] = [await native.run(batch(1)), await web.run(batch(1))];
    expect(a.loss / b.loss).toBeCloseTo(1, 4);
    expect(worst(native.parameters(), web.parameters())).toBeLessThan(1e-3);
  });

  it("leaves frozen parts as they are, statistics and all", async () => {
    const step = await start({ batchNorm: "batch", frozen: /^backbone\.(conv_stem|bn1|blocks\.[0-2])\b/ });
    await step.run(batch(1));
    const after = step.parameters();
    const moved = [...weights]
      .filter(([name, { data }]) => after.get(name)!.data.some((x, i) => x !== data[i]))
      .map(([name]) => name);
    expect(moved.filter((name) => /^backbone\.(conv_stem|bn1|blocks\.[0-2])\b/.test(name))).toEqual([]);
    expect(moved).toContain("backbone.blocks.3.0.bn1.running_mean");
    expect(moved).toContain("class_net.predict.conv_pw.weight");
    expect(step.trained).not.toContain("backbone.conv_stem.weight");
  });

  it("moves parameters by their own shares of the learning rate", async () => {
    const rateOf = (name: string): number => (name.startsWith("backbone.") ? 0.25 : 1);
    const [even, own] = [await start({ learningRate: 1 }), await start({ learningRate: 1, rateOf })];
    await even.run(batch(1));
    await own.run(batch(1));
    const move = (step: TrainingStep, name: string): number =>
      Number(step.parameters().get(name)!.data[0]) - Number(weights.get(name)!.data[0]);
    const [head, stem] = ["class_net.predict.conv_pw.bias", "backbone.conv_stem.weight"];
    expect(move(own, head)).toBe(move(even, head));
    expect(move(own, stem) / move(even, stem)).toBeCloseTo(0.25, 2);
  });

  it("decays kernels only", async () => {
    const empty: TrainingBatch = {
      ...batch(1),
      images: float32(new Float32Array(2 * 3 * 64 * 64), [2, 3, 64, 64]),
    };
    const [with_, without] = [
      await start({ gradient: { weightDecay: 0.5 } }),
      await start({ gradient: { weightDecay: 0 } }),
    ];
    await with_.run(empty);
    await without.run(empty);
    const [a, b] = [with_.parameters(), without.parameters()];
    const kernel = "backbone.blocks.5.0.conv_dw.weight";
    expect(Number(a.get(kernel)!.data[0])).not.toBeCloseTo(Number(b.get(kernel)!.data[0]), 6);
    // Clipping all together sees the decay, so vectors differ in scale; what no gradient reaches does not move.
    expect(a.get("backbone.bn1.running_mean")).toEqual(b.get("backbone.bn1.running_mean"));
  });

  it("stops at numbers that are none, and keeps what it had", async () => {
    const step = await start();
    await step.run(batch(1));
    const before = step.state();
    const bad = batch(2);
    (bad.images.data as Float32Array)[5] = Number.NaN;
    expect(await step.run(bad)).toMatchObject({ finite: false, step: 1 });
    expect(different(step.state(), before)).toEqual([]);
    expect(await step.run(batch(2))).toMatchObject({ finite: true, step: 1 });
  });

  it("learns from pictures without objects", async () => {
    const step = await start();
    const none = {
      ...batch(1),
      targets: [0, 1].map(() =>
        anchorTargets(assignAnchors(new Float64Array(), spec), new Float64Array(), [], spec),
      ),
    };
    expect(await step.run(none)).toMatchObject({ finite: true, positives: 0, boxLoss: 0 });
  });

  it("follows the weights with a moving average that warms up", async () => {
    const step = await start();
    const name = "class_net.predict.conv_pw.bias";
    const start0 = Number(weights.get(name)!.data[0]);
    await step.run(batch(1));
    const moved = Number(step.parameters().get(name)!.data[0]);
    expect(Number(step.average()!.get(name)!.data[0])).toBeCloseTo(start0 + (moved - start0) * 0.9, 6);
    expect((await start({ averageDecay: false })).average()).toBeUndefined();
  });

  it("goes on from a saved state as if it had not stopped", async () => {
    const options: Partial<TrainingOptions> = {
      batchNorm: "batch",
      optimiser: { kind: "adam" },
      learningRate: (n) => 0.001 / (1 + n),
    };
    const one = await start(options);
    await one.run(batch(1));
    const saved = one.state();
    await one.run(batch(2));
    const two = await start(options);
    two.load(saved);
    expect(await two.run(batch(2))).toMatchObject({ step: 1, learningRate: 0.0005 });
    expect(different(two.state(), one.state())).toEqual([]);
    expect(different(two.state(), saved).length).toBeGreaterThan(100);
  });

  it("refuses a state of another optimiser, and batches that do not fit", async () => {
    const [sgd, adam] = [await start(), await start({ optimiser: { kind: "adam" } })];
    expect(() => adam.load(sgd.state())).toThrow(ShapeError);
    await expect(sgd.run(batch(1, 3))).rejects.toThrow("the images are [3, 3, 64, 64], not [2, 3, 64, 64]");
    await expect(start({ batchSize: 3, picturesAtOnce: 2 })).rejects.toThrow(
      "a batch of 3 cannot be taken 2 at once",
    );
  });

  it.each(["iou", "giou", "diou", "ciou"] as const)("can learn from %s too", async (iouLoss) => {
    const step = await start({ loss: { iouLoss } });
    const metrics = await step.run(batch(1));
    expect(metrics.iouLoss!).toBeGreaterThan(0);
    expect(metrics.loss).toBeCloseTo(metrics.classLoss + 50 * metrics.boxLoss + metrics.iouLoss!, 3);
  });
});

describe("optimisers", () => {
  /** What one weight does in two steps, by the formulas in double precision, from the gradients that SGD shows. */
  let slopes: number[][];
  const name = "box_net.predict.conv_pw.weight";
  const at = (step: TrainingStep, i: number): number => Number(step.parameters().get(name)!.data[i]);
  const quiet = { weightDecay: 0.01, clipVariable: Infinity, clipGlobal: Infinity };
  beforeAll(async () => {
    // With momentum 0 and rate 1 a step is the gradient itself; the second batch is seen from the same weights.
    slopes = [];
    for (const seed of [1, 2]) {
      const probe = await start({
        optimiser: { kind: "sgd", momentum: 0 },
        learningRate: 1e-3,
        gradient: { ...quiet, weightDecay: 0 },
      });
      await probe.run(batch(seed));
      slopes.push([0, 1, 2].map((i) => (Number(weights.get(name)!.data[i]) - at(probe, i)) / 1e-3));
    }
  });
  const w0 = (i: number): number => Number(weights.get(name)!.data[i]);

  it("sgd: velocity 0.9 v + g, with decay in the gradient", async () => {
    const step = await start({ learningRate: 1e-7, gradient: quiet });
    await step.run(batch(1));
    await step.run(batch(2));
    const velocity = step.state().tensors.get(`velocity/${name}`)!.data;
    for (const i of [0, 1, 2])
      expect(Number(velocity[i])).toBeCloseTo(
        0.9 * (slopes[0]![i]! + 0.01 * w0(i)) + slopes[1]![i]! + 0.01 * w0(i),
        3,
      );
  });
  it.each(["adam", "adamw"] as const)(
    "%s: means of gradients and of their squares, corrected",
    async (kind) => {
      const rate = 1e-6;
      const step = await start({ learningRate: rate, gradient: quiet, optimiser: { kind, epsilon: 1e-3 } });
      await step.run(batch(1));
      const first = step.state().tensors;
      for (const i of [0, 1, 2]) {
        const g = slopes[0]![i]! + (kind === "adam" ? 0.01 * w0(i) : 0);
        expect(Number(first.get(`mean/${name}`)!.data[i])).toBeCloseTo(0.1 * g, 4);
        expect(Number(first.get(`square/${name}`)!.data[i])).toBeCloseTo(0.001 * g * g, 5);
        const change = g / (Math.abs(g) + 1e-3) + (kind === "adamw" ? 0.01 * w0(i) : 0);
        expect((w0(i) - at(step, i)) / rate).toBeCloseTo(change, 1);
      }
    },
  );
});

describe("stochastic depth", () => {
  const lite = modelConfig("lite0", { imageSize: 64, classes: 2, width: 16, cells: 1, headRepeats: 1 });
  it("leaves out blocks picture by picture, by the chances given", async () => {
    const initial = initialWeights(lite, 3);
    const lose = async (chance: number | undefined, stochasticDepth: boolean): Promise<number> => {
      const step = await start({ stochasticDepth }, initial, lite);
      if (!stochasticDepth) expect(step.depthChances).toBe(0);
      else expect(step.depthChances).toBe(9 * 2);
      const chances = chance === undefined ? undefined : new Float32Array(step.depthChances).fill(chance);
      return (await step.run({ ...batch(1), chances })).loss;
    };
    const whole = await lose(undefined, false);
    const kept = await lose(0.99, true); // all blocks kept, each divided by its probability
    const dropped = await lose(0, true); // floor(0 + survival) = 0: all left out
    expect(new Set([whole, kept, dropped]).size).toBe(3);
  });
});
