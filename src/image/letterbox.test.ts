import { describe, expect, it } from "vitest";
import { referenceJson, referenceMissing } from "../testing/reference.ts";
import { rulePicture } from "../testing/rule.ts";
import type { Normalisation } from "./letterbox.ts";
import { letterbox, letterboxGeometry } from "./letterbox.ts";

describe("letterbox geometry", () => {
  it.each([
    [[480, 640], 512, [384, 512]],
    [[426, 640], 512, [340, 512]],
    [[640, 427], 512, [512, 341]],
    [[1080, 1920], 640, [360, 640]],
    [[16, 41], 512, [199, 511]], // in float64 it would be 512 wide
  ] as const)("fits %j into %i", (picture, size, [height, width]) => {
    expect(letterboxGeometry(picture, [size, size])).toMatchObject({ height, width });
  });

  it("scales boxes back by the float32 reciprocal", () => {
    const { scale, imageScale } = letterboxGeometry([480, 640], [512, 512]);
    expect([scale, imageScale]).toEqual([Math.fround(0.8), Math.fround(1 / Math.fround(0.8))]);
  });

  it("leaves one pixel of a very long picture", () => {
    expect(letterboxGeometry([1, 2000], [512, 512])).toMatchObject({ height: 1, width: 512 });
    expect(letterboxGeometry([60_000, 1], [512, 512])).toMatchObject({ height: 512, width: 1 });
  });
});

interface Preprocess {
  cases: {
    picture: [number, number];
    target: [number, number];
    mean: Normalisation["mean"];
    std: Normalisation["std"];
    scale: number;
    imageScale: number;
    resized: [number, number];
    outputMean: number;
    outputStd: number;
    at: [y: number, x: number, channel: number][];
    values: number[];
  }[];
}

const missing = referenceMissing("reference/preprocess.json");
describe.skipIf(missing)("letterbox as the reference has it (float64: 1e-8, sizes exactly)", () => {
  const cases = missing ? [] : referenceJson<Preprocess>("reference/preprocess.json").cases;
  it.each(cases)("$picture to $target", (expected) => {
    const [height, width] = expected.picture;
    const [targetHeight, targetWidth] = expected.target;
    const geometry = letterboxGeometry(expected.picture, expected.target);
    expect([geometry.height, geometry.width]).toEqual(expected.resized);
    expect(geometry.scale).toBe(Math.fround(expected.scale));
    expect(geometry.imageScale).toBe(Math.fround(expected.imageScale));

    const input = letterbox({ data: rulePicture(height, width), height, width }, expected.target, expected);
    expected.at.forEach(([y, x, channel], i) =>
      expect(
        Math.abs(input[(channel * targetHeight + y) * targetWidth + x]! - expected.values[i]!),
      ).toBeLessThan(1e-8),
    );
    const mean = input.reduce((sum, value) => sum + value, 0) / input.length;
    const variance = input.reduce((sum, value) => sum + (value - mean) ** 2, 0) / input.length;
    expect(mean).toBeCloseTo(expected.outputMean, 8);
    expect(Math.sqrt(variance)).toBeCloseTo(expected.outputStd, 8);
  });
});

interface AutomlPreprocess {
  preprocess: {
    picture: [number, number];
    target: [number, number];
    normalisation: "imagenet" | "lite";
    scaled: [number, number];
    imageScale: number;
    imageScaleToOriginal: number;
    at: [y: number, x: number, channel: number][];
    values: number[];
  }[];
}

const automlMissing = referenceMissing("reference-tf/automl-golden.json");
describe.skipIf(automlMissing)("letterbox as google/automl computes it (float32: 1e-3)", () => {
  const cases = automlMissing
    ? []
    : referenceJson<AutomlPreprocess>("reference-tf/automl-golden.json").preprocess;
  const normalisations: Record<string, Normalisation> = {
    imagenet: { mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375] },
    lite: { mean: [127, 127, 127], std: [128, 128, 128] },
  };
  it.each(cases)("$picture to $target", (expected) => {
    const [height, width] = expected.picture;
    const geometry = letterboxGeometry(expected.picture, expected.target);
    expect([geometry.height, geometry.width]).toEqual(expected.scaled);
    expect(geometry.scale).toBe(Math.fround(expected.imageScale));
    expect(geometry.imageScale).toBe(Math.fround(expected.imageScaleToOriginal));
    const picture = { data: rulePicture(height, width), height, width };
    const input = letterbox(picture, expected.target, normalisations[expected.normalisation]!);
    const [targetHeight, targetWidth] = expected.target;
    expected.at.forEach(([y, x, channel], i) =>
      expect(
        Math.abs(input[(channel * targetHeight + y) * targetWidth + x]! - expected.values[i]!),
      ).toBeLessThan(1e-3),
    );
  });
});
