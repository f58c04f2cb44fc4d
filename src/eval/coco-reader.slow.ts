import { describe, expect, it } from "vitest";
import { GroundTruthReader } from "./coco-reader.ts";

/** The text of a file of COCO train 2017's shape, in pieces: 118,287 pictures, 860,001 boxes with outlines, about 500 MB. */
function* trainFile(): Generator<string> {
  const outline = Array.from({ length: 60 }, (_, i) => ((i * 37.77) % 640).toFixed(2)).join(",");
  yield `{"info":{"year":2017},"images":[`;
  for (let id = 1; id <= 118_287; id++)
    yield `${id === 1 ? "" : ","}{"license":3,"file_name":"${id}.jpg","height":480,"width":640,"id":${id}}`;
  yield `],"annotations":[`;
  for (let id = 1; id <= 860_001; id++)
    yield `${id === 1 ? "" : ","}{"segmentation":[[${outline}]],"area":702.1057499999998,"iscrowd":0,"image_id":${1 + (id % 118_287)},"bbox":[473.07,395.93,38.65,28.67],"category_id":${1 + (id % 80)},"id":${id}}`;
  yield `],"categories":[${Array.from({ length: 80 }, (_, k) => `{"id":${k + 1},"name":"class ${k + 1}"}`).join(",")}]}`;
}

describe("a ground-truth file of several hundred MB", () => {
  it("is read in well under 1.5 GB", () => {
    const reader = new GroundTruthReader();
    const encoder = new TextEncoder();
    let piece: string[] = [];
    let bytes = 0;
    const flush = (): void => {
      const chunk = encoder.encode(piece.join(""));
      bytes += chunk.length;
      reader.push(chunk);
      piece = [];
    };
    for (const text of trainFile()) if (piece.push(text) === 2000) flush();
    flush();
    const truth = reader.finish();
    expect(bytes).toBeGreaterThan(400e6);
    expect(truth.images).toHaveLength(118_287);
    expect(truth.imageIds).toHaveLength(860_001);
    expect(truth.boxes[4 * 860_000 + 2]).toBe(38.65);
    // Peak of the whole test process, in KB.
    expect(process.resourceUsage().maxRSS).toBeLessThan(1_500_000);
  });
});
