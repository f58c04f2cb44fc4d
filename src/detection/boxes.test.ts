import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { area, boxRows, clipBoxes, fromBoxes, iou, iouMatrix, overlap, scaleBoxes, toBox } from "./index.ts";

const coordinate = fc.integer({ min: -64, max: 64 }).map((quarter) => quarter / 4); // exact in binary
const box = fc
  .tuple(coordinate, coordinate, coordinate, coordinate)
  .map(([a, b, c, d]) => [Math.min(a, c), Math.min(b, d), Math.max(a, c), Math.max(b, d)]);

describe("overlap of boxes", () => {
  // google/automl, iou_utils_test.py: the losses there are 1 - overlap.
  it.each([
    ["iou", 0.875, 1],
    ["giou", 1.075, 1.9333333],
    ["diou", 0.9969512, 1.6243094],
    ["ciou", 0.99931306, 1.6415315],
  ] as const)("gives automl's %s losses", (kind, first, second) => {
    const predicted = boxRows([
      [4, 3, 7, 5],
      [5, 6, 10, 7],
    ]);
    const target = boxRows([
      [3, 4, 6, 8],
      [14, 14, 15, 15],
    ]);
    expect(1 - overlap(kind, predicted, 0, target, 0)).toBeCloseTo(first, 6);
    expect(1 - overlap(kind, predicted, 1, target, 1)).toBeCloseTo(second, 6);
  });

  it("is 0 for boxes that only touch, and for a box of no area with itself", () => {
    const rows = boxRows([
      [0, 0, 10, 10],
      [0, 10, 10, 20],
      [5, 5, 5, 5],
    ]);
    expect(Array.from(iouMatrix(rows, rows))).toEqual([1, 0, 0, 0, 1, 0, 0, 0, 0]);
  });

  it("is symmetric and within its bounds, and GIoU, DIoU and CIoU never exceed IoU", () => {
    fc.assert(
      fc.property(box, box, (a, b) => {
        const [p, q] = [boxRows([a]), boxRows([b])];
        const plain = overlap("iou", p, 0, q, 0);
        expect(plain).toBeGreaterThanOrEqual(0);
        expect(plain).toBeLessThanOrEqual(1);
        for (const kind of ["giou", "diou", "ciou"] as const) {
          const value = overlap(kind, p, 0, q, 0);
          expect(value).toBeCloseTo(overlap(kind, q, 0, p, 0), 12);
          expect(value).toBeLessThanOrEqual(plain + 1e-12);
          expect(value).toBeGreaterThanOrEqual(kind === "ciou" ? -2 : -1);
        }
      }),
    );
  });

  it("does not change when both boxes are scaled or moved", () => {
    fc.assert(
      fc.property(box, box, fc.integer({ min: -8, max: 8 }), (a, b, shift) => {
        const moved = (row: number[]) => boxRows([row.map((edge) => edge * 4 + shift)]);
        expect(iou(moved(a), 0, moved(b), 0)).toBeCloseTo(iou(boxRows([a]), 0, boxRows([b]), 0), 12);
      }),
    );
  });
});

describe("boxes", () => {
  it("clips to height and width, in a copy", () => {
    const rows = boxRows([
      [-5, 3, 20, 90],
      [30, 30, 40, 40],
    ]);
    expect(Array.from(clipBoxes(rows, [10, 50]))).toEqual([0, 3, 10, 50, 10, 30, 10, 40]);
    expect(rows[0]).toBe(-5);
  });

  it("turns into public boxes and back", () => {
    const rows = boxRows([[1, 2, 3, 5]]);
    expect(toBox(rows)).toEqual({ xMin: 2, yMin: 1, xMax: 5, yMax: 3 });
    expect(fromBoxes([toBox(rows)])).toEqual(rows);
    expect(area(rows)).toBe(6);
    expect(Array.from(scaleBoxes(rows, [2, 10]))).toEqual([2, 20, 6, 50]);
  });

  it("gives no rows for no boxes", () => {
    expect(boxRows([])).toHaveLength(0);
    expect(iouMatrix(boxRows([]), boxRows([[0, 0, 1, 1]]))).toHaveLength(0);
    expect(clipBoxes(boxRows([]), [1, 1])).toHaveLength(0);
  });
});
