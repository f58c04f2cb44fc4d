import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Picture } from "./picture.ts";
import { fillContours, fillRectangle, roundedRectangle, strokeRectangle } from "./raster.ts";

const black = (width: number, height: number): Picture => ({
  data: new Uint8Array(width * height * 3),
  width,
  height,
});
/** Painted area in pixels, as white on black. */
const painted = ({ data }: Picture) => data.reduce((sum, value) => sum + value, 0) / 255 / 3;

describe("filling outlines", () => {
  it("covers each pixel by its share", () => {
    const picture = black(3, 2);
    fillContours(picture, [[0.5, 0, 2.25, 0, 2.25, 1.5, 0.5, 1.5]], [255, 255, 255]);
    const grey = Array.from({ length: 6 }, (_, i) => picture.data[i * 3]);
    expect(grey).toEqual([128, 255, 64, 64, 128, 32]);
  });

  it("paints the area of any triangle, whichever way round, and what leaves the picture is cut off", () => {
    const coordinate = fc.double({ min: -10, max: 30, noNaN: true });
    const point = fc.tuple(coordinate, coordinate);
    fc.assert(
      fc.property(point, point, point, ([ax, ay], [bx, by], [cx, cy]) => {
        const contour = [ax, ay, bx, by, cx, cy];
        const whole = black(50, 50);
        fillContours(whole, [contour.map((v) => v + 10)], [255, 255, 255]);
        const area = Math.abs((bx - ax) * (cy - ay) - (cx - ax) * (by - ay)) / 2;
        // Bytes round each edge pixel by up to half a step; there are at most about 200 of them.
        expect(Math.abs(painted(whole) - area)).toBeLessThan(1);

        const part = black(20, 20);
        fillContours(part, [contour], [255, 255, 255]);
        for (let y = 0; y < 20; y++)
          for (let x = 0; x < 20; x++) {
            const value = part.data[(y * 20 + x) * 3]!;
            expect(Math.abs(value - whole.data[((y + 10) * 50 + x + 10) * 3]!)).toBeLessThanOrEqual(2);
          }
      }),
    );
  });

  it("leaves holes that run the other way", () => {
    const picture = black(10, 10);
    fillContours(picture, [[0, 0, 10, 0, 10, 10, 0, 10], [2, 2, 2, 8, 8, 8, 8, 2]], [255, 255, 255]); // prettier-ignore
    expect(painted(picture)).toBeCloseTo(100 - 36, 5);
  });

  it("mixes colours by opacity", () => {
    const picture = black(1, 1);
    fillContours(picture, [[0, 0, 1, 0, 1, 1, 0, 1]], [200, 100, 0], 0.5);
    expect(Array.from(picture.data)).toEqual([100, 50, 0]);
  });

  it("paints nothing for outlines outside, empty or flat ones", () => {
    const picture = black(5, 5);
    fillContours(picture, [[9, 9, 12, 9, 12, 12]], [255, 255, 255]);
    fillContours(picture, [[], [1, 1], [1, 1, 4, 1]], [255, 255, 255]);
    fillContours(picture, [], [255, 255, 255]);
    fillRectangle(picture, -5, -5, 0, 0, [255, 255, 255]);
    expect(painted(picture)).toBe(0);
  });
});

describe("rectangles with round corners", () => {
  it("lose the corners of their circle", () => {
    const picture = black(60, 60);
    fillContours(picture, [roundedRectangle(5, 5, 55, 45, 10)], [255, 255, 255]);
    // Chords instead of arcs and rounding of bytes: within half a pixel.
    expect(Math.abs(painted(picture) - (50 * 40 - (4 - Math.PI) * 100))).toBeLessThan(1.5);
    expect(picture.data[(5 * 60 + 5) * 3]).toBe(0);
  });

  it("as frames are the difference of two, also when too small to be hollow", () => {
    fc.assert(
      fc.property(
        fc.nat(40),
        fc.nat(40),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 0, max: 9 }),
        (w, h, thickness, radius) => {
          fc.pre(w > 0 && h > 0);
          const frame = black(60, 60);
          strokeRectangle(
            frame,
            { left: 5, top: 7, right: 5 + w, bottom: 7 + h },
            thickness,
            radius,
            [255, 255, 255],
          );
          const r = Math.min(Math.max(radius, 0), w / 2, h / 2);
          const [iw, ih] = [Math.max(0, w - 2 * thickness), Math.max(0, h - 2 * thickness)];
          const inner = iw > 0 && ih > 0 ? iw * ih : 0;
          expect(painted(frame)).toBeLessThanOrEqual(w * h - inner + 4 * Math.max(thickness, radius) ** 2);
          expect(painted(frame)).toBeGreaterThanOrEqual(w * h - inner - 4 * Math.max(thickness, r) ** 2 - 1);
        },
      ),
    );
  });
});
