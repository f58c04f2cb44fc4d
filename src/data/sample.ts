import type { Box } from "../detection/boxes.ts";
import type { Picture } from "../image/picture.ts";

/** An object to learn: its class and where it is, in pixels of the picture beside it. */
export interface LabelledBox {
  readonly classIndex: number;
  readonly box: Box;
}

/** A picture with its objects. */
export interface Sample {
  readonly picture: Picture;
  readonly objects: readonly LabelledBox[];
}

/** Height and width, in pixels. */
export interface Size {
  readonly height: number;
  readonly width: number;
}

/** Width times height; negative if exactly one of them is. */
export function areaOf({ xMin, yMin, xMax, yMax }: Box): number {
  return (xMax - xMin) * (yMax - yMin);
}
