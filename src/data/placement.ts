import type { Box } from "../detection/boxes.ts";
import type { Random } from "../tensor/random.ts";
import { transformColour, type ColourMatrix } from "./colour.ts";
import { letterboxGeometry, type Normalisation } from "../image/letterbox.ts";
import type { Picture } from "../image/picture.ts";
import { areaOf, type LabelledBox, type Size } from "./sample.ts";

/**
 * Where a picture comes to lie on the network's input: mirrored, scaled to `scaledWidth` × `scaledHeight`, moved by
 * `left`, `top` (negative where it is cropped), and shown only inside `window`.
 */
export interface Placement {
  readonly flipX: boolean;
  readonly flipY: boolean;
  readonly scaledWidth: number;
  readonly scaledHeight: number;
  /** Place of the scaled picture's first pixel on the input. */
  readonly left: number;
  readonly top: number;
  /** Part of the input that the picture may fill; whole pixels. */
  readonly window: Box;
}

/**
 * The whole picture, as large as fits, in the top left corner: how a picture is shown to the network in inference;
 * see `letterboxGeometry`.
 */
export function letterbox(picture: Size, input: Size): Placement {
  return { flipX: false, flipY: false, ...fitted(picture, input), left: 0, top: 0, window: whole(input) };
}

/** Scale jitter with crop; see {@link jitter}. */
export interface JitterOptions {
  /** The picture is scaled to fit `min` to `max` times the input. */
  readonly min: number;
  readonly max: number;
}

/**
 * The picture at a random size, and of one larger than the input a random part.
 *
 * @see automl `dataloader.py: set_training_random_scale_factors`. Differs: nothing.
 */
export function jitter(picture: Size, input: Size, { min, max }: JitterOptions, random: Random): Placement {
  const { fround, trunc } = Math;
  const factor = fround(random.uniform(min, max));
  const target = { height: trunc(fround(factor * input.height)), width: trunc(fround(factor * input.width)) };
  const size = fitted(picture, target);
  const offsetY = trunc(Math.max(0, size.scaledHeight - input.height) * random.uniform());
  const offsetX = trunc(Math.max(0, size.scaledWidth - input.width) * random.uniform());
  return { flipX: false, flipY: false, ...size, left: 0 - offsetX, top: 0 - offsetY, window: whole(input) };
}

function fitted(picture: Size, target: Size): { scaledHeight: number; scaledWidth: number } {
  const { height, width } = letterboxGeometry([picture.height, picture.width], [target.height, target.width]);
  return { scaledHeight: height, scaledWidth: width };
}

function whole({ height, width }: Size): Box {
  return { xMin: 0, yMin: 0, xMax: width, yMax: height };
}

/**
 * Objects of a picture where they come to lie on the input, in its pixels, clipped to what is shown of the picture but
 * its last row and column; those of which nothing is left are left out.
 *
 * @param options.minVisible share of an object's area that must be left; default 0
 * @see automl `dataloader.py: resize_and_crop_boxes`. Differs: nothing with `minVisible` 0 and the input as window.
 */
export function placeObjects(
  objects: readonly LabelledBox[],
  picture: Size,
  placement: Placement,
  options: { readonly minVisible?: number } = {},
): LabelledBox[] {
  const { minVisible = 0 } = options;
  const { window, scaledWidth, scaledHeight, left, top, flipX, flipY } = placement;
  const [sx, sy] = [scaledWidth / picture.width, scaledHeight / picture.height];
  return objects.flatMap(({ classIndex, box }) => {
    const [x0, x1] = flipX ? [picture.width - box.xMax, picture.width - box.xMin] : [box.xMin, box.xMax];
    const [y0, y1] = flipY ? [picture.height - box.yMax, picture.height - box.yMin] : [box.yMin, box.yMax];
    const placed = { xMin: x0 * sx + left, yMin: y0 * sy + top, xMax: x1 * sx + left, yMax: y1 * sy + top };
    const seen = {
      xMin: clamp(placed.xMin, window.xMin, window.xMax - 1),
      yMin: clamp(placed.yMin, window.yMin, window.yMax - 1),
      xMax: clamp(placed.xMax, window.xMin, window.xMax - 1),
      yMax: clamp(placed.yMax, window.yMin, window.yMax - 1),
    };
    const visible = areaOf(seen);
    return visible > 0 && visible >= minVisible * areaOf(placed) ? [{ classIndex, box: seen }] : [];
  });
}

/**
 * Draws a picture into the network's input, normalised: bilinear with half-pixel centres, without antialiasing. What the
 * picture does not cover is left as it is (0 is the mean colour).
 *
 * @param input `[3, height, width]`, the planes R, G and B
 * @param options.colour applied to the colours before they are normalised
 * @see `tf.image.resize`, as automl uses it. Differs: nothing.
 */
export function renderPicture(
  picture: Picture,
  placement: Placement,
  input: Float32Array,
  size: Size,
  options: { readonly normalisation: Normalisation; readonly colour?: ColourMatrix },
): void {
  const { window, scaledWidth, scaledHeight, left, top, flipX, flipY } = placement;
  const { data } = picture;
  const xStart = Math.max(window.xMin, left);
  const xEnd = Math.min(window.xMax, left + scaledWidth);
  const yStart = Math.max(window.yMin, top);
  const yEnd = Math.min(window.yMax, top + scaledHeight);
  if (xEnd <= xStart || yEnd <= yStart) return;
  const columns = taps(xStart - left, xEnd - xStart, picture.width, scaledWidth, flipX);
  const rows = taps(yStart - top, yEnd - yStart, picture.height, scaledHeight, flipY);
  const plane = size.height * size.width;
  const stride = picture.width * 3;
  const { mean, std } = options.normalisation;
  const [rMean, gMean, bMean] = mean;
  const [rScale, gScale, bScale] = [1 / std[0], 1 / std[1], 1 / std[2]];
  const count = xEnd - xStart;
  for (let x = 0; x < count; x++) {
    columns.first[x]! *= 3;
    columns.second[x]! *= 3;
  }
  const { first, second, weight } = columns;
  for (let row = 0; row < yEnd - yStart; row++) {
    const upper = rows.first[row]! * stride;
    const lower = rows.second[row]! * stride;
    const wy = rows.weight[row]!;
    const start = (yStart + row) * size.width + xStart;
    for (let x = 0, at = start; x < count; x++, at++) {
      const a = upper + first[x]!;
      const b = upper + second[x]!;
      const c = lower + first[x]!;
      const d = lower + second[x]!;
      const w11 = weight[x]! * wy;
      const w01 = weight[x]! - w11;
      const w10 = wy - w11;
      const w00 = 1 - weight[x]! - w10;
      const red = data[a]! * w00 + data[b]! * w01 + data[c]! * w10 + data[d]! * w11;
      const green = data[a + 1]! * w00 + data[b + 1]! * w01 + data[c + 1]! * w10 + data[d + 1]! * w11;
      const blue = data[a + 2]! * w00 + data[b + 2]! * w01 + data[c + 2]! * w10 + data[d + 2]! * w11;
      input[at] = (red - rMean) * rScale;
      input[at + plane] = (green - gMean) * gScale;
      input[at + 2 * plane] = (blue - bMean) * bScale;
    }
    if (options.colour !== undefined)
      transformColour(input, plane, start, start + count, options.colour, options.normalisation);
  }
}

interface Taps {
  readonly first: Int32Array;
  readonly second: Int32Array;
  /** Of the second; the first has the rest. */
  readonly weight: Float32Array;
}

/** The two source pixels of each of `count` scaled pixels from `start` on, neighbours beyond the edge clamped. */
function taps(start: number, count: number, length: number, scaledLength: number, flip: boolean): Taps {
  const result = {
    first: new Int32Array(count),
    second: new Int32Array(count),
    weight: new Float32Array(count),
  };
  for (let at = 0; at < count; at++) {
    const source = ((start + at + 0.5) * length) / scaledLength - 0.5;
    const floor = Math.floor(source);
    const first = clamp(floor, 0, length - 1);
    const second = clamp(floor + 1, 0, length - 1);
    result.first[at] = flip ? length - 1 - first : first;
    result.second[at] = flip ? length - 1 - second : second;
    result.weight[at] = source - floor;
  }
  return result;
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}
