import type { Random } from "../tensor/random.ts";
import type { Size } from "./sample.ts";

/** A rectangle to erase; see {@link eraseRectangle}. */
export interface ErasingOptions {
  /** Its share of the input's area, at least and at most. */
  readonly minArea: number;
  readonly maxArea: number;
  /** The mean colour, or noise of the normal distribution in each pixel. */
  readonly fill: "mean" | "noise";
}

/** Smallest and largest ratio of height to width. */
const aspects = [0.3, 1 / 0.3] as const;

/**
 * Erases a random rectangle of a normalised image in place, whether there are objects in it or not.
 *
 * @param image `[3, height, width]`
 * @see Zhong et al. 2017; timm `RandomErasing`, as effdet uses it. Differs: nothing but the names of the fills.
 */
export function eraseRectangle(
  image: Float32Array,
  { height, width }: Size,
  { minArea, maxArea, fill }: ErasingOptions,
  random: Random,
): void {
  for (let attempt = 0; attempt < 10; attempt++) {
    const area = random.uniform(minArea, maxArea) * height * width;
    const aspect = Math.exp(random.uniform(Math.log(aspects[0]), Math.log(aspects[1])));
    const h = Math.round(Math.sqrt(area * aspect));
    const w = Math.round(Math.sqrt(area / aspect));
    if (h >= height || w >= width || h === 0 || w === 0) continue;
    const top = random.integer(height - h + 1);
    const left = random.integer(width - w + 1);
    for (let channel = 0; channel < 3; channel++)
      for (let y = top; y < top + h; y++) {
        const start = (channel * height + y) * width + left;
        if (fill === "mean") image.fill(0, start, start + w);
        else for (let at = start; at < start + w; at++) image[at] = random.normal();
      }
    return;
  }
}
