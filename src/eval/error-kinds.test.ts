import { readFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { detectionColumns, groundTruthColumns } from "./columns.ts";
import { errorKinds } from "./error-kinds.ts";

interface Case {
  name: string;
  images: number[];
  categories: number[];
  annotations: number[][];
  results: number[][];
  expected: {
    ap: number;
    main: Record<string, number>;
    special: Record<string, number>;
    counts: Record<string, number>;
  };
}

const fixture = path.join(import.meta.dirname, "../../test/fixtures/eval/tide-cases.json.gz");
const { cases } = JSON.parse(gunzipSync(readFileSync(fixture)).toString()) as { cases: Case[] };

const shortNames = {
  class: "Cls",
  localisation: "Loc",
  both: "Both",
  duplicate: "Dupe",
  background: "Bkg",
  missed: "Miss",
} as const;

describe("the error kinds", () => {
  it.each(cases)("are tidecv's for $name", ({ images, categories, annotations, results, expected }) => {
    const found = errorKinds(
      groundTruthColumns({
        images: images.map((id) => ({ id })),
        categories: categories.map((id) => ({ id, name: String(id) })),
        annotations: annotations.map(([id, image, category, x, y, w, h, area, iscrowd]) => ({
          id,
          image_id: image!,
          category_id: category!,
          bbox: [x!, y!, w!, h!],
          area,
          iscrowd,
        })),
      }),
      detectionColumns(
        results.map(([image, category, x, y, w, h, score]) => ({
          image_id: image!,
          category_id: category!,
          bbox: [x!, y!, w!, h!],
          score: score!,
        })),
      ),
    );
    // tidecv gives percent, and sums in another order: 12 digits agree.
    expect(found.AP * 100).toBeCloseTo(expected.ap, 10);
    for (const [kind, short] of Object.entries(shortNames) as [keyof typeof shortNames, string][]) {
      expect(found.kinds[kind].count, kind).toBe(expected.counts[short]);
      expect(found.kinds[kind].cost * 100, kind).toBeCloseTo(expected.main[short]!, 10);
    }
    expect(found.falsePositiveCost * 100).toBeCloseTo(expected.special.FalsePos!, 10);
    expect(found.falseNegativeCost * 100).toBeCloseTo(expected.special.FalseNeg!, 10);
  });
});
