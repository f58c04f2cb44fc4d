import type { Detection } from "../detection/index.ts";
import type { DecodeOptions } from "./decode.ts";
import { decodePicture } from "./decode.ts";
import type { DrawOptions, TextMask } from "./draw.ts";
import { drawingSizes, drawOnto } from "./draw.ts";
import type { EncodeOptions } from "./encode.ts";
import { encodePicture } from "./encode.ts";
import { canSet, singleLine } from "./font.ts";
import type { Picture, RawPicture } from "./picture.ts";
import { loadSharp } from "./sharp-node.ts";
import type { PictureSource } from "./sources-node.ts";

/** Settings of {@link drawDetections}. */
export interface DrawDetectionsOptions extends DrawOptions, EncodeOptions, DecodeOptions {}

/**
 * The picture with what was found drawn on it: boxes in the colour of their class, names and scores.
 *
 * @param source as for {@link decodePicture}; the given pixels are not changed
 * @returns the bytes of a JPEG, or of `options.format`
 * @throws {ImageError} if the picture cannot be decoded
 */
export async function drawDetections(
  source: PictureSource | RawPicture,
  detections: readonly Detection[],
  options: DrawDetectionsOptions = {},
): Promise<Uint8Array> {
  const picture = await decodePicture(source, options);
  const own = typeof source === "object" && "data" in source && picture.data === source.data;
  return encodePicture(await drawnPicture(own ? { ...picture, data: picture.data.slice() } : picture, detections, options), options); // prettier-ignore
}

/** Draws onto decoded pixels, in place, and gives the picture back; as {@link drawDetections}, without files. */
export async function drawnPicture(
  picture: Picture,
  detections: readonly Detection[],
  options: DrawOptions = {},
): Promise<Picture> {
  const { fontSize } = drawingSizes(picture, options);
  const masks = new Map<string, TextMask>();
  if (options.labels !== false)
    for (const label of new Set(detections.map((detection) => detection.label)))
      if (!canSet(singleLine(label))) {
        const mask = await systemText(label, fontSize, picture.width);
        if (mask !== undefined) masks.set(label, mask);
      }
  drawOnto(picture, detections, options, masks);
  return picture;
}

/**
 * A word in whatever font the system has for its script; where it has none, its renderer draws boxes, as our own font
 * would. Undefined if there is nothing to see or it is taller than a label.
 */
async function systemText(label: string, fontSize: number, widest: number): Promise<TextMask | undefined> {
  const plain = [...singleLine(label)].slice(0, 60).join("");
  const markup = plain.replace(
    /[&<>]/g,
    (character) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[character]!,
  );
  const sharp = await loadSharp();
  try {
    const { data, info } = await sharp({
      text: { text: markup, font: `sans ${fontSize}`, dpi: 72, rgba: true },
    })
      .extractChannel("alpha")
      .raw({ depth: "uchar" })
      .toBuffer({ resolveWithObject: true });
    if (info.height > fontSize * 1.5 || info.width > widest) return undefined;
    return { data, width: info.width, height: info.height };
  } catch {
    return undefined; // nothing to see: a label of spaces, say
  }
}
