import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { placeLabels } from "./label-placement.ts";

const picture = { width: 200, height: 100 };
const box = (xMin: number, yMin: number, xMax: number, yMax: number) => ({ xMin, yMin, xMax, yMax });

describe("labels", () => {
  it("sit on the upper edge of their box, flush left", () => {
    const [place] = placeLabels([{ box: box(40, 50, 90, 90), width: 30, height: 10 }], picture, 2);
    expect(place).toEqual({ x: 40, y: 40, attached: "above" });
  });
  it("go inside at the picture's upper edge, and move left at its right edge", () => {
    const [inside] = placeLabels([{ box: box(40, 0, 190, 99), width: 30, height: 10 }], picture, 2);
    expect(inside).toEqual({ x: 42, y: 2, attached: "insideTop" });
    const [moved] = placeLabels([{ box: box(180, 50, 200, 90), width: 30, height: 10 }], picture, 2);
    expect(moved).toEqual({ x: 170, y: 40, attached: "above" });
  });
  it("make way for a better one", () => {
    const request = { box: box(40, 50, 120, 90), width: 30, height: 10 };
    const [first, second] = placeLabels([request, request], picture, 2);
    expect(first!.x).toBe(40);
    expect(second!.attached).toBe("above");
    expect(second!.x).toBeGreaterThan(70);
  });
  it("would rather hide nothing of a small box nearby", () => {
    const small = { box: box(42, 38, 52, 48), width: 12, height: 5 };
    const large = { box: box(40, 50, 190, 95), width: 30, height: 10 };
    const [place] = placeLabels([large, small], picture, 2);
    expect(place!.attached === "above" && place!.x < 52).toBe(false);
  });
  it("that are larger than the picture are left out", () => {
    const requests = [
      { box: box(0, 0, 50, 50), width: 201, height: 10 },
      { box: box(0, 0, 50, 50), width: 20, height: 101 },
    ];
    expect(placeLabels(requests, picture, 2)).toEqual([undefined, undefined]);
  });

  it("never leave the picture and never cover each other, in any crowd", () => {
    const side = fc.integer({ min: 1, max: 120 });
    const request = fc
      .tuple(
        fc.nat(199),
        fc.nat(99),
        side,
        side,
        fc.integer({ min: 5, max: 80 }),
        fc.integer({ min: 5, max: 14 }),
      )
      .map(([x, y, w, h, width, height]) => ({
        box: box(x, y, Math.min(200, x + w), Math.min(100, y + h)),
        width,
        height,
      }));
    fc.assert(
      fc.property(fc.array(request, { maxLength: 60 }), (requests) => {
        const places = placeLabels(requests, picture, 2);
        expect(places).toHaveLength(requests.length);
        const areas = places.flatMap((place, i) => {
          if (place === undefined) return [];
          const { width, height, box: own } = requests[i]!;
          const area = box(place.x, place.y, place.x + width, place.y + height);
          expect(area.xMin >= 0 && area.yMin >= 0 && area.xMax <= 200 && area.yMax <= 100).toBe(true);
          // Each touches its box, give or take the rounding to whole pixels.
          expect(area.xMin <= own.xMax + 1 && area.xMax >= own.xMin - 1).toBe(true);
          expect(area.yMin <= own.yMax + 1 && area.yMax >= own.yMin - 1).toBe(true);
          return [area];
        });
        areas.forEach((a, i) =>
          areas.slice(0, i).forEach((b) => {
            expect(a.xMin < b.xMax && b.xMin < a.xMax && a.yMin < b.yMax && b.yMin < a.yMax).toBe(false);
          }),
        );
      }),
    );
  });
});
