import { describe, expect, it } from "vitest";
import type { Picture } from "../image/index.ts";
import { initialWeights, modelConfig } from "../models/index.ts";
import { loadOrtNode, nodeRuntime } from "../runtime/node.ts";
import { Random } from "../tensor/index.ts";
import { exportOnnx, exportOnnxInt8 } from "./export.ts";

const config = modelConfig("lite0", { classes: 2, imageSize: 64 });
const classes = ["a", "b"].map((name, i) => ({ id: i + 1, name }));
const model = { config, classes, weights: initialWeights(config, 1), source: "test" };
const random = new Random(5);
const picture = (): Picture => ({
  data: Uint8Array.from({ length: 48 * 64 * 3 }, () => random.integer(256)),
  width: 64,
  height: 48,
});
async function* pictures(count: number): AsyncGenerator<Picture> {
  for (let i = 0; i < count; i++) yield await Promise.resolve(picture());
}

describe("an eight-bit export", () => {
  it.each([false, true])("runs in plain ONNX Runtime, near the float file (raw: %s)", async (raw) => {
    const ort = await loadOrtNode();
    const float = exportOnnx(model, { raw, scoreThreshold: 0 }).model;
    const whole = (
      await exportOnnxInt8(model, pictures(3), nodeRuntime, { raw, scoreThreshold: 0, threads: 1 })
    ).model;
    expect(whole.length).toBeLessThan(float.length * 0.4);
    const { data, width, height } = picture();
    const feeds = raw
      ? { image: new ort.Tensor("float32", Float32Array.from({ length: 3 * 64 * 64 }, () => random.normal()), [1, 3, 64, 64]) }
      : { image: new ort.Tensor("uint8", data, [height, width, 3]) }; // prettier-ignore
    const run = async (bytes: Uint8Array): Promise<Float32Array> => {
      const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 3 });
      const outputs = await session.run(feeds);
      await session.release();
      return outputs[raw ? "class/3" : "scores"]!.data as Float32Array;
    };
    const [exact, rounded] = [await run(float), await run(whole)];
    // Fresh heads say 0.01 for everything: logits near −4.6.
    const mean = (values: Float32Array): number => values.reduce((a, b) => a + b, 0) / values.length;
    expect(mean(rounded)).toBeCloseTo(mean(exact), raw ? 1 : 3);
  });

  it("needs a picture", async () => {
    await expect(exportOnnxInt8(model, pictures(0), nodeRuntime)).rejects.toThrow(
      "there is no picture to calibrate with",
    );
  });
});
