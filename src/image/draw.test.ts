import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Detection } from "../detection/index.ts";
import { drawingSizes, drawOnto } from "./draw.ts";
import { palette } from "./palette.ts";
import type { Picture } from "./picture.ts";

const grey = (width: number, height: number): Picture => ({
  data: new Uint8Array(width * height * 3).fill(90),
  width,
  height,
});
const found = (
  box: [number, number, number, number],
  label = "cat",
  classId = 1,
  score = 0.9,
): Detection => ({
  label,
  classId,
  score,
  box: { xMin: box[0], yMin: box[1], xMax: box[2], yMax: box[3] },
});
const pixel = ({ data, width }: Picture, x: number, y: number) =>
  Array.from(data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3));
const changed = (picture: Picture) => picture.data.some((value) => value !== 90);

/** Any code points, control characters and halves of surrogate pairs among them. */
const anyText = fc
  .array(fc.nat(0x10ffff), { maxLength: 120 })
  .map((points) => String.fromCodePoint(...points));

describe("drawing", () => {
  it("runs a line in the class's colour along the box, and leaves the rest of the picture alone", () => {
    const picture = grey(200, 150);
    drawOnto(picture, [found([50, 40, 150, 120])], { labels: false });
    for (const [x, y] of [
      [100, 40],
      [100, 120],
      [50, 80],
      [149, 80],
    ])
      // prettier-ignore
      expect(pixel(picture, x!, y!)).toEqual(Array.from(palette[1]!));
    expect(pixel(picture, 100, 80)).toEqual([90, 90, 90]);
    expect(pixel(picture, 10, 10)).toEqual([90, 90, 90]);
  });

  it("writes the label above its box: the class's colour, with dark text on it", () => {
    const picture = grey(400, 300);
    drawOnto(picture, [found([100, 100, 300, 250])]);
    const { fontSize } = drawingSizes(picture);
    const tag: number[][] = [];
    for (let x = 102; x < 130; x++) tag.push(pixel(picture, x, Math.round(98 - fontSize * 0.75)));
    expect(tag).toContainEqual(Array.from(palette[1]!));
    expect(tag.some(([red, green, blue]) => red! + green! + blue! < 120)).toBe(true);
  });

  it("draws nothing for nothing, and nothing for boxes outside, turned round, or without numbers", () => {
    const picture = grey(60, 40);
    drawOnto(picture, []);
    drawOnto(picture, [found([100, 100, 120, 120]), found([40, 30, 10, 5]), found([NaN, 0, 20, 20])]);
    expect(changed(picture)).toBe(false);
  });

  it("gives larger pictures larger text and wider lines, but never text too small to read", () => {
    const [small, middle, large] = [60, 640, 4000].map((side) => drawingSizes({ width: side, height: side }));
    expect(small!.fontSize).toBe(11);
    expect(middle!.fontSize).toBeGreaterThan(small!.fontSize);
    expect(large!.fontSize).toBeGreaterThan(2 * middle!.fontSize);
    expect(large!.lineWidth).toBeGreaterThan(middle!.lineWidth);
    expect(drawingSizes({ width: 640, height: 640 }, { fontSize: 20, lineWidth: 5 })).toEqual({
      fontSize: 20,
      lineWidth: 5,
    });
  });

  it("takes a colour that it is given, and a word drawn elsewhere", () => {
    const picture = grey(300, 200);
    const mask = { data: new Uint8Array(40 * 10).fill(255), width: 40, height: 10 };
    const options = { colours: new Map([[1, [1, 2, 3] as const]]), scores: false };
    drawOnto(picture, [found([50, 80, 250, 180], "人")], options, new Map([["人", mask]]));
    expect(pixel(picture, 150, 80)).toEqual([1, 2, 3]);
    const white = Array.from({ length: 300 * 200 }, (_, i) => i).filter((i) => picture.data[i * 3] === 255);
    expect(white).toHaveLength(40 * 10);
  });

  it("takes any picture, any boxes and any words", () => {
    const number = fc.oneof(fc.double({ min: -50, max: 150 }), fc.double(), fc.integer());
    const detection = fc.record({
      label: fc.oneof(fc.string(), anyText),
      classId: fc.integer(),
      score: fc.double(),
      box: fc.record({ xMin: number, yMin: number, xMax: number, yMax: number }),
    });
    const side = fc.integer({ min: 1, max: 120 });
    fc.assert(
      fc.property(side, side, fc.array(detection, { maxLength: 8 }), (width, height, detections) => {
        const picture = grey(width, height);
        drawOnto(picture, detections);
        expect(picture.data).toHaveLength(width * height * 3);
      }),
      { numRuns: 60 },
    );
  });
});
