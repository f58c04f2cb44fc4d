import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import sharp from "sharp";
import { afterAll, describe, expect, it } from "vitest";
import { letterboxInto, readDataset } from "../data/index.ts";
import { decodeTrainingPicture } from "../data/training-picture.ts";
import { forInference } from "../graph/index.ts";
import { buildModel, initialWeights, modelConfig } from "../models/index.ts";
import { nodeRuntime } from "../runtime/node.ts";
import { float32, halfToFloat32 } from "../tensor/index.ts";
import { featureViews, openFeatures, type FeatureStore } from "./quick-features-node.ts";
import { featureShapes } from "./training-graph.ts";

const folder = mkdtempSync(path.join(tmpdir(), "features-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const network = modelConfig("lite0", { imageSize: 64, classes: 1, width: 16, cells: 1, headRepeats: 1 });
const weights = initialWeights(network, 1);
const shapes = [...featureShapes(network).values()];
const views = featureViews({ scales: [1, 1.5], mirror: true });

async function open(
  names: readonly string[],
  onPicture?: () => void,
): Promise<{ store: FeatureStore; failed: string[] }> {
  const data = mkdtempSync(path.join(folder, "data-"));
  for (const name of names) {
    writeFileSync(path.join(data, name), await picture(name));
  }
  writeFileSync(
    path.join(data, "labels.csv"),
    ["filename,xmin,ymin,xmax,ymax,class", ...names.map((name) => `${name},10,20,50,60,thing`)].join("\n"),
  );
  const dataset = await readDataset(data);
  for (const name of names) if (name.startsWith("gone")) rmSync(path.join(data, name));
  const failed: string[] = [];
  const options = {
    network,
    weights,
    views,
    cacheDir: path.join(folder, "cache"),
    runtime: nodeRuntime,
    runtimeOptions: { threads: 1 },
  };
  return {
    store: await openFeatures(dataset, {
      ...options,
      onPicture,
      onFailed: (file) => failed.push(path.basename(file)),
    }),
    failed,
  };
}

async function picture(name: string): Promise<Buffer> {
  const colour = { r: 40 * (name.charCodeAt(0) % 5), g: 90, b: 200 };
  const red = await sharp({
    create: { width: 40, height: 40, channels: 3, background: { r: 230, g: 20, b: 20 } },
  })
    .png()
    .toBuffer();
  return sharp({ create: { width: 80, height: 100, channels: 3, background: colour } })
    .composite([{ input: red, left: 10, top: 20 }])
    .png()
    .toBuffer();
}

const read = (store: FeatureStore, image: number, view: number): Float32Array[] => {
  const into = shapes.map(([c, h, w]) => new Uint16Array(2 * c! * h! * w!));
  store.read(image, view, into, 1);
  return into.map((level) => halfToFloat32(level.subarray(level.length / 2)));
};

describe("features of a frozen backbone", () => {
  it("are those of the whole network for the letterboxed picture, to half precision", async () => {
    const { store } = await open(["a.png", "b.png"]);
    const session = await nodeRuntime.compile(
      forInference(buildModel(network, { features: true }).graph, weights),
      { threads: 1 },
    );
    const image = new Float32Array(3 * 64 * 64);
    const sample = {
      picture: await decodeTrainingPicture(
        path.join(
          folder,
          readdirSync(folder).find((name) => name.startsWith("data-"))!,
          "b.png",
        ),
      ),
      objects: [],
    };
    letterboxInto(image, sample, { height: 64, width: 64 }, network);
    const expected = await session.run({ image: float32(image, [1, 3, 64, 64]) });
    await session.dispose();
    for (const [i, level] of read(store, 1, 0).entries()) {
      const values = expected[`backbone/${i + 3}`]!.data as Float32Array;
      const largest = Math.max(...values.map(Math.abs));
      level.forEach((value, at) => expect(Math.abs(value - values[at]!)).toBeLessThanOrEqual(largest / 1000));
    }
    expect(store.bytes).toBe(2 * views.length * 2 * shapes.reduce((sum, [c, h, w]) => sum + c! * h! * w!, 0));
  });

  it("show the objects where the view shows them", async () => {
    const { store } = await open(["a.png"]);
    expect(views.map(({ scale, mirrored }) => [scale, mirrored])).toEqual([[1, false], [1, true], [1.5, false], [1.5, true]]); // prettier-ignore
    const [plain, mirrored] = [store.objects(0, 0)[0]!.box, store.objects(0, 1)[0]!.box];
    const round = (values: Record<string, number>): Record<string, number> =>
      Object.fromEntries(Object.entries(values).map(([key, value]) => [key, Math.round(value)]));
    // 80 × 100 fits 64 × 64 as 51 × 64.
    expect(round({ ...plain })).toEqual({ xMin: 6, yMin: 13, xMax: 32, yMax: 38 });
    expect(round({ ...mirrored })).toEqual({ xMin: 19, yMin: 13, xMax: 45, yMax: 38 });
    expect(store.objects(0, 2)[0]!.box).not.toEqual(plain);
  });

  it("are computed once for each picture, however often and wherever it lies", async () => {
    const { store } = await open(["a.png", "c.png"]);
    const before = read(store, 0, 3);
    const files = readdirSync(store.folder).sort();
    const { store: again } = await open(["a.png", "c.png"]);
    expect(again.folder).toBe(store.folder);
    expect(readdirSync(again.folder).sort()).toEqual(files);
    expect(read(again, 0, 3)).toEqual(before);
  });

  it("leave out a picture that cannot be read, and say so", async () => {
    const { store, failed } = await open(["a.png", "gone.png"]);
    expect([store.usable, failed]).toEqual([[0], ["gone.png"]]);
  });
});
