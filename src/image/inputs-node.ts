import { opendir, realpath, stat } from "node:fs/promises";
import path from "node:path";
import { ImageError, UsageError } from "../errors.ts";
import { printableName } from "../files/index.ts";
import { pictureEndings } from "./format.ts";
import type { ReadLimits } from "./sources-node.ts";
import { collect, download, fileError, filePath, isWebUrl, readPictureFile } from "./sources-node.ts";

/** One picture to work on. */
export interface PictureInput {
  /** As results name it: the path, the URL, or "-". */
  readonly source: string;
  /** For the names of files made from it, without ending: "street" for `photos/street.jpg`. */
  readonly stem: string;
  /** The folder it lies in; undefined for URLs and standard input. */
  readonly folder: string | undefined;
  /** Its encoded bytes; rejects with what is wrong with it, so that the others can go on. */
  read(limits?: ReadLimits): Promise<Uint8Array>;
}

/** How {@link expandInputs} treats folders. */
export interface ExpandOptions {
  /** Also look into folders within folders; default false. */
  readonly recursive?: boolean;
  /** Folders to pass over (where results go). */
  readonly exclude?: readonly string[];
  /** For `-`; default the process's standard input. */
  readonly stdin?: AsyncIterable<Uint8Array>;
}

/**
 * The pictures that a command line names: files as given, folders as their picture files sorted by name (by their
 * endings; hidden files, and pictures drawn by this program, `*.detected.jpg`, left out), URLs, and `-` for standard
 * input.
 *
 * What does not exist or cannot be read is in the list too: reading it says why.
 *
 * @throws {UsageError} if `-` is given twice, or an address is of a kind that is not read
 * @throws {ImageError} if there is no picture in any of the folders, nor any other input
 */
export async function expandInputs(
  inputs: readonly string[],
  options: ExpandOptions = {},
): Promise<PictureInput[]> {
  if (inputs.filter((input) => input === "-").length > 1)
    throw new UsageError('"-" (standard input) is given twice', "standard input holds one picture");
  const search: Search = {
    recursive: options.recursive === true,
    excluded: new Set((options.exclude ?? []).map((folder) => path.resolve(folder))),
    seen: new Set(),
  };
  const result: PictureInput[] = [];
  for (const input of inputs) {
    if (input === "-") result.push(fromStdin(options.stdin));
    else if (isWebUrl(input)) result.push(fromUrl(input));
    else {
      const file = filePath(input);
      search.seen.clear(); // a folder given twice is done twice
      if (await isFolder(file)) result.push(...(await fromFolder(file, search)));
      else result.push(fromFile(file, input));
    }
  }
  if (result.length === 0 && inputs.length > 0)
    throw new ImageError(
      `no pictures in ${inputs.map(printableName).join(", ")}`,
      `files ending in ${pictureEndings.join(", ")} are looked for` +
        (search.recursive ? "" : "; --recursive looks into folders within"),
    );
  return result;
}

function fromFile(file: string, source = file): PictureInput {
  const stem = stemOf(path.basename(file));
  return { source, stem, folder: path.dirname(file), read: (limits) => readPictureFile(file, limits) };
}

function fromUrl(url: string): PictureInput {
  let stem = "picture";
  try {
    const parts = new URL(url).pathname.split("/").filter((part) => part !== "");
    stem = stemOf(decodeURIComponent(parts.at(-1) ?? stem));
  } catch {
    // No URL after all, or not UTF-8: reading it says so.
  }
  return { source: url, stem, folder: undefined, read: (limits) => download(url, limits) };
}

function fromStdin(stdin: AsyncIterable<Uint8Array> = process.stdin): PictureInput {
  const read = (limits?: ReadLimits) => collect(stdin, "standard input", limits);
  return { source: "-", stem: "stdin", folder: undefined, read };
}

interface Search {
  readonly recursive: boolean;
  readonly excluded: ReadonlySet<string>;
  /** Real paths of folders done: links may lead round in a circle. */
  readonly seen: Set<string>;
}

/** Picture files of a folder, sorted, those of folders within after its own. */
async function fromFolder(folder: string, search: Search): Promise<PictureInput[]> {
  const files: string[] = [];
  const folders: string[] = [];
  try {
    const real = await realpath(folder);
    if (search.seen.has(real) || search.excluded.has(path.resolve(folder))) return [];
    search.seen.add(real);
    for await (const entry of await opendir(folder)) {
      const full = path.join(folder, entry.name);
      if (entry.name.startsWith(".")) continue;
      if (entry.isDirectory() || (entry.isSymbolicLink() && (await isFolder(full)))) folders.push(full);
      else if (isPictureName(entry.name)) files.push(full);
    }
  } catch (cause) {
    return [{ ...fromFile(folder), read: () => Promise.reject(fileError(folder, cause)) }];
  }
  const result = files.sort(byName).map((file) => fromFile(file));
  if (search.recursive)
    for (const within of folders.sort(byName)) result.push(...(await fromFolder(within, search)));
  return result;
}

async function isFolder(file: string): Promise<boolean> {
  try {
    return (await stat(file)).isDirectory();
  } catch {
    return false;
  }
}

/** img2 before img10, the same on every machine. */
const collator = new Intl.Collator("en", { numeric: true });
function byName(a: string, b: string): number {
  return collator.compare(a, b) || (a < b ? -1 : 1);
}

function isPictureName(name: string): boolean {
  const lower = name.toLowerCase();
  return pictureEndings.some((ending) => lower.endsWith(ending)) && !/\.detected\.(jpe?g|png)$/.test(lower);
}

function stemOf(name: string): string {
  const ending = path.extname(name);
  return ending === "" ? name : name.slice(0, -ending.length);
}
