import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { arrange } from "./arrangement.ts";
import type { CocoDataset, CocoResult } from "./coco-format.ts";
import { cocoSettings } from "./coco-metric.ts";
import { compare } from "./comparison.ts";
import { evaluate } from "./evaluate.ts";
import { weightedAverage } from "./weighted-average.ts";

/** Pictures of a few objects each; `skill` is the share that is found well. */
function problem(images: number, skill: number, seed = 1): { truth: CocoDataset; found: CocoResult[] } {
  let state = seed;
  const next = (): number => ((state = (state * 48271) % 2147483647), state / 2147483647);
  const truth = {
    images: Array.from({ length: images }, (_, id) => ({ id: id + 1 })),
    categories: [1, 2, 3].map((id) => ({ id, name: `class ${id}` })),
    annotations: [] as CocoDataset["annotations"][number][],
  };
  const found: CocoResult[] = [];
  let objectSeed = 7;
  const fixed = (): number => ((objectSeed = (objectSeed * 48271) % 2147483647), objectSeed / 2147483647);
  for (const { id } of truth.images)
    for (let n = 0; n < 4; n++) {
      const bbox = [fixed() * 300, fixed() * 300, 20 + fixed() * 80, 20 + fixed() * 80] as const;
      const category_id = 1 + Math.floor(fixed() * 3);
      truth.annotations.push({
        id: truth.annotations.length + 1,
        image_id: id,
        category_id,
        bbox,
        iscrowd: fixed() < 0.1 ? 1 : 0,
      });
      if (next() < skill)
        found.push({
          image_id: id,
          category_id,
          bbox: [bbox[0] + next() * 8, bbox[1], bbox[2], bbox[3]],
          score: 0.4 + 0.6 * next(),
        });
      if (next() < 0.4)
        found.push({
          image_id: id,
          category_id,
          bbox: [next() * 300, next() * 300, 40, 40],
          score: next() * 0.8,
        });
    }
  return { truth, found };
}

describe("the AP of weighted pictures", () => {
  it("is the metric's where every picture counts once", () => {
    const { truth, found } = problem(30, 0.8);
    const average = weightedAverage(arrange(truth, found, { limit: 100 }), cocoSettings);
    const result = evaluate(truth, found);
    const { AP, AP50, perClass } = average(new Float64Array(30).fill(1));
    // The metric adds 2⁻⁵² to a count, which moves precisions in the last digit.
    expect(AP).toBeCloseTo(result.AP, 12);
    expect(AP50).toBeCloseTo(result.AP50, 12);
    perClass.forEach((ap, k) => expect(ap).toBeCloseTo(result.perClass[k]!.AP, 12));
  });

  it("is the metric's of the pictures that remain, where others count zero times", () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }), (keep) => {
        const { truth, found } = problem(12, 0.7);
        const average = weightedAverage(arrange(truth, found, { limit: 100 }), cocoSettings);
        const images = truth.images.filter((_, i) => keep[i]);
        const expected = evaluate({ ...truth, images }, found).AP;
        expect(average(Float64Array.from(keep, Number)).AP).toBeCloseTo(expected, 12);
      }),
      { numRuns: 30 },
    );
  });
});

describe("a comparison of two result files", () => {
  it("finds no difference between equal files", () => {
    const { truth, found } = problem(20, 0.7);
    const { AP, verdict } = compare(truth, found, found, { samples: 50 });
    expect(AP).toMatchObject({ difference: 0, interval: [0, 0], real: false, bBetter: 0.5 });
    expect(verdict).toContain("equal");
  });

  it("calls a large difference real, in the right direction", () => {
    const { truth, found } = problem(60, 0.5);
    const better = problem(60, 0.95).found;
    const { AP, verdict, perClass } = compare(truth, found, better, { samples: 200 });
    expect(AP.real).toBe(true);
    expect(AP.interval[0]).toBeGreaterThan(0);
    expect(AP.difference).toBeGreaterThan(AP.interval[0]);
    expect(AP.difference).toBeLessThan(AP.interval[1]);
    expect(verdict).toMatch(/^B is better by .* is real/);
    expect(perClass).toHaveLength(3);
    expect(compare(truth, better, found, { samples: 200 }).verdict).toMatch(/^B is worse/);
  });

  it("does not call the difference of two equally good detectors real", () => {
    const { truth, found } = problem(15, 0.7, 11);
    const other = problem(15, 0.7, 12).found;
    expect(compare(truth, found, other, { samples: 300 }).AP.real).toBe(false);
  });

  it("draws the same for the same seed", () => {
    const { truth, found } = problem(20, 0.6);
    const other = problem(20, 0.7, 3).found;
    const once = compare(truth, found, other, { samples: 40, seed: 5 });
    expect(compare(truth, found, other, { samples: 40, seed: 5 }).AP).toEqual(once.AP);
    expect(compare(truth, found, other, { samples: 40, seed: 6 }).AP).not.toEqual(once.AP);
  });

  it("refuses a confidence that is none", () => {
    const { truth, found } = problem(2, 1);
    expect(() => compare(truth, found, found, { confidence: 95 })).toThrow(/between 0 and 1 \(95\)/);
  });
});
