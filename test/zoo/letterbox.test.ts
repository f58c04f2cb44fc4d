import { describe, expect, it } from "vitest";
import { input, letterbox } from "../../src/graph/index.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { tensor } from "../../src/tensor/index.ts";
import { referenceJson, referenceMissing } from "../../src/testing/reference.ts";
import { rulePicture } from "../../src/testing/rule.ts";

interface Case {
  readonly picture: readonly [number, number];
  readonly target: readonly [number, number];
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly imageScale: number;
  readonly resized: readonly [number, number];
  readonly at: readonly (readonly [number, number, number])[];
  readonly values: readonly number[];
}

const missing = referenceMissing("reference/preprocess.json");
const cases = missing ? [] : referenceJson<{ cases: Case[] }>("reference/preprocess.json").cases;

describe.skipIf(missing)(
  "the letterbox in the graph equals the reference's (automl), run by ONNX Runtime",
  () => {
    // 1e-3 is the reference's tolerance for float32: ten times what PyTorch's is off.
    it.each(cases.map((c) => [c.picture.join("×"), c.target.join("×"), c] as const))(
      "%s to %s",
      async (_, __, c) => {
        const [h, w] = c.picture;
        const [height, width] = c.target;
        const picture = input("image", "uint8", ["height", "width", 3]);
        const outputs = letterbox(picture, { height, width, mean: c.mean, std: c.std });
        const session = await nodeRuntime.compile({
          inputs: [picture],
          outputs: { input: outputs.input, scale: outputs.imageScale },
        });
        const result = await session.run({ image: tensor("uint8", [h, w, 3], rulePicture(h, w)) });
        await session.dispose();
        const data = result.input!.data as Float32Array;
        c.at.forEach(([y, x, channel], i) =>
          expect(
            Math.abs(data[(channel * height + y) * width + x]! - c.values[i]!),
            `at ${y}, ${x}, ${channel}`,
          ).toBeLessThan(1e-3),
        );
        expect((result.scale!.data as Float32Array)[0]).toBeCloseTo(c.imageScale, 5);
        const [sh, sw] = c.resized;
        const padded = [...(sh < height ? [data[sh * width]!] : []), ...(sw < width ? [data[sw]!] : [])];
        expect(padded.every((value) => value === 0)).toBe(true);
      },
    );
  },
);

describe("the letterbox of extreme pictures", () => {
  it.each([
    [1, 1],
    [1, 2000],
    [2000, 1],
    [7, 3],
  ])("%i×%i fills the input with finite numbers, and keeps a pixel at least", async (h, w) => {
    const picture = input("image", "uint8", ["height", "width", 3]);
    const { input: network } = letterbox(picture, { height: 64, width: 96, mean: [0, 0, 0], std: [1, 1, 1] });
    const session = await nodeRuntime.compile({ inputs: [picture], outputs: { network } });
    const { network: out } = await session.run({
      image: tensor("uint8", [h, w, 3], new Uint8Array(h * w * 3).fill(200)),
    });
    await session.dispose();
    expect(out!.shape).toEqual([1, 3, 64, 96]);
    expect((out!.data as Float32Array)[0]).toBeCloseTo(200, 3);
    expect((out!.data as Float32Array).every(Number.isFinite)).toBe(true);
  });
});
