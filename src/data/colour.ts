import type { Random } from "../tensor/random.ts";
import type { Normalisation } from "../image/letterbox.ts";
import type { Picture } from "../image/picture.ts";

/** A change of colours: rows R, G, B of three factors and one addend, on values of 0 to 255. */
export type ColourMatrix = readonly [
  number, number, number, number,
  number, number, number, number,
  number, number, number, number,
]; // prettier-ignore

/** How far colours may change; 0 leaves them. */
export interface ColourOptions {
  /** Factor on all colours, 1 ± this. */
  readonly brightness: number;
  /** Factor on the distance from the picture's mean grey, 1 ± this. */
  readonly contrast: number;
  /** Factor on the distance from each pixel's grey, 1 ± this. */
  readonly saturation: number;
  /** Turn of the hue, ± this part of a full circle. */
  readonly hue: number;
}

/** Weights of red, green and blue in grey (ITU-R BT.601, as PIL has them). */
export const greyWeights = [0.299, 0.587, 0.114] as const;

/** A quarter turn of the hue: YIQ's I and Q exchanged, one negated, in RGB. Rows sum to 0, so grey does not turn. */
const quarterTurn = [
  0.16773971, 0.32930952, -0.49704924,
  -0.32811313, 0.03546699, 0.29264614,
  1.2495459, -1.0463392, -0.2032067,
] as const; // prettier-ignore

/**
 * One matrix that changes brightness, contrast, saturation and hue, in this order, by random amounts.
 *
 * @param meanGrey of the picture, 0 to 255, for the contrast
 * @see torchvision `ColorJitter`. Differs: hue turns in the plane across the grey axis of YIQ (one matrix) rather than in
 *   HSV, and colours are clipped once at the end.
 */
export function randomColour(
  { brightness, contrast, saturation, hue }: ColourOptions,
  meanGrey: number,
  random: Random,
): ColourMatrix {
  const around = (reach: number) => Math.max(0, random.uniform(1 - reach, 1 + reach));
  const b = around(brightness);
  const c = around(contrast);
  const s = around(saturation);
  const angle = 2 * Math.PI * random.uniform(-hue, hue);
  // Grey stays; what differs from it is scaled by s and turned.
  const [cos, sin] = [s * Math.cos(angle), s * Math.sin(angle)];
  const turn = quarterTurn.map((quarter, at) => {
    const grey = greyWeights[at % 3]!;
    return grey + ((at % 4 === 0 ? 1 : 0) - grey) * cos + quarter * sin;
  });
  const scale = b * c;
  const addend = b * meanGrey * (1 - c);
  const row = (at: number) => {
    const [x, y, z] = [turn[at]!, turn[at + 1]!, turn[at + 2]!];
    return [x * scale, y * scale, z * scale, (x + y + z) * addend] as const;
  };
  return [...row(0), ...row(3), ...row(6)];
}

/** Mean grey of a picture, 0 to 255, from about a thousand of its pixels. */
export function meanGrey({ data, width, height }: Picture): number {
  const pixels = width * height;
  const step = Math.max(1, Math.floor(pixels / 1021));
  let [sum, count] = [0, 0];
  for (let pixel = 0; pixel < pixels; pixel += step, count++)
    sum +=
      data[pixel * 3]! * greyWeights[0] +
      data[pixel * 3 + 1]! * greyWeights[1] +
      data[pixel * 3 + 2]! * greyWeights[2];
  return count === 0 ? 0 : sum / count;
}

/**
 * Changes the colours of normalised pixels in place, clipped to 0 to 255 before they are normalised again.
 *
 * @param image planes R, G and B of `plane` pixels each
 * @param start first pixel, and `end` the one after the last
 */
export function transformColour(
  image: Float32Array,
  plane: number,
  start: number,
  end: number,
  colour: ColourMatrix,
  { mean, std }: Normalisation,
): void {
  const [rr, rg, rb, r0, gr, gg, gb, g0, br, bg, bb, b0] = colour;
  const [rMean, gMean, bMean] = mean;
  const [rStd, gStd, bStd] = std;
  for (let at = start; at < end; at++) {
    const red = image[at]! * rStd + rMean;
    const green = image[at + plane]! * gStd + gMean;
    const blue = image[at + 2 * plane]! * bStd + bMean;
    const r = rr * red + rg * green + rb * blue + r0;
    const g = gr * red + gg * green + gb * blue + g0;
    const b = br * red + bg * green + bb * blue + b0;
    image[at] = ((r < 0 ? 0 : r > 255 ? 255 : r) - rMean) / rStd;
    image[at + plane] = ((g < 0 ? 0 : g > 255 ? 255 : g) - gMean) / gStd;
    image[at + 2 * plane] = ((b < 0 ? 0 : b > 255 ? 255 : b) - bMean) / bStd;
  }
}
