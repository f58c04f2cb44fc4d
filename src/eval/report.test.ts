import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { arrange } from "./arrangement.ts";
import { breakdowns } from "./breakdown.ts";
import { calibration } from "./calibration.ts";
import type { CocoDataset, CocoResult } from "./coco-format.ts";
import { cocoSettings } from "./coco-metric.ts";
import { compare } from "./comparison.ts";
import { comparisonHtml } from "./comparison-html.ts";
import { confusionMatrix } from "./confusion.ts";
import { evaluate } from "./evaluate.ts";
import { hardestImages } from "./hardest-images.ts";
import { outcomesAt } from "./outcomes.ts";
import { reportHtml } from "./report-html.ts";
import { evaluationReport, reportJson } from "./report.ts";
import { comparisonText, evaluationText } from "./result-text.ts";
import { scoreCurve } from "./score-curves.ts";

const categories = [
  { id: 1, name: "cat" },
  { id: 2, name: "dog & <fox>" },
];
const square = (x: number, side = 40): [number, number, number, number] => [x, 0, side, side];

/** One picture: a cat found, a cat taken for a dog, a dog missed, a crowd of dogs; one detection of nothing. */
const truth: CocoDataset = {
  images: [
    { id: 1, file_name: 'a"b.jpg', width: 640, height: 480 },
    { id: 2, width: 640, height: 480 },
  ],
  categories,
  annotations: [
    { id: 1, image_id: 1, category_id: 1, bbox: square(0) },
    { id: 2, image_id: 1, category_id: 1, bbox: square(100) },
    { id: 3, image_id: 1, category_id: 2, bbox: square(200) },
    { id: 4, image_id: 1, category_id: 2, bbox: square(300, 100), iscrowd: 1 },
    { id: 5, image_id: 2, category_id: 2, bbox: square(0, 200) },
  ],
};
const found: CocoResult[] = [
  { image_id: 1, category_id: 1, bbox: square(0), score: 0.95 },
  { image_id: 1, category_id: 1, bbox: square(2), score: 0.65 },
  { image_id: 1, category_id: 2, bbox: square(100), score: 0.85 },
  { image_id: 1, category_id: 2, bbox: square(310), score: 0.75 },
  { image_id: 1, category_id: 1, bbox: square(500), score: 0.05 },
  { image_id: 2, category_id: 2, bbox: square(0, 200), score: 0.55 },
];
const arrangement = arrange(truth, found, { limit: 100 });
const outcomes = outcomesAt(arrangement, 0.5);

describe("the confusion matrix", () => {
  it("counts what is taken for what, what is missed and what is not there", () => {
    expect(confusionMatrix(arrangement, outcomes, 0.5).counts).toEqual([
      [1, 1, 0],
      [0, 1, 1],
      [1, 0, 0],
    ]);
  });

  it("takes detections below the score as not made", () => {
    expect(confusionMatrix(arrangement, outcomes, 0.9).counts).toEqual([
      [1, 0, 1],
      [0, 0, 2],
      [0, 0, 0],
    ]);
  });
});

describe("curves over the score", () => {
  it("have the best F1 that trying every threshold finds", () => {
    const curve = scoreCurve(arrangement, outcomes);
    // At 0.55: right are a cat (0.95) and a dog (0.55), wrong 0.85 and 0.65, of 4 objects; that on the crowd is neither.
    expect(curve.best).toEqual({ score: 0.55, precision: 0.5, recall: 0.5, f1: 0.5 });
    expect(curve.points.at(-1)).toEqual({ score: 0.05, precision: 0.4, recall: 0.5, f1: 4 / 9 });
  });

  it("never split detections of one score", () => {
    const rows = [0, 1, 2, 3].map((i) => ({ ...found[0]!, bbox: square(i * 100), score: 0.5 }));
    const one = arrange(truth, rows);
    expect(scoreCurve(one, outcomesAt(one, 0.5), 0).points).toHaveLength(1);
  });

  it("are thinned to what a chart can show, with both ends", () => {
    const many = Array.from({ length: 3000 }, (_, i) => ({
      ...found[0]!,
      bbox: square((i * 7) % 600),
      score: 1 - i / 3000,
    }));
    const crowded = arrange(truth, many);
    const { points } = scoreCurve(crowded, outcomesAt(crowded, 0.5), 0);
    expect(points.length).toBeLessThanOrEqual(201);
    expect(points[0]!.score).toBe(1);
    expect(points.at(-1)!.score).toBeCloseTo(1 / 3000, 12);
  });
});

describe("calibration", () => {
  it("compares scores with shares of right ones, tenth by tenth, without ignored detections", () => {
    const { bins, expectedError } = calibration(arrangement, outcomes);
    expect(bins.map(({ detections }) => detections)).toEqual([1, 0, 0, 0, 0, 1, 1, 0, 1, 1]);
    expect(bins[5]).toMatchObject({ meanScore: 0.55, precision: 1 });
    expect(expectedError).toBeCloseTo((0.05 + 0.45 + 0.65 + 0.85 + 0.05) / 5, 12);
  });
});

describe("the parts of the objects", () => {
  const [size, aspect, crowding] = breakdowns(arrangement, cocoSettings);
  const whole = evaluate(truth, found);

  it("by size have the metric's own numbers", () => {
    expect(size!.parts.map(({ AP }) => AP)).toEqual([whole.APs, whole.APm, whole.APl]);
    expect(size!.parts.map(({ AR100 }) => AR100)).toEqual([whole.ARs, whole.ARm, whole.ARl]);
  });

  it("hold every object that counts once, and judge each part alone", () => {
    for (const { parts } of [aspect!, crowding!])
      expect(parts.reduce((sum, { boxes }) => sum + boxes, 0)).toBe(4);
    expect(aspect!.parts[2]).toMatchObject({ AP: whole.AP, boxes: 4 });
    // Alone in its picture is one dog, and it is found.
    expect(crowding!.parts[0]!.boxes).toBe(1);
    expect(crowding!.parts[0]!.AP).toBeCloseTo(1, 12);
    expect(crowding!.parts[0]!.perClassAP[0]).toBe(-1);
  });
});

describe("the pictures in which most went wrong", () => {
  it("come worst first, with every object and detection judged", () => {
    const worst = hardestImages(arrangement, outcomes, 0.5, 5, new Map([[2, "class"]]));
    expect(worst).toHaveLength(1);
    expect(worst[0]).toMatchObject({ missed: 2, wrong: 2, image: { id: 1 } });
    expect(worst[0]!.objects.map(({ state }) => state)).toEqual(["found", "missed", "missed", "ignored"]);
    expect(worst[0]!.detections.map(({ state, error }) => error ?? state)).toEqual([
      "right",
      "class",
      "ignored",
      "wrong",
    ]);
  });
});

describe("a report", () => {
  const report = evaluationReport(truth, found, { title: "cats <&> dogs" });

  it("has the evaluation's numbers and sentences about them", () => {
    expect(report.summary.AP).toBe(evaluate(truth, found).AP);
    expect(report.findings.join(" ")).toMatch(/score threshold/);
    expect(JSON.parse(reportJson(report))).toEqual(JSON.parse(JSON.stringify(report)));
  });

  it("is one page without scripts or anything from elsewhere, with names made harmless", async () => {
    const asked: unknown[] = [];
    const html = await reportHtml(report, {
      picture: (image) => (asked.push(image.id), "data:image/png;base64,AAAA"),
      comparison: compare(truth, found, found, { samples: 10 }),
    });
    expect(html).not.toMatch(/<script|https?:|<link|@import|\bon\w+=/i);
    expect(html).toContain("<title>cats &#60;&#38;&#62; dogs</title>");
    expect(html).not.toContain("<fox>");
    expect(html).not.toContain('a"b.jpg');
    expect(html).toContain("prefers-color-scheme:dark");
    expect(html).not.toMatch(/NaN|undefined|Infinity/);
    expect(asked).toEqual(report.worst.map(({ image }) => image.id));
    for (const headline of [
      "What to do first",
      "What the errors cost",
      "Choosing a score threshold",
      "Classes",
      "Is B better",
    ])
      expect(html).toContain(headline);
  });

  it("of any of the four metrics can be made, from problems of any kind", async () => {
    const box = fc.tuple(fc.nat(99), fc.nat(99), fc.nat(99), fc.nat(99));
    const rows = fc.record({
      image_id: fc.integer({ min: 1, max: 3 }),
      category_id: fc.integer({ min: 1, max: 3 }),
      bbox: box,
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ row: rows, iscrowd: fc.boolean(), ignore: fc.boolean() }), { maxLength: 12 }),
        fc.array(fc.record({ row: rows, score: fc.double({ min: 0, max: 1, noNaN: true }) }), {
          maxLength: 12,
        }),
        fc.constantFrom("coco", "voc", "voc07", "openimages"),
        async (objects, detections, metric) => {
          const random = evaluationReport(
            {
              images: [{ id: 1 }, { id: 2, width: 100, height: 80 }],
              categories,
              annotations: objects.map(({ row, iscrowd, ignore }, id) => ({
                ...row,
                id: id + 1,
                iscrowd,
                ignore,
              })),
            },
            detections.map(({ row, score }) => ({ ...row, score })),
            { metric },
          );
          expect(await reportHtml(random)).not.toMatch(/NaN|undefined|Infinity/);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe("text for a terminal", () => {
  it("lists the numbers that exist, and the classes in columns", () => {
    const text = evaluationText(evaluate(truth, found));
    expect(text).toMatch(/^metric coco\nAP {4}0\.\d{3}\nAP50 {2}0\.\d{3}\n/);
    expect(text).toMatch(/class +AP +AP50 +AR100 +boxes +images\n/);
    expect(evaluationText(evaluate(truth, found), 1)).toMatch(/and 1 more$/);
  });

  it("of a comparison begins with the verdict", () => {
    const comparison = compare(truth, found, found.slice(0, 2), { samples: 20 });
    expect(comparisonText(comparison).split("\n")[0]).toBe(comparison.verdict);
    expect(comparisonHtml(comparison, ["old", "new"])).toContain("<h1>old against new</h1>");
  });
});
