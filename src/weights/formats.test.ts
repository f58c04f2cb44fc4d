import { describe, expect, it } from "vitest";
import { fixturePath, tinyModels, weightFixture } from "../testing/fixtures.ts";
import { foldedConvolutions } from "../testing/folded.ts";
import { ruleTensor } from "../testing/rule.ts";
import type { Checkpoint, NamedBytes } from "./checkpoint.ts";
import { readWeightFiles } from "./files-node.ts";
import { readCheckpoint } from "./read-checkpoint.ts";

const tiny = tinyModels[0]!.parameters(2);
const lite = tinyModels[1]!.parameters(2);
const tf1 = [
  weightFixture("tiny-tf1/model.ckpt-1234.index"),
  weightFixture("tiny-tf1/model.ckpt-1234.data-00000-of-00001"),
];
const tf2 = [weightFixture("tiny-tf2/ckpt.index"), weightFixture("tiny-tf2/ckpt.data-00000-of-00001")];

/** Every parameter of the tiny network is in the file with the rule's bits. */
function expectTheRule({ tensors }: Checkpoint, prefix = "") {
  for (const { name, shape } of tiny) {
    const found = tensors.get(name);
    expect(found?.shape, name).toEqual(shape);
    expect(found?.read().data, name).toEqual(ruleTensor(name, shape, "lite0", prefix).data);
  }
}

describe("files of the original libraries", () => {
  it.each<[string, NamedBytes | NamedBytes[], string, boolean | undefined]>([
    ["torch.save's zip form, views of storages included", weightFixture("tiny.pth"), "pytorch", undefined],
    ["torch.save's older form", weightFixture("tiny-legacy.pth"), "pytorch-legacy", undefined],
    ["a Keras .h5", weightFixture("tiny.h5"), "keras-h5", undefined],
    ["a TF1 checkpoint, its moving averages", tf1, "tensorflow-1", true],
    ["a TF2 checkpoint", tf2, "tensorflow-2", undefined],
  ])("are read bit for bit: %s", (_, files, format, ema) => {
    const checkpoint = readCheckpoint(files);
    expectTheRule(checkpoint);
    expect(checkpoint.format).toBe(format);
    expect(checkpoint.ema).toBe(ema);
  });

  it("give the plain weights of a TF1 checkpoint where they are asked for", () => {
    const checkpoint = readCheckpoint(tf1, { ema: "no" });
    expectTheRule(checkpoint, "plain:");
    expect(checkpoint.ema).toBe(false);
    expect(checkpoint.passedOver?.map(({ name }) => name)).toEqual(["moving averages", "global_step"]);
  });

  it("give the moving average of a training checkpoint, bfloat16 as float32, without the wrapper's prefix", () => {
    const { tensors, ema, metadata, passedOver } = readCheckpoint(weightFixture("tiny-training.pth"));
    const name = "class_net.conv_rep.0.conv_pw.weight";
    const expected = ruleTensor(name, [8, 8, 1, 1], "lite0", "ema:").data as Float32Array;
    const found = tensors.get(name)!;
    expect(found.dtype).toBe("float32");
    const error = Math.max(...(found.read().data as Float32Array).map((v, i) => Math.abs(v - expected[i]!)));
    expect(error).toBeLessThan(2 ** -8); // half of bfloat16's step below 2
    expect(ema).toBe(true);
    expect(metadata).toEqual({ architecture: "tf_efficientdet_d0" });
    expect(passedOver!.map((item) => item.name)).toEqual([
      "epoch",
      "arch",
      "state_dict",
      "optimizer",
      "version",
      "args",
      "metric",
    ]);
  });

  it("give the plain weights of a training checkpoint where they are asked for", () => {
    const { tensors, ema } = readCheckpoint(weightFixture("tiny-training.pth"), { ema: "no" });
    const name = "class_net.predict.conv_pw.bias";
    expect(tensors.get(name)!.read().data).toEqual(ruleTensor(name, [18], "lite0").data);
    expect(ema).toBe(false);
  });

  it.each([
    ["tiny.pth", weightFixture("tiny.pth")],
    ["tiny.h5", weightFixture("tiny.h5")],
    ["tiny-lite-float.tflite", weightFixture("tiny-lite-float.tflite")],
  ])("refuse a moving average that %s does not have", (name, file) => {
    expect(() => readCheckpoint(file, { ema: "yes" })).toThrow(new RegExp(`no moving average.*${name}`));
  });
});

describe("TFLite files", () => {
  const rule = new Map(lite.map(({ name, shape }) => [name, ruleTensor(name, shape, "lite0")]));
  const expected = foldedConvolutions(rule.keys(), (name) => rule.get(name)!);

  it.each([
    // float32: the converter folds in single precision. float16: half a step of 11 bits, of values up to about 4.
    ["float", "tflite-float32", 1e-6],
    ["half", "tflite-float16", 2 ** -9],
  ])("of %s weights are the same function as what they were made of", (kind, format, tolerance) => {
    const checkpoint = readCheckpoint(weightFixture(`tiny-lite-${kind}.tflite`));
    expect(checkpoint.format).toBe(format);
    expect([...checkpoint.tensors].map(([name, { shape }]) => [name, shape]).sort()).toEqual(
      lite.map(({ name, shape }) => [name, shape]).sort(),
    );
    const found = foldedConvolutions(checkpoint.tensors.keys(), (name) =>
      checkpoint.tensors.get(name)!.read(),
    );
    for (const { name, kernel, bias } of expected) {
      const other = found.find((item) => item.name === name)!;
      expect(largestDifference(kernel, other.kernel), name).toBeLessThan(tolerance);
      expect(largestDifference(bias, other.bias), name).toBeLessThan(tolerance);
    }
    for (const name of rule.keys())
      if (/predict|_net\.conv_rep.*conv_dw|after_combine\.conv\.conv_dw/.test(name))
        expect(
          largestDifference(
            rule.get(name)!.data as Float32Array,
            checkpoint.tensors.get(name)!.read().data as Float32Array,
          ),
          name,
        ).toBeLessThan(tolerance);
  });

  it("of 8-bit weights are within half a step of each channel", () => {
    const checkpoint = readCheckpoint(weightFixture("tiny-lite-int8.tflite"));
    expect(checkpoint.format).toBe("tflite-int8");
    const found = foldedConvolutions(checkpoint.tensors.keys(), (name) =>
      checkpoint.tensors.get(name)!.read(),
    );
    for (const { name, kernel, bias } of expected) {
      const other = found.find((item) => item.name === name)!;
      const size = kernel.length / bias.length;
      for (let channel = 0; channel < bias.length; channel++) {
        const row = kernel.subarray(channel * size, (channel + 1) * size);
        const step = Math.max(...row.map(Math.abs)) / 127;
        expect(
          largestDifference(row, other.kernel.subarray(channel * size, (channel + 1) * size)),
          name,
        ).toBeLessThanOrEqual(0.51 * step);
      }
    }
  });

  it("say the size of their picture", () => {
    expect(readCheckpoint(weightFixture("tiny-lite-int8.tflite")).metadata).toEqual({ image_size: "64" });
  });
});

describe("finding the files of a TensorFlow checkpoint", () => {
  const names = ["tiny-tf1", "tiny-tf1/model.ckpt-1234", "tiny-tf1/model.ckpt-1234.index"];
  it.each([...names, "tiny-tf1/model.ckpt-1234.data-00000-of-00001"])("works from %s", async (name) => {
    const files = await readWeightFiles(fixturePath(`weights/${name}`));
    expect(files.map((file) => file.name.split(/[/\\]/).at(-1))).toEqual([
      "model.ckpt-1234.index",
      "model.ckpt-1234.data-00000-of-00001",
    ]);
  });
  it("says what is missing where only the index was given", () => {
    expect(() => readCheckpoint(tf1[0]!)).toThrow(
      /only its index was given \(tiny-tf1\/model.ckpt-1234.index\)/,
    );
  });
  it("refuses a path where nothing is", async () => {
    await expect(readWeightFiles(fixturePath("weights/nothing.pth"))).rejects.toThrow(
      /there is no weight file/,
    );
  });
});

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let largest = a.length === b.length ? 0 : Infinity;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i]! - b[i]!));
  return largest;
}

describe("files of no known format", () => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  it.each([
    ["empty.pth", new Uint8Array(), "empty"],
    ["page.h5", bytes("<!DOCTYPE html><html>"), "web page"],
    ["weights.tgz", Uint8Array.of(0x1f, 0x8b, 8, 0), "gzip"],
    ["model.pth", bytes("version https://git-lfs.github.com/spec/v1"), "Git LFS"],
    ["notes.txt", bytes("some notes on weights"), "known are safetensors"],
  ])("%s is refused with what to do", (name, content, hint) => {
    let error: unknown;
    try {
      readCheckpoint({ name, bytes: content });
    } catch (caught) {
      error = caught;
    }
    expect(error).toMatchObject({ code: "E_WEIGHTS", message: expect.stringContaining(name) as string });
    expect((error as { hint: string }).hint).toContain(hint);
  });
});
