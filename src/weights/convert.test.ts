import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { fixturePath, tinyModels, weightFixture } from "../testing/fixtures.ts";
import { ruleTensor } from "../testing/rule.ts";
import { float32 } from "../tensor/index.ts";
import type { Checkpoint, LazyTensor } from "./checkpoint.ts";
import { held } from "./checkpoint.ts";
import { convertCheckpoint, parseClassNames } from "./convert.ts";
import { writeFileAtomic } from "../files/index.ts";
import { convertFile } from "./files-node.ts";
import { loadWeights, requireWhole } from "./load-weights.ts";
import { parseModelMetadata } from "./model-metadata.ts";
import { readCheckpoint } from "./read-checkpoint.ts";
import { recogniseModel } from "./recognise-model.ts";
import { readSafetensors } from "./safetensors.ts";

const tiny = tinyModels[0]!;
const about = { model: "tiny", classes: 2 };

function checkpoint(change: (tensors: Map<string, LazyTensor>) => void = () => undefined): Checkpoint {
  const tensors = new Map<string, LazyTensor>(
    tiny.parameters(2).map(({ name, shape }) => [name, held(ruleTensor(name, shape, "lite0"))]),
  );
  change(tensors);
  return { format: "safetensors", source: "cells.safetensors", tensors, metadata: {} };
}

describe("loading weights into a model", () => {
  it("reports every tensor as loaded where all fit, and counters as skipped", () => {
    const file = readCheckpoint(weightFixture("tiny.pth"));
    const { report, tensors } = loadWeights(file, tiny.parameters(2), about);
    expect(report).toMatchObject({ format: "pytorch", model: "tiny", classes: 2, loaded: 304 });
    expect([report.missing, report.reinitialised, report.unexpected]).toEqual([[], [], []]);
    expect(report.skipped.every(({ name }) => name.endsWith("num_batches_tracked"))).toBe(true);
    expect(tensors.size).toBe(304);
  });

  it("keeps everything but the class predictor for another number of classes, and says so", () => {
    const loaded = loadWeights(checkpoint(), tiny.parameters(5), about);
    expect(loaded.report.reinitialised).toEqual([
      {
        name: "class_net.predict.conv_pw.weight",
        shape: [45, 8, 1, 1],
        reason: "the file has 2 classes, so this is [18, 8, 1, 1] in it: to be trained anew",
      },
      {
        name: "class_net.predict.conv_pw.bias",
        shape: [45],
        reason: "the file has 2 classes, so this is [18] in it: to be trained anew",
      },
    ]);
    expect(loaded.report.loaded).toBe(302);
    expect(() => requireWhole(loaded, "cells.safetensors", { newClasses: true })).not.toThrow();
    expect(() => requireWhole(loaded, "cells.safetensors")).toThrow(
      /class_net\.predict\.conv_pw\.weight of tiny is to be \[45, 8, 1, 1\].*\(cells\.safetensors\)/,
    );
  });

  it("names what is missing and what is unexpected", () => {
    const file = checkpoint((tensors) => {
      tensors.delete("backbone.bn1.weight");
      tensors.set("extra", held(float32([1])));
    });
    const loaded = loadWeights(file, tiny.parameters(2), about);
    expect(loaded.report.missing).toEqual([
      { name: "backbone.bn1.weight", shape: [4], reason: "not in the file" },
    ]);
    expect(loaded.report.unexpected).toEqual([
      { name: "extra", shape: [1], reason: "the model has no such tensor" },
    ]);
    expect(() => requireWhole(loaded, "cells.safetensors")).toThrow(
      /backbone\.bn1\.weight \[4\] of tiny is not among/,
    );
  });

  it("takes a missing bias before a normalisation as zero, as in effdet's own models", () => {
    const name = "class_net.conv_rep.0.conv_pw.bias";
    const loaded = loadWeights(
      checkpoint((tensors) => tensors.delete(name)),
      tiny.parameters(2),
      about,
    );
    expect(loaded.tensors.get(name)!.read().data).toEqual(new Float32Array(8));
    expect(loaded.report.missing.map((item) => item.name)).toEqual([name]);
    expect(() => requireWhole(loaded, "cells.safetensors")).not.toThrow();
  });

  it.each([NaN, Infinity])("refuses a weight of %s when it is read, with file, tensor and place", (value) => {
    const file = checkpoint((tensors) =>
      tensors.set(
        "class_net.predict.conv_pw.bias",
        held(float32(Array.from({ length: 18 }, (_, i) => (i === 5 ? value : 0)))),
      ),
    );
    const { tensors } = loadWeights(file, tiny.parameters(2), about);
    expect(() => tensors.get("class_net.predict.conv_pw.bias")!.read()).toThrow(
      `class_net.predict.conv_pw.bias holds ${value} at element 5 (cells.safetensors)`,
    );
  });
});

describe("recognising a model", () => {
  const shapes = (file: Checkpoint) => new Map([...file.tensors].map(([name, { shape }]) => [name, shape]));
  it("tells D from Lite models by what they are made of", () => {
    const lite = readCheckpoint(weightFixture("tiny-lite-float.tflite"));
    expect(recogniseModel(shapes(lite), tinyModels)).toMatchObject({ model: "tiny-lite", classes: 2 });
    expect(recogniseModel(shapes(checkpoint()), tinyModels)).toMatchObject({ model: "tiny", classes: 2 });
  });
  it("takes the model that the file names where two are one network, and tells of the other", () => {
    const twins = ["d6", "d7"].map((name) => ({ ...tiny, name }));
    const found = (hint?: string) => recogniseModel(shapes(checkpoint()), twins, "x", [hint]);
    expect(found("tf_efficientdet_d7_53.pth")).toMatchObject({ model: "d7", alternatives: ["d6"] });
    expect(found()).toMatchObject({ model: "d6", alternatives: ["d7"] });
  });
  it("says what it found where no model fits", () => {
    const other = { ...tiny, parameters: tinyModels[1]!.parameters };
    expect(() => recogniseModel(shapes(checkpoint()), [other], "cells.pth")).toThrow(
      /no model of the family fits these weights: stem 4, blocks 1-2-1-1-1-1-1 of channels 2-3-4-5-6-7-9, width 8, 1 cells, heads of 1 layers on 5 levels \(cells\.pth\)/,
    );
  });
  it("refuses a file without any of the model", () => {
    expect(() => recogniseModel(new Map([["a", [1]]]), tinyModels, "a.pth")).toThrow(
      /backbone\.conv_stem\.weight is missing \(a\.pth\)/,
    );
  });
});

describe("converting a checkpoint", () => {
  const folders: string[] = [];
  const folder = async () => {
    const made = await mkdtemp(path.join(tmpdir(), "efficientdet-convert-"));
    folders.push(made);
    return made;
  };
  afterAll(async () => {
    for (const made of folders) await rm(made, { recursive: true });
  });

  it("writes a file that reads back as the same weights, with the metadata of the interface", async () => {
    const to = path.join(await folder(), "tiny.safetensors");
    const { report } = await convertFile(fixturePath("weights/tiny.h5"), to, {
      models: tinyModels,
      classes: [
        { id: 3, name: "cat" },
        { id: 7, name: "dog" },
      ],
    });
    expect(report).toMatchObject({ format: "keras-h5", model: "tiny", classes: 2, loaded: 304 });
    const { tensors, metadata } = readSafetensors(await readFile(to), to);
    for (const { name, shape } of tiny.parameters(2))
      expect(tensors.get(name)!.read().data, name).toEqual(ruleTensor(name, shape, "lite0").data);
    expect(tensors.size).toBe(304);
    expect(parseModelMetadata(metadata)).toMatchObject({
      formatVersion: "1",
      model: "tiny",
      classes: [
        { id: 3, name: "cat" },
        { id: 7, name: "dog" },
      ],
      source: "tiny.h5",
      aspectRatios: [
        [1, 1],
        [Math.SQRT2, Math.SQRT1_2],
        [Math.SQRT1_2, Math.SQRT2],
      ],
    });
    expect(await readdir(path.dirname(to))).toEqual(["tiny.safetensors"]);
  });

  it("takes effdet's rounded anchors for PyTorch files", () => {
    const { metadata } = convertCheckpoint(readCheckpoint(weightFixture("tiny.pth")), { models: tinyModels });
    expect(metadata.aspectRatios).toEqual([
      [1, 1],
      [1.4, 0.7],
      [0.7, 1.4],
    ]);
  });

  it("writes float16 on request, and refuses numbers that float16 has not", () => {
    const write = (file: Checkpoint) =>
      Buffer.concat([...convertCheckpoint(file, { models: tinyModels, dtype: "float16" }).chunks()]);
    const { tensors } = readSafetensors(write(checkpoint()));
    expect([...tensors.values()].every(({ dtype }) => dtype === "float16")).toBe(true);
    const large = checkpoint((all) => all.set("backbone.bn1.weight", held(float32([1, 2, 70000, 4]))));
    expect(() => write(large)).toThrow(
      "backbone.bn1.weight holds 70000 at element 2, too large for float16 (cells.safetensors)",
    );
  });

  it("refuses class names that are not as many as the classes", () => {
    expect(() =>
      convertCheckpoint(checkpoint(), { models: tinyModels, classes: [{ id: 1, name: "cat" }] }),
    ).toThrow(/1 class names are given for 2 classes/);
  });

  it("names the nearest model where the wanted one is unknown", () => {
    expect(() => convertCheckpoint(checkpoint(), { models: tinyModels, model: "tini" })).toThrow(
      /there is no model tini/,
    );
  });

  it("leaves the old file where the new one fails half-way", async () => {
    const to = path.join(await folder(), "old.safetensors");
    await writeFile(to, "old");
    const failing = function* () {
      yield new Uint8Array(3);
      throw new Error("half-way");
    };
    await expect(writeFileAtomic(to, failing())).rejects.toThrow();
    expect(await readFile(to, "utf8")).toBe("old");
    expect(await readdir(path.dirname(to))).toEqual(["old.safetensors"]);
  });
});

describe("class names of a text file", () => {
  it.each([
    [
      "cat\n\n dog \r\n",
      [
        { id: 1, name: "cat" },
        { id: 2, name: "dog" },
      ],
    ],
    [
      "17 cat\n18: hot dog\n",
      [
        { id: 17, name: "cat" },
        { id: 18, name: "hot dog" },
      ],
    ],
    [
      '["cat", "dog"]',
      [
        { id: 1, name: "cat" },
        { id: 2, name: "dog" },
      ],
    ],
    ['[{"id": 5, "name": "cat"}]', [{ id: 5, name: "cat" }]],
    [
      "7 up\ncola",
      [
        { id: 1, name: "7 up" },
        { id: 2, name: "cola" },
      ],
    ],
  ])("%j", (text, classes) => {
    expect(parseClassNames(text)).toEqual(classes);
  });
  it.each(["", "\n\n", "[1, 2]", "{"])("%j is refused", (text) => {
    expect(() => parseClassNames(text, "names.txt")).toThrow(/names\.txt/);
  });
});
