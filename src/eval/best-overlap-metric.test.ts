import { readFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { CocoDataset, CocoResult } from "./coco-format.ts";
import { evaluate } from "./evaluate.ts";

interface Case {
  name: string;
  images: number[];
  categories: number[];
  annotations: number[][];
  results: number[][];
  expected: { voc: ([number, number] | null)[]; openimages: ([number, number] | null)[] };
}

const fixture = path.join(import.meta.dirname, "../../test/fixtures/eval/best-overlap-cases.json.gz");
const { cases } = JSON.parse(gunzipSync(readFileSync(fixture)).toString()) as { cases: Case[] };

function problem({ images, categories, annotations, results }: Case): {
  truth: CocoDataset;
  found: CocoResult[];
} {
  return {
    truth: {
      images: images.map((id) => ({ id })),
      categories: categories.map((id) => ({ id, name: `class ${id}` })),
      annotations: annotations.map(([id, image, category, x, y, w, h, area, crowd, difficult]) => ({
        id,
        image_id: image!,
        category_id: category!,
        bbox: [x!, y!, w!, h!],
        area,
        iscrowd: crowd,
        difficult,
      })),
    },
    found: results.map(([image, category, x, y, w, h, score]) => ({
      image_id: image!,
      category_id: category!,
      bbox: [x!, y!, w!, h!],
      score: score!,
    })),
  };
}

describe("the metrics in which a detection may claim only its best object", () => {
  it.each([
    ["voc", "voc", 0],
    ["voc07", "voc", 1],
    ["openimages", "openimages", 0],
  ] as const)("%s gives what TensorFlow's evaluation gives", (metric, rule, column) => {
    let compared = 0;
    for (const item of cases) {
      const { truth, found } = problem(item);
      const { perClass, AP } = evaluate(truth, found, { metric });
      const expected = item.expected[rule].map((pair) => pair?.[column] ?? -1);
      expected.forEach((ap, k) => expect(perClass[k]!.AP, `${item.name} class ${k}`).toBeCloseTo(ap, 12));
      const real = expected.filter((ap) => ap >= 0);
      expect(AP, item.name).toBeCloseTo(
        real.length === 0 ? -1 : real.reduce((a, b) => a + b, 0) / real.length,
        12,
      );
      compared += real.length;
    }
    expect(compared).toBeGreaterThan(100);
  });

  const square = (x: number): [number, number, number, number] => [x, 0, 10, 10];
  const one = (annotations: CocoDataset["annotations"]): CocoDataset => ({
    images: [{ id: 1 }],
    categories: [{ id: 1, name: "thing" }],
    annotations,
  });
  const found = (x: number, score: number): CocoResult => ({
    image_id: 1,
    category_id: 1,
    bbox: square(x),
    score,
  });

  it("count a second detection of one object as wrong, and none at a difficult object", () => {
    const truth = one([
      { image_id: 1, category_id: 1, bbox: square(0) },
      { image_id: 1, category_id: 1, bbox: square(100), difficult: 1 },
    ]);
    expect(evaluate(truth, [found(0, 0.9), found(100, 0.95)], { metric: "voc" }).AP).toBe(1);
    expect(evaluate(truth, [found(1, 0.9), found(0, 0.8)], { metric: "voc" }).AP).toBe(1);
    expect(evaluate(truth, [found(50, 0.9), found(0, 0.8)], { metric: "voc" }).AP).toBe(0.5);
  });

  it("count all detections within a group-of box as one", () => {
    const truth = one([{ image_id: 1, category_id: 1, bbox: [0, 0, 100, 100], isgroup: 1 }]);
    const { AP, perClass } = evaluate(truth, [found(0, 0.9), found(20, 0.8), found(40, 0.7)], {
      metric: "openimages",
    });
    expect(AP).toBe(1);
    expect(perClass[0]!.boxes).toBe(1);
  });

  it("leave detections of classes out that nobody checked in a picture, where it lists the checked ones", () => {
    const truth: CocoDataset = {
      images: [{ id: 1, verified_category_ids: [] }, { id: 2 }],
      categories: [{ id: 1, name: "thing" }],
      annotations: [{ image_id: 2, category_id: 1, bbox: square(0) }],
    };
    const detections = [found(0, 0.9), { ...found(0, 0.8), image_id: 2 }];
    expect(evaluate(truth, detections, { metric: "openimages" }).AP).toBe(1);
    const checked = { ...truth, images: [{ id: 1, verified_category_ids: [1] }, { id: 2 }] };
    expect(evaluate(checked, detections, { metric: "openimages" }).AP).toBe(0.5);
  });
});
