import { describe, expect, it } from "vitest";
import { UsageError } from "../errors.ts";
import { evaluate } from "./evaluate.ts";
import type { EvaluatedImage } from "./evaluator.ts";
import { CocoEvaluator } from "./evaluator.ts";

const categories = [
  { id: 1, name: "cat" },
  { id: 18, name: "dog" },
];
const box = (xMin: number, yMin: number, width: number, height: number) => ({
  xMin,
  yMin,
  xMax: xMin + width,
  yMax: yMin + height,
});
const images: EvaluatedImage[] = [
  {
    id: 5,
    objects: [
      { classId: 1, box: box(0, 0, 50, 50) },
      { classId: 18, box: box(60, 0, 50, 50), ignore: true },
    ],
    detections: [
      { classId: 1, score: 0.9, box: box(2, 0, 50, 50) },
      { classId: 18, score: 0.8, box: box(60, 0, 50, 50) },
    ],
  },
  {
    id: 2,
    objects: [{ classId: 18, box: box(0, 0, 100, 100) }],
    detections: [{ classId: 18, score: 0.7, box: box(0, 0, 100, 60) }],
  },
  { id: 3, objects: [], detections: [{ classId: 1, score: 0.95, box: box(0, 0, 20, 20) }] },
];

describe("an evaluator that takes pictures one at a time", () => {
  it("gives what evaluating all at once gives, in any order of adding", () => {
    const forwards = new CocoEvaluator(categories);
    for (const image of images) forwards.add(image);
    const backwards = new CocoEvaluator(categories);
    for (const image of images.toReversed()) backwards.add(image);
    const { AP, AP50, perClass, images: count } = forwards.result();
    expect(count).toBe(3);
    // Of the cats the better-scored detection is wrong, so precision is 1/2; of the dogs two are to be found, and are.
    expect(AP50).toBeCloseTo(0.75, 12);
    expect(backwards.result()).toMatchObject({ AP, AP50, perClass });
    expect(evaluate(forwards.groundTruth(), forwards.detections())).toMatchObject({ AP, AP50, perClass });
  });

  it("leaves ignored objects out where asked", () => {
    const evaluator = new CocoEvaluator(categories, { useIgnore: true });
    for (const image of images) evaluator.add(image);
    expect(evaluator.result().perClass.map(({ boxes }) => boxes)).toEqual([1, 1]);
  });

  it("can be asked in between, replaces a picture added again, and can be emptied", () => {
    const evaluator = new CocoEvaluator(categories);
    expect(evaluator.result().AP).toBe(-1);
    evaluator.add(images[0]!);
    const first = evaluator.result();
    evaluator.add(images[0]!);
    expect(evaluator.size).toBe(1);
    expect(evaluator.result().AP).toBe(first.AP);
    evaluator.clear();
    expect(evaluator.result().images).toBe(0);
  });

  it("refuses unknown options at once, with the one that was meant", () => {
    expect(() => new CocoEvaluator(categories, { maxDetection: 10 } as never)).toThrow(UsageError);
    expect(() => new CocoEvaluator(categories, { iouThresholds: [50] })).toThrow(/between 0 and 1/);
  });
});
