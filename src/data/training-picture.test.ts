import path from "node:path";
import { describe, expect, it } from "vitest";
import { dataFolder } from "../../test/fixtures/data/data-folder.ts";
import { decodePicture } from "../image/decode.ts";
import { decodeTrainingPicture } from "./training-picture.ts";

describe("decodeTrainingPicture", () => {
  it("gives the bytes that inference gets, of colour, grey and turned pictures", async () => {
    const made = { width: 60, height: 40, boxes: [{ xMin: 5, yMin: 5, xMax: 30, yMax: 20 }] };
    const names = {
      "a.jpg": made,
      "b.png": made,
      "grey.jpg": { ...made, grey: true },
      "turned.jpg": { ...made, orientation: 6 },
    };
    const root = await dataFolder(names);
    for (const name of Object.keys(names)) {
      const file = path.join(root, name);
      const [ours, theirs] = await Promise.all([decodeTrainingPicture(file), decodePicture(file)]);
      expect([ours.width, ours.height]).toEqual([theirs.width, theirs.height]);
      expect(Buffer.from(ours.data).equals(Buffer.from(theirs.data))).toBe(true);
    }
  });

  it("reduces only what is longer than asked for", async () => {
    const root = await dataFolder({ "a.jpg": { width: 60, height: 40 } });
    const sizes = await Promise.all([30, 60, 90].map((maxSide) => decodeTrainingPicture(path.join(root, "a.jpg"), { maxSide })));
    expect(sizes.map(({ width, height }) => [width, height])).toEqual([[30, 20], [60, 40], [60, 40]]);
  }); // prettier-ignore
});
