import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { dataFolder, vocXml } from "../../test/fixtures/data/data-folder.ts";
import { DataError, UsageError } from "../errors.ts";
import { toGroundTruth } from "./ground-truth.ts";
import { readDataset, readSplits } from "./read-dataset.ts";
import type { Dataset } from "./dataset.ts";

const picture = { width: 100, height: 80 };
const told = ({ problems }: Dataset) => problems.map(({ kind, line, done }) => [kind, line, done]);
const boxes = ({ images }: Dataset) =>
  images.map(({ objects }) =>
    objects.map(({ classIndex, box }) => [classIndex, box.xMin, box.yMin, box.xMax, box.yMax]),
  );

function coco(overrides: Record<string, unknown> = {}): string {
  return JSON.stringify(
    {
      images: [
        { id: 11, file_name: "a.jpg", width: 100, height: 80 },
        { id: 12, file_name: "b.jpg", width: 100, height: 80 },
      ],
      annotations: [
        { id: 1, image_id: 11, category_id: 90, bbox: [10, 20, 30, 40], area: 700, iscrowd: 0 },
        { id: 2, image_id: 11, category_id: 3, bbox: [0, 0, 50.5, 20], iscrowd: 1 },
      ],
      categories: [
        { id: 3, name: "cell" },
        { id: 90, name: "dirt" },
      ],
      ...overrides,
    },
    undefined,
    1,
  );
}

describe("COCO", () => {
  it("keeps the ids of classes with gaps, crowds, areas, and pictures without objects", async () => {
    const root = await dataFolder({ "ann/instances.json": coco(), "images/a.jpg": picture, "images/b.jpg": picture });
    const dataset = await readDataset(root);
    expect(dataset.format).toBe("coco");
    expect(dataset.classes).toEqual([{ id: 3, name: "cell" }, { id: 90, name: "dirt" }]);
    expect(boxes(dataset)).toEqual([[[1, 10, 20, 40, 60], [0, 0, 0, 50.5, 20]], []]);
    expect(dataset.images[0]!.objects.map(({ area, crowd }) => [area, crowd])).toEqual([[700, false], [1010, true]]);
    expect(dataset.problems).toEqual([]);
    expect(toGroundTruth(dataset).annotations[1]).toEqual({
      id: 2, image_id: 11, category_id: 3, bbox: [0, 0, 50.5, 20], area: 1010, iscrowd: 1, ignore: 0,
    });
  }); // prettier-ignore

  it("tells every broken annotation with its line, and what was done", async () => {
    const annotations = [
      { id: 1, image_id: 11, category_id: 3, bbox: [5, 5, 0, 9] },
      { id: 2, image_id: 11, category_id: 3, bbox: [500, 5, 9, 9] },
      { id: 3, image_id: 11, category_id: 3, bbox: [90, 70, 30, 30] },
      { id: 4, image_id: 11, category_id: 7, bbox: [1, 1, 9, 9] },
      { id: 5, image_id: 99, category_id: 3, bbox: [1, 1, 9, 9] },
      { id: 6, image_id: 11, category_id: 3, bbox: [1, 1, 9, 9] },
      { id: 7, image_id: 11, category_id: 3, bbox: [1, 1, 9, 9] },
      { id: 8, image_id: 11, category_id: 3, bbox: [1, 1, "x", 9] },
      { id: 9, image_id: 12, category_id: 3, bbox: [1, 1, 9, 9] },
      { id: 10, image_id: 11, category_id: 3, bbox: [1, 1, -4, 9] },
      "nonsense",
    ];
    const root = await dataFolder({ "instances.json": coco({ annotations }), "a.jpg": picture });
    const dataset = await readDataset(root);
    const lines = readFileSync(path.join(root, "instances.json"), "utf8").split("\n");
    const lineOf = (id: number) => lines.findIndex((line) => line.includes(`"id": ${id},`) && line.startsWith("   ")); // the line before is the brace
    expect(told(dataset)).toHaveLength(10);
    expect(told(dataset)).toEqual(
      expect.arrayContaining([
        ["zero-area", lineOf(1), "object left out"],
        ["outside", lineOf(2), "object left out"],
        ["clipped", lineOf(3), "clipped to (90, 70, 100, 80)"],
        ["unknown-class", lineOf(4), "object left out"],
        ["missing-picture", lineOf(5), "object left out"],
        ["duplicate-object", lineOf(7), "object left out"],
        ["bad-value", lineOf(8), "object left out"],
        ["missing-picture", lineOf(12), "left out with its objects"],
        ["zero-area", lineOf(10), "object left out"],
        ["missing-picture", lines.findIndex((line) => line.includes("nonsense")) + 1, "object left out"],
      ]),
    );
    expect(boxes(dataset)).toEqual([[[0, 90, 70, 100, 80], [0, 1, 1, 10, 10]]]);
    await expect(readDataset(root, { strict: true })).rejects.toThrow(/broken annotation: .*instances\.json:\d+: .*and 9 more/);
  }); // prettier-ignore

  it("joins files of several parts, and finds each part's pictures under equal names", async () => {
    const root = await dataFolder({
      "annotations/instances_train2017.json": coco(),
      "annotations/instances_val2017.json": coco({ annotations: [] }),
      "annotations/captions_val2017.json": JSON.stringify({ images: [], annotations: [{ caption: "x" }] }),
      "train2017/a.jpg": picture,
      "train2017/b.jpg": picture,
      "val2017/a.jpg": picture,
      "val2017/b.jpg": picture,
    });
    const { train, val, made } = await readSplits(root);
    expect(made).toBe(false);
    expect(train.images.map(({ file }) => path.relative(root, file))).toEqual([
      "train2017/a.jpg",
      "train2017/b.jpg",
    ]);
    expect(val.images.map(({ file }) => path.relative(root, file))).toEqual([
      "val2017/a.jpg",
      "val2017/b.jpg",
    ]);
    const all = await readDataset(root);
    expect(new Set(all.images.map(({ id }) => id)).size).toBe(4);
  });

  it("says where a file stops being JSON", async () => {
    const root = await dataFolder({ "x.json": coco().slice(0, -40), "a.jpg": picture });
    await expect(readDataset(root)).rejects.toThrow(/x\.json:\d+ is not JSON/);
  });

  it("scales boxes where the picture was scaled after labelling, and turns them where EXIF was not heeded", async () => {
    const images = [
      { id: 1, file_name: "half.jpg", width: 200, height: 160 },
      { id: 2, file_name: "turned.jpg", width: 100, height: 80 },
    ];
    const annotations = [
      { id: 1, image_id: 1, category_id: 3, bbox: [20, 40, 60, 80] },
      { id: 2, image_id: 2, category_id: 3, bbox: [10, 20, 30, 40] },
    ];
    const root = await dataFolder({
      "instances.json": coco({ images, annotations }),
      "half.jpg": picture,
      "turned.jpg": { ...picture, orientation: 6 },
    });
    const dataset = await readDataset(root);
    expect(told(dataset).map(([kind]) => kind)).toEqual(["size-mismatch", "size-mismatch"]);
    // Orientation 6: stored x runs down, stored y runs from right to left.
    expect(boxes(dataset)).toEqual([[[0, 10, 20, 40, 60]], [[0, 20, 10, 60, 40]]]);
    expect([dataset.images[1]!.width, dataset.images[1]!.height]).toEqual([80, 100]);
  });
});

describe("Pascal VOC", () => {
  const files = {
    "VOC/JPEGImages/a.jpg": picture,
    "VOC/JPEGImages/b.jpg": picture,
    "VOC/JPEGImages/c.jpg": picture,
    "VOC/Annotations/a.xml": vocXml("stale name.jpg", [100, 80], [
      { name: "dog", box: [10, 20, 40, 60] },
      { name: "cat", box: [1, 1, 9, 9], difficult: 1 },
      { name: "cat", box: [50, 50, 50, 70] },
      { name: "cat", box: [60, 70, 50, 60] },
    ]),
    "VOC/Annotations/b.xml": vocXml("b.jpg", [100, 80], []),
    "VOC/Annotations/c.xml": "<annotation>\n<object>\n</annotation>",
  }; // prettier-ignore

  it("reads classes, corners and difficult marks; keeps a picture without objects; points at lines", async () => {
    const dataset = await readDataset(await dataFolder(files));
    expect(dataset.classes).toEqual([{ id: 1, name: "cat" }, { id: 2, name: "dog" }]);
    expect(boxes(dataset)).toEqual([[[1, 10, 20, 40, 60], [0, 1, 1, 9, 9], [0, 50, 60, 60, 70]], []]);
    expect(dataset.images[0]!.objects.map(({ difficult, ignore }) => [difficult, ignore])).toEqual([
      [false, false], [true, true], [false, false],
    ]);
    expect(told(dataset)).toEqual([
      ["syntax", 3, "picture left out"],
      ["zero-area", 14, "object left out"],
      ["swapped-corners", 19, "corners swapped"],
    ]);
    expect(dataset.notes).toEqual(["1 pictures of the folder have no annotation: not used"]);
    const { annotations } = toGroundTruth(dataset);
    expect(annotations.map(({ ignore, category_id }) => [ignore, category_id])).toEqual([[0, 2], [1, 1], [0, 1]]);
  }); // prettier-ignore

  it("takes the parts of ImageSets, tells names without a file, and keeps a leaked picture for validation", async () => {
    const root = await dataFolder({
      ...files,
      "VOC/Annotations/c.xml": vocXml("c.jpg", [100, 80], [{ name: "dog", box: [1, 2, 30, 40] }]),
      "VOC/ImageSets/Main/train.txt": "a\nb\nzebra\n",
      "VOC/ImageSets/Main/val.txt": "b\nc\n",
      "VOC/ImageSets/Main/dog_train.txt": "a 1\nb -1\n",
    });
    const { train, val, test, made } = await readSplits(root);
    expect([train.images.length, val.images.length, test, made]).toEqual([1, 2, undefined, false]);
    expect(val.classes).toEqual(train.classes);
    const problems = told(train).filter(
      ([kind]) => kind === "duplicate-picture" || kind === "missing-annotation",
    );
    expect(problems).toEqual([
      ["duplicate-picture", 2, "kept in val"],
      ["missing-annotation", 3, "left out"],
    ]);
    await expect(readDataset(root, { split: "tset" })).rejects.toThrow(/no part called tset/);
  });

  it("numbers objects by given classes, and leaves out those of others", async () => {
    const dataset = await readDataset(await dataFolder(files), { classes: [{ id: 5, name: "dog" }] });
    expect(boxes(dataset)).toEqual([[[0, 10, 20, 40, 60]], []]);
    expect(told(dataset).filter(([kind]) => kind === "unknown-class")).toHaveLength(3);
  });

  it("reads annotations that lie beside their pictures", async () => {
    const root = await dataFolder({
      "train/x.jpg": picture,
      "train/x.xml": vocXml("x.jpg", [0, 0], [{ name: "dog", box: [1, 2, 3, 4] }]),
      "valid/y.jpg": picture,
      "valid/y.xml": vocXml("y.jpg", [100, 80], [{ name: "dog", box: [1, 2, 3, 4] }]),
    });
    const { train, val, made } = await readSplits(root);
    expect([train.images[0]!.id, val.images[0]!.id, made]).toEqual(["train/x.jpg", "valid/y.jpg", false]);
    expect(told(train)).toEqual([["size-mismatch", undefined, "boxes taken as they are"]]);
  });

  it("leaves out a picture that is none, a missing one, and one that would be far too large", async () => {
    const bomb = Buffer.from("89504e470d0a1a0a0000000d49484452000fffff000fffff0802000000", "hex");
    const root = await dataFolder({
      "a.jpg": picture,
      "a.xml": vocXml("a.jpg", [100, 80], []),
      "b.xml": vocXml("b.jpg", [100, 80], []),
      "c.jpg": "no picture",
      "c.xml": vocXml("c.jpg", [100, 80], []),
      "d.png": new Uint8Array(bomb),
      "d.xml": vocXml("d.png", [100, 80], []),
    });
    const dataset = await readDataset(root);
    expect(dataset.images.map(({ id }) => id)).toEqual(["a.jpg"]);
    expect(told(dataset).map(([kind]) => kind)).toEqual([
      "missing-picture",
      "unreadable-picture",
      "unreadable-picture",
    ]);
  });
});

describe("YOLO", () => {
  const labels =
    "1 0.5 0.5 0.2 0.5\n0 0.1 0.1 0.1 0.1 0.3 0.1 0.3 0.4\n\n9 0.5 0.5 0.1 0.1\n1 0.5 0.5\n1 0.5 0.5 0 0.5\n1 0.5 nan 0.1 0.1\n";

  it("reads data.yaml, boxes and polygons, takes a picture without labels as empty, and points at lines", async () => {
    const root = await dataFolder({
      "data.yaml": "path: .\ntrain: images/train\nval: ../images/val\nnames:\n  0: cell\n  1: dirt\n",
      "images/train/a.jpg": picture,
      "images/train/b.jpg": picture,
      "images/val/c.jpg": picture,
      "labels/train/a.txt": labels,
      "labels/val/c.txt": "0 0.5 0.5 1.4 0.5\n",
    });
    const { train, val, made } = await readSplits(root);
    expect(made).toBe(false);
    expect(train.classes).toEqual([{ id: 0, name: "cell" }, { id: 1, name: "dirt" }]);
    expect(boxes(train)).toEqual([[[1, 40, 20, 60, 60], [0, 10, 8, 30, 32]], []]);
    expect(told(train)).toEqual([
      ["unknown-class", 4, "object left out"],
      ["bad-value", 5, "object left out"],
      ["zero-area", 6, "object left out"],
      ["bad-value", 7, "object left out"],
    ]);
    expect(boxes(val)).toEqual([[[0, 0, 20, 100, 60]]]);
    expect(told(val)).toEqual([["clipped", 1, "clipped to (0, 20, 100, 60)"]]);
  }); // prettier-ignore

  it("reads a folder without a description, with names from classes.txt", async () => {
    const root = await dataFolder({
      "a.jpg": picture,
      "a.txt": "1 0.5 0.5 0.2 0.5\n",
      "classes.txt": "cell\ndirt\n",
    });
    const dataset = await readDataset(root);
    expect([dataset.format, dataset.classes[1]!.name, dataset.images.length]).toEqual(["yolo", "dirt", 1]);
  });

  it.each([
    ["names: 5\ntrain: x\n", "has no class names"],
    ["names: [a]\ntrain: nowhere\n", "no pictures in"],
    ["names: [a\n", "is not YAML"],
  ])("refuses the description %j", async (yaml, message) => {
    const root = await dataFolder({ "data.yaml": yaml, "a.jpg": picture });
    await expect(readDataset(root)).rejects.toThrow(message);
  });
});

describe("CSV", () => {
  it.each([
    [
      "named columns",
      "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,100,80,cell,10,20,40,60\nb.jpg,100,80,,,,,\n",
    ],
    ["another order", "class;x_min;x_max;y_min;y_max;image_path\ncell;10;40;20;60;img/a.jpg\n;;;;;b.jpg\n"],
    ["a corner and sizes", 'image_id,x,y,w,h,label\r\n"a",10,20,30,40,"cell"\r\nb,,,,,\r\n'],
    [
      "a list in one column",
      'image_id,width,height,bbox,label\na,100,80,"[10, 20, 30, 40]",cell\nb,100,80,,\n',
    ],
    ["no header", "img/a.jpg,10,20,40,60,cell\nimg/b.jpg,,,,,\n"],
    ["fractions of Open Images", "ImageID,LabelName,XMin,XMax,YMin,YMax\na,cell,0.1,0.4,0.25,0.75\nb,,,,,\n"],
  ])("reads a table with %s, and a picture without objects", async (_, csv) => {
    const root = await dataFolder({ "labels.csv": csv, "img/a.jpg": picture, "img/b.jpg": picture });
    const dataset = await readDataset(root);
    expect(dataset.problems).toEqual([]);
    expect(dataset.classes).toEqual([{ id: 1, name: "cell" }]);
    expect(boxes(dataset)).toEqual([[[0, 10, 20, 40, 60]], []]);
  });

  it("tells a row without picture, one without class and one with a broken number", async () => {
    const csv =
      "filename,xmin,ymin,xmax,ymax,class,split\n,1,2,3,4,cell,train\na.jpg,1,2,30,40,,train\na.jpg,1,2,x,4,cell,train\nb.jpg,1,2,30,40,cell,val\n";
    const dataset = await readDataset(await dataFolder({ "x.csv": csv, "a.jpg": picture, "b.jpg": picture }));
    expect(told(dataset)).toEqual([
      ["bad-value", 2, "row left out"],
      ["unknown-class", 3, "object left out"],
      ["bad-value", 4, "object left out"],
    ]);
    expect(dataset.images.map(({ objects }) => objects.length)).toEqual([0, 1]);
  });
});

describe("a data set without parts", () => {
  it("is divided by file names, the same way with more pictures in it", async () => {
    const rows = (count: number) =>
      [
        "filename,xmin,ymin,xmax,ymax,class",
        ...Array.from({ length: count }, (_, at) => `p${at}.jpg,1,2,30,40,c`),
      ].join("\n");
    const pictures = Object.fromEntries(
      Array.from({ length: 30 }, (_, at) => [`p${at}.jpg`, { width: 40, height: 40 }]),
    );
    const few = await readSplits(await dataFolder({ ...pictures, "x.csv": rows(20) }));
    const more = await readSplits(await dataFolder({ ...pictures, "x.csv": rows(30) }));
    const ids = ({ images }: Dataset) => images.map(({ id }) => id);
    expect(few.made).toBe(true);
    expect(few.val.images.length).toBeGreaterThan(0);
    expect(ids(more.val)).toEqual(expect.arrayContaining(ids(few.val)));
    expect(ids(more.train)).toEqual(expect.arrayContaining(ids(few.train)));
  });
});

describe("what is no data set", () => {
  it("is refused with what would be one", async () => {
    const root = await dataFolder({ "a.jpg": picture });
    await expect(readDataset(root)).rejects.toThrow(DataError);
    await expect(readDataset(path.join(root, "nowhere"))).rejects.toThrow("does not exist");
    await expect(readDataset(root, { format: "voc" })).rejects.toThrow("no voc annotations");
    await expect(readSplits(root, { fraction: 1.5 })).rejects.toThrow(UsageError);
  });
});
