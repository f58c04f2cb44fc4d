import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Rgb } from "./palette.ts";
import { classColours, contrast, inkOn, palette } from "./palette.ts";

type Triple = [number, number, number];
const times = (matrix: readonly number[], [x, y, z]: Triple): Triple =>
  [0, 3, 6].map((i) => matrix[i]! * x + matrix[i + 1]! * y + matrix[i + 2]! * z) as Triple;
const linear = (colour: Rgb): Triple =>
  colour.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4)) as Triple;
/** OKLab (Ottosson 2020) of linear sRGB. */
const oklab = (rgb: Triple): Triple =>
  times(
    [0.2104542553, 0.793617785, -0.0040720468, 1.9779984951, -2.428592205, 0.4505937099, 0.0259040371, 0.7827717662, -0.808675766],
    times(
      [0.4122214708, 0.5363325363, 0.0514459929, 0.2119034982, 0.6806995451, 0.1073969566, 0.0883024619, 0.2817188376, 0.6299787005],
      rgb,
    ).map(Math.cbrt) as Triple,
  ); // prettier-ignore
/** Full colour-blindness as Machado, Oliveira and Fernandes (2009) simulate it, on linear sRGB. */
const sights = {
  common: [1, 0, 0, 0, 1, 0, 0, 0, 1],
  protanopia: [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998],
  deuteranopia: [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.01182, 0.04294, 0.968881],
  tritanopia: [1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.3039],
};

describe("the palette", () => {
  it.each(Object.entries(sights))("can be told apart with %s sight", (_, sight) => {
    const seen = palette.map((colour) =>
      oklab(times(sight, linear(colour)).map((v) => Math.min(1, Math.max(0, v))) as Triple),
    );
    for (let i = 0; i < seen.length; i++)
      for (let j = 0; j < i; j++)
        expect(Math.hypot(...seen[i]!.map((v, k) => v - seen[j]![k]!))).toBeGreaterThan(0.09);
  });

  it("bears text of enough contrast (WCAG 2, level AA: 4.5)", () => {
    for (const colour of palette) expect(contrast(inkOn(colour), colour)).toBeGreaterThan(4.5);
    expect(contrast([255, 255, 255], [0, 0, 0])).toBeCloseTo(21, 9);
  });
});

describe("colours of classes", () => {
  it("differ for up to ten classes of a picture, whatever their ids", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer(), { maxLength: 10 }), (ids) => {
        expect(new Set(classColours(ids).values()).size).toBe(ids.length);
      }),
    );
  });
  it("are given to any number of classes, and do not depend on their order", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.integer(), fc.double({ noNaN: true }))), (ids) => {
        const colours = classColours(ids);
        for (const id of ids) expect(colours.get(id)).toBeDefined();
        expect(classColours([...ids].reverse())).toEqual(colours);
      }),
    );
  });
});
