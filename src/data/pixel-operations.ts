import type { Box } from "../detection/boxes.ts";
import { greyWeights } from "./colour.ts";
import type { Picture } from "../image/picture.ts";

/** A rectangle of a picture that operations change in place; whole pixels, inside the picture. */
export interface Region {
  readonly picture: Picture;
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** What fills pixels that no part of the picture came to. */
export const fillGrey = 128;

/** All of a picture. */
export function wholeRegion(picture: Picture): Region {
  return { picture, left: 0, top: 0, width: picture.width, height: picture.height };
}

/** The pixels of a box, at least one if it touches the picture. */
export function boxRegion(picture: Picture, box: Box): Region {
  const within = (value: number, length: number) => Math.min(Math.max(Math.trunc(value), 0), length - 1);
  const left = within(box.xMin, picture.width);
  const top = within(box.yMin, picture.height);
  return {
    picture,
    left,
    top,
    width: within(box.xMax, picture.width) - left + 1,
    height: within(box.yMax, picture.height) - top + 1,
  };
}

/** Calls back with the offset of every pixel's red byte. */
function eachPixel({ picture, left, top, width, height }: Region, visit: (offset: number) => void): void {
  for (let y = top; y < top + height; y++) {
    let offset = (y * picture.width + left) * 3;
    for (let x = 0; x < width; x++, offset += 3) visit(offset);
  }
}

/** Replaces every value of a channel by what a table of 256 says, one table for all or one for each channel. */
function lookUp(region: Region, tables: readonly [Uint8Array, Uint8Array, Uint8Array]): void {
  const { data } = region.picture;
  const [red, green, blue] = tables;
  eachPixel(region, (at) => {
    data[at] = red[data[at]!]!;
    data[at + 1] = green[data[at + 1]!]!;
    data[at + 2] = blue[data[at + 2]!]!;
  });
}

function tableOf(value: (old: number) => number): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, old) => Math.min(Math.max(Math.trunc(value(old)), 0), 255));
}

function sameForAll(value: (old: number) => number): readonly [Uint8Array, Uint8Array, Uint8Array] {
  const table = tableOf(value);
  return [table, table, table];
}

function histograms(region: Region): [Uint32Array, Uint32Array, Uint32Array] {
  const { data } = region.picture;
  const counts = [new Uint32Array(256), new Uint32Array(256), new Uint32Array(256)] as [Uint32Array, Uint32Array, Uint32Array]; // prettier-ignore
  eachPixel(region, (at) => {
    for (let channel = 0; channel < 3; channel++) counts[channel]![data[at + channel]!]!++;
  });
  return counts;
}

/** Stretches each channel so that its darkest value becomes 0 and its brightest 255. */
export function autoContrast(region: Region): void {
  const tables = histograms(region).map((counts) => {
    const low = counts.findIndex((count) => count > 0);
    const high = counts.findLastIndex((count) => count > 0);
    return tableOf((old) => (high > low ? ((old - low) * 255) / (high - low) : old));
  });
  lookUp(region, tables as [Uint8Array, Uint8Array, Uint8Array]);
}

/** Spreads each channel's values so that all are about equally frequent (PIL's rule). */
export function equalize(region: Region): void {
  const tables = histograms(region).map((counts) => {
    const total = region.width * region.height;
    const last = counts[counts.findLastIndex((count) => count > 0)] ?? 0;
    const step = Math.floor((total - last) / 255);
    if (step === 0) return tableOf((old) => old);
    const table = new Uint8Array(256);
    for (let value = 0, sum = Math.floor(step / 2); value < 256; sum += counts[value++]!)
      table[value] = Math.min(255, Math.floor(sum / step));
    return table;
  });
  lookUp(region, tables as [Uint8Array, Uint8Array, Uint8Array]);
}

/** Keeps the upper `bits` bits of every value, at least one. */
export function posterize(region: Region, bits: number): void {
  const shift = Math.min(7, 8 - bits);
  lookUp(region, sameForAll((old) => (old >> shift) << shift)); // prettier-ignore
}

/** Inverts values from `threshold` on. */
export function solarize(region: Region, threshold: number): void {
  lookUp(region, sameForAll((old) => (old < threshold ? old : 255 - old))); // prettier-ignore
}

/** Adds to values below 128. */
export function solarizeAdd(region: Region, addition: number): void {
  lookUp(region, sameForAll((old) => (old < 128 ? old + addition : old))); // prettier-ignore
}

/** Multiplies all values: 0 is black, 1 leaves them. */
export function changeBrightness(region: Region, factor: number): void {
  lookUp(region, sameForAll((old) => old * factor)); // prettier-ignore
}

/** Moves all values from the region's mean grey: 0 is that grey, 1 leaves them. */
export function changeContrast(region: Region, factor: number): void {
  const [red, green, blue] = histograms(region);
  const mean = (counts: Uint32Array) => counts.reduce((sum, count, value) => sum + count * value, 0);
  const pixels = Math.max(1, region.width * region.height);
  const grey =
    (mean(red) * greyWeights[0] + mean(green) * greyWeights[1] + mean(blue) * greyWeights[2]) / pixels;
  lookUp(region, sameForAll((old) => grey + (old - grey) * factor)); // prettier-ignore
}

/** Moves every pixel from its own grey: 0 is a grey picture, 1 leaves it. */
export function changeSaturation(region: Region, factor: number): void {
  const { data } = region.picture;
  eachPixel(region, (at) => {
    const grey = data[at]! * greyWeights[0] + data[at + 1]! * greyWeights[1] + data[at + 2]! * greyWeights[2];
    for (let channel = at; channel < at + 3; channel++)
      data[channel] = toByte(grey + (data[channel]! - grey) * factor);
  });
}

/** Moves every pixel from the mean of its surroundings (a 3×3 kernel, 5 in the middle): 0 blurs, 1 leaves it. */
export function changeSharpness(region: Region, factor: number): void {
  const { data, width } = region.picture;
  const old = data.slice();
  const inner = {
    ...region,
    left: region.left + 1,
    top: region.top + 1,
    width: region.width - 2,
    height: region.height - 2,
  };
  const row = width * 3;
  eachPixel(inner, (pixel) => {
    for (let at = pixel; at < pixel + 3; at++) {
      const around =
        old[at - row - 3]! + old[at - row]! + old[at - row + 3]! + old[at - 3]! +
        old[at + 3]! + old[at + row - 3]! + old[at + row]! + old[at + row + 3]!; // prettier-ignore
      const smooth = Math.trunc((around + 5 * old[at]!) / 13);
      data[at] = toByte(smooth + (old[at]! - smooth) * factor);
    }
  });
}

/** Fills a rectangle around a point with grey, as far as it lies in the region. */
export function fillRectangle(
  region: Region,
  centreX: number,
  centreY: number,
  halfWidth: number,
  halfHeight: number,
): void {
  const left = Math.max(region.left, centreX - halfWidth);
  const top = Math.max(region.top, centreY - halfHeight);
  const width = Math.min(region.left + region.width, centreX + halfWidth) - left;
  const height = Math.min(region.top + region.height, centreY + halfHeight) - top;
  const { data } = region.picture;
  eachPixel({ ...region, left, top, width, height }, (at) => data.fill(fillGrey, at, at + 3));
}

/** Where a pixel of a result comes from: `(xx · px + xy · py + x, yx · px + yy · py + y)`, from the region's corner. */
export interface AffineMap {
  readonly xx: number;
  readonly xy: number;
  readonly x: number;
  readonly yx: number;
  readonly yy: number;
  readonly y: number;
}

/** The map that leaves every pixel where it is. */
export const identityMap: AffineMap = { xx: 1, xy: 0, x: 0, yx: 0, yy: 1, y: 0 };

/** Mirrors the region left to right. */
export function mirror(region: Region): void {
  warp(region, { ...identityMap, xx: -1, x: region.width - 1 });
}

/** Moves pixels about inside the region (the nearest is taken); what comes from outside the region becomes grey. */
export function warp({ picture, left, top, width, height }: Region, map: AffineMap): void {
  const { data } = picture;
  const old = data.slice();
  for (let y = 0; y < height; y++) {
    let to = ((top + y) * picture.width + left) * 3;
    const startX = map.xy * y + map.x + 0.5;
    const startY = map.yy * y + map.y + 0.5;
    for (let x = 0; x < width; x++, to += 3) {
      const column = Math.floor(startX + map.xx * x);
      const line = Math.floor(startY + map.yx * x);
      if (column >= 0 && column < width && line >= 0 && line < height) {
        const from = ((top + line) * picture.width + left + column) * 3;
        data[to] = old[from]!;
        data[to + 1] = old[from + 1]!;
        data[to + 2] = old[from + 2]!;
      } else {
        data[to] = fillGrey;
        data[to + 1] = fillGrey;
        data[to + 2] = fillGrey;
      }
    }
  }
}

function toByte(value: number): number {
  return value < 0 ? 0 : value > 255 ? 255 : Math.trunc(value);
}
