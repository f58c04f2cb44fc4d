import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DataError, MachineError } from "../errors.ts";
import type { CocoDataset, CocoResult } from "./coco-format.ts";
import { GroundTruthReader, ResultsReader } from "./coco-reader.ts";
import { cocoResults, resultsJson } from "./coco-writer.ts";
import { detectionColumns, detectionRows, groundTruthColumns } from "./columns.ts";
import { evaluate } from "./evaluate.ts";
import { readEvaluationFiles, readGroundTruth, readResults, writeResults } from "./files-node.ts";

/** Reads text in pieces of the given sizes, over and over. */
function inPieces<T>(
  reader: { push(chunk: Uint8Array): void; finish(): T },
  text: string,
  sizes: number[],
): T {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = Math.max(1, sizes[turn % sizes.length] ?? bytes.length);
    reader.push(bytes.slice(at, at + size));
    at += size;
  }
  return reader.finish();
}

// JSON.stringify writes −0 as 0.
const number = fc.double({ min: -1e5, max: 1e5, noNaN: true }).map((value) => value + 0);
const id = fc.oneof(fc.integer({ min: 0, max: 1e9 }), fc.string({ maxLength: 8 }));
const box = fc.tuple(number, number, number, number);
const results: fc.Arbitrary<CocoResult[]> = fc.array(
  fc.record({ image_id: id, category_id: fc.integer({ min: 0, max: 99 }), bbox: box, score: number }),
);
const anything = fc.jsonValue({ maxDepth: 3 });
const dataset: fc.Arbitrary<CocoDataset> = fc.record({
  info: anything,
  images: fc.array(
    fc.record({ id, file_name: fc.string(), width: fc.nat(999), height: fc.nat(999), license: anything }),
  ),
  "mask ‰ ✓": anything,
  annotations: fc.array(
    fc.record({
      segmentation: anything,
      id: fc.nat(1e6),
      image_id: id,
      category_id: fc.nat(99),
      bbox: box,
      area: number,
      iscrowd: fc.constantFrom(0, 1),
      ignore: fc.constantFrom(0, 1, true, false),
    }),
  ),
  categories: fc.array(fc.record({ id: fc.nat(99), name: fc.string(), supercategory: fc.string() })),
});
const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 4 });
const indent = fc.constantFrom(0, 1, "\t");

describe("the streaming readers", () => {
  it("read results as JSON.parse does, in pieces of any size", () => {
    fc.assert(
      fc.property(results, sizes, indent, (rows, pieces, space) => {
        const read = inPieces(new ResultsReader(), JSON.stringify(rows, null, space), pieces);
        expect(read).toEqual(detectionColumns(rows));
      }),
      { numRuns: 200 },
    );
  });

  it("read ground truth as JSON.parse does, in pieces of any size", () => {
    fc.assert(
      fc.property(dataset, sizes, indent, (data, pieces, space) => {
        const read = inPieces(new GroundTruthReader(), JSON.stringify(data, null, space), pieces);
        const whole = groundTruthColumns(data);
        expect(read.images).toEqual(
          data.images.map(({ id, file_name, width, height }) => ({ id, file_name, width, height })),
        );
        expect(read.categories).toEqual(whole.categories);
        expect(read.imageIds).toEqual(whole.imageIds);
        for (const column of ["ids", "categoryIds", "boxes", "areas", "crowd", "ignore"] as const)
          expect(Array.from(read[column]), column).toEqual(Array.from(whole[column]));
      }),
      { numRuns: 200 },
    );
  });

  it("takes what Python writes for numbers, and every order of keys", () => {
    const text = `[{"score":1e-05,"bbox":[0.30000000000000004,-0.0,1E2,123456789012345678901234567890],"image_id":1,"category_id":2}]`;
    expect(inPieces(new ResultsReader(), text, [3])).toEqual({
      imageIds: [1],
      categoryIds: [2],
      boxes: new Float64Array([0.30000000000000004, -0, 100, 123456789012345678901234567890]),
      scores: new Float64Array([1e-5]),
    });
  });

  const truthText = (annotation: string): string =>
    `{"images":[{"id":1}],"annotations":[${annotation}],"categories":[{"id":1,"name":"a"}]}`;

  it.each([
    [
      "ground truth in place of results",
      "results",
      `{"images":[],"annotations":[],"categories":[]}`,
      /is an object, where results/,
    ],
    [
      "a file that was cut off",
      "results",
      `[{"image_id":1,"category_id":1,"bbox":[1,2,3`,
      /the file ends in bbox/,
    ],
    ["a file that was cut off in a string", "results", `[{"image_id":"a\\`, /the file ends/],
    ["an empty file", "results", "", /the file ends/],
    ["a detection without score", "results", `[{"image_id":1,"category_id":1,"bbox":[1,2,3,4]}]`, /no score/],
    [
      "a score that is NaN",
      "results",
      `[{"image_id":1,"category_id":1,"bbox":[1,2,3,4],"score":NaN}]`,
      /no score/,
    ],
    [
      "a box of three numbers",
      "results",
      `[{"image_id":1,"category_id":1,"bbox":[1,2,3],"score":1}]`,
      /bbox of a detection: expected ,/,
    ],
    [
      "a box with infinity",
      "results",
      `[{"image_id":1,"category_id":1,"bbox":[1,2,3,-Infinity],"score":1}]`,
      /not four finite/,
    ],
    [
      "text where a number belongs",
      "results",
      `[{"image_id":1,"category_id":"x"}]`,
      /category_id of a detection: expected a number.*entry 1/,
    ],
    ["something after the end", "results", "[] x", /what follows the end/],
    ["lines of objects", "results", `{"source":"a.jpg"}\n{"source":"b.jpg"}`, /detect --results/],
    ["results in place of ground truth", "truth", `[{"image_id":1}]`, /is a list, where ground truth/],
    ["ground truth without images", "truth", `{"annotations":[],"categories":[]}`, /no "images"/],
    [
      "an annotation without a box",
      "truth",
      truthText(`{"image_id":1,"category_id":1}`),
      /an annotation has no bbox/,
    ],
    ["a broken part that is not read", "truth", `{"info":}`, /expected a value/],
    ["no JSON at all", "truth", "\x89PNG", /not JSON/],
  ])("refuses %s and says so", (_, kind, text, message) => {
    const run = (pieces: number[]): unknown =>
      inPieces<unknown>(
        kind === "results" ? new ResultsReader("r.json") : new GroundTruthReader("r.json"),
        text,
        pieces,
      );
    for (const pieces of [[1], [4096]]) {
      expect(() => run(pieces)).toThrow(DataError);
      try {
        run(pieces);
      } catch (error) {
        const { message: said, hint } = error as DataError;
        expect(`${said}: ${hint}`).toMatch(message);
        expect(said).toMatch(/^r\.json: .*byte \d+\)/);
      }
    }
  });

  it("ends on any input, in a result or in a DataError", () => {
    const piece = fc.constantFrom(
      ...'[]{}",:\\0123456789.eE+-ntfNI ',
      '"bbox"',
      '"image_id"',
      '"annotations"',
      "[{",
      "\u0000",
      "é",
    );
    fc.assert(
      fc.property(
        fc.array(piece).map((all) => all.join("")),
        sizes,
        (text, pieces) => {
          for (const reader of [new ResultsReader(), new GroundTruthReader()])
            try {
              inPieces<unknown>(reader, text, pieces);
            } catch (error) {
              expect(error).toBeInstanceOf(DataError);
            }
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe("result files", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), "eval-files-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it("are written and read back to the same numbers, gzipped ones too", async () => {
    const truth: CocoDataset = {
      images: [{ id: 7 }, { id: 9 }],
      categories: [{ id: 3, name: "a" }],
      annotations: [
        { id: 1, image_id: 7, category_id: 3, bbox: [0.1, 0.2, 33.3, 44.4] },
        { id: 2, image_id: 9, category_id: 3, bbox: [5, 5, 10, 10] },
      ],
    };
    const rows = [7, 9].flatMap((id) =>
      cocoResults(id, [
        { classId: 3, score: 0.1 + 0.2, box: { xMin: 0.1, yMin: 0.2, xMax: 33.1 + 1 / 3, yMax: 44.6 } },
        { classId: 3, score: 1 / 3, box: { xMin: 5, yMin: 5, xMax: 14.2, yMax: 15 } },
      ]),
    );
    const file = path.join(folder, "results.json");
    await writeResults(file, rows);
    const read = await readResults(file);
    expect(detectionRows(read)).toEqual(rows);
    expect(evaluate(truth, read)).toEqual(evaluate(truth, rows));
    expect(await readdir(folder)).toEqual(["results.json"]);

    const packed = path.join(folder, "truth.json.gz");
    await writeFile(packed, gzipSync(JSON.stringify(truth)));
    expect((await readGroundTruth(packed)).imageIds).toEqual([7, 9]);
  });

  it("of no detections are an empty list", () => {
    expect([...resultsJson([])].join("")).toBe("[]\n");
  });

  it("that do not belong to the ground truth are refused with the cure, and odd ones give warnings", async () => {
    const truthFile = path.join(folder, "pair-truth.json");
    const resultsFile = path.join(folder, "pair-results.json");
    const truth: CocoDataset = {
      images: [{ id: 1 }, { id: 2 }],
      categories: [{ id: 1, name: "a" }],
      annotations: [{ id: 1, image_id: 1, category_id: 1, bbox: [0, 0, 9, 9] }],
    };
    await writeFile(truthFile, JSON.stringify(truth));
    const row: CocoResult = { image_id: 77, category_id: 1, bbox: [0, 0, 9, 9], score: 1 };
    await writeResults(resultsFile, [row]);
    await expect(readEvaluationFiles(truthFile, resultsFile)).rejects.toMatchObject({
      message: expect.stringMatching(/not in the ground truth .*pair-results\.json/) as string,
      hint: expect.stringMatching(/another split/) as string,
    });
    await writeResults(resultsFile, [{ ...row, image_id: 1, score: 5 }]);
    expect((await readEvaluationFiles(truthFile, resultsFile)).warnings).toEqual([
      expect.stringMatching(/^scores go from 5 to 5/),
    ]);
  });

  it("that cannot be read or written are named", async () => {
    await expect(readResults(path.join(folder, "none.json"))).rejects.toThrow(/cannot read .*none\.json/);
    await writeFile(path.join(folder, "broken.gz"), gzipSync("[]").subarray(0, 12));
    await expect(readResults(path.join(folder, "broken.gz"))).rejects.toThrow(DataError);
    await expect(writeResults(path.join(folder, "broken.gz", "results.json"), [])).rejects.toThrow(
      MachineError,
    );
  });
});
