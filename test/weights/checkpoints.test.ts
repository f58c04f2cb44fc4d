import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { openModel, type ModelSource } from "../../src/index.ts";
import { forInference } from "../../src/graph/index.ts";
import { buildModel } from "../../src/models/index.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { dataFolder, referenceBytes, referenceJson, referenceMissing } from "../../src/testing/reference.ts";
import { ruleInput, type ZooCase } from "../zoo/zoo-case.ts";

type Expected = ZooCase["tensors"];
interface Entry {
  readonly file: string;
  readonly seedPrefix: string;
  readonly tensorsAs?: string;
  readonly tensors?: Expected;
}

const folder = mkdtempSync(path.join(tmpdir(), "efficientdet-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The reference's files, unpacked beside each other. */
function unpacked(...names: string[]): string {
  for (const name of names) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), referenceBytes(name));
  }
  return path.join(folder, names[0]!);
}

/** Largest error of the logits and offsets of the rule's picture at 128×128, in standard deviations. */
async function errorOf(source: ModelSource, expected: Expected): Promise<number> {
  const model = await openModel({ ...source, imageSize: 128 });
  // The reference normalised by automl's numbers, whatever the file's publishers did.
  const d0 = model.config.name === "d0";
  const [mean, std] = d0
    ? [model.config.mean, model.config.std]
    : ([
        [127, 127, 127],
        [128, 128, 128],
      ] as const);
  const session = await nodeRuntime.compile(forInference(buildModel(model.config).graph, model.weights));
  const outputs = await session.run({
    image: ruleInput({ variant: "d0", size: [128, 128], classes: 3, mean, std, tensors: {} }),
  });
  await session.dispose();
  const errors = Object.entries(expected).flatMap(([key, { at, values, std: deviation, shape }]) => {
    const { data } = outputs[key.replace(".P", "/")]!;
    return at.map(
      ([c, y, x], i) =>
        Math.abs((data as Float32Array)[(c * shape[2]! + y) * shape[3]! + x]! - values[i]!) / deviation,
    );
  });
  return Math.max(...errors);
}

const missing = dataFolder === undefined || referenceMissing("reference/checkpoints.json");
const entries = missing ? [] : referenceJson<{ models: Entry[] }>("reference/checkpoints.json").models;
const tensorsOf = (file: string, seedPrefix = ""): Expected => {
  const entry = entries.find((e) => e.file === file && e.seedPrefix === seedPrefix)!;
  return entry.tensors ?? tensorsOf(entry.tensorsAs!);
};
const d0 = (): Expected => tensorsOf("d0-3class.pth");
const lite0 = (): Expected => tensorsOf("lite0-3class-legacy.pth");
const outputs = (key: string): Expected => {
  const found = referenceJson<{ files: Record<string, Expected & { tensors?: Expected }> }>(
    "reference-tf/outputs.json",
  ).files[key]!;
  return found.tensors ?? found;
};

// Tolerances are the reference's own: ten times what PyTorch's or TensorFlow's float32 is off.
describe.skipIf(missing)("logits of files that others wrote equal theirs", () => {
  it.each<[string, () => ModelSource, () => Expected, number]>([
    ["PyTorch, today's zip", () => ({ weights: unpacked("reference/d0-3class.pth") }), d0, 1e-3],
    ["PyTorch, before 1.6", () => ({ weights: unpacked("reference/lite0-3class-legacy.pth") }), lite0, 1e-3],
    [
      "PyTorch, a training checkpoint's moving average",
      () => ({ weights: unpacked("reference/lite0-3class-training.pth") }),
      () => tensorsOf("lite0-3class-training.pth", "ema:"),
      1e-3,
    ],
    [
      "PyTorch, a training checkpoint's plain weights",
      () => ({ weights: unpacked("reference/lite0-3class-training.pth"), ema: "no" }),
      lite0,
      1e-3,
    ],
    ["safetensors", () => ({ weights: unpacked("reference/lite0-3class.safetensors") }), lite0, 1e-3],
    [
      "safetensors in half precision",
      () => ({ weights: unpacked("reference/lite0-3class-fp16.safetensors") }),
      () => tensorsOf("lite0-3class-fp16.safetensors"),
      1e-3,
    ],
    ["Keras .h5", () => ({ weights: unpacked("reference-tf/d0-3class-net.h5") }), d0, 1e-4],
    [
      "TensorFlow 2 checkpoint",
      () => ({
        weights: unpacked(
          "reference-tf/d0-3class-tf2/ckpt.index",
          "reference-tf/d0-3class-tf2/ckpt.data-00000-of-00001",
        ),
      }),
      d0,
      1e-4,
    ],
    [
      "TensorFlow 1 checkpoint's moving average",
      () => ({
        weights: unpacked(
          "reference-tf/d0-3class-tf1/model.ckpt-1234.index",
          "reference-tf/d0-3class-tf1/model.ckpt-1234.data-00000-of-00001",
        ),
      }),
      d0,
      1e-4,
    ],
    [
      "TensorFlow 1 checkpoint's plain values",
      () => ({
        weights: unpacked(
          "reference-tf/d0-3class-tf1/model.ckpt-1234.index",
          "reference-tf/d0-3class-tf1/model.ckpt-1234.data-00000-of-00001",
        ),
        ema: "no",
      }),
      () => outputs("d0-3class-tf1, plain values (only with --ema no)"),
      1e-4,
    ],
    [
      "TFLite, float",
      () => ({ weights: unpacked("reference-tf/lite0-3class-raw-float.tflite") }),
      lite0,
      1e-4,
    ],
    [
      "TFLite, half precision",
      () => ({ weights: unpacked("reference-tf/lite0-3class-raw-half.tflite") }),
      () => outputs("lite0-3class-raw-half.tflite"),
      1e-2,
    ],
  ])("%s", async (_, source, expected, tolerance) => {
    const error = await errorOf(source(), expected());
    if (process.env.EFFICIENTDET_PRINT) process.stdout.write(`${_}: ${error.toExponential(1)} of std\n`);
    expect(error).toBeLessThan(tolerance);
  });
});
