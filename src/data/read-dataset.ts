import { open, stat } from "node:fs/promises";
import path from "node:path";
import { DataError, suggest, UsageError } from "../errors.ts";
import { checkPictures, type AnnotatedPicture, type Annotations } from "./annotations.ts";
import { readCoco } from "./coco.ts";
import { findColumns, isHeadlessRow, readCsv } from "./csv.ts";
import type { Dataset, DatasetFormat, ObjectClass } from "./dataset.ts";
import { parseDelimited } from "./delimited-rows.ts";
import { isPicture, listFiles, PictureIndex } from "./picture-index.ts";
import { refuseProblems, type Problem } from "./problems.ts";
import { splitByName } from "./split.ts";
import { readVoc } from "./voc.ts";
import { readYolo } from "./yolo.ts";

const formats = ["coco", "voc", "yolo", "csv"] as const satisfies readonly DatasetFormat[];

/** How to read a data set. */
export interface ReadOptions {
  /** Default: found out by looking at the files. */
  readonly format?: DatasetFormat;
  /** Makes every problem fatal; default false. */
  readonly strict?: boolean;
  /** The classes to number objects by, matched by name, such as those of a model; default: those of the data. */
  readonly classes?: readonly ObjectClass[];
}

/**
 * Reads labelled pictures from a folder, or from one annotation file in it: COCO JSON, Pascal VOC XML, YOLO or CSV.
 *
 * Broken annotations are repaired or left out, and told in `problems`; pictures that show no objects are kept.
 *
 * @param options.split the part to read, such as `val`; default `all`
 * @throws {DataError} if nothing there is a known format, the part does not exist, no picture is left, or with `strict`
 *   anything is broken
 */
export async function readDataset(
  location: string,
  options: ReadOptions & { readonly split?: string } = {},
): Promise<Dataset> {
  const source = await readAnnotations(location, options);
  const { split = "all" } = options;
  const pictures =
    split === "all" ? source.pictures : source.pictures.filter((picture) => picture.split === split);
  if (pictures.length === 0 && split !== "all") {
    const known = [...new Set(source.pictures.flatMap((picture) => picture.split ?? []))];
    throw new DataError(
      `${source.root} has no part called ${split}`,
      known.length === 0 ? "it is not divided; leave the part out" : suggest(split, known),
    );
  }
  const dataset = await finish(source, pictures, split);
  if (options.strict) refuseProblems(dataset.problems);
  return dataset;
}

/** The parts of a data set. */
export interface DatasetSplits {
  readonly train: Dataset;
  readonly val: Dataset;
  readonly test?: Dataset;
  /** Whether the pictures to validate on were chosen here, by their names, rather than by the data. */
  readonly made: boolean;
}

/**
 * Reads a data set's parts to train and to validate on. Where the data has no `val`, pictures are chosen for it by a hash
 * of their file names, so the choice is the same on every machine and stays when pictures are added.
 *
 * @param options.fraction of the pictures to validate on; given, the data's own division of train and val is not used;
 *   where there is none, 0.2
 * @throws {UsageError} if the fraction is not between 0 and 1
 * @throws {DataError} as {@link readDataset}, and if there are fewer than two pictures to divide
 */
export async function readSplits(
  location: string,
  options: ReadOptions & { readonly fraction?: number } = {},
): Promise<DatasetSplits> {
  const { fraction, strict } = options;
  if (fraction !== undefined && !(fraction > 0 && fraction < 1))
    throw new UsageError(
      `a fraction of ${fraction} of the pictures to validate on`,
      "give a number between 0 and 1",
    );
  const source = await readAnnotations(location, options);
  const test = source.pictures.filter(({ split }) => split === "test");
  const val = source.pictures.filter(({ split }) => split === "val");
  const rest = source.pictures.filter(({ split }) => split !== "test" && split !== "val");
  const made = fraction !== undefined || val.length === 0 || rest.length === 0;
  // Data of which only one part is named is one part.
  const pool = rest.length + val.length === 0 ? test : [...rest, ...val];
  const divided = made ? divide(source.root, pool, fraction ?? 0.2) : { train: rest, val };
  const train = await finish(source, divided.train, "train");
  const [validation, tested] = await Promise.all([
    finish({ ...source, problems: [] }, divided.val, "val"),
    test.length === 0 || pool === test ? undefined : finish({ ...source, problems: [] }, test, "test"),
  ]);
  if (strict) refuseProblems([train, validation, tested].flatMap((part) => part?.problems ?? []));
  return { train, val: validation, ...(tested && { test: tested }), made };
}

function divide(root: string, pictures: readonly AnnotatedPicture[], fraction: number) {
  const named = pictures.map((picture) => ({ file: picture.file ?? picture.name, picture }));
  if (named.length < 2)
    throw new DataError(`${root} has ${named.length} pictures: too few to train and to validate`);
  const { train, val } = splitByName(named, fraction);
  return { train: train.map(({ picture }) => picture), val: val.map(({ picture }) => picture) };
}

interface Source extends Annotations {
  readonly format: DatasetFormat;
  readonly root: string;
  readonly problems: readonly Problem[];
  readonly notes: readonly string[];
}

async function finish(
  source: Source,
  pictures: readonly AnnotatedPicture[],
  split: string,
): Promise<Dataset> {
  const { format, root, classes, notes } = source;
  const problems = [...source.problems];
  const images = await checkPictures(pictures, (problem) => problems.push(problem));
  if (images.length === 0)
    throw new DataError(
      `no usable picture in ${root}${split === "all" ? "" : ` (${split})`}`,
      problems.length === 0
        ? "name a folder with labelled pictures"
        : `${problems[0]!.message}; ${problems[0]!.done}`,
    );
  return { format, root, split, classes, images, problems, notes };
}

async function readAnnotations(location: string, options: ReadOptions): Promise<Source> {
  const { root, files, only } = await look(location);
  const found = await findFormats(root, only === undefined ? files : [only]);
  const format =
    options.format ?? formats.find((name) => found[name].length > 0 && name !== "yolo") ?? "yolo";
  if (!(formats as readonly string[]).includes(format))
    throw new UsageError(`unknown data format ${String(format)}`, suggest(String(format), formats));
  const chosen = found.yaml !== undefined && options.format === undefined ? "yolo" : format;
  if (found[chosen].length === 0) throw nothingFound(root, options.format);
  const problems: Problem[] = [];
  const notes: string[] = [];
  const others = formats.filter((name) => name !== chosen && found[name].length > 0);
  if (others.length > 0)
    notes.push(`read as ${chosen}; files that look like ${others.join(", ")} were not read`);
  const report = (problem: Problem) => void problems.push(problem);
  const note = (sentence: string) => void notes.push(sentence);
  const index = new PictureIndex(root, files);
  const readers = {
    coco: () => readCoco(found.coco, index, report, note),
    voc: () => readVoc(found.voc, files.filter((file) => file.endsWith(".txt")), index, report),
    yolo: () => readYolo(root, files, found.yaml, report),
    csv: () => readCsv(found.csv, index, report),
  }; // prettier-ignore
  const read = await readers[chosen]();
  const similar = similarNames(read.classes);
  if (similar !== undefined) note(`the classes ${similar.join(" and ")} differ only in their spelling`);
  const labelled = new Set(read.pictures.map(({ file }) => file));
  const unlabelled = index.pictures.filter((picture) => !labelled.has(path.join(root, picture))).length;
  if (unlabelled > 0) note(`${unlabelled} pictures of the folder have no annotation: not used`);
  const numbered = options.classes === undefined ? read : numberBy(options.classes, read, report);
  return { format: chosen, root, ...numbered, problems, notes };
}

/** The folder to read, its files, and the one annotation file that was named, if it was. */
async function look(location: string): Promise<{ root: string; files: string[]; only?: string }> {
  const absolute = path.resolve(location);
  const kind = await stat(absolute).catch(() => undefined);
  if (kind === undefined)
    throw new DataError(`${location} does not exist`, "name a folder, or an annotation file in one");
  if (kind.isDirectory()) return { root: absolute, files: await listFiles(absolute) };
  let root = path.dirname(absolute);
  let files = await listFiles(root);
  // `annotations/train.json` with the pictures in a folder beside `annotations`.
  if (!files.some(isPicture)) files = await listFiles((root = path.dirname(root)));
  return { root, files, only: path.relative(root, absolute).split(path.sep).join("/") };
}

type Found = Record<DatasetFormat, string[]> & { yaml?: string };

async function findFormats(root: string, files: readonly string[]): Promise<Found> {
  const found: Found = { coco: [], voc: [], yolo: [], csv: [] };
  for (const file of files) {
    const extension = path.posix.extname(file).toLowerCase();
    if (extension === ".xml") found.voc.push(file);
    else if (extension === ".json" && looksLikeCoco(await peek(root, file))) found.coco.push(file);
    else if (extension === ".csv" && looksLikeTable(await peek(root, file))) found.csv.push(file);
    else if (/^\.ya?ml$/.test(extension) && /^names\s*:/m.test(await peek(root, file))) {
      found.yolo.push(file);
      found.yaml ??= file;
    }
  }
  if (found.voc.length > 0 && !(await peek(root, found.voc[0]!)).includes("<annotation")) found.voc = [];
  if (found.yolo.length === 0) found.yolo = await labelFiles(root, files);
  return found;
}

/** Text files with rows of a class number and four numbers or more, if the first ones beside pictures are such. */
async function labelFiles(root: string, files: readonly string[]): Promise<string[]> {
  const stems = new Set(
    files.filter(isPicture).map((file) => path.posix.basename(file).replace(/\.[^.]*$/, "")),
  );
  const texts = files.filter((file) => file.endsWith(".txt") && stems.has(path.posix.basename(file, ".txt")));
  for (const file of texts.slice(0, 20)) {
    const [first = ""] = (await peek(root, file)).split("\n");
    if (first.trim() !== "") return /^\s*\d+(\s+[-+.\deE]+){4,}\s*$/.test(first) ? texts : [];
  }
  return [];
}

/** The file's first and last 64 KiB: COCO files begin with one of their lists or with `info`, and end with another. */
async function peek(root: string, file: string): Promise<string> {
  const size = 65536;
  const handle = await open(path.join(root, file));
  try {
    const { size: length } = await handle.stat();
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(size), 0, size, 0);
    const start = buffer.toString("utf8", 0, bytesRead);
    if (length <= size) return start;
    const rest = await handle.read(Buffer.alloc(size), 0, size, Math.max(size, length - size));
    return start + rest.buffer.toString("utf8", 0, rest.bytesRead);
  } finally {
    await handle.close();
  }
}

function looksLikeCoco(text: string): boolean {
  return /^\uFEFF?\s*\{/.test(text) && /"(images|annotations|categories)"\s*:\s*\[/.test(text);
}

function looksLikeTable(text: string): boolean {
  const [first] = parseDelimited(text.slice(0, text.indexOf("\n") === -1 ? undefined : text.indexOf("\n")));
  return first !== undefined && (findColumns(first.fields) !== undefined || isHeadlessRow(first.fields));
}

function nothingFound(root: string, format: DatasetFormat | undefined): DataError {
  return new DataError(
    `no ${format === undefined ? "annotations" : `${format} annotations`} in ${root}`,
    "it should hold a COCO .json, Pascal VOC .xml files, a YOLO data.yaml with .txt files, or a .csv with the columns " +
      "filename, xmin, ymin, xmax, ymax, class",
  );
}

/** Renumbers objects by another list of classes; those of a class that it lacks are left out. */
function numberBy(
  classes: readonly ObjectClass[],
  { classes: own, pictures }: Annotations,
  report: (problem: Problem) => void,
): Annotations {
  const byName = new Map(classes.map(({ name }, index) => [name, index]));
  const map = own.map(({ name }) => byName.get(name));
  return {
    classes,
    pictures: pictures.map((picture) => ({
      ...picture,
      objects: picture.objects.flatMap((object) => {
        const classIndex = map[object.classIndex];
        if (classIndex !== undefined) return [{ ...object, classIndex }];
        const line = typeof object.line === "function" ? object.line() : object.line;
        const message = `${object.label} is of the class ${own[object.classIndex]!.name}, which is not among ${classes.length}`;
        report({
          kind: "unknown-class",
          file: picture.source,
          line,
          image: picture.id,
          message,
          done: "object left out",
        });
        return [];
      }),
    })),
  };
}

function similarNames(classes: readonly ObjectClass[]): [string, string] | undefined {
  const seen = new Map<string, string>();
  for (const { name } of classes) {
    const key = name.toLowerCase().replace(/[\s_-]/g, "");
    const other = seen.get(key);
    if (other !== undefined) return [other, name];
    seen.set(key, name);
  }
  return undefined;
}
