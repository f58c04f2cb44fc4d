import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Box } from "../detection/boxes.ts";
import { Random } from "../tensor/random.ts";
import { referenceJson, referenceMissing } from "../testing/reference.ts";
import { rulePicture } from "../testing/rule.ts";
import { jitter, letterbox, placeObjects, renderPicture, type Placement } from "./placement.ts";
import type { Picture } from "../image/picture.ts";

const plain = { mean: [0, 0, 0], std: [1, 1, 1] } as const;

interface PreprocessCase {
  picture: [number, number];
  target: [number, number];
  mean: [number, number, number];
  std: [number, number, number];
  resized: [number, number];
  at: [number, number, number][];
  values: number[];
}

describe.skipIf(referenceMissing("reference/preprocess.json"))("letterbox", () => {
  it("gives the reference's sizes and values in all 33 cases", () => {
    const { cases } = referenceJson<{ cases: PreprocessCase[] }>("reference/preprocess.json");
    expect(cases).toHaveLength(33);
    for (const { picture, target, mean, std, resized, at, values } of cases) {
      const source = { height: picture[0], width: picture[1], data: rulePicture(picture[0], picture[1]) };
      const size = { height: target[0], width: target[1] };
      const placement = letterbox(source, size);
      expect([placement.scaledHeight, placement.scaledWidth]).toEqual(resized);
      const image = new Float32Array(3 * size.height * size.width);
      renderPicture(source, placement, image, size, { normalisation: { mean, std } });
      at.forEach(([y, x, channel], index) => {
        // Weights and sums in float32: 1e-3 is what the reference's notes allow.
        expect(Math.abs(image[(channel * size.height + y) * size.width + x]! - values[index]!)).toBeLessThan(
          1e-3,
        );
      });
    }
  });
});

describe("jitter", () => {
  const sizes = { width: fc.integer({ min: 1, max: 900 }), height: fc.integer({ min: 1, max: 900 }) };

  it("follows B1: size int(side · scale), offset within what reaches beyond the input", () =>
    fc.assert(
      fc.property(fc.record(sizes), fc.record(sizes), fc.nat(), (picture, input, seed) => {
        const placed = jitter(picture, input, { min: 0.1, max: 2 }, new Random(seed));
        // The same draws, in float64: sizes may differ from the float32 ones by a pixel.
        const random = new Random(seed);
        const s = random.uniform(0.1, 2);
        const scale = Math.min(
          Math.trunc(s * input.height) / picture.height,
          Math.trunc(s * input.width) / picture.width,
        );
        expect(
          Math.abs(placed.scaledHeight - Math.max(1, Math.trunc(picture.height * scale))),
        ).toBeLessThanOrEqual(1);
        expect(
          Math.abs(placed.scaledWidth - Math.max(1, Math.trunc(picture.width * scale))),
        ).toBeLessThanOrEqual(1);
        const offsetY = Math.trunc(Math.max(0, placed.scaledHeight - input.height) * random.uniform());
        const offsetX = Math.trunc(Math.max(0, placed.scaledWidth - input.width) * random.uniform());
        expect([placed.top, placed.left]).toEqual([0 - offsetY, 0 - offsetX]);
      }),
    ));
});

/** A grey picture with one white rectangle. */
function rectangle(width: number, height: number, { xMin, yMin, xMax, yMax }: Box): Picture {
  const data = new Uint8Array(width * height * 3).fill(50);
  for (let y = yMin; y < yMax; y++) data.fill(250, (y * width + xMin) * 3, (y * width + xMax) * 3);
  return { width, height, data };
}

/** The box around pixels of an image that are more than half white. */
function whiteBox(image: Float32Array, width: number, height: number): Box {
  let [xMin, yMin, xMax, yMax] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      if (image[y * width + x]! > 150) {
        [xMin, yMin] = [Math.min(xMin, x), Math.min(yMin, y)];
        [xMax, yMax] = [Math.max(xMax, x + 1), Math.max(yMax, y + 1)];
      }
  return { xMin, yMin, xMax, yMax };
}

describe("placing", () => {
  it("moves boxes with the pixels, mirrored, scaled and cropped, to within a pixel and a half", () =>
    fc.assert(
      fc.property(fc.nat(), fc.boolean(), fc.boolean(), (seed, flipX, flipY) => {
        const random = new Random(seed);
        const box = {
          xMin: 20,
          yMin: 30,
          xMax: 20 + 20 + random.integer(60),
          yMax: 30 + 20 + random.integer(40),
        };
        const picture = rectangle(140, 110, box);
        const size = { width: 96, height: 128 };
        const placement: Placement = { ...jitter(picture, size, { min: 0.5, max: 2 }, random), flipX, flipY };
        const image = new Float32Array(3 * size.width * size.height);
        renderPicture(picture, placement, image, size, { normalisation: plain });
        const [placed] = placeObjects([{ classIndex: 0, box }], picture, placement);
        const seen = whiteBox(image, size.width, size.height);
        if (placed === undefined)
          expect(Math.min(seen.xMax - seen.xMin, seen.yMax - seen.yMin)).toBeLessThanOrEqual(1.5);
        else if (seen.xMin === Infinity)
          expect(
            Math.min(placed.box.xMax - placed.box.xMin, placed.box.yMax - placed.box.yMin),
          ).toBeLessThanOrEqual(1.5);
        else
          for (const side of ["xMin", "yMin", "xMax", "yMax"] as const)
            expect(Math.abs(placed.box[side] - seen[side])).toBeLessThanOrEqual(1.5);
      }),
    ));

  it("leaves out what lies outside, and with minVisible what is mostly cut off", () => {
    const size = { width: 100, height: 100 };
    const placement: Placement = { ...letterbox(size, size), left: -50 };
    const objects = [
      { classIndex: 0, box: { xMin: 0, yMin: 0, xMax: 50, yMax: 50 } },
      { classIndex: 1, box: { xMin: 0, yMin: 10, xMax: 60, yMax: 50 } },
      { classIndex: 2, box: { xMin: 60, yMin: 60, xMax: 100, yMax: 100 } },
    ];
    expect(placeObjects(objects, size, placement)).toEqual([
      { classIndex: 1, box: { xMin: 0, yMin: 10, xMax: 10, yMax: 50 } },
      { classIndex: 2, box: { xMin: 10, yMin: 60, xMax: 50, yMax: 99 } }, // the reference clips to the last row
    ]);
    expect(
      placeObjects(objects, size, placement, { minVisible: 0.2 }).map(({ classIndex }) => classIndex),
    ).toEqual([2]);
  });

  it("draws only inside the window, and leaves the rest as it was", () => {
    const picture = rectangle(10, 10, { xMin: 0, yMin: 0, xMax: 10, yMax: 10 });
    const size = { width: 8, height: 8 };
    const image = new Float32Array(3 * 64).fill(-1);
    const window = { xMin: 2, yMin: 3, xMax: 5, yMax: 7 };
    renderPicture(picture, { ...letterbox(picture, size), window }, image, size, { normalisation: plain });
    expect(whiteBox(image, 8, 8)).toEqual(window);
    expect(image.filter((value) => value === -1)).toHaveLength(3 * (64 - 12));
    renderPicture(picture, { ...letterbox(picture, size), left: 8 }, image, size, { normalisation: plain });
    expect(image.filter((value) => value === -1)).toHaveLength(3 * (64 - 12));
  });
});
