import { describe, expect, it } from "vitest";
import type { FoldedConvolution } from "../testing/folded.ts";
import { foldedConvolutions } from "../testing/folded.ts";
import { referenceBytes, referenceMissing } from "../testing/reference.ts";
import { referenceModels } from "../testing/reference-models.ts";
import type { RuleVariant } from "../testing/rule.ts";
import { ruleTensor } from "../testing/rule.ts";
import type { EmaChoice, NamedBytes } from "./checkpoint.ts";
import { convertCheckpoint } from "./convert.ts";
import { bytesOf } from "./little-endian.ts";
import { toFloat32 } from "./load-weights.ts";
import { readCheckpoint } from "./read-checkpoint.ts";
import { readSafetensors, writeSafetensors } from "./safetensors.ts";
import { float32ToHalf, halfToFloat32, tensor } from "../tensor/index.ts";

const file = (name: string): NamedBytes => ({ name, bytes: referenceBytes(name) });
const files = (...names: string[]) => names.map(file);

/** Every benign file of full size: its model, the prefix of the rule's seeds, and what it is recognised as. */
const benign: [string, () => NamedBytes[], RuleVariant, string, string, EmaChoice?][] = [
  ["d0-3class.pth", () => files("reference/d0-3class.pth"), "d0", "", "pytorch"],
  [
    "lite0-3class-legacy.pth",
    () => files("reference/lite0-3class-legacy.pth"),
    "lite0",
    "",
    "pytorch-legacy",
  ],
  [
    "lite0-3class-training.pth",
    () => files("reference/lite0-3class-training.pth"),
    "lite0",
    "ema:",
    "pytorch",
  ],
  ["the same, --ema no", () => files("reference/lite0-3class-training.pth"), "lite0", "", "pytorch", "no"],
  ["lite0-3class.safetensors", () => files("reference/lite0-3class.safetensors"), "lite0", "", "safetensors"],
  ["d0-3class-net.h5", () => files("reference-tf/d0-3class-net.h5"), "d0", "", "keras-h5"],
  [
    "d0-3class-tf2",
    () =>
      files("reference-tf/d0-3class-tf2/ckpt.index", "reference-tf/d0-3class-tf2/ckpt.data-00000-of-00001"),
    "d0",
    "",
    "tensorflow-2",
  ],
  ...(["auto", "no"] as const).map(
    (ema): [string, () => NamedBytes[], RuleVariant, string, string, EmaChoice] => [
      `d0-3class-tf1, --ema ${ema}`,
      () =>
        files(
          "reference-tf/d0-3class-tf1/model.ckpt-1234.index",
          "reference-tf/d0-3class-tf1/model.ckpt-1234.data-00000-of-00001",
        ),
      "d0",
      ema === "no" ? "plain:" : "",
      "tensorflow-1",
      ema,
    ],
  ),
];

const missing =
  referenceMissing("reference/d0-3class.pth") || referenceMissing("reference-tf/d0-3class-net.h5");

describe.skipIf(missing)("full-size files of the reference data", () => {
  const models = missing ? [] : referenceModels();
  let folded: FoldedConvolution[] | undefined;
  /** The rule's lite0 with its normalisations folded in, made once. */
  const foldedLite0 = () => {
    const shapes = new Map(
      models
        .find(({ name }) => name === "lite0")!
        .parameters(3)
        .map(({ name, shape }) => [name, shape]),
    );
    return (folded ??= foldedConvolutions(shapes.keys(), (name) =>
      ruleTensor(name, shapes.get(name)!, "lite0"),
    ));
  };

  it.each(benign)(
    "%s converts to the rule's weights, bit for bit",
    (_, open, variant, prefix, format, ema) => {
      const conversion = convertCheckpoint(readCheckpoint(open(), { ema }), { models });
      const { report, recognised, weights } = conversion;
      expect([report.format, report.model, report.classes]).toEqual([format, variant, 3]);
      expect(recognised).toEqual({ model: variant, alternatives: [], classes: 3 });
      expect([report.missing, report.reinitialised, report.unexpected]).toEqual([[], [], []]);
      const parameters = models.find(({ name }) => name === variant)!.parameters(3);
      expect(report.loaded).toBe(parameters.length);
      for (const { name, shape } of parameters) {
        const expected = bytesOf(ruleTensor(name, shape, variant, prefix));
        expect(Buffer.compare(bytesOf(weights.tensors.get(name)!.read()), expected), name).toBe(0);
      }
    },
  );

  it("float16 safetensors are the rule's weights rounded, and come out float16 again as they were", () => {
    const conversion = convertCheckpoint(readCheckpoint(file("reference/lite0-3class-fp16.safetensors")), {
      models,
    });
    const again = readSafetensors(writeSafetensors([...conversion.weights.tensors]));
    for (const { name, shape } of models.find((model) => model.name === "lite0")!.parameters(3)) {
      const half = float32ToHalf(ruleTensor(name, shape, "lite0").data as Float32Array);
      const expected = tensor("float32", shape, halfToFloat32(half));
      expect(Buffer.compare(bytesOf(again.tensors.get(name)!.read()), bytesOf(expected)), name).toBe(0);
    }
  });

  // In steps of 1/127 of a channel's largest weight, so that 0.5 is half a step of 8-bit weights.
  it.each([
    ["lite0-3class-raw-float.tflite", "tflite-float32", 1e-4],
    ["lite0-3class-raw-half.tflite", "tflite-float16", 0.1],
    ["lite0-3class-raw-int8.tflite", "tflite-int8", 0.501],
    ["lite0-3class-detect-int8.tflite", "tflite-int8", 0.501],
  ])("%s converts to the same function as the rule's weights", (name, format, tolerance) => {
    const checkpoint = readCheckpoint(file(`reference-tf/${name}`));
    const { report, weights, metadata } = convertCheckpoint(checkpoint, { models });
    expect([report.format, report.model, report.classes, report.missing]).toEqual([format, "lite0", 3, []]);
    expect([metadata.mean, metadata.std, metadata.imageSize]).toEqual([
      [127, 127, 127],
      [128, 128, 128],
      [128, 128],
    ]);
    if (name.includes("detect")) {
      expect(metadata.anchorScale).toBe(3);
      expect(metadata.aspectRatios).toEqual([
        [1, 1],
        [1.41421, 0.707107],
        [0.707107, 1.41421],
      ]);
    }
    const found = new Map(
      foldedConvolutions(weights.tensors.keys(), (each) => weights.tensors.get(each)!.read()).map((each) => [
        each.name,
        each,
      ]),
    );
    for (const { name: norm, kernel, bias } of foldedLite0()) {
      const other = found.get(norm)!;
      const size = kernel.length / bias.length;
      for (let channel = 0; channel < bias.length; channel++) {
        let [largest, difference] = [0, 0];
        for (let i = channel * size; i < (channel + 1) * size; i++) {
          largest = Math.max(largest, Math.abs(kernel[i]!));
          difference = Math.max(difference, Math.abs(kernel[i]! - other.kernel[i]!));
        }
        if (!(difference <= (tolerance * largest) / 127))
          expect.fail(`${norm} channel ${channel}: ${difference}`);
        // Biases are float32, float16 or int32 of a fine scale: measured at most 1.3e-4.
        if (!(Math.abs(bias[channel]! - other.bias[channel]!) < 5e-4)) expect.fail(`${norm} bias ${channel}`);
      }
    }
  });

  it("the two files of 8-bit weights hold the same weights", () => {
    const [raw, detect] = ["raw", "detect"].map((kind) =>
      readCheckpoint(file(`reference-tf/lite0-3class-${kind}-int8.tflite`)),
    );
    for (const [name, lazy] of raw!.tensors)
      if (name.endsWith("conv_dw.weight") || name.endsWith("conv_pwl.weight"))
        expect(Buffer.compare(bytesOf(lazy.read()), bytesOf(detect!.tensors.get(name)!.read())), name).toBe(
          0,
        );
  });

  it("weights that are no numbers are refused by file, tensor and place", () => {
    const checkpoint = readCheckpoint(file("reference/nan-weights.safetensors"));
    expect(toFloat32(checkpoint.tensors.get("class_net.predict.conv_pw.bias")!.read()).data[5]).toBeNaN();
    expect(() => convertCheckpoint(checkpoint, { models })).toThrow(/nan-weights\.safetensors/);
  });
});

const hostile: [string, RegExp, (() => NamedBytes[])?][] = [
  ["reference/hostile-code.pth", /asks for posix\.system/],
  ["reference/hostile-code-legacy.pth", /asks for posix\.system/],
  ["reference/hostile-truncated.pth", /zip directory/],
  ["reference/hostile-lengths.safetensors", /claims 1099511627776 bytes/],
  ["reference/hostile-offsets.safetensors", /tensor b ends at byte 4008/],
  ["reference/hostile-shape.safetensors", /needs 12 bytes, its offsets span 8/],
  ["reference-tf/hostile-truncated.h5", /the end is at 20000/],
  ["reference-tf/hostile-truncated.index", /hostile-truncated\.index/],
  ["reference-tf/hostile-truncated.tflite", /the end is at 60000/],
  ["reference-tf/hostile-length.tflite", /the end is at 64/],
];

describe.skipIf(missing)("hostile files of the reference data", () => {
  it.each(hostile)("%s is refused in one line that names it", (name, message) => {
    const read = () => readCheckpoint(file(name));
    expect(read).toThrow(message);
    let error: unknown;
    try {
      read();
    } catch (caught) {
      error = caught;
    }
    expect(error).toMatchObject({ code: "E_WEIGHTS", hint: expect.stringMatching(/^[^\n]+$/) as string });
    expect((error as Error).message).toMatch(new RegExp(`^[^\\n]+\\(${name.replaceAll(".", "\\.")}\\)$`));
  });
});

describe.skipIf(missing)("every variant", () => {
  const models = missing ? [] : referenceModels();
  it.each(models.map(({ name }) => name))("%s is recognised by its tensors", (variant) => {
    const tensors = new Map(
      models
        .find(({ name }) => name === variant)!
        .parameters(7)
        .map(({ name, shape }) => [
          name,
          { dtype: "float32" as const, shape, read: () => ruleTensor(name, shape, "d0") },
        ]),
    );
    const checkpoint = { format: "safetensors", source: `${variant}.safetensors`, tensors, metadata: {} };
    const { recognised } = convertCheckpoint(checkpoint, { models });
    const twins = ["d6", "d7"].includes(variant) ? ["d6", "d7"].filter((name) => name !== variant) : [];
    expect(recognised).toEqual({ model: variant, alternatives: twins, classes: 7 });
  });
});
