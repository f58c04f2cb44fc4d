import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { dataFolder, vocXml } from "../../test/fixtures/data/data-folder.ts";
import { anchorSpec, fromBoxes, generateAnchors, iou } from "../detection/index.ts";
import { Random } from "../tensor/random.ts";
import { anchorCoverage, clusterNumbers } from "./anchor-coverage.ts";
import type { Dataset } from "./dataset.ts";
import { histogram, quantile } from "./histogram.ts";
import { inspectDataset } from "./inspect.ts";
import { renderInspection } from "./inspection-html.ts";
import { drawSamples } from "./inspection-samples.ts";
import { readDataset } from "./read-dataset.ts";

const anchors = { imageSize: [64, 64], anchorScale: 3 } as const;

function madeUp(boxes: readonly { x: number; y: number; w: number; h: number }[]): Dataset {
  const objects = boxes.map(({ x, y, w, h }) => ({
    classIndex: 0, box: { xMin: x, yMin: y, xMax: x + w, yMax: y + h },
    area: w * h, crowd: false, difficult: false, ignore: false,
  })); // prettier-ignore
  const image = { id: 1, file: "/nowhere/x.jpg", width: 64, height: 64, objects };
  return {
    format: "coco",
    root: "/nowhere",
    split: "all",
    classes: [{ id: 1, name: "x" }],
    images: [image],
    problems: [],
    notes: [],
  };
}

describe("anchorCoverage", () => {
  it("finds each object's best IoU as trying every anchor does", () => {
    const random = new Random(4);
    const all = generateAnchors(anchorSpec(anchors), "float64");
    for (let trial = 0; trial < 40; trial++) {
      const [w, h] = [2 + random.uniform(0, 40), 2 + random.uniform(0, 40)];
      const dataset = madeUp([{ x: random.uniform(0, 64 - w), y: random.uniform(0, 64 - h), w, h }]);
      const box = fromBoxes([dataset.images[0]!.objects[0]!.box]);
      let best = 0;
      for (let anchor = 0; anchor < all.length / 4; anchor++) best = Math.max(best, iou(box, 0, all, anchor));
      expect(anchorCoverage(dataset, anchors).coverage.meanIou).toBeCloseTo(best, 10);
    }
  });

  it("suggests the ratios of the objects where the present ones miss them", () => {
    const random = new Random(8);
    const boxes = Array.from({ length: 60 }, () => {
      const h = random.uniform(4, 8);
      return { x: random.uniform(0, 10), y: random.uniform(0, 50), w: h * random.uniform(4.5, 5.5), h };
    });
    const { coverage, suggestion } = anchorCoverage(madeUp(boxes), anchors);
    expect(suggestion.coverage.covered).toBeGreaterThan(coverage.covered + 0.2);
    for (const ratio of suggestion.aspectRatios) expect(Math.abs(ratio - 5)).toBeLessThan(0.6);
  });

  it("gives NaN, not an error, without objects", () => {
    expect(anchorCoverage(madeUp([]), anchors).coverage.covered).toBeNaN();
  });
});

describe("numbers", () => {
  it("are clustered around their centres", () => {
    expect(clusterNumbers([1, 1.1, 0.9, 5, 5.2, 4.8], 2).map((centre) => Number(centre.toFixed(6)))).toEqual([
      1, 5,
    ]);
    expect(clusterNumbers([2, 2, 2], 3)).toEqual([2]);
    expect(clusterNumbers([], 3)).toEqual([]);
  });

  it("are counted in bins, the outer ones at the ends, and ranked", () => {
    expect(histogram([-1, 0, 0.5, 1, 1.5, 9, NaN], [0, 1, 2]).counts).toEqual([3, 3]);
    expect([quantile([3, 1, 2], 0.5), quantile([1, 2], 1), quantile([], 0.5)]).toEqual([2, 2, NaN]);
  });
});

describe("inspectDataset", () => {
  const hostile = `</svg><script>alert("x")</script>`;
  const object = { name: '&lt;/svg>&lt;script>alert("x")&lt;/script>', box: [10, 10, 50, 60] as const };
  const files = {
    "a.jpg": { width: 100, height: 80, boxes: [{ xMin: 10, yMin: 10, xMax: 50, yMax: 60 }] },
    "b.jpg": { width: 100, height: 80, boxes: [{ xMin: 10, yMin: 10, xMax: 50, yMax: 60 }] },
    "grey.jpg": { width: 50, height: 50, grey: true },
    "a.xml": vocXml("a.jpg", [100, 80], [object, { ...object, box: [1, 1, 1, 9] }]),
    "b.xml": vocXml("b.jpg", [100, 80], [object]),
    "grey.xml": vocXml("grey.jpg", [50, 50], []),
  };

  it("counts classes, sizes, pictures without objects, grey ones and equal files", async () => {
    const dataset = await readDataset(await dataFolder(files));
    const report = await inspectDataset(dataset, { anchors });
    expect(report.classes).toEqual([
      { id: 1, name: hostile, objects: 2, pictures: 2, difficult: 0, crowds: 0 },
    ]);
    expect([report.pictures, report.objects, report.withoutObjects, report.grey]).toEqual([
      3,
      2,
      ["grey.jpg"],
      1,
    ]);
    expect(report.duplicates.map((group) => group.map((file) => path.basename(file)))).toEqual([
      ["a.jpg", "b.jpg"],
    ]);
    expect(report.pictureSizes[0]).toEqual({ width: 100, height: 80, pictures: 2 });
    expect(report.sizes).toEqual({ small: 0, medium: 2, large: 0 });
    expect(report.problems.map(({ kind }) => kind)).toEqual(["zero-area"]);
  });

  it("renders a page with charts and samples in which nothing of the data is markup", async () => {
    const dataset = await readDataset(await dataFolder(files));
    const samples = await drawSamples(dataset, anchors);
    expect(samples.map(({ name }) => name).sort()).toEqual(["a.jpg", "b.jpg", "grey.jpg"]);
    expect(samples.find(({ name }) => name === "a.jpg")!.anchors.length).toBeGreaterThan(0);
    const html = renderInspection(await inspectDataset(dataset, { anchors }), samples);
    expect(html).not.toMatch(/<script/i);
    expect(html).toContain("&lt;script&gt;");
    expect(html).not.toMatch(/(href|src)="(?!data:)/);
    expect(html.match(/data:image\/jpeg;base64,/g)).toHaveLength(3);
    const open = (tag: string) => html.match(new RegExp(`<${tag}[ >]`, "g"))?.length ?? 0;
    for (const tag of ["svg", "section", "figure", "table", "details"])
      expect(html.split(`</${tag}>`).length - 1).toBe(open(tag));
  });

  it("finds a file cut short, and pictures that look the same in another format", async () => {
    const blocks = [0, 80].map((x) => ({ xMin: x, yMin: x, xMax: x + 40, yMax: x + 80, colour: "#ffffff" }));
    const blocked = { width: 160, height: 160, colour: "#202020", boxes: blocks };
    const root = await dataFolder({
      "x.jpg": blocked,
      "y.png": blocked,
      "cut.jpg": { width: 50, height: 50 },
      "x.xml": vocXml("x.jpg", [160, 160], []),
      "y.xml": vocXml("y.png", [160, 160], []),
      "cut.xml": vocXml("cut.jpg", [50, 50], []),
    });
    const bytes = await readFile(path.join(root, "cut.jpg"));
    await writeFile(path.join(root, "cut.jpg"), bytes.subarray(0, bytes.length - 40));
    const report = await inspectDataset(await readDataset(root));
    expect(report.problems.map(({ kind, file }) => [kind, path.basename(file)])).toEqual([
      ["unreadable-picture", "cut.jpg"],
    ]);
    expect(report.lookAlikes.map((group) => group.map((file) => path.basename(file)))).toEqual([
      ["x.jpg", "y.png"],
    ]);
  });
});
