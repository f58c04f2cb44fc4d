import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { ImageError } from "../errors.ts";
import { drawDetections, drawnPicture } from "./draw-detections.ts";
import { encodePicture, formatOf } from "./encode.ts";
import { palette } from "./palette.ts";

const photo = () => sharp({ create: { width: 300, height: 200, channels: 3, background: "#5a5a5a" } });
const cat = { label: "cat", classId: 1, score: 0.9, box: { xMin: 50, yMin: 60, xMax: 250, yMax: 180 } };

describe("drawing what was found", () => {
  it("gives the bytes of a JPEG of the picture's size, with a line in the class's colour", async () => {
    const bytes = await drawDetections(await photo().png().toBuffer(), [cat]);
    const { data, info } = await sharp(bytes).raw().toBuffer({ resolveWithObject: true });
    expect([info.width, info.height, (await sharp(bytes).metadata()).format]).toEqual([300, 200, "jpeg"]);
    const at = (180 * 300 + 150) * 3;
    palette[1]!.forEach((value, channel) => expect(Math.abs(data[at + channel]! - value)).toBeLessThan(30));
  });
  it("draws on the picture as it is seen, and keeps no metadata of the original", async () => {
    const turned = await photo().withMetadata({ orientation: 6 }).jpeg().toBuffer();
    const metadata = await sharp(await drawDetections(turned, [])).metadata();
    expect(metadata).toMatchObject({ width: 200, height: 300 });
    expect([metadata.orientation, metadata.exif]).toEqual([undefined, undefined]);
  });
  it("leaves the pixels that it is given alone", async () => {
    const raw = {
      data: new Uint8Array(300 * 200 * 3).fill(9),
      width: 300,
      height: 200,
      channels: 3 as const,
    };
    const drawn = await drawDetections(raw, [cat], { format: "png" });
    expect(raw.data.every((value) => value === 9)).toBe(true);
    expect((await sharp(drawn).metadata()).format).toBe("png");
  });
  it("writes scripts that its own font lacks with the system's, or as boxes where it has none", async () => {
    const picture = () => ({ data: new Uint8Array(300 * 200 * 3).fill(90), width: 300, height: 200 });
    const words = await Promise.all(
      ["人", "حافلة", "<b>&人", "\u{1f40e}", "\u0000"].map((label) =>
        drawnPicture(picture(), [{ ...cat, label }]),
      ),
    );
    for (const { data } of words) {
      // The label's colour, above the box.
      const tag = Array.from({ length: 300 * 50 }, (_, i) => i).filter((i) => data[i * 3] === palette[1]![0]);
      expect(tag.length).toBeGreaterThan(100);
    }
  });
  it("says what is wrong with the picture", async () => {
    await expect(drawDetections(new Uint8Array(5), [])).rejects.toBeInstanceOf(ImageError);
  });
});

describe("writing pictures", () => {
  it("takes the format from the name", () => {
    expect(["a.png", "a.WEBP", "a.jpg", "a.jpeg", "a", "a.tiff"].map(formatOf)).toEqual([
      "png",
      "webp",
      "jpeg",
      "jpeg",
      "jpeg",
      "jpeg",
    ]);
  });
  it("refuses what the format cannot hold, and names one that can", async () => {
    const long = { data: new Uint8Array(70_000 * 3), width: 70_000, height: 1 };
    await expect(encodePicture(long)).rejects.toMatchObject({
      message: "a picture of 70000×1 cannot be written as JPEG",
      hint: "its longest side is 65535; write PNG",
    });
    expect((await sharp(await encodePicture(long, { format: "png" })).metadata()).width).toBe(70_000);
  });
});
