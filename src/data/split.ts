import path from "node:path";

/** The usual parts of a data set. */
export type SplitName = "train" | "val" | "test";

const splitWords: Readonly<Record<string, SplitName>> = {
  train: "train", training: "train", trainval: "train",
  val: "val", valid: "val", validation: "val", validate: "val", dev: "val", minival: "val",
  test: "test", testing: "test",
}; // prettier-ignore

/**
 * The part that a file's name or its folders tell (`instances_val2017.json`, `valid/a.xml`, `train.csv`), the name first,
 * then the innermost folder.
 */
export function splitOfPath(relative: string): SplitName | undefined {
  for (const part of relative.split("/").reverse()) {
    const words = part.toLowerCase().replace(/\.[^.]*$/, "").split(/[^a-z]+/); // prettier-ignore
    const split = words.map(splitOfWord).find((found) => found !== undefined);
    if (split !== undefined) return split;
  }
  return undefined;
}

/** The part that a word names, such as `valid`, `VALIDATE` or `dev`. */
export function splitOfWord(word: string): SplitName | undefined {
  const key = word.trim().toLowerCase();
  return Object.hasOwn(splitWords, key) ? splitWords[key] : undefined;
}

/**
 * A number in [0, 1) that follows from the file's name alone, so that a picture keeps its side of a split however many
 * others come or go. Augmented copies of one picture (Roboflow's `NAME_jpg.rf.HASH.jpg`) get the same number.
 */
export function splitPosition(file: string): number {
  const name = path.basename(file.replaceAll("\\", "/")).replace(/\.rf\.[0-9a-f]+(?=\.[^.]*$)/i, "").replace(/\.[^.]*$/, ""); // prettier-ignore
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(name, "utf8")) hash = Math.imul(hash ^ byte, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}

/**
 * Puts pictures on two sides by their file names: those whose {@link splitPosition} is below `fraction` validate. Of two
 * pictures or more, at least one lies on either side (the one nearest to it).
 *
 * @param fraction of the pictures to validate on, above 0 and below 1; met nearly, not exactly
 */
export function splitByName<T extends { readonly file: string }>(
  images: readonly T[],
  fraction: number,
): { train: T[]; val: T[] } {
  const positions = images.map(({ file }) => splitPosition(file));
  const order = images.map((_, index) => index).sort((a, b) => positions[a]! - positions[b]! || a - b);
  const below = positions.filter((position) => position < fraction).length;
  const count = images.length < 2 ? 0 : Math.min(Math.max(below, 1), images.length - 1);
  const validating = new Set(order.slice(0, count));
  return {
    train: images.filter((_, index) => !validating.has(index)),
    val: images.filter((_, index) => validating.has(index)),
  };
}
