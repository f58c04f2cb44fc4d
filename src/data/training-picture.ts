import sharp, { type SharpOptions } from "sharp";
import { ImageError } from "../errors.ts";
import { maxPicturePixels } from "./picture-header.ts";
import type { Picture } from "../image/picture.ts";
import { isSrgbProfile } from "../image/srgb-profile.ts";

/**
 * Decodes a picture file to learn from: RGB bytes, upright as its EXIF orientation says, grey as RGB, transparency over
 * white, of several frames the first; the same bytes as inference gets (`decodePicture` of the images), but a file cut
 * short gives what there is of it, and large photographs may be reduced.
 *
 * @param options.maxSide a longer picture is reduced to this many pixels while it is decoded (large photographs take a
 *   fraction of the time so); default: never
 * @throws {ImageError} if it cannot be decoded
 */
export async function decodeTrainingPicture(
  file: string,
  options: { readonly maxSide?: number } = {},
): Promise<Picture> {
  const { maxSide = Infinity } = options;
  try {
    const settings: SharpOptions = { failOn: "none", limitInputPixels: maxPicturePixels };
    const { icc } = await sharp(file, settings).metadata();
    let pipeline = sharp(file, { ...settings, ignoreIcc: isSrgbProfile(icc) }).autoOrient();
    if (Number.isFinite(maxSide))
      pipeline = pipeline.resize(maxSide, maxSide, { fit: "inside", withoutEnlargement: true });
    const { data, info } = await pipeline
      .flatten({ background: "#ffffff" })
      .toColourspace("srgb")
      .raw({ depth: "uchar" })
      .toBuffer({ resolveWithObject: true });
    if (info.channels !== 3) throw new Error(`${info.channels} channels`);
    return { width: info.width, height: info.height, data };
  } catch (error) {
    const reason = (error as Error).message.split("\n")[0];
    throw new ImageError(
      `${file} cannot be decoded (${reason})`,
      "replace the picture, or take it out of the data",
      error,
    );
  }
}
