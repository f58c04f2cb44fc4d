import fc from "fast-check";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import type { Detection } from "../detection/index.ts";
import { EfficientDetError } from "../errors.ts";
import { mutated } from "../testing/mutations.ts";
import { decodePicture } from "./decode.ts";
import { drawnPicture } from "./draw-detections.ts";
import { encodePicture } from "./encode.ts";

const noise = Uint8Array.from({ length: 60 * 44 * 3 }, (_, i) => (Math.imul(i, 2654435761) >>> 24) & 255);
const original = () => sharp(noise, { raw: { width: 60, height: 44, channels: 3 } });
const animation = () => {
  const frames = ["red", "blue"].map((background) => ({
    create: { width: 20, height: 20, channels: 3 as const, background },
  }));
  return Promise.all(frames.map((frame) => sharp(frame).png().toBuffer()));
};
const formats: Record<string, () => Promise<Uint8Array>> = {
  jpeg: () => original().jpeg().toBuffer(),
  "progressive jpeg": () => original().jpeg({ progressive: true }).toBuffer(),
  "jpeg with metadata": () => original().withMetadata({ orientation: 6, icc: "srgb" }).jpeg().toBuffer(),
  "cmyk jpeg": () => original().toColourspace("cmyk").jpeg().toBuffer(),
  png: () => original().png().toBuffer(),
  "palette png": () => original().png({ palette: true }).toBuffer(),
  "16-bit png": () => original().toColourspace("rgb16").png().toBuffer(),
  webp: () => original().webp().toBuffer(),
  "lossless webp": () => original().webp({ lossless: true }).toBuffer(),
  avif: () => original().avif({ effort: 0 }).toBuffer(),
  gif: () => original().gif().toBuffer(),
  "animated gif": async () =>
    sharp(await animation(), { join: { animated: true } })
      .gif()
      .toBuffer(),
  "lzw tiff": () => original().tiff({ compression: "lzw" }).toBuffer(),
  "jpeg tiff": () => original().tiff({ compression: "jpeg" }).toBuffer(),
  "tiled tiff": () => original().tiff({ tile: true, pyramid: true, compression: "deflate" }).toBuffer(),
};

describe("10,000 mutated pictures", () => {
  const runs = Math.ceil(10_000 / Object.keys(formats).length);
  it.each(Object.keys(formats))(
    "of %s are decoded, drawn on and written, or an error of ours in one line",
    async (format) => {
      const bytes = await formats[format]!();
      const box = { xMin: 5, yMin: 5, xMax: 30, yMax: 30 };
      const detections: Detection[] = [{ label: "cat", classId: 1, score: 0.5, box }];
      const files = fc.nat(999).chain((place) => mutated(bytes, [place / 1000, (place + 1) / 1000]));
      let decoded = 0;
      const limits = { maxPixels: 1e6, timeoutMs: 10_000 };
      await fc.assert(
        fc.asyncProperty(files, async (file) => {
          try {
            const picture = await decodePicture(file, limits);
            decoded++;
            expect(picture.data).toHaveLength(picture.width * picture.height * 3);
            const drawn = await encodePicture(await drawnPicture(picture, detections), { format: "png" });
            expect((await sharp(drawn).metadata()).width).toBe(picture.width);
          } catch (error) {
            if (!(error instanceof EfficientDetError)) throw error;
            expect(error.message).not.toMatch(/[\n\r]/);
            expect(error.hint).toBeTruthy();
          }
        }),
        { numRuns: runs },
      );
      // Else the mutations are too coarse to reach the decoder.
      expect(decoded).toBeGreaterThan(runs / 100);
    },
  );
});
