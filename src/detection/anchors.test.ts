import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ConfigError } from "../errors.ts";
import { referenceJson, referenceMissing } from "../testing/reference.ts";
import { anchorAt, anchorSpec, featureSizes, generateAnchors } from "./index.ts";

const sum = (values: Float64Array) => values.reduce((total, value) => total + value, 0);

describe("anchors", () => {
  // The formulas of automl `tf2/anchors.py` by hand; D0 and Lite0 at their own sizes, and a size with odd strides.
  const d0 = anchorSpec({ imageSize: [512, 512] });
  it.each([
    [0, [-12, -12, 20, 20]],
    [1, [-7.31371, -18.62742, 15.31371, 26.62742]],
    [2, [-18.62742, -7.31371, 26.62742, 15.31371]],
    [3, [-16.15874, -16.15874, 24.15874, 24.15874]],
    [9, [-12, -4, 20, 28]],
    [36864, [-24, -24, 40, 40]],
    [49103, [-126.70057, 160.64972, 1022.70057, 735.35028]],
  ])("of D0: number %i", (index, expected) => {
    anchorAt(d0, index).forEach((edge, i) => expect(edge).toBeCloseTo(expected[i]!, 5));
    generateAnchors(d0)
      .subarray(index * 4, index * 4 + 4)
      .forEach((edge, i) => expect(edge).toBeCloseTo(expected[i]!, 3));
  });

  it("of D0 add up", () => {
    expect(d0.count).toBe(49104);
    expect(sum(generateAnchors(d0, "float64"))).toBeCloseTo(50_282_496, 3);
  });

  it("of Lite0 and of odd and oblong sizes are as many as published, with fractional strides", () => {
    expect(anchorSpec({ imageSize: [320, 320], anchorScale: 3 }).count).toBe(19206);
    expect(anchorSpec({ imageSize: [512, 640] }).count).toBe(61380);
    expect(anchorSpec({ imageSize: [1536, 1536], levels: { min: 3, max: 8 } }).count).toBe(442260);
    const odd = anchorSpec({ imageSize: [513, 513] });
    expect(odd.count).toBe(51381);
    expect(odd.levels[0]!.strideY).toBeCloseTo(7.892308, 6);
    expect(anchorAt(odd, 0)[0]).toBeCloseTo(-11.838462, 6);
  });

  it("take aspect pairs as factors, as older weights have them", () => {
    const pairs = anchorSpec({ imageSize: [512, 512], aspectRatios: [[1, 1], [1.4, 0.7], [0.7, 1.4]] }); // prettier-ignore
    anchorAt(pairs, 1).forEach((edge, i) => expect(edge).toBeCloseTo([-7.2, -18.4, 15.2, 26.4][i]!, 9));
  });

  it("take one scale per level", () => {
    const scaled = anchorSpec({ imageSize: [64, 64], levels: { min: 3, max: 4 }, anchorScale: [1, 2] });
    const [yMin, , yMax] = anchorAt(scaled, scaled.levels[1]!.first);
    expect(yMax - yMin).toBe(2 * 16);
    expect(anchorAt(scaled, 0)).toEqual([0, 0, 8, 8]);
  });

  it("one by one are those of the table, at any size and shape", () => {
    const options = fc.record({
      imageSize: fc.tuple(fc.integer({ min: 1, max: 150 }), fc.integer({ min: 1, max: 150 })),
      levels: fc.constantFrom({ min: 2, max: 4 }, { min: 3, max: 7 }, { min: 5, max: 5 }),
      scalesPerOctave: fc.integer({ min: 1, max: 4 }),
      aspectRatios: fc.constantFrom([1], [1, 2, 0.5], [0.3, 4]),
    });
    fc.assert(
      fc.property(
        options,
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (settings, where) => {
          const spec = anchorSpec(settings);
          const table = generateAnchors(spec, "float64");
          expect(table).toHaveLength(spec.count * 4);
          const index = Math.floor(where * spec.count);
          expect(anchorAt(spec, index)).toEqual(Array.from(table.subarray(index * 4, index * 4 + 4)));
        },
      ),
    );
  });

  it("end where the table ends", () => {
    expect(() => anchorAt(d0, 49104)).toThrow(RangeError);
    expect(() => anchorAt(d0, -1)).toThrow(RangeError);
  });

  it("refuse what makes no sense, with the number", () => {
    expect(() => anchorSpec({ imageSize: [0, 512] })).toThrow(/image size 0×512/);
    expect(() => anchorSpec({ imageSize: [8, 8], levels: { min: 5, max: 3 } })).toThrow(ConfigError);
    expect(() => anchorSpec({ imageSize: [8, 8], aspectRatios: [0] })).toThrow(/aspect ratio 0/);
    expect(() => anchorSpec({ imageSize: [8, 8], anchorScale: [4, 4] })).toThrow(
      /2 anchor scales for 5 levels/,
    );
    expect(() => anchorSpec({ imageSize: [8, 8], anchorScale: NaN })).toThrow(ConfigError);
  });
});

describe("feature sizes", () => {
  it("halve and round up", () => {
    expect(featureSizes([320, 511], { min: 3, max: 7 })).toEqual([
      [40, 64],
      [20, 32],
      [10, 16],
      [5, 8],
      [3, 4],
    ]);
  });
});

interface AutomlAnchors {
  anchors: {
    size: [number, number];
    anchorScale: number;
    count: number;
    sum: number;
    at: number[];
    boxes: number[][];
  }[];
}

describe.skipIf(referenceMissing("reference-tf/automl-golden.json"))(
  "anchors as google/automl makes them",
  () => {
    const cases = referenceMissing("reference-tf/automl-golden.json")
      ? []
      : referenceJson<AutomlAnchors>("reference-tf/automl-golden.json").anchors;
    it.each(cases)("at $size, to 1e-3 pixels (automl computes in float32)", (expected) => {
      const spec = anchorSpec({ imageSize: expected.size, anchorScale: expected.anchorScale });
      expect(spec.count).toBe(expected.count);
      expected.at.forEach((index, i) =>
        anchorAt(spec, index).forEach((edge, j) =>
          expect(Math.abs(edge - expected.boxes[i]![j]!)).toBeLessThan(1e-3),
        ),
      );
      expect(Math.abs(sum(generateAnchors(spec, "float64")) / expected.sum - 1)).toBeLessThan(1e-8);
    });
  },
);
