import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import sharp from "sharp";
import { mapConcurrently, maxPicturePixels } from "./picture-header.ts";

/** Groups of files with the same bytes, each sorted; files that cannot be read are in none. */
export async function findTwins(files: readonly string[]): Promise<string[][]> {
  const sizes = await mapConcurrently(
    files,
    16,
    async (file) => (await stat(file).catch(() => undefined))?.size,
  );
  const candidates = groups(files, (_, at) => sizes[at]?.toString()).flat(); // only files of one size can be the same
  const hashes = await mapConcurrently(
    candidates,
    4,
    async (file) => await hashOf(file).catch(() => undefined),
  );
  return groups(candidates, (_, at) => hashes[at]);
}

/** What decoding every picture tells. */
export interface DecodeCheck {
  /** Files that cannot be decoded to the end, and why. */
  readonly broken: readonly { readonly file: string; readonly message: string }[];
  /** Groups of pictures that look the same at 16 × 16 grey pixels, each sorted; not looked for among very many. */
  readonly lookAlikes: readonly (readonly string[])[];
}

/** More pictures than this are not compared with each other. */
const maxCompared = 20_000;

/** Decodes every picture, strictly, and compares small grey copies of them. */
export async function decodeAll(
  files: readonly string[],
  onProgress: (done: number) => void = () => undefined,
): Promise<DecodeCheck> {
  const broken: { file: string; message: string }[] = [];
  let done = 0;
  const thumbnails = await mapConcurrently(files, 4, async (file) => {
    try {
      const picture = sharp(file, { failOn: "warning", limitInputPixels: maxPicturePixels }).autoOrient();
      const grey = picture.resize(16, 16, { fit: "fill" }).greyscale().removeAlpha().toColourspace("b-w");
      return await grey.raw().toBuffer();
    } catch (error) {
      broken.push({ file, message: (error as Error).message.split("\n")[0]!.trim() });
      return undefined;
    } finally {
      onProgress(++done);
    }
  });
  return { broken, lookAlikes: files.length > maxCompared ? [] : groupLookAlikes(files, thumbnails) };
}

/** Mean difference of grey values up to which two thumbnails are of one picture: other formats and qualities give 1 to 2. */
const sameWithin = 2.5;

function groupLookAlikes(files: readonly string[], thumbnails: readonly (Buffer | undefined)[]): string[][] {
  const known = thumbnails.flatMap((pixels, at) => {
    if (pixels === undefined) return [];
    const mean = pixels.reduce((sum, value) => sum + value, 0) / pixels.length;
    const contrast = pixels.reduce((sum, value) => sum + Math.abs(value - mean), 0) / pixels.length;
    return contrast < 2 * sameWithin ? [] : [{ at, pixels, mean }]; // plain pictures all look the same
  });
  known.sort((a, b) => a.mean - b.mean);
  // Means differ by no more than the values do, so only neighbours in brightness can be alike.
  const group = files.map((_, at) => at);
  known.forEach((one, place) => {
    for (let next = place + 1; next < known.length && known[next]!.mean - one.mean <= sameWithin; next++)
      if (areAlike(one.pixels, known[next]!.pixels)) group[known[next]!.at] = group[one.at]!;
  });
  return groups(files, (_, at) => String(group[at]));
}

function areAlike(a: Buffer, b: Buffer): boolean {
  let rest = sameWithin * a.length;
  for (let at = 0; at < a.length && rest >= 0; at++) rest -= Math.abs(a[at]! - b[at]!);
  return rest >= 0;
}

async function hashOf(file: string): Promise<string> {
  const hash = createHash("sha1");
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}

/** Items with the same key, where there are two or more of it; those without a key are in no group. */
function groups(items: readonly string[], key: (item: string, at: number) => string | undefined): string[][] {
  const byKey = new Map<string, string[]>();
  items.forEach((item, at) => {
    const name = key(item, at);
    if (name === undefined) return;
    const group = byKey.get(name);
    if (group === undefined) byKey.set(name, [item]);
    else group.push(item);
  });
  return [...byKey.values()].filter((group) => group.length > 1).map((group) => group.sort());
}
