/** Formats that are decoded. */
export const decodedFormats = ["jpeg", "png", "webp", "avif", "gif", "tiff"] as const;

/** Endings of file names that a folder is searched for. */
export const pictureEndings = [
  ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".avif", ".gif", ".tif", ".tiff",
] as const; // prettier-ignore

/** What a file is by its first bytes; `undefined` if nothing known. */
export type SniffedFormat =
  (typeof decodedFormats)[number] | "heic" | "svg" | "bmp" | "pdf" | "text" | undefined;

/**
 * The format of a file by its first bytes, whatever its name says. Only what is recognised here is handed to a decoder,
 * so that no other of its many readers (SVG among them, which is a program as much as a picture) ever sees a file.
 */
export function sniffFormat(bytes: Uint8Array): SniffedFormat {
  const latin = (start: number, end: number) => String.fromCharCode(...bytes.subarray(start, end));
  if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return "jpeg";
  if (latin(0, 8) === "\x89PNG\r\n\x1a\n") return "png";
  if (/^GIF8[79]a$/.test(latin(0, 6))) return "gif";
  if (latin(0, 4) === "RIFF" && latin(8, 12) === "WEBP") return "webp";
  if (["II*\0", "MM\0*", "II+\0", "MM\0+"].includes(latin(0, 4))) return "tiff";
  if (latin(4, 8) === "ftyp") return isobmffFormat(latin(8, 64));
  if (latin(0, 2) === "BM") return "bmp";
  if (latin(0, 5) === "%PDF-") return "pdf";
  const head = new TextDecoder().decode(bytes.subarray(0, 1024)).trimStart();
  if (/^(<\?xml|<!doctype|<!--|<svg)/i.test(head) && /<svg/i.test(head)) return "svg";
  // Text has no zero bytes, and reads as UTF-8 but for a character cut off at the end.
  if (head.length > 0 && !head.includes("\0") && !head.slice(0, -3).includes("\ufffd")) return "text";
  return undefined;
}

/** By the brands of the first box: AV1 pictures are decoded, HEVC ones (most phones' HEIC) are not. */
function isobmffFormat(brands: string): SniffedFormat {
  if (/avi[fs]/.test(brands)) return "avif";
  return /hei[cxms]|hev[cx]|mif1|msf1/.test(brands) ? "heic" : undefined;
}
