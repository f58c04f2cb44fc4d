import { readFile } from "node:fs/promises";
import path from "node:path";
import { DataError } from "../errors.ts";
import type { AnnotatedObject, AnnotatedPicture, Annotations } from "./annotations.ts";
import type { ObjectClass } from "./dataset.ts";
import type { PictureIndex } from "./picture-index.ts";
import type { Problem } from "./problems.ts";
import { splitOfPath } from "./split.ts";
import { elementOffsets, TextLines } from "./text-lines.ts";

type Row = Readonly<Record<string, unknown>>;

interface CocoFile {
  readonly relative: string;
  readonly file: string;
  readonly text: string;
  readonly images: readonly Row[];
  readonly annotations: readonly Row[];
  readonly categories: readonly Row[];
}

/**
 * Reads COCO detection files (`instances_*.json`). Several are joined: their categories by name. Files without boxes
 * (captions, panoptic, lists of test pictures) are passed over.
 *
 * @param files relative paths
 * @throws {DataError} if none of them has boxes, or one is not JSON
 */
export async function readCoco(
  files: readonly string[],
  index: PictureIndex,
  report: (problem: Problem) => void,
  note: (sentence: string) => void,
): Promise<Annotations> {
  const instances = files.filter((file) => path.posix.basename(file).startsWith("instances"));
  const parsed: CocoFile[] = [];
  for (const relative of instances.length > 0 ? instances : files) {
    const file = await parse(index.root, relative);
    if (file === undefined) note(`${relative} has no boxes: passed over`);
    else parsed.push(file);
  }
  if (parsed.length === 0)
    throw new DataError(
      `no COCO file with boxes in ${index.root} (looked at ${files.join(", ")})`,
      "a detection file has the lists images, annotations (with bbox and category_id) and categories",
    );
  const classes = new ClassList(report);
  for (const file of parsed) classes.add(file);
  const ownIds = idsDiffer(parsed);
  const pictures = parsed.flatMap((file) => readFileOf(file, index, classes, report));
  // Ids that two files give to different pictures give way to the pictures' paths.
  const kept = ownIds ? pictures : pictures.map((picture) => ({ ...picture, id: pathOf(picture) }));
  return { classes: classes.classes, pictures: kept };

  function pathOf({ file, name, split = "" }: AnnotatedPicture): string {
    return file === undefined
      ? `${split}/${name}`
      : path.relative(index.root, file).split(path.sep).join("/");
  }
}

async function parse(root: string, relative: string): Promise<CocoFile | undefined> {
  const file = path.join(root, relative);
  const text = await readText(file);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    const offset = Number(/position (\d+)/.exec((error as Error).message)?.[1] ?? 0);
    throw new DataError(
      `${file}:${new TextLines(text).at(offset)} is not JSON (${(error as Error).message})`,
      "write the file again; a download may have been cut short",
      error,
    );
  }
  if (!isRow(json)) return undefined;
  const [images, annotations, categories] = [json.images, json.annotations, json.categories].map(rows);
  if (images === undefined || annotations === undefined || categories === undefined) return undefined;
  if (annotations.length > 0 && !annotations.some((annotation) => Array.isArray(annotation.bbox)))
    return undefined;
  return { relative, file, text, images, annotations, categories };
}

async function readText(file: string): Promise<string> {
  try {
    return (await readFile(file, "utf8")).replace(/^\uFEFF/, "");
  } catch (error) {
    throw new DataError(
      `${file} cannot be read (${(error as Error).message})`,
      "files of more than 512 MB are too large",
      error,
    );
  }
}

function readFileOf(
  { relative, file, text, images, annotations }: CocoFile,
  index: PictureIndex,
  classes: ClassList,
  report: (problem: Problem) => void,
): AnnotatedPicture[] {
  const near = path.posix.dirname(relative);
  const split = splitOfPath(relative);
  const line = lineFinder(text);
  const classOfId = classes.indicesOf(file);
  const objects = new Map<unknown, AnnotatedObject[]>();
  const imageRows = new Map<unknown, number>();
  images.forEach((image, row) => {
    const done = "left out";
    if (
      typeof image.file_name !== "string" ||
      !(typeof image.id === "number" || typeof image.id === "string")
    )
      report({
        kind: "bad-value",
        file,
        line: line("images", row),
        message: `image ${row} lacks id or file_name`,
        done,
      });
    else if (imageRows.has(image.id)) {
      const message = `image id ${image.id} is given to a second picture (${image.file_name})`;
      report({ kind: "duplicate-picture", file, line: line("images", row), message, done });
    } else {
      imageRows.set(image.id, row);
      objects.set(image.id, []);
    }
  });
  annotations.forEach((annotation, row) => {
    const label = `annotation ${typeof annotation.id === "number" ? annotation.id : `[${row}]`}`;
    const problem = (kind: Problem["kind"], message: string) =>
      report({
        kind,
        file,
        line: line("annotations", row),
        message: `${label} ${message}`,
        done: "object left out",
      });
    const list = objects.get(annotation.image_id);
    if (list === undefined)
      return problem(
        "missing-picture",
        `belongs to image ${String(annotation.image_id)}, which is not listed`,
      );
    const classIndex = classOfId.get(annotation.category_id);
    if (classIndex === undefined)
      return problem("unknown-class", `has category ${String(annotation.category_id)}, which is not listed`);
    const [x, y, width, height] = boxOf(annotation.bbox);
    if (width < 0 || height < 0) return problem("zero-area", `has a box of ${width}×${height}`);
    list.push({
      classIndex,
      box: { xMin: x, yMin: y, xMax: x + width, yMax: y + height },
      label,
      line: () => line("annotations", row),
      area: typeof annotation.area === "number" ? annotation.area : undefined,
      crowd: isSet(annotation.iscrowd),
      difficult: isSet(annotation.difficult),
      ignore: isSet(annotation.ignore),
    });
  });
  return [...imageRows].map(([id, row]): AnnotatedPicture => {
    const image = images[row]!;
    const name = image.file_name as string;
    const found = index.find(name, near, split);
    return {
      id: id as number | string,
      file: found === undefined ? undefined : path.join(index.root, found),
      name,
      source: file,
      line: () => line("images", row),
      split,
      width: typeof image.width === "number" ? image.width : undefined,
      height: typeof image.height === "number" ? image.height : undefined,
      frame: "pixels",
      objects: objects.get(id)!,
    };
  });
}

/** Categories of all files under one numbering. */
class ClassList {
  readonly classes: ObjectClass[] = [];
  readonly #byName = new Map<string, number>();
  readonly #ids = new Set<number>();
  #largest = 0;
  readonly #byFile = new Map<string, Map<unknown, number>>();
  readonly #report: (problem: Problem) => void;

  constructor(report: (problem: Problem) => void) {
    this.#report = report;
  }

  add({ file, text, categories }: CocoFile): void {
    const indices = new Map<unknown, number>();
    const line = lineFinder(text);
    categories.forEach((category, row) => {
      const problem = (message: string, done: string) =>
        this.#report({ kind: "bad-value", file, line: line("categories", row), message, done });
      const { id, name } = category;
      if (!Number.isSafeInteger(id) || typeof name !== "string")
        return problem(`category ${row} lacks a whole number as id, or a name`, "category left out");
      if (indices.has(id))
        return problem(`category id ${String(id)} is given to a second class (${name})`, "left out");
      let index = this.#byName.get(name);
      if (index === undefined) {
        index = this.classes.length;
        const taken = this.#ids.has(id as number);
        const free = taken ? this.#largest + 1 : (id as number);
        if (taken) problem(`category id ${String(id)} stands for another class than in the other files (${name})`, `given id ${free}`); // prettier-ignore
        this.classes.push({ id: free, name });
        this.#byName.set(name, index);
        this.#ids.add(free);
        this.#largest = Math.max(this.#largest, free);
      }
      indices.set(id, index);
    });
    this.#byFile.set(file, indices);
  }

  indicesOf(file: string): ReadonlyMap<unknown, number> {
    return this.#byFile.get(file) ?? new Map<unknown, number>();
  }
}

/** Whether no id is used twice, in one file or in two. */
function idsDiffer(files: readonly CocoFile[]): boolean {
  const ids = files.flatMap(({ images }) => [...new Set(images.map(({ id }) => id))]);
  return new Set(ids).size === ids.length;
}

function lineFinder(text: string): (list: string, row: number) => number | undefined {
  let lines: TextLines | undefined;
  const offsets = new Map<string, number[]>();
  return (list, row) => {
    lines ??= new TextLines(text);
    const known = offsets.get(list) ?? elementOffsets(text, list);
    offsets.set(list, known);
    return known[row] === undefined ? undefined : lines.at(known[row]);
  };
}

function isRow(value: unknown): value is Row {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function rows(value: unknown): readonly Row[] | undefined {
  return Array.isArray(value) ? value.map((row: unknown) => (isRow(row) ? row : {})) : undefined;
}

function boxOf(value: unknown): [x: number, y: number, width: number, height: number] {
  const numbers = Array.isArray(value) && value.length === 4 ? value.map(Number) : [];
  return numbers.length === 4 ? (numbers as [number, number, number, number]) : [NaN, NaN, NaN, NaN];
}

function isSet(flag: unknown): boolean {
  return flag === 1 || flag === true;
}
