import { readdir, realpath, stat } from "node:fs/promises";
import path from "node:path";
import { DataError } from "../errors.ts";
import { splitOfPath } from "./split.ts";

const pictureExtensions = new Set([
  ".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".avif", ".bmp", ".heic", ".jfif",
]); // prettier-ignore

/** Folders below the data folder that are looked into, and files in all of them: more is no data set. */
const maxDepth = 8;
const maxFiles = 5_000_000;

/** Whether the name ends as pictures do. Some of these cannot be decoded: that is said when they are read. */
export function isPicture(file: string): boolean {
  return pictureExtensions.has(path.extname(file).toLowerCase());
}

/**
 * Every file under a folder: paths relative to it, with `/`, sorted; links are followed, hidden folders are not.
 *
 * @throws {DataError} if the folder cannot be read or holds more than five million files
 */
export async function listFiles(root: string): Promise<string[]> {
  const files: string[] = [];
  const seen = new Set<string>();
  const visit = async (folder: string, depth: number): Promise<void> => {
    const real = await realpath(folder);
    if (seen.has(real)) return;
    seen.add(real);
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      if (entry.name.startsWith(".") || entry.name === "node_modules" || entry.name === "__MACOSX") continue;
      const full = path.join(folder, entry.name);
      const kind = entry.isSymbolicLink() ? await stat(full).catch(() => undefined) : entry;
      if (kind?.isDirectory() && depth < maxDepth) await visit(full, depth + 1);
      else if (kind?.isFile()) files.push(path.relative(root, full).split(path.sep).join("/"));
      if (files.length > maxFiles)
        throw new DataError(`${root} holds more than ${maxFiles} files`, "name the folder of one data set");
    }
  };
  try {
    await visit(root, 0);
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(`${root} cannot be read`, "name a folder, or an annotation file, that exists", error);
  }
  return files.sort();
}

/** Pictures of a data folder, found by the names that annotations use for them. */
export class PictureIndex {
  readonly root: string;
  /** Relative paths, sorted. */
  readonly pictures: readonly string[];
  readonly #byName = new Map<string, string[]>();
  readonly #byStem = new Map<string, string[]>();

  constructor(root: string, files: readonly string[]) {
    this.root = root;
    this.pictures = files.filter(isPicture);
    for (const file of this.pictures) {
      push(this.#byName, nameKey(file), file);
      push(this.#byStem, stemKey(file), file);
    }
  }

  /**
   * The picture that an annotation calls `name`: a path or a bare name, with or without an extension, in any case, with
   * either slash. Of several, the one that shares most of its path's end, then the one whose folders tell the same split,
   * then the one nearest to the folder `near`.
   *
   * @param near relative path of the annotation's folder
   * @returns a relative path, or undefined if there is none
   */
  find(name: string, near = "", split?: string): string | undefined {
    const wanted = name.replaceAll("\\", "/").replace(/^(\.\/)+/, "");
    const candidates =
      this.#byName.get(nameKey(wanted)) ??
      this.#byStem.get(isPicture(wanted) ? stemKey(wanted) : nameKey(wanted));
    if (candidates === undefined || candidates.length === 1) return candidates?.[0];
    const score = (file: string) =>
      commonEnd(file, wanted) * 1000 +
      (split !== undefined && splitOfPath(file) === split ? 500 : 0) +
      commonStart(file, near);
    return candidates.reduce((best, file) => (score(file) > score(best) ? file : best));
  }

  /** The picture that lies beside the file, or in a folder beside its folder, under the same name but the ending. */
  beside(annotation: string): string | undefined {
    return this.find(path.posix.basename(annotation).replace(/\.[^.]*$/, ""), path.posix.dirname(annotation));
  }
}

function push(map: Map<string, string[]>, key: string, value: string): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

const nameKey = (file: string) => path.posix.basename(file).toLowerCase();
const stemKey = (file: string) => nameKey(file).replace(/\.[^.]*$/, "");

/** Folders and names that two paths have in common, counted from the end. */
function commonEnd(a: string, b: string): number {
  const [x, y] = [a.toLowerCase().split("/").reverse(), b.toLowerCase().split("/").reverse()];
  let count = 0;
  while (count < x.length && count < y.length && x[count] === y[count]) count++;
  return count;
}

/** Folders that two paths have in common, counted from the start. */
function commonStart(a: string, b: string): number {
  const [x, y] = [a.split("/"), b.split("/")];
  let count = 0;
  while (count < x.length && count < y.length && x[count] === y[count]) count++;
  return count;
}
