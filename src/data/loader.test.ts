import { createHash } from "node:crypto";
import path from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { dataFolder } from "../../test/fixtures/data/data-folder.ts";
import { anchorSpec, anchorTargets, assignAnchors, fromBoxes } from "../detection/index.ts";
import { augmentationByName } from "./augmentation-config.ts";
import type { DatasetImage } from "./dataset.ts";
import { BatchLoader, type Batch, type LoaderOptions } from "./loader.ts";

const side = 64;
const anchors = anchorSpec({ imageSize: [side, side], anchorScale: 3 });
const base: LoaderOptions = {
  size: { height: side, width: side },
  normalisation: { mean: [127, 127, 127], std: [128, 128, 128] },
  batchSize: 3,
  anchors,
  seed: 5,
  workers: 0,
};
const strong = { ...base, augmentation: augmentationByName("strong") };

let images: DatasetImage[];
beforeAll(async () => {
  const box = { xMin: 20, yMin: 10, xMax: 60, yMax: 50 };
  const pictures = Object.fromEntries(
    Array.from({ length: 7 }, (_, at) => [
      `${at}.png`,
      { width: 96, height: 80, colour: `hsl(${at * 50} 60% 40%)`, boxes: [box] },
    ]),
  );
  const root = await dataFolder(pictures);
  const object = { classIndex: 1, box, area: 1600, crowd: false, difficult: false, ignore: false };
  images = Array.from({ length: 7 }, (_, at) => ({
    id: at,
    file: path.join(root, `${at}.png`),
    width: 96,
    height: 80,
    objects: at === 0 ? [] : [object, { ...object, crowd: true }],
  }));
});

const digest = (batch: Batch) => {
  const hash = createHash("sha1");
  for (const part of [
    batch.images,
    batch.assignment!.classes,
    batch.assignment!.boxes,
    batch.assignment!.positives,
  ])
    hash.update(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
  return hash.update(JSON.stringify([batch.objects, batch.imageIds, batch.epoch, batch.batch])).digest("hex");
};

async function digests(options: LoaderOptions, count: number): Promise<string[]> {
  await using loader = new BatchLoader(images, options);
  const result: string[] = [];
  while (result.length < count) result.push(digest(await loader.next()));
  return result;
}

describe("BatchLoader", () => {
  it("gives the same batches with 0, 1 and 2 workers, and others for another seed", async () => {
    const alone = await digests(strong, 5);
    expect(await digests({ ...strong, workers: 1 }, 5)).toEqual(alone);
    expect(await digests({ ...strong, workers: 2, ahead: 5 }, 5)).toEqual(alone);
    expect(await digests({ ...strong, seed: 6 }, 1)).not.toEqual(alone.slice(0, 1));
    expect(new Set(alone).size).toBe(5);
  });

  it("goes on from a position as if it had never stopped, also without a cache", async () => {
    await using whole = new BatchLoader(images, strong);
    const rest: string[] = [];
    let position = whole.position;
    for (let at = 0; at < 7; at++) {
      if (at === 3) position = JSON.parse(JSON.stringify(whole.position)) as typeof position;
      const batch = await whole.next();
      if (at >= 3) rest.push(digest(batch));
    }
    expect(position).toEqual({ epoch: 1, batch: 1 });
    expect(await digests({ ...strong, start: position, cacheBytes: 0 }, 4)).toEqual(rest);
  });

  it("shows every picture once an epoch in order, letterboxed, the last batch smaller", async () => {
    await using loader = new BatchLoader(images, base);
    expect(loader.batchesPerEpoch).toBe(3);
    const batches: Batch[] = [];
    for await (const batch of loader.epoch()) batches.push(batch);
    expect(batches.map(({ imageIds }) => imageIds)).toEqual([[0, 1, 2], [3, 4, 5], [6]]);
    expect(batches[2]!.images).toHaveLength(3 * side * side);
    expect(loader.position).toEqual({ epoch: 1, batch: 0 });
    // 96 pixels wide on 64: one and a half of the original for one of the input.
    expect([...batches[0]!.scales]).toEqual([1.5, 1.5, 1.5]);
  });

  it("assigns as the detection module does, takes pictures without objects, and leaves crowds out", async () => {
    await using loader = new BatchLoader(images, base);
    const { objects, assignment } = await loader.next();
    expect(objects.map((list) => list.length)).toEqual([0, 1, 1]);
    expect(assignment!.positives[0]).toBe(0);
    expect(assignment!.classes.subarray(0, anchors.count).every((value) => value === -1)).toBe(true);
    const boxes = fromBoxes(objects[1]!.map(({ box }) => box));
    const expected = anchorTargets(assignAnchors(boxes, anchors), boxes, [1], anchors);
    expect(assignment!.classes.slice(anchors.count, 2 * anchors.count)).toEqual(expected.classes);
    expect(assignment!.boxes.slice(anchors.count * 4, anchors.count * 8)).toEqual(expected.boxes);
    expect(assignment!.positives[1]).toBe(expected.positives);
  });

  it("drops what does not fill a batch of a shuffled epoch, and repeats a set smaller than one", async () => {
    await using loader = new BatchLoader(images, { ...strong, batchSize: 4 });
    expect(loader.batchesPerEpoch).toBe(1);
    const [first, second] = [await loader.next(), await loader.next()];
    expect([first.epoch, second.epoch]).toEqual([0, 1]);
    expect(first.indices).not.toEqual(second.indices);
    await using large = new BatchLoader(images.slice(0, 2), { ...strong, batchSize: 5 });
    const { indices } = await large.next();
    expect([...new Set(indices)].sort()).toEqual([0, 1]);
    expect(indices).toHaveLength(5);
  });

  it("takes another picture for one that broke, and tells; in evaluation it stops with the file's name", async () => {
    const root = await dataFolder({ "broken.jpg": "nothing" });
    const broken = [{ ...images[1]!, id: "broken", file: path.join(root, "broken.jpg") }, ...images.slice(2)];
    await using loader = new BatchLoader(broken, { ...strong, workers: 1, batchSize: 6 });
    const { problems } = await loader.next();
    expect(problems[0]).toMatchObject({
      kind: "unreadable-picture",
      image: "broken",
      done: "another taken instead",
    });
    await using evaluation = new BatchLoader(broken, { ...base, workers: 1 });
    await expect(evaluation.next()).rejects.toThrow(/broken\.jpg cannot be decoded/);
  });

  it("refuses no pictures, impossible numbers, and to go on when closed", async () => {
    expect(() => new BatchLoader([], base)).toThrow("no pictures");
    expect(() => new BatchLoader(images, { ...base, batchSize: 0 })).toThrow("batch size 0");
    expect(() => new BatchLoader(images, { ...base, start: { epoch: 0, batch: 99 } })).toThrow(
      "batch to start from 99",
    );
    const loader = new BatchLoader(images, { ...base, workers: 1, ahead: 1 });
    await loader.close();
    await expect(loader.next().then(() => loader.next())).rejects.toThrow(/closed|ended before/);
  });
});
