import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { boxRows, iou, suppress } from "./index.ts";
import type { NmsMethod, NmsOptions, ScoredBoxes } from "./index.ts";

const scored = (boxes: number[][], scores: number[], classes = scores.map(() => 0)): ScoredBoxes => ({
  boxes: boxRows(boxes),
  scores: Float64Array.from(scores),
  classes: Int32Array.from(classes),
});
const kept = (candidates: ScoredBoxes, options: NmsOptions) =>
  Array.from(suppress(candidates, options).indices);

describe("suppression", () => {
  const square = [0, 0, 10, 10];

  it("drops a box that overlaps a better one by more than the threshold, not by just as much", () => {
    const half = [0, 0, 10, 20]; // IoU 0.5
    expect(kept(scored([square, half], [0.9, 0.8]), { iouThreshold: 0.5 })).toEqual([0, 1]);
    expect(kept(scored([square, half], [0.9, 0.8]), { iouThreshold: 0.499 })).toEqual([0]);
  });
  it("takes the earlier of equals, and keeps the order of equals over all classes", () => {
    expect(kept(scored([square, square, square], [0.5, 0.5, 0.5]), {})).toEqual([0]);
    expect(kept(scored([square, square], [0.5, 0.5], [3, 1]), {})).toEqual([0, 1]);
  });
  it("lets classes compete only globally", () => {
    const two = scored([square, square], [0.4, 0.6], [0, 1]);
    expect(kept(two, { scope: "class" })).toEqual([1, 0]);
    expect(kept(two, { scope: "global" })).toEqual([1]);
  });
  it("by DIoU spares a box whose centre lies apart", () => {
    const shifted = [0, 3.25, 10, 13.25]; // IoU 0.5094, DIoU 0.4711
    expect(kept(scored([square, shifted], [0.9, 0.8]), { method: "hard" })).toEqual([0]);
    expect(kept(scored([square, shifted], [0.9, 0.8]), { method: "diou" })).toEqual([0, 1]);
  });
  it("softly decays scores, and drops what falls below the lowest", () => {
    const { indices, scores } = suppress(
      scored([square, [0, 1, 10, 11], [20, 20, 30, 30], [0, 5, 10, 15]], [0.9, 0.8, 0.7, 0.6]),
      { method: "soft" },
    );
    expect(Array.from(indices)).toEqual([0, 2, 3, 1]);
    [0.9, 0.7, 0.48044244, 0.14524498].forEach((score, i) => expect(scores[i]).toBeCloseTo(score, 7));
    const faint = scored([square, square], [0.9, 0.01]);
    expect(kept(faint, { method: "soft", scoreThreshold: 0.002 })).toEqual([0]);
  });
  it("linearly decays only above the threshold", () => {
    const { scores } = suppress(scored([square, [0, 5, 10, 15], [0, 9, 10, 19]], [0.9, 0.8, 0.7]), {
      method: "linear",
      iouThreshold: 0.2,
    });
    // IoU with the first 1/3 and 1/19; of the other two 3/7
    expect(Array.from(scores)).toEqual([0.9, 0.7, expect.closeTo((0.8 * 2) / 3 / (1 / (1 - 3 / 7)), 9)]);
  });

  const methods: NmsMethod[] = ["hard", "soft", "diou", "linear"];
  it.each(methods)("%s: gives nothing for nothing, for no places, and never keeps NaN", (method) => {
    expect(kept(scored([], []), { method })).toEqual([]);
    expect(kept(scored([square], [0.5]), { method, maxDetections: 0 })).toEqual([]);
    expect(kept(scored([square, square], [NaN, 0.5]), { method })).toEqual([1]);
  });

  const candidates = fc
    .array(
      fc.tuple(
        fc.tuple(fc.nat(40), fc.nat(40), fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 20 })),
        fc.integer({ min: 1, max: 20 }),
        fc.nat(2),
      ),
      { maxLength: 30 },
    )
    .map((rows) =>
      scored(
        rows.map(([[y, x, h, w]]) => [y, x, y + h, x + w]),
        rows.map(([, twentieths]) => twentieths / 20),
        rows.map(([, , c]) => c),
      ),
    );

  it("hard: leaves no two that overlap, and everything dropped overlaps something better", () => {
    fc.assert(
      fc.property(candidates, ({ boxes, scores, classes }) => {
        const survivors = kept({ boxes, scores, classes }, { maxDetections: 1000 });
        const rival = (a: number, b: number) => classes[a] === classes[b] && iou(boxes, a, boxes, b) > 0.5;
        for (const a of survivors) for (const b of survivors) expect(a !== b && rival(a, b)).toBe(false);
        for (let i = 0; i < scores.length; i++)
          if (!survivors.includes(i))
            expect(survivors.some((better) => rival(better, i) && scores[better]! >= scores[i]!)).toBe(true);
      }),
    );
  });

  it.each(methods)("%s: scores fall, never rise, and fewer places give the same beginning", (method) => {
    fc.assert(
      fc.property(candidates, fc.nat(10), (some, places) => {
        const all = suppress(some, { method, maxDetections: 1000 });
        all.scores.forEach((score, rank) => {
          expect(score).toBeLessThanOrEqual(some.scores[all.indices[rank]!]!);
          if (rank > 0) expect(score).toBeLessThanOrEqual(all.scores[rank - 1]!);
        });
        const few = suppress(some, { method, maxDetections: places });
        expect(few.indices).toEqual(all.indices.slice(0, places));
        expect(few.scores).toEqual(all.scores.slice(0, places));
      }),
    );
  });
});
