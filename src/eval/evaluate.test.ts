import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { referenceJson, referenceMissing } from "../testing/reference.ts";
import type { CocoDataset, CocoResult } from "./coco-format.ts";
import { detectionColumns, groundTruthColumns } from "./columns.ts";
import { evaluate } from "./evaluate.ts";
import type { EvaluateOptions } from "./evaluate.ts";
import { summaryNames } from "./result.ts";

interface Case {
  name: string;
  images: number[];
  categories: number[];
  annotations: number[][];
  results: number[][];
  options: EvaluateOptions;
  expected: {
    stats: number[] | null;
    AP?: number;
    AR?: number;
    perClass: [number, number][];
    digest?: Record<"precision" | "recall" | "scores", string>;
  };
}

const fixture = path.join(import.meta.dirname, "../../test/fixtures/eval/coco-cases.json.gz");
const { cases } = JSON.parse(gunzipSync(readFileSync(fixture)).toString()) as { cases: Case[] };

function problem({ images, categories, annotations, results }: Case): {
  truth: CocoDataset;
  found: CocoResult[];
} {
  return {
    truth: {
      images: images.map((id) => ({ id })),
      categories: categories.map((id) => ({ id, name: `class ${id}` })),
      annotations: annotations.map(([id, image_id, category_id, x, y, w, h, area, iscrowd, ignore]) => ({
        id,
        image_id: image_id!,
        category_id: category_id!,
        bbox: [x!, y!, w!, h!],
        area,
        iscrowd,
        ignore,
      })),
    },
    found: results.map(([image_id, category_id, x, y, w, h, score]) => ({
      image_id: image_id!,
      category_id: category_id!,
      bbox: [x!, y!, w!, h!],
      score: score!,
    })),
  };
}

const digest = (values: Float64Array): string =>
  createHash("sha256")
    .update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    .digest("hex")
    .slice(0, 16);

const kinds = [...new Set(cases.map(({ name }) => name.split(" ")[0]!))];

describe.each(kinds)("the COCO metric on random problems (%s)", (kind) => {
  const own = cases.filter(({ name }) => name.startsWith(`${kind} `));

  it("gives pycocotools' numbers, and its curves to the last bit", () => {
    for (const item of own) {
      const { truth, found } = problem(item);
      const result = evaluate(truth, found, item.options);
      const { stats, AP, AR, perClass, digest: curves } = item.expected;
      if (stats !== null)
        summaryNames.forEach((name, at) =>
          expect(result[name], `${item.name} ${name}`).toBeCloseTo(stats[at]!, 12),
        );
      if (AP !== undefined) expect(result.AP, item.name).toBeCloseTo(AP, 12);
      if (AR !== undefined) expect(result.AR100, item.name).toBeCloseTo(AR, 12);
      perClass.forEach(([ap, ar], k) => {
        expect(result.perClass[k]!.AP, `${item.name}, class ${k}`).toBeCloseTo(ap, 12);
        expect(result.perClass[k]!.AR100, `${item.name}, class ${k}`).toBeCloseTo(ar, 12);
      });
      if (curves !== undefined)
        for (const name of ["precision", "recall", "scores"] as const)
          expect(digest(result.curves![name]), `${item.name} ${name}`).toBe(curves[name]);
    }
  });

  it("gives the same from typed arrays as from objects", () => {
    for (const item of own.slice(0, 10)) {
      const { truth, found } = problem(item);
      const objects = evaluate(truth, found, item.options);
      const columns = evaluate(groundTruthColumns(truth), detectionColumns(found), item.options);
      for (const name of ["precision", "recall", "scores"] as const)
        expect(digest(columns.curves![name]), `${item.name} ${name}`).toBe(digest(objects.curves![name]));
      expect(columns.perClass).toEqual(objects.perClass);
    }
  });
});

describe("the problems of the fixture", () => {
  it("are hundreds, odd ones included", () => {
    expect(cases.length).toBeGreaterThan(300);
    expect(kinds).toContain("thousands");
    expect(kinds).toContain("only-crowd");
  });
});

describe.skipIf(referenceMissing("coco-eval/val2014-100"))("COCO's own example (val2014-100)", () => {
  it("gives the published twelve numbers", () => {
    const folder = "coco-eval/val2014-100";
    const result = evaluate(
      referenceJson<CocoDataset>(`${folder}/instances_val2014_100.json`),
      referenceJson<CocoResult[]>(`${folder}/instances_val2014_fakebbox100_results.json`),
    );
    const published = [
      0.5045806987, 0.6969727247, 0.572981667, 0.5856257209, 0.5193996948, 0.5013978986, 0.3868127796,
      0.5936795763, 0.5953529829, 0.6398109626, 0.5664205979, 0.5642905983,
    ];
    // Published to ten digits.
    summaryNames.forEach((name, at) =>
      expect(Math.abs(result[name] - published[at]!), name).toBeLessThan(6e-11),
    );
  });
});
