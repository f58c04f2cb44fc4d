import type { Metadata, OutputInfo, SharpOptions } from "sharp";
import { ImageError } from "../errors.ts";
import { decodedFormats, sniffFormat } from "./format.ts";
import type { Picture, RawPicture } from "./picture.ts";
import { loadSharp } from "./sharp-node.ts";
import type { PictureSource } from "./sources-node.ts";
import { readSource } from "./sources-node.ts";
import { isSrgbProfile } from "./srgb-profile.ts";

/** Limits of {@link decodePicture}. */
export interface DecodeOptions {
  /** Most pixels (width × height) that are decoded; default 2²⁷, a square of 11,585: three bytes of memory each. */
  readonly maxPixels?: number;
  /** How long decoding may take; default 60,000. */
  readonly timeoutMs?: number;
  /** What errors call a picture that has no name of its own; default "the picture". */
  readonly name?: string;
  /** Waited for when the size is known and the pixels are not yet decoded: keeps many large pictures apart. */
  readonly admit?: (pixels: number) => Promise<void>;
}

const defaultMaxPixels = 2 ** 27;

/**
 * Decodes a picture as a person sees it: EXIF orientation applied, colours in sRGB, 8 bits, grey and CMYK as RGB; of an
 * animation the first frame; what is transparent over white, as nearly every viewer and page shows it (the colour hidden
 * under full transparency is arbitrary, often black).
 *
 * Decoding runs on the library's own threads and does not block this one.
 *
 * @param source a path, a `file:`, `http:` or `https:` URL, an encoded picture's bytes, or pixels
 * @returns at least 1×1
 * @throws {ImageError} if it cannot be read, is no picture, is of a format that is not decoded (SVG, HEIC, BMP, …), is
 * damaged or cut short, or has more pixels than allowed
 * @throws {MachineError} if the network or the picture library fails
 */
export async function decodePicture(
  source: PictureSource | RawPicture,
  options: DecodeOptions = {},
): Promise<Picture> {
  if (typeof source === "object" && "data" in source) return fromRaw(source, options);
  const { bytes, name } = await readSource(source, options.name);
  const format = sniffFormat(bytes);
  if (!decodedFormats.some((decoded) => decoded === format)) throw refusal(name, bytes, format);
  const sharp = await loadSharp();
  const { maxPixels = defaultMaxPixels, timeoutMs = 60_000 } = options;
  const settings: SharpOptions = {
    failOn: "error",
    limitInputPixels: false,
    pages: 1,
    sequentialRead: true,
  };
  let metadata: Metadata;
  let output: { data: Uint8Array; info: OutputInfo };
  try {
    metadata = await sharp(bytes, settings).metadata();
  } catch (cause) {
    throw damaged(name, format!, cause);
  }
  checkSize(name, metadata.width, metadata.height, maxPixels);
  await options.admit?.(metadata.width * metadata.height);
  try {
    const ignoreIcc = isSrgbProfile(metadata.icc);
    output = await sharp(bytes, { ...settings, limitInputPixels: maxPixels, ignoreIcc })
      .timeout({ seconds: Math.max(1, Math.ceil(timeoutMs / 1000)) })
      .autoOrient()
      .flatten({ background: "#ffffff" })
      .toColourspace("srgb")
      .raw({ depth: "uchar" })
      .toBuffer({ resolveWithObject: true });
  } catch (cause) {
    throw damaged(name, format!, cause);
  }
  const { width, height, channels } = output.info;
  return { data: toRgb(output.data, channels), width, height };
}

function fromRaw({ data, width, height, channels }: RawPicture, options: DecodeOptions): Picture {
  const name = options.name ?? "the picture";
  if (![1, 3, 4].includes(channels))
    throw new ImageError(`${name} has ${channels} channels`, "give grey (1), RGB (3) or RGBA (4)");
  if (!(Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0))
    throw new ImageError(`${name} is ${width}×${height} pixels`, "both are whole numbers above 0");
  checkSize(name, width, height, options.maxPixels ?? defaultMaxPixels);
  if (data.length !== width * height * channels)
    throw new ImageError(
      `${name} has ${data.length} bytes, not ${width} × ${height} × ${channels} = ${width * height * channels}`,
      "give 8 bits per channel, row by row, without padding",
    );
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data.buffer, data.byteOffset, data.length);
  return { data: toRgb(bytes, channels), width, height };
}

/** RGB from grey, grey with alpha, RGB or RGBA (alpha over white); RGB is not copied. */
function toRgb(data: Uint8Array, channels: number): Uint8Array {
  if (channels === 3) return data;
  const pixels = data.length / channels;
  const rgb = new Uint8Array(pixels * 3);
  for (let pixel = 0; pixel < pixels; pixel++) {
    const at = pixel * channels;
    const alpha = channels % 2 === 0 ? data[at + channels - 1]! / 255 : 1;
    for (let c = 0; c < 3; c++)
      rgb[pixel * 3 + c] = Math.round(255 + (data[at + (channels > 2 ? c : 0)]! - 255) * alpha);
  }
  return rgb;
}

function checkSize(name: string, width: number, height: number, maxPixels: number): void {
  if (width * height > maxPixels)
    throw new ImageError(
      `${name} has ${width}×${height} pixels, more than the limit of ${Math.floor(maxPixels / 1e6)} million`,
      "scale it down first (programs: maxPixels)",
    );
}

function refusal(name: string, bytes: Uint8Array, format: string | undefined): ImageError {
  const formats = "JPEG, PNG, WebP, AVIF, GIF or TIFF";
  if (bytes.length === 0)
    return new ImageError(`${name} is empty`, "it may not have been copied or downloaded fully");
  if (format === "svg") return new ImageError(`${name} is an SVG drawing`, `export it as PNG first`);
  if (format === "heic")
    return new ImageError(`${name} is a HEIC picture, which is not decoded`, "save it as JPEG");
  if (format === "bmp" || format === "pdf")
    return new ImageError(
      `${name} is a ${format.toUpperCase()} file, which is not decoded`,
      "save it as PNG or JPEG",
    );
  if (format === "text") return new ImageError(`${name} is text, not a picture`, `give a ${formats} file`);
  return new ImageError(`${name} is not a picture of a known format`, `give a ${formats} file`);
}

/** One sentence from what the decoder said, which is several lines of its own terms. */
function damaged(name: string, format: string, cause: unknown): ImageError {
  const said = cause instanceof Error ? cause.message : String(cause);
  const kind = format === "webp" ? "WebP" : format.toUpperCase();
  const hint = "get it again from its source, or open it in an image editor and save it anew";
  if (/timeout/i.test(said)) return new ImageError(`${name} took too long to decode`, hint, cause);
  if (/pixel limit/i.test(said))
    return new ImageError(
      `${name} has more pixels than the limit`,
      "scale it down first (programs: maxPixels)",
      cause,
    );
  if (
    /premature|truncat|unexpected end|end of (file|data|stream|image)|not enough|incomplete|read error|bad seek|EOF/i.test(
      said,
    )
  )
    return new ImageError(`${name} is cut short: its ${kind} data ends early or is damaged`, hint, cause);
  const line = said.split("\n").find((text) => text.trim() !== "") ?? "";
  const detail = line.replace(
    /^Input (buffer|file) (has corrupt header|contains unsupported image format):?\s*/i,
    "",
  );
  return new ImageError(
    `${name} has damaged ${kind} data${detail === "" ? "" : ` (${detail.trim()})`}`,
    hint,
    cause,
  );
}
