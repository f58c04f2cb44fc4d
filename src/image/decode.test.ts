import fc from "fast-check";
import sharp from "sharp";
import { beforeAll, describe, expect, it } from "vitest";
import { ImageError } from "../errors.ts";
import { mutated } from "../testing/mutations.ts";
import { decodePicture } from "./decode.ts";
import { sniffFormat } from "./format.ts";

const width = 48;
const height = 32;
/** Red grows to the right, green downwards. */
const pixels = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
  const [pixel, channel] = [Math.floor(i / 3), i % 3];
  return channel === 0 ? (pixel % width) * 5 : channel === 1 ? Math.floor(pixel / width) * 8 : 128;
});
const plain = () => sharp(pixels, { raw: { width, height, channels: 3 } });
/** Left half transparent black, right half opaque red. */
const halfTransparent = () => {
  const rgba = new Uint8Array(width * height * 4);
  for (let pixel = 0; pixel < width * height; pixel++)
    if (pixel % width >= width / 2) rgba.set([255, 0, 0, 255], pixel * 4);
  return sharp(rgba, { raw: { width, height, channels: 4 } });
};

const encoded: Record<string, Uint8Array> = {};
beforeAll(async () => {
  encoded.jpeg = await plain().jpeg({ quality: 95 }).toBuffer();
  encoded.progressive = await plain().jpeg({ quality: 95, progressive: true }).toBuffer();
  encoded.png = await plain().png().toBuffer();
  encoded.palette = await plain().png({ palette: true }).toBuffer();
  encoded.png16 = await plain().toColourspace("rgb16").png().toBuffer();
  encoded.webp = await plain().webp({ lossless: true }).toBuffer();
  encoded.avif = await plain().avif({ quality: 90 }).toBuffer();
  encoded.gif = await plain().gif().toBuffer();
  encoded.tiff = await plain().tiff({ compression: "lzw" }).toBuffer();
});

const message = (promise: Promise<unknown>) =>
  promise.then(
    () => "decoded",
    (error: unknown) => {
      expect(error).toBeInstanceOf(ImageError);
      expect((error as Error).message).not.toMatch(/[\n\r]/);
      expect((error as ImageError).hint).toBeTruthy();
      return (error as Error).message;
    },
  );

describe("decoding", () => {
  // Largest difference of a channel from the original; lossy formats, palettes and ink colours keep less.
  it.each([
    ["jpeg", 12],
    ["progressive", 12],
    ["png", 0],
    ["palette", 16],
    ["png16", 1],
    ["webp", 0],
    ["avif", 12],
    ["gif", 16],
    ["tiff", 0],
  ])("gives RGB of %s, within %i", async (name, tolerance) => {
    const picture = await decodePicture(encoded[name]!);
    expect([picture.width, picture.height, picture.data.length]).toEqual([width, height, pixels.length]);
    const worst = picture.data.reduce((most, value, i) => Math.max(most, Math.abs(value - pixels[i]!)), 0);
    expect(worst).toBeLessThanOrEqual(tolerance);
  });

  it.each(["jpeg", "png"] as const)("gives three equal channels of a grey %s", async (format) => {
    const grey = await plain().greyscale().toColourspace("b-w").toFormat(format).toBuffer();
    expect((await sharp(grey).metadata()).channels).toBe(1);
    const { data } = await decodePicture(grey);
    expect(data).toHaveLength(width * height * 3);
    for (let at = 0; at < data.length; at += 3)
      expect(data[at] === data[at + 1] && data[at] === data[at + 2]).toBe(true);
  });

  it("gives RGB of CMYK, the right way round (ink colours of strong light do not come back)", async () => {
    const greys = Uint8Array.from({ length: 256 * 3 }, (_, i) => Math.floor(i / 3));
    const ramp = sharp(greys, { raw: { width: 256, height: 1, channels: 3 } }).toColourspace("cmyk");
    const cmyk = await ramp.jpeg({ quality: 100 }).toBuffer();
    expect((await sharp(cmyk).metadata()).space).toBe("cmyk");
    const { data } = await decodePicture(cmyk);
    // Ink and back costs up to 35 of 255 in the shadows; an inverted picture would be 200 off.
    expect(data.every((value, i) => Math.abs(value - greys[i]!) < 40)).toBe(true);
  });

  it("gives 16-bit grey in 8 bits", async () => {
    const grey16 = await plain().greyscale().toColourspace("grey16").png().toBuffer();
    const { data } = await decodePicture(grey16);
    const { data: expected } = await decodePicture(await plain().greyscale().png().toBuffer());
    expect(data.every((value, i) => Math.abs(value - expected[i]!) <= 1)).toBe(true);
  });

  it.each(["png", "webp", "tiff"] as const)("lays a transparent %s over white", async (format) => {
    const encoded = await halfTransparent()
      .toFormat(format, { lossless: true, compression: "lzw" })
      .toBuffer();
    const { data } = await decodePicture(encoded);
    expect(Array.from(data.subarray(0, 3))).toEqual([255, 255, 255]);
    expect(Array.from(data.subarray(-3))).toEqual([255, 0, 0]);
  });

  it("turns a picture as its EXIF orientation says", async () => {
    const turned = await plain().withMetadata({ orientation: 6 }).jpeg({ quality: 95 }).toBuffer();
    const picture = await decodePicture(turned);
    expect([picture.width, picture.height]).toEqual([height, width]);
    // What was bottom left is now top left: no red, much green.
    expect(picture.data[0]).toBeLessThan(20);
    expect(picture.data[1]).toBeGreaterThan(220);
  });

  it("gives the first frame of an animation", async () => {
    const frame = (colour: string) =>
      sharp({ create: { width: 8, height: 8, channels: 3, background: colour } }).png();
    const frames = await Promise.all(["#ff0000", "#0000ff"].map((colour) => frame(colour).toBuffer()));
    const animation = await sharp(frames, { join: { animated: true } })
      .gif()
      .toBuffer();
    expect((await sharp(animation).metadata()).pages).toBe(2);
    const picture = await decodePicture(animation);
    expect([picture.height, ...picture.data.subarray(0, 3)]).toEqual([8, 255, 0, 0]);
  });

  it.each([
    [1, [50], [50, 50, 50]],
    [3, [10, 20, 30], [10, 20, 30]],
    [4, [0, 100, 200, 128], [127, 177, 227]],
  ] as const)("takes pixels of %i channels", async (channels, data, expected) => {
    const picture = await decodePicture({ data: Uint8Array.from(data), width: 1, height: 1, channels });
    expect(Array.from(picture.data)).toEqual(expected);
  });

  it("passes over rubbish after a picture's end, and single damaged bits in a JPEG's data", async () => {
    const rubbish = Buffer.concat([encoded.jpeg!, Buffer.alloc(100, 7)]);
    expect(await decodePicture(rubbish)).toEqual(await decodePicture(encoded.jpeg!));
    const flipped = Uint8Array.from(encoded.jpeg!);
    flipped[flipped.length - 60]! ^= 0x10;
    expect(await decodePicture(flipped)).toMatchObject({ width, height });
  });

  it("takes the smallest and very long pictures", async () => {
    const blank = (w: number, h: number) =>
      sharp({ create: { width: w, height: h, channels: 3, background: "red" } }).png().toBuffer(); // prettier-ignore
    expect(Array.from((await decodePicture(await blank(1, 1))).data)).toEqual([255, 0, 0]);
    expect(await decodePicture(await blank(60_000, 2))).toMatchObject({ width: 60_000, height: 2 });
  });
});

describe("what cannot be decoded", () => {
  it.each(["jpeg", "progressive", "png", "webp", "avif", "gif", "tiff"])(
    "says so of a %s cut short",
    async (name) => {
      const whole = encoded[name]!;
      for (const share of [0.1, 0.5, 0.9])
        expect(
          await message(decodePicture(whole.subarray(0, whole.length * share), { name: "a.x" })),
        ).toMatch(
          /^a\.x (is cut short: its [A-Za-z]+ data ends early or is damaged|has damaged [A-Za-z]+ data.*|is not a picture.*)$/,
        );
    },
  );

  it.each([
    ["", "is empty"],
    ["hello\nworld", "is text, not a picture"],
    ["<!doctype html><p>404", "is text, not a picture"],
    [
      '<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>',
      "is an SVG drawing",
    ],
    ["  <svg/>", "is an SVG drawing"],
    ["BM\0\0\0\0", "is a BMP file, which is not decoded"],
    ["%PDF-1.7\n\0", "is a PDF file, which is not decoded"],
    ["\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is a HEIC picture, which is not decoded"],
    ["\0\0\0\0\0\0\0\0", "is not a picture of a known format"],
  ])("names what %j is", async (text, expected) => {
    const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
    expect(await message(decodePicture(bytes, { name: "a.jpg" }))).toBe(`a.jpg ${expected}`);
  });

  it("refuses a decompression bomb by the size in its header", async () => {
    const bomb = Uint8Array.from(encoded.png!);
    new DataView(bomb.buffer).setUint32(16, 60_000);
    new DataView(bomb.buffer).setUint32(20, 60_000);
    expect(await message(decodePicture(bomb, { name: "bomb.png" }))).toBe(
      "bomb.png has 60000×60000 pixels, more than the limit of 134 million",
    );
    expect(await message(decodePicture(encoded.png!, { maxPixels: 100 }))).toMatch(
      /^the picture has 48×32 pixels/,
    );
  });

  it("refuses pixels that do not fit their size", async () => {
    const raw = (fields: object) => ({
      data: new Uint8Array(12),
      width: 2,
      height: 2,
      channels: 3 as const,
      ...fields,
    });
    expect(await message(decodePicture(raw({ width: 3 })))).toBe(
      "the picture has 12 bytes, not 3 × 2 × 3 = 18",
    );
    expect(await message(decodePicture(raw({ height: 0 })))).toBe("the picture is 2×0 pixels");
    expect(await message(decodePicture(raw({ width: 1e9, height: 1e9 })))).toMatch(/more than the limit/);
    expect(await message(decodePicture(raw({ channels: 2 as 3 })))).toBe("the picture has 2 channels");
  });

  it("never hands anything but a known format to the decoder", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const format = sniffFormat(bytes);
        expect(format === undefined || typeof format === "string").toBe(true);
      }),
    );
    expect(sniffFormat(new TextEncoder().encode("grüße ".repeat(300)))).toBe("text");
  });

  it("is an error of ours, or a picture of the size it claims, for mutated files", async () => {
    const names = ["jpeg", "progressive", "png", "palette", "webp", "gif", "tiff", "avif"];
    const files = fc
      .tuple(fc.constantFrom(...names), fc.nat(999))
      .chain(([name, place]) => mutated(encoded[name]!, [place / 1000, (place + 1) / 1000]));
    await fc.assert(
      fc.asyncProperty(files, async (bytes) => {
        try {
          const { data, width: w, height: h } = await decodePicture(bytes, { maxPixels: 1e6 });
          expect(data).toHaveLength(w * h * 3);
        } catch (error) {
          expect(error).toBeInstanceOf(ImageError);
          expect((error as Error).message).not.toContain("\n");
        }
      }),
      { numRuns: 300 },
    );
  });
});
