import { describe, expect, it } from "vitest";
import type { ModelMetadata } from "./model-metadata.ts";
import { formatModelMetadata, parseModelMetadata, parseVariantName } from "./model-metadata.ts";

const whole: ModelMetadata = {
  formatVersion: "1",
  model: "lite0",
  modelConfig: { width: 64 },
  classes: [{ id: 17, name: "cat" }],
  imageSize: [320, 384],
  mean: [127, 127, 127],
  std: [128, 128, 128],
  aspectRatios: [
    [1, 1],
    [1.4, 0.7],
  ],
  anchorScale: 3,
  source: "somewhere",
  licence: "MIT",
  trained: { AP: 33 },
  creator: "efficientdet",
};

describe("metadata of weight files", () => {
  it("come back from their strings as they were", () => {
    expect(parseModelMetadata(formatModelMetadata(whole))).toEqual(whole);
  });
  it("have the interface's keys, and none for what is not known", () => {
    expect(formatModelMetadata({ model: "d0", imageSize: [512, 512], anchorScale: 4 })).toEqual({
      format_version: "1",
      model: "d0",
      image_size: "512",
      anchor_scale: "4",
    });
  });
  it("of other programs are understood: names only, 0–1 normalisation, licence spelt otherwise, scores of their own", () => {
    expect(
      parseModelMetadata({
        format: "pt",
        architecture: "tf_efficientdet_lite0 (effdet names)",
        classes: '["cat", "dog"]',
        mean: "[0.5, 0.5, 0.5]",
        std: "[0.5, 0.5, 0.5]",
        anchor_aspect_ratios: "[1.0, 4.0, 0.25]",
        anchor_scale: "[3, 4]",
        image_size: "320x640",
        license: "MIT",
        AP50: "0.62",
      }),
    ).toEqual({
      model: "lite0",
      classes: [
        { id: 1, name: "cat" },
        { id: 2, name: "dog" },
      ],
      mean: [127.5, 127.5, 127.5],
      std: [127.5, 127.5, 127.5],
      aspectRatios: [
        [1, 1],
        [2, 0.5],
        [0.5, 2],
      ],
      anchorScale: [3, 4],
      imageSize: [320, 640],
      licence: "MIT",
      trained: { AP50: 0.62 },
    });
  });
  it("in a form that is not understood are left out of others' files and refused in ours", () => {
    expect(parseModelMetadata({ classes: "20", mean: "grey" })).toEqual({});
    expect(() => parseModelMetadata({ format_version: "1", classes: "20" }, "a.safetensors")).toThrow(
      /metadata classes cannot be read: 20 \(a\.safetensors\)/,
    );
  });
  it("keep 0–255 values of ours that are small", () => {
    expect(parseModelMetadata({ format_version: "1", mean: "[0,0,0]", std: "[1,1,1]" }).std).toEqual([
      1, 1, 1,
    ]);
  });
  it.each([
    ["tf_efficientdet_d7x-f390b87c.pth", "d7x"],
    ["efficientdet-lite3x.h5", "lite3x"],
    ["d0", "d0"],
    ["tf_efficientdet_d0_34-f153e0cf.pth", "d0"],
    ["cells.pth", undefined],
    ["d0x", undefined],
    ["tf_efficientnet_lite0", undefined],
  ])("find in %s the variant %s", (text, variant) => {
    expect(parseVariantName(text)).toBe(variant);
  });
});
