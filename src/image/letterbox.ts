import type { Picture } from "./picture.ts";

/** How a picture fits into the network's input. */
export interface LetterboxGeometry {
  /** Pixels of the input to one of the picture; a float32. */
  readonly scale: number;
  /** Pixels of the picture to one of the input: what boxes are multiplied with; a float32. */
  readonly imageScale: number;
  /** Rows and columns that the picture takes, from the top left. */
  readonly height: number;
  readonly width: number;
}

/** What is taken off and divided by, per channel, on 0 to 255. */
export interface Normalisation {
  readonly mean: readonly [red: number, green: number, blue: number];
  readonly std: readonly [red: number, green: number, blue: number];
}

/**
 * Where a picture comes to lie in a network input: as large as fits, its proportions kept, at the top left.
 *
 * Every operation is in float32, the products too, because sizes are cut off to whole numbers: in float64 every third
 * picture would come out a pixel off.
 *
 * @param picture height and width
 * @param target height and width of the input
 * @see automl `dataloader.py: InputProcessor`. Differs: a picture so long that a side would shrink to nothing keeps one
 * pixel of it (there it fails).
 */
export function letterboxGeometry(
  [height, width]: readonly [height: number, width: number],
  [targetHeight, targetWidth]: readonly [height: number, width: number],
): LetterboxGeometry {
  const f = Math.fround;
  const scale = Math.min(f(f(targetHeight) / f(height)), f(f(targetWidth) / f(width)));
  return {
    scale,
    imageScale: f(1 / scale),
    height: Math.max(1, Math.trunc(f(f(height) * scale))),
    width: Math.max(1, Math.trunc(f(f(width) * scale))),
  };
}

/**
 * A picture as the network takes it, the slow and plain way: normalised, resized bilinearly (half-pixel centres, no
 * antialiasing) by {@link letterboxGeometry}, the rest 0, which is the mean colour. The graph does the same by itself;
 * this is what it is held to.
 *
 * @param target height and width of the input
 * @returns `[3, height, width]`, red, green, blue
 * @see automl `dataloader.py: InputProcessor`
 */
export function letterbox(
  picture: Picture,
  target: readonly [height: number, width: number],
  { mean, std }: Normalisation,
): Float64Array {
  const { height, width } = letterboxGeometry([picture.height, picture.width], target);
  const [targetHeight, targetWidth] = target;
  const rows = bilinear(picture.height, height);
  const columns = bilinear(picture.width, width);
  const input = new Float64Array(3 * targetHeight * targetWidth);
  const { data } = picture;
  for (const [y, row] of rows.entries()) {
    const [upper, lower] = [row.low * picture.width, row.high * picture.width];
    for (const [x, { low, high, share }] of columns.entries())
      for (let channel = 0; channel < 3; channel++) {
        const above =
          data[(upper + low) * 3 + channel]! * (1 - share) + data[(upper + high) * 3 + channel]! * share;
        const below =
          data[(lower + low) * 3 + channel]! * (1 - share) + data[(lower + high) * 3 + channel]! * share;
        const value = above * (1 - row.share) + below * row.share;
        input[(channel * targetHeight + y) * targetWidth + x] = (value - mean[channel]!) / std[channel]!;
      }
  }
  return input;
}

/** For each place of an axis: its two neighbours in the source, and the share of the higher. */
function bilinear(from: number, to: number): { low: number; high: number; share: number }[] {
  return Array.from({ length: to }, (_, i) => {
    const place = (i + 0.5) * (from / to) - 0.5;
    const low = Math.floor(place);
    const clamp = (index: number) => Math.min(Math.max(index, 0), from - 1);
    return { low: clamp(low), high: clamp(low + 1), share: place - low };
  });
}
