import type { Random } from "../tensor/random.ts";
import type { Placement } from "./placement.ts";
import type { Size } from "./sample.ts";

/** Four pictures in one; see {@link mosaicPlacements}. */
export interface MosaicOptions {
  /** The lines between the pictures lie at `margin` to `1 - margin` of the input. */
  readonly margin: number;
  /** Each picture is scaled so that it fits `min` to `max` times the input. */
  readonly min: number;
  readonly max: number;
}

/**
 * Places four pictures around a random point of the input: top left, top right, bottom left, bottom right. Each keeps its
 * proportions and touches the point with a corner; what reaches beyond its quarter is cut off, and what a small one
 * leaves free stays empty.
 *
 * @see Bochkovskiy et al. 2020 (YOLOv4). Differs from automl's `mosaic.py`, which stretches every picture to its quarter.
 */
export function mosaicPlacements(
  pictures: readonly [Size, Size, Size, Size],
  input: Size,
  { margin, min, max }: MosaicOptions,
  random: Random,
): Placement[] {
  const centreX = Math.round(input.width * random.uniform(margin, 1 - margin));
  const centreY = Math.round(input.height * random.uniform(margin, 1 - margin));
  return pictures.map((picture, corner) => {
    const fit =
      Math.min(input.height / picture.height, input.width / picture.width) * random.uniform(min, max);
    const scaledWidth = Math.max(1, Math.round(picture.width * fit));
    const scaledHeight = Math.max(1, Math.round(picture.height * fit));
    const right = corner % 2 === 1;
    const below = corner >= 2;
    return {
      flipX: false,
      flipY: false,
      scaledWidth,
      scaledHeight,
      left: right ? centreX : centreX - scaledWidth,
      top: below ? centreY : centreY - scaledHeight,
      window: {
        xMin: right ? centreX : 0,
        xMax: right ? input.width : centreX,
        yMin: below ? centreY : 0,
        yMax: below ? input.height : centreY,
      },
    };
  });
}
