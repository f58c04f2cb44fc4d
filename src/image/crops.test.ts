import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { cropDetections } from "./crops.ts";

/** 20×10, every pixel's red its column, green its row. */
const picture = {
  width: 20,
  height: 10,
  data: Uint8Array.from({ length: 600 }, (_, i) =>
    i % 3 === 0 ? Math.floor(i / 3) % 20 : i % 3 === 1 ? Math.floor(i / 60) : 0,
  ),
};
const found = (xMin: number, yMin: number, xMax: number, yMax: number, label = "cat") => ({
  label,
  classId: 1,
  score: 0.5,
  box: { xMin, yMin, xMax, yMax },
});
async function crops(detections: ReturnType<typeof found>[], options = {}) {
  const result = [];
  for await (const { name, bytes } of cropDetections(picture, detections, "street", {
    format: "png",
    ...options,
  })) {
    const { data, info } = await sharp(bytes).raw().toBuffer({ resolveWithObject: true });
    result.push({ name, width: info.width, height: info.height, first: Array.from(data.subarray(0, 3)) });
  }
  return result;
}

describe("crops", () => {
  it("hold the whole pixels that the box touches", async () => {
    expect(await crops([found(2.5, 3, 7, 5.2)])).toEqual([
      { name: "street-0-cat.png", width: 5, height: 3, first: [2, 3, 0] },
    ]);
  });
  it("stay in the picture, and have a pixel at least", async () => {
    expect(await crops([found(-5, -5, 99, 99), found(4, 4, 4, 4), found(50, 50, 60, 60)])).toMatchObject([
      { width: 20, height: 10, first: [0, 0, 0] },
      { width: 1, height: 1, first: [4, 4, 0] },
      { width: 1, height: 1, first: [19, 9, 0] },
    ]);
  });
  it("can have a margin", async () => {
    expect(await crops([found(5, 5, 9, 7)], { margin: 0.5 })).toMatchObject([
      { width: 8, height: 4, first: [3, 4, 0] },
    ]);
  });
  it("have names that any system takes", async () => {
    const [slash, device] = await crops([found(0, 0, 5, 5, "../a b:c"), found(0, 0, 5, 5, "CON")]);
    expect([slash!.name, device!.name]).toEqual(["street-0-a-b-c.png", "street-1-CON-.png"]);
  });
});
