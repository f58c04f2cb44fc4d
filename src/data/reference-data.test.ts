import path from "node:path";
import { describe, expect, it } from "vitest";
import { referenceMissing, referencePath } from "../testing/reference.ts";
import { objectCount } from "./dataset.ts";
import { inspectDataset } from "./inspect.ts";
import { readDataset, readSplits } from "./read-dataset.ts";

// Counts from the data sets' own descriptions, and from reading them with another program.
describe.skipIf(referenceMissing("bccd"))("bccd", () => {
  it("has 364 pictures in parts of 205, 87 and 72, and 4,888 boxes of which two have no area", async () => {
    const { train, val, test, made } = await readSplits(referencePath("bccd"));
    const parts = [train, val, test!];
    expect(parts.map(({ images }) => images.length)).toEqual([205, 87, 72]);
    expect(made).toBe(false);
    expect(parts.reduce((sum, part) => sum + objectCount(part), 0)).toBe(4886);
    const problems = parts
      .flatMap((part) => part.problems)
      .map(({ kind, file, line }) => [kind, path.basename(file), line]);
    expect(problems).toHaveLength(2);
    expect(problems).toContainEqual(["zero-area", "BloodImage_00338.xml", 158]);
    expect(problems).toContainEqual(["zero-area", "BloodImage_00343.xml", 50]);
    expect(train.classes.map(({ name }) => name)).toEqual(["Platelets", "RBC", "WBC"]);
  });
});

describe.skipIf(referenceMissing("raccoon"))("raccoon", () => {
  it("has 200 pictures and 217 boxes, three grey pictures and four pictures twice", async () => {
    const dataset = await readDataset(referencePath("raccoon"));
    expect([dataset.images.length, objectCount(dataset), dataset.problems]).toEqual([200, 217, []]);
    const report = await inspectDataset(dataset, { decode: false });
    expect([report.grey, report.duplicates.length]).toEqual([3, 4]);
  });
});

describe.skipIf(referenceMissing("coco-mini"))("coco-mini", () => {
  it("has 66 pictures, 430 objects with five crowds, and 80 classes with gaps in their ids", async () => {
    const dataset = await readDataset(referencePath("coco-mini"));
    expect([dataset.images.length, objectCount(dataset), dataset.problems]).toEqual([66, 430, []]);
    expect(dataset.images.flatMap(({ objects }) => objects).filter(({ crowd }) => crowd)).toHaveLength(5);
    expect([dataset.classes.length, dataset.classes.at(-1)]).toEqual([80, { id: 90, name: "toothbrush" }]);
    expect(dataset.images.filter(({ objects }) => objects.length === 0)).toHaveLength(3);
  });
});

describe.skipIf(referenceMissing("everyday/train.json"))("everyday", () => {
  it("has 962 pictures to validate on, with 2,923 boxes of which 615 are difficult", async () => {
    const dataset = await readDataset(referencePath("everyday/val.json"));
    expect([dataset.images.length, objectCount(dataset), dataset.problems]).toEqual([962, 2923, []]);
    const difficult = dataset.images.flatMap(({ objects }) => objects).filter((object) => object.difficult);
    expect([difficult.length, difficult.every(({ ignore }) => ignore)]).toEqual([615, true]);
  });
});
