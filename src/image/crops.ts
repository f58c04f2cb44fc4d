import type { Detection } from "../detection/index.ts";
import { fileNamePart } from "../files/index.ts";
import type { EncodeOptions } from "./encode.ts";
import { encodePicture } from "./encode.ts";
import type { Picture } from "./picture.ts";

/** One object cut out of a picture. */
export interface Crop {
  /** `NAME-INDEX-LABEL.jpg`, a valid file name on any system; the index counts detections from 0. */
  readonly name: string;
  readonly detection: Detection;
  /** The encoded picture. */
  readonly bytes: Uint8Array;
}

/** Settings of {@link cropDetections}. */
export interface CropOptions extends EncodeOptions {
  /** Share of the box's size to add on every side; default 0. */
  readonly margin?: number;
}

/**
 * Every detection cut out, in order, one after another as they are taken. Whole pixels: the smallest rectangle that holds
 * the box, at least one pixel, inside the picture.
 *
 * @param stem the picture's name, for those of the crops
 */
export async function* cropDetections(
  picture: Picture,
  detections: readonly Detection[],
  stem: string,
  options: CropOptions = {},
): AsyncGenerator<Crop> {
  const ending = options.format === undefined || options.format === "jpeg" ? "jpg" : options.format;
  for (const [index, detection] of detections.entries()) {
    const bytes = await encodePicture(cut(picture, detection, options.margin ?? 0), options);
    yield { name: `${stem}-${index}-${fileNamePart(detection.label)}.${ending}`, detection, bytes };
  }
}

function cut(picture: Picture, { box }: Detection, margin: number): Picture {
  const [marginX, marginY] = [(box.xMax - box.xMin) * margin, (box.yMax - box.yMin) * margin];
  const [left, right] = wholePixels(box.xMin - marginX, box.xMax + marginX, picture.width);
  const [top, bottom] = wholePixels(box.yMin - marginY, box.yMax + marginY, picture.height);
  const width = right - left;
  const data = new Uint8Array(width * (bottom - top) * 3);
  for (let row = top; row < bottom; row++) {
    const start = (row * picture.width + left) * 3;
    data.set(picture.data.subarray(start, start + width * 3), (row - top) * width * 3);
  }
  return { data, width, height: bottom - top };
}

/** The pixels that an interval touches, at least one, within 0 to `size`. */
function wholePixels(min: number, max: number, size: number): [start: number, end: number] {
  const start = Math.min(Math.max(Math.floor(min) || 0, 0), size - 1);
  return [start, Math.min(Math.max(Math.ceil(max) || 0, start + 1), size)];
}
