import sharp from "sharp";

/** Most pixels that a picture may have: 16,384 squared. Larger ones are refused before anything is allocated. */
export const maxPicturePixels = 0x10000000;

/** What a picture's header says. */
export interface PictureHeader {
  /** Pixels as a person sees the picture. */
  readonly width: number;
  readonly height: number;
  /** EXIF orientation, 1 to 8; 1 is upright. */
  readonly orientation: number;
  readonly channels: number;
  readonly format: string;
}

/**
 * Reads a picture's header, not its pixels.
 *
 * @throws {Error} if the file cannot be read or is no picture that can be decoded
 */
export async function readPictureHeader(file: string): Promise<PictureHeader> {
  const metadata = await sharp(file, { limitInputPixels: maxPicturePixels }).metadata();
  const { width, height, orientation = 1, channels, format } = metadata;
  if (width * height > maxPicturePixels) throw new Error(`${width}×${height} pixels are too many`);
  const turned = orientation >= 5;
  return { width: turned ? height : width, height: turned ? width : height, orientation, channels, format };
}

/** Runs `task` on every item, `width` at a time; results in the items' order. */
export async function mapConcurrently<T, R>(
  items: readonly T[],
  width: number,
  task: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  let next = 0;
  const work = async () => {
    while (next < items.length) {
      const index = next++;
      results[index] = await task(items[index]!, index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, work));
  return results;
}
