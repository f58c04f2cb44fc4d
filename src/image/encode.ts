import { MachineError } from "../errors.ts";
import type { Picture } from "./picture.ts";
import { loadSharp } from "./sharp-node.ts";

/** Formats that pictures are written in. */
export type EncodedFormat = "jpeg" | "png" | "webp";

/** How {@link encodePicture} writes. */
export interface EncodeOptions {
  /** Default "jpeg". */
  readonly format?: EncodedFormat;
  /** Of JPEG and WebP, 1 to 100; default 92. */
  readonly quality?: number;
}

/** Sides that the formats can hold. */
const longestSide = { jpeg: 65_535, webp: 16_383, png: 2 ** 31 - 1 } as const;

/** The format that a file's name asks for by its ending; "jpeg" for others. */
export function formatOf(file: string): EncodedFormat {
  const ending = /\.(png|webp)$/i.exec(file)?.[1]?.toLowerCase();
  return (ending as EncodedFormat | undefined) ?? "jpeg";
}

/**
 * The bytes of a picture file. JPEG keeps colour at full resolution, so that thin lines and text stay sharp; no metadata
 * of the original (place, camera) goes into it.
 *
 * @throws {MachineError} if the picture is larger than the format can hold, or memory is short
 */
export async function encodePicture(picture: Picture, options: EncodeOptions = {}): Promise<Uint8Array> {
  const { format = "jpeg", quality = 92 } = options;
  const { data, width, height } = picture;
  if (Math.max(width, height) > longestSide[format])
    throw new MachineError(
      `a picture of ${width}×${height} cannot be written as ${format.toUpperCase()}`,
      `its longest side is ${longestSide[format]}; write PNG`,
    );
  const sharp = await loadSharp();
  const image = sharp(data, { raw: { width, height, channels: 3 }, limitInputPixels: false });
  try {
    if (format === "png") return await image.png().toBuffer();
    if (format === "webp") return await image.webp({ quality }).toBuffer();
    return await image.jpeg({ quality, chromaSubsampling: "4:4:4" }).toBuffer();
  } catch (cause) {
    throw new MachineError(
      `a picture of ${width}×${height} cannot be written: ${(cause as Error).message}`,
      undefined,
      cause,
    );
  }
}
