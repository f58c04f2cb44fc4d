import { existsSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import path from "node:path";
import { parse as parseYaml } from "yaml";
import { DataError } from "../errors.ts";
import type { AnnotatedObject, AnnotatedPicture, Annotations } from "./annotations.ts";
import { isPicture, listFiles } from "./picture-index.ts";
import { mapConcurrently } from "./picture-header.ts";
import type { Problem } from "./problems.ts";
import { splitOfPath, type SplitName } from "./split.ts";

interface YoloPicture {
  /** Absolute. */
  readonly file: string;
  readonly split: string | undefined;
}

interface YoloDescription {
  readonly file: string | undefined;
  /** Names by class number. */
  readonly names: ReadonlyMap<number, string>;
  readonly pictures: readonly YoloPicture[];
}

/**
 * Reads YOLO labels: `data.yaml` with the class names and the folders (or lists) of each part, and beside every folder
 * `images` a folder `labels` with one text file for each picture, `class xCentre yCentre width height` in fractions of
 * its size. A picture without a text file shows no objects, as in the YOLO programs. Polygons become the boxes around
 * them. Without a yaml file every picture of the folder is read and the names come from `classes.txt` or `*.names`.
 *
 * Class ids are the file's own numbers, from 0.
 *
 * @param yaml relative path of the description, if there is one
 * @throws {DataError} if the description is broken, or names no pictures
 */
export async function readYolo(
  root: string,
  files: readonly string[],
  yaml: string | undefined,
  report: (problem: Problem) => void,
): Promise<Annotations> {
  const description =
    yaml === undefined ? await describeFolder(root, files) : await readDescription(root, yaml, report);
  const { names, pictures } = description;
  if (pictures.length === 0)
    throw new DataError(
      `no pictures in ${description.file ?? root}`,
      "the keys train and val of data.yaml name folders of pictures, relative to the yaml file or to its key path",
    );
  const read = await mapConcurrently(pictures, 16, async ({ file, split }) => {
    const source = labelsOf(file);
    return { file, split, source, rows: await readFile(source, "utf8").catch(() => undefined) };
  });
  const numbers = new Set(names.keys());
  if (description.file === undefined && names.size === 0)
    for (const { rows } of read)
      for (const row of rows?.split("\n") ?? []) if (/^\d{1,6}\s/.test(row)) numbers.add(parseInt(row, 10));
  const sorted = [...numbers].sort((a, b) => a - b);
  const classIndex = new Map(sorted.map((number, position) => [number, position]));
  const annotated = read.map(({ file, split, source, rows }): AnnotatedPicture => {
    const id = path.relative(root, file).split(path.sep).join("/");
    const objects = rows === undefined ? [] : parseLabels(rows, source, id, classIndex, report);
    return { id, file, name: id, source, split, frame: "fractions", objects };
  });
  return { classes: sorted.map((id) => ({ id, name: names.get(id) ?? `class ${id}` })), pictures: annotated };
}

function parseLabels(
  text: string,
  file: string,
  image: string,
  classIndex: ReadonlyMap<number, number>,
  report: (problem: Problem) => void,
): AnnotatedObject[] {
  return text.split("\n").flatMap((row, at) => {
    if (row.trim() === "") return [];
    const line = at + 1;
    const label = `line ${line}`;
    const problem = (kind: Problem["kind"], message: string) => {
      report({ kind, file, line, image, message, done: "object left out" });
      return [];
    };
    const [number, ...values] = row.trim().split(/\s+/).map(Number);
    if (values.length < 4) return problem("bad-value", `${values.length + 1} numbers where 5 belong`);
    const index = classIndex.get(number!);
    if (index === undefined)
      return problem("unknown-class", `class ${number}, which the description does not name`);
    return [{ classIndex: index, box: boxOf(values), line, label }];
  });
}

/** From centre and size (a fifth value is a confidence), or around a polygon of three points or more. */
function boxOf(values: readonly number[]): AnnotatedObject["box"] {
  if (values.length >= 6 && values.length % 2 === 0) {
    const box = { xMin: Infinity, yMin: Infinity, xMax: -Infinity, yMax: -Infinity };
    values.forEach((value, at) => {
      const [low, high] = at % 2 === 0 ? (["xMin", "xMax"] as const) : (["yMin", "yMax"] as const);
      box[low] = Math.min(box[low], value);
      box[high] = Math.max(box[high], value);
    });
    return box;
  }
  const [x, y, width, height] = values as [number, number, number, number];
  return { xMin: x - width / 2, yMin: y - height / 2, xMax: x + width / 2, yMax: y + height / 2 };
}

/** `…/images/a/b.jpg` → `…/labels/a/b.txt` (the last `images`); without such a folder, beside the picture. */
function labelsOf(picture: string): string {
  const parts = picture.replace(/\.[^./\\]*$/, ".txt").split(path.sep);
  const at = parts.slice(0, -1).lastIndexOf("images");
  if (at === -1) return parts.join(path.sep);
  return parts.with(at, "labels").join(path.sep);
}

async function readDescription(
  root: string,
  yaml: string,
  report: (problem: Problem) => void,
): Promise<YoloDescription> {
  const file = path.join(root, yaml);
  let document: Readonly<Record<string, unknown>>;
  try {
    const value: unknown = parseYaml(await readFile(file, "utf8"), { maxAliasCount: 100 });
    if (typeof value !== "object" || value === null) throw new Error("it holds no keys");
    document = value as Record<string, unknown>;
  } catch (error) {
    throw new DataError(
      `${file} is not YAML (${(error as Error).message.split("\n")[0]})`,
      "correct it",
      error,
    );
  }
  const names = namesOf(document.names, file);
  const bases = basesOf(document.path, file);
  const pictures: YoloPicture[] = [];
  const splits = new Map<string, string>();
  for (const split of ["test", "val", "train"] satisfies SplitName[])
    for (const place of [document[split]].flat()) {
      if (typeof place !== "string" || place === "") continue;
      for (const picture of await picturesOf(place, bases, file, split, report)) {
        const before = splits.get(picture);
        if (before === undefined) pictures.push({ file: picture, split });
        else if (before !== split)
          report({
            kind: "duplicate-picture",
            file: picture,
            message: `the picture is in ${before} as well as in ${split}`,
            done: `kept in ${before}`,
          });
        splits.set(picture, before ?? split);
      }
    }
  return { file, names, pictures };
}

/** Folders from which the places in a description may be meant. */
function basesOf(given: unknown, file: string): string[] {
  const folder = path.dirname(file);
  const own = typeof given === "string" && given !== "" ? [path.resolve(folder, given)] : [];
  return [...own, folder];
}

async function picturesOf(
  place: string,
  bases: readonly string[],
  yaml: string,
  split: string,
  report: (problem: Problem) => void,
): Promise<string[]> {
  // Roboflow writes `../train/images` for a folder that lies beside the yaml file.
  const spellings = [place, place.replace(/^(\.\.\/)+/, "")];
  const tried = spellings.flatMap((spelling) => bases.map((base) => path.resolve(base, spelling)));
  const found = tried.find(existsSync);
  if (found === undefined) {
    report({
      kind: "missing-picture",
      file: yaml,
      message: `the folder of ${split}, ${place}, does not exist`,
      done: "left out",
    });
    return [];
  }
  if ((await stat(found)).isDirectory())
    return (await listFiles(found)).filter(isPicture).map((picture) => path.join(found, picture));
  const folder = path.dirname(found);
  return (await readFile(found, "utf8"))
    .split("\n")
    .map((row) => row.trim())
    .filter(isPicture)
    .map(
      (row) =>
        [folder, ...bases].map((base) => path.resolve(base, row)).find(existsSync) ??
        path.resolve(folder, row),
    );
}

function namesOf(value: unknown, file: string): Map<number, string> {
  const entries =
    Array.isArray(value) ? value.map((name, number) => [number, name] as const)
    : typeof value === "object" && value !== null ? Object.entries(value).map(([key, name]) => [Number(key), name] as const)
    : []; // prettier-ignore
  if (entries.length === 0)
    throw new DataError(
      `${file} has no class names`,
      "add the key names, a list or a table from numbers to names",
    );
  if (
    entries.some(([number, name]) => !Number.isSafeInteger(number) || number < 0 || typeof name === "object")
  )
    throw new DataError(`names in ${file} is neither a list nor a table from numbers to names`, "correct it");
  return new Map(entries.map(([number, name]) => [number, String(name)]));
}

async function describeFolder(root: string, files: readonly string[]): Promise<YoloDescription> {
  const list = files.find((file) => /(^|\/)(classes\.txt|[^/]*\.names)$/i.test(file));
  const rows = list === undefined ? [] : (await readFile(path.join(root, list), "utf8")).split("\n");
  const names = rows.map((row) => row.trim()).filter((row, at) => row !== "" || at < rows.length - 1);
  const pictures = files
    .filter(isPicture)
    .map((file) => ({ file: path.join(root, file), split: splitOfPath(file) }));
  return { file: undefined, names: new Map(names.map((name, number) => [number, name])), pictures };
}
