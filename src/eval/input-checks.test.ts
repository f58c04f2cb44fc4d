import { describe, expect, it } from "vitest";
import type { CocoDataset, CocoResult } from "./coco-format.ts";
import { checkInputs } from "./input-checks.ts";

/** A good detector on pictures of 640 × 480, with COCO's kind of ids. */
function problem(): { truth: CocoDataset; found: CocoResult[] } {
  let state = 3;
  const next = (): number => ((state = (state * 48271) % 2147483647), state / 2147483647);
  const ids = [1, 2, 3, 5, 7, 8, 11, 13];
  const truth = {
    images: Array.from({ length: 30 }, (_, i) => ({
      id: 1000 + i * 7,
      file_name: `street_${i}.jpg`,
      width: 640,
      height: 480,
    })),
    categories: ids.map((id) => ({ id, name: `class ${id}` })),
    annotations: [] as CocoDataset["annotations"][number][],
  };
  const found: CocoResult[] = [];
  for (const { id: image_id } of truth.images)
    for (let n = 0; n < 3; n++) {
      const [width, height] = [40 + next() * 200, 40 + next() * 160];
      const bbox = [next() * (640 - width), next() * (480 - height), width, height] as const;
      const category_id = ids[Math.floor(next() * ids.length)]!;
      truth.annotations.push({ id: truth.annotations.length + 1, image_id, category_id, bbox });
      if (next() < 0.8)
        found.push({
          image_id,
          category_id,
          bbox: [bbox[0] + 3, bbox[1] - 2, width, height],
          score: 0.3 + 0.7 * next(),
        });
      if (next() < 0.3)
        found.push({
          image_id,
          category_id: ids[0]!,
          bbox: [next() * 400, next() * 300, 50, 50],
          score: next() * 0.5,
        });
    }
  return { truth, found };
}

const { truth, found } = problem();
const boxed = (read: (box: readonly number[]) => readonly number[]): CocoResult[] =>
  found.map((row) => ({ ...row, bbox: read(row.bbox) as unknown as CocoResult["bbox"] }));
const codes = (detections: CocoResult[]): string[] => checkInputs(truth, detections).map(({ code }) => code);

describe("the check of files", () => {
  it("finds nothing wrong with a good detector, nor with a poor one", () => {
    expect(codes(found)).toEqual([]);
    const poor = boxed(([x, y, w, h]) => [(x! + 300) % 400, (y! + 200) % 300, w!, h!]);
    expect(codes(poor)).toEqual([]);
  });

  it.each([
    ["corners", "boxes-corners", ([x, y, w, h]: readonly number[]) => [x!, y!, x! + w!, y! + h!]],
    ["corners, y first", "boxes-corners", ([x, y, w, h]: readonly number[]) => [y!, x!, y! + h!, x! + w!]],
    [
      "centre and size",
      "boxes-centre",
      ([x, y, w, h]: readonly number[]) => [x! + w! / 2, y! + h! / 2, w!, h!],
    ],
    ["y before x", "boxes-swapped", ([x, y, w, h]: readonly number[]) => [y!, x!, h!, w!]],
    [
      "fractions",
      "boxes-normalised",
      ([x, y, w, h]: readonly number[]) => [x! / 640, y! / 480, w! / 640, h! / 480],
    ],
    [
      "fractions as corners",
      "boxes-normalised",
      ([x, y, w, h]: readonly number[]) => [x! / 640, y! / 480, (x! + w!) / 640, (y! + h!) / 480],
    ],
    ["pixels of a 320 input", "boxes-scaled", (box: readonly number[]) => box.map((v) => v / 2)],
    [
      "pixels of a stretched 512 input",
      "boxes-scaled",
      ([x, y, w, h]: readonly number[]) => [x! * 0.8, (y! * 512) / 480, w! * 0.8, (h! * 512) / 480],
    ],
  ])("recognises boxes given as %s", (_, code, write) => {
    const [problem, ...others] = checkInputs(truth, boxed(write));
    expect(problem).toMatchObject({ code, severity: "fatal" });
    expect(problem!.message).toMatch(/AP50 .* is 0\.[6-9]\d instead of 0\.[0-3]/);
    expect(others).toEqual([]);
  });

  it.each([
    ["one too low", (id: number) => id - 1, /one too low/],
    ["one too high", (id: number) => id + 1, /one too high/],
    [
      "from 0 without gaps",
      (id: number) => [1, 2, 3, 5, 7, 8, 11, 13].indexOf(id),
      /0 to 7, without the gaps/,
    ],
    [
      "from 1 without gaps",
      (id: number) => [1, 2, 3, 5, 7, 8, 11, 13].indexOf(id) + 1,
      /1 to 8, without the gaps/,
    ],
  ])("recognises category ids that are %s", (_, write, message) => {
    const shifted = found.map((row) => ({ ...row, category_id: write(row.category_id) }));
    const fatal = checkInputs(truth, shifted).filter(({ severity }) => severity === "fatal");
    expect(fatal).toHaveLength(1);
    expect(fatal[0]!.code).toBe("category-shift");
    expect(fatal[0]!.message).toMatch(message);
  });

  it("recognises two mistakes at once", () => {
    const both = boxed(([x, y, w, h]) => [x!, y!, x! + w!, y! + h!]).map((row) => ({
      ...row,
      category_id: row.category_id - 1,
    }));
    const fatal = checkInputs(truth, both).filter(({ severity }) => severity === "fatal");
    expect(fatal.map(({ code }) => code)).toEqual(["boxes-corners", "category-shift"]);
  });

  it("recognises results of another split, file names and positions in place of ids", () => {
    expect(codes(found.map((row) => ({ ...row, image_id: (row.image_id as number) + 5_000_000 })))).toEqual([
      "other-split",
    ]);
    expect(
      codes(
        found.map((row) => ({ ...row, image_id: `street_${((row.image_id as number) - 1000) / 7}.jpg` })),
      ),
    ).toEqual(["image-names"]);
    expect(codes(found.map((row) => ({ ...row, image_id: ((row.image_id as number) - 1000) / 7 })))).toEqual([
      "image-positions",
    ]);
  });

  it("warns of unknown classes, of scores that are none, and of pictures left out", () => {
    expect(codes([...found, { ...found[0]!, category_id: 99 }])).toEqual(["unknown-categories"]);
    expect(codes(found.map((row) => ({ ...row, score: 1 })))).toEqual(["scores"]);
    expect(codes(found.map((row) => ({ ...row, score: row.score * 100 })))).toEqual(["scores"]);
    expect(codes(found.filter(({ image_id }) => (image_id as number) < 1050))).toEqual(["few-images"]);
    expect(codes([])).toEqual(["no-boxes"]);
  });

  it("recognises ground truth whose boxes are corners or fractions", () => {
    const corners = {
      ...truth,
      annotations: truth.annotations.map((row) => ({
        ...row,
        bbox: [row.bbox[0], row.bbox[1], row.bbox[0] + row.bbox[2], row.bbox[1] + row.bbox[3]] as const,
      })),
    };
    expect(checkInputs(corners, found)[0]).toMatchObject({ code: "truth-boxes", severity: "fatal" });
    const fractions = {
      ...truth,
      annotations: truth.annotations.map((row) => ({
        ...row,
        bbox: row.bbox.map((v) => v / 640) as unknown as CocoResult["bbox"],
      })),
    };
    expect(checkInputs(fractions, found)[0]).toMatchObject({ code: "truth-boxes", severity: "fatal" });
  });
});
