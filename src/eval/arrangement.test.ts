import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DataError } from "../errors.ts";
import type { CocoDataset, CocoResult } from "./coco-format.ts";
import { evaluate } from "./evaluate.ts";
import { sortByScore } from "./score-order.ts";

const truth: CocoDataset = {
  images: [{ id: "b" }, { id: "a" }],
  categories: [{ id: 1, name: "thing" }],
  annotations: [{ id: 1, image_id: "a", category_id: 1, bbox: [0, 0, 10, 10] }],
};
const found: CocoResult = { image_id: "a", category_id: 1, bbox: [0, 0, 10, 10], score: 0.5 };

describe("sorting by score", () => {
  it("is the language's stable sort, on any stretch", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 200 }),
        fc.nat(50),
        (values, skip) => {
          const scores = Float64Array.from(values);
          const order = Int32Array.from(values.keys());
          const from = Math.min(skip, values.length);
          sortByScore(order, from, values.length, scores, new Int32Array(values.length));
          const expected = [...values.keys()];
          const tail = expected.splice(from).sort((a, b) => scores[b]! - scores[a]!);
          expect([...order]).toEqual([...expected, ...tail]);
        },
      ),
    );
  });
});

describe("the order and choice of what is evaluated", () => {
  it("takes pictures by text as well as by number", () => {
    expect(evaluate(truth, [found]).AP).toBeCloseTo(1, 12);
  });

  it("says what it leaves out", () => {
    const { warnings, detections } = evaluate(truth, [
      found,
      { ...found, image_id: "z" },
      { ...found, category_id: 9 },
      { ...found, category_id: 8 },
    ]);
    expect(detections).toBe(1);
    expect(warnings).toEqual([
      expect.stringMatching(/^1 detections belong to pictures/),
      expect.stringMatching(/^2 detections have a category id/),
    ]);
  });

  it("counts annotations with repeated ids each, and says so", () => {
    const twice = {
      ...truth,
      annotations: [
        truth.annotations[0]!,
        { id: 1, image_id: "b", category_id: 1, bbox: [5, 5, 10, 10] as const },
      ],
    };
    const { boxes, warnings } = evaluate(twice, []);
    expect(boxes).toBe(2);
    expect(warnings.join()).toMatch(/repeat the id/);
  });

  it("says that marks were not used, unless told what to do with them", () => {
    const marked = { ...truth, annotations: [{ ...truth.annotations[0]!, ignore: 1 }] };
    expect(evaluate(marked, []).warnings.join()).toMatch(/1 objects are marked ignore/);
    expect(evaluate(marked, [], { useIgnore: true })).toMatchObject({ warnings: [], AP: -1, boxes: 0 });
    expect(evaluate(marked, [], { useIgnore: false })).toMatchObject({ warnings: [], AP: 0, boxes: 1 });
  });

  it.each([
    ["a list in place of ground truth", [found] as unknown, [], /no array "images"/],
    ["ground truth in place of detections", truth as unknown, truth as unknown, /are not a list/],
    ["a box of three numbers", truth as unknown, [{ ...found, bbox: [1, 2, 3] }], /box of detection 1/],
    ["a score that is none", truth as unknown, [{ ...found, score: NaN }], /score of detection 1/],
    ["nothing", null as unknown, [], /is not an object/],
  ])("refuses %s", (_, groundTruth, detections, message) => {
    expect(() => evaluate(groundTruth as CocoDataset, detections as CocoResult[])).toThrow(DataError);
    expect(() => evaluate(groundTruth as CocoDataset, detections as CocoResult[])).toThrow(message);
  });

  it("refuses columns of different lengths", () => {
    const columns = { imageIds: ["a"], categoryIds: [1], boxes: [0, 0, 1, 1], scores: [1, 2] };
    expect(() => evaluate(truth, columns)).toThrow(/column scores has 2 rows where boxes has 1/);
  });
});
