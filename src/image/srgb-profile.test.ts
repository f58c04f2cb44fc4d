import fc from "fast-check";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { mutated } from "../testing/mutations.ts";
import { decodePicture } from "./decode.ts";
import { isSrgbProfile } from "./srgb-profile.ts";

const pixels = Uint8Array.from({ length: 16 * 16 * 3 }, (_, i) => (i * 37) % 256);
const picture = sharp(pixels, { raw: { width: 16, height: 16, channels: 3 } });

const srgb = {
  colorants: [
    [0.43607, 0.22249, 0.01392],
    [0.38515, 0.71687, 0.09708],
    [0.14307, 0.06061, 0.7141],
  ],
  curve: parametric(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045),
};

/** A profile of three colorants, and one curve for all. */
function profile({ colorants, curve }: typeof srgb, extra: readonly string[] = []): Uint8Array {
  const xyz = colorants.map((values) => {
    const tag = new DataView(new ArrayBuffer(20));
    write(tag, 0, "XYZ ");
    values.forEach((value, i) => tag.setInt32(8 + 4 * i, Math.round(value * 65536)));
    return new Uint8Array(tag.buffer);
  });
  const tags: [string, Uint8Array][] = ["r", "g", "b"].flatMap((colour, c) => [
    [`${colour}XYZ`, xyz[c]!] as [string, Uint8Array],
    [`${colour}TRC`, curve] as [string, Uint8Array],
  ]);
  for (const name of extra) tags.push([name, new Uint8Array(32)]);
  const starts = 132 + 12 * tags.length;
  const bytes = new Uint8Array(starts + tags.reduce((sum, [, tag]) => sum + tag.length, 0));
  const view = new DataView(bytes.buffer);
  write(view, 16, "RGB ");
  write(view, 20, "XYZ ");
  view.setUint32(128, tags.length);
  let start = starts;
  for (const [i, [name, tag]] of tags.entries()) {
    write(view, 132 + 12 * i, name);
    view.setUint32(136 + 12 * i, start);
    view.setUint32(140 + 12 * i, tag.length);
    bytes.set(tag, start);
    start += tag.length;
  }
  return bytes;
}

function parametric(...numbers: number[]): Uint8Array {
  const tag = new DataView(new ArrayBuffer(12 + 4 * numbers.length));
  write(tag, 0, "para");
  tag.setUint16(8, 3);
  numbers.forEach((number, i) => tag.setInt32(12 + 4 * i, Math.round(number * 65536)));
  return new Uint8Array(tag.buffer);
}

function table(values: readonly number[]): Uint8Array {
  const tag = new DataView(new ArrayBuffer(12 + 2 * values.length));
  write(tag, 0, "curv");
  tag.setUint32(8, values.length);
  values.forEach((value, i) => tag.setUint16(12 + 2 * i, Math.round(value)));
  return new Uint8Array(tag.buffer);
}

function write(view: DataView, at: number, text: string): void {
  for (const [i, letter] of [...text].entries()) view.setUint8(at + i, letter.charCodeAt(0));
}

const srgbLight = (value: number) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);

describe("a colour profile", () => {
  it("is sRGB by its curve, as formula or as table, and its colorants", () => {
    const points = Array.from({ length: 1024 }, (_, i) => 65535 * srgbLight(i / 1023));
    expect(isSrgbProfile(profile(srgb))).toBe(true);
    expect(isSrgbProfile(profile({ ...srgb, curve: table(points) }))).toBe(true);
  });

  it.each([
    ["another power", { ...srgb, curve: parametric(2.2, 1, 0, 0, 0) }, []],
    ["a mere power", { ...srgb, curve: table([563]) }, []],
    ["a line", { ...srgb, curve: table([]) }, []],
    ["a coarse table", { ...srgb, curve: table([0, 16, 32].map((i) => 65535 * srgbLight(i / 32))) }, []],
    ["another green", { ...srgb, colorants: [srgb.colorants[0]!, [0.2053, 0.6257, 0.0609], srgb.colorants[2]!] }, []], // prettier-ignore
    ["a table beside", srgb, ["A2B0"]],
  ] as const)("is not with %s", (_, parts, extra) => {
    expect(isSrgbProfile(profile(parts as typeof srgb, extra))).toBe(false);
  });

  it("may be damaged in any way", () => {
    fc.assert(fc.property(mutated(profile(srgb)), (bytes) => typeof isSrgbProfile(bytes) === "boolean"));
  });

  it("that is sRGB changes no pixel; others are converted", async () => {
    const [with_, without, p3] = await Promise.all([
      picture.clone().withIccProfile("srgb").png().toBuffer(),
      picture.clone().png().toBuffer(),
      picture.clone().withIccProfile("p3", { attach: true }).png().toBuffer(),
    ]);
    expect(isSrgbProfile((await sharp(with_).metadata()).icc!)).toBe(true);
    expect((await decodePicture(with_)).data).toEqual((await decodePicture(without)).data);
    expect(isSrgbProfile((await sharp(p3).metadata()).icc!)).toBe(false);
    const raw = await sharp(p3, { ignoreIcc: true }).raw().toBuffer();
    const farthest = (data: Uint8Array) => Math.max(...data.map((value, i) => Math.abs(value - pixels[i]!)));
    expect(farthest(raw)).toBeGreaterThan(20);
    expect(farthest((await decodePicture(p3)).data)).toBeLessThan(8);
  });
});
