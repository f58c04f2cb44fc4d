import { readFile } from "node:fs/promises";
import path from "node:path";
import { XMLParser } from "fast-xml-parser";
import { DataError } from "../errors.ts";
import type { AnnotatedObject, AnnotatedPicture, Annotations } from "./annotations.ts";
import type { PictureIndex } from "./picture-index.ts";
import { mapConcurrently } from "./picture-header.ts";
import type { Problem } from "./problems.ts";
import { splitOfPath, splitOfWord } from "./split.ts";
import { TextLines } from "./text-lines.ts";

const parser = new XMLParser({
  captureMetaData: true,
  ignoreAttributes: true,
  parseTagValue: false,
  processEntities: true,
  isArray: (_name, path) => path === "annotation.object",
});
const metadata = XMLParser.getMetaDataSymbol() as unknown as symbol;

interface VocFile {
  readonly relative: string;
  readonly file: string;
  readonly picture: string;
  readonly width: number | undefined;
  readonly height: number | undefined;
  readonly objects: readonly (Omit<AnnotatedObject, "classIndex"> & { readonly className: string })[];
}

/**
 * Reads Pascal VOC annotations: one XML file for each picture, in a folder of its own or beside the pictures.
 *
 * The picture is the one that has the XML file's own name, else the one that `<filename>` tells (which often is stale).
 * Corners are taken as written: automl's converter does not shift VOC's 1-based corners either. Splits come from
 * `ImageSets/Main/{train,val,test,trainval}.txt`, else from folders called so. Classes are sorted by name, with ids
 * from 1.
 *
 * @param xmlFiles relative paths
 * @param lists relative paths of text files, of which those in `ImageSets/Main` are read
 * @throws {DataError} if no file is a VOC annotation
 */
export async function readVoc(
  xmlFiles: readonly string[],
  lists: readonly string[],
  index: PictureIndex,
  report: (problem: Problem) => void,
): Promise<Annotations> {
  const read = await mapConcurrently(
    xmlFiles,
    8,
    async (relative) => await readVocFile(index.root, relative, report),
  );
  const files = read.filter((file) => file !== undefined);
  if (files.length === 0)
    throw new DataError(`no Pascal VOC annotation among the ${xmlFiles.length} XML files of ${index.root}`);
  const names = [
    ...new Set(files.flatMap(({ objects }) => objects.map(({ className }) => className))),
  ].sort();
  const classIndex = new Map(names.map((name, position) => [name, position]));
  const splits = await readImageSets(lists, files, index.root, report);
  const pictures = files.map(({ relative, file, picture, width, height, objects }): AnnotatedPicture => {
    const folder = path.posix.dirname(relative);
    const found = index.beside(relative) ?? index.find(picture, folder);
    return {
      id: found ?? relative,
      file: found === undefined ? undefined : path.join(index.root, found),
      name: picture,
      source: file,
      split: splits?.get(stem(relative)) ?? (splits === undefined ? splitOfPath(folder) : undefined),
      width,
      height,
      frame: "pixels",
      objects: objects.map(({ className, ...object }) => ({
        ...object,
        classIndex: classIndex.get(className)!,
      })),
    };
  });
  return { classes: names.map((name, position) => ({ id: position + 1, name })), pictures };
}

async function readVocFile(
  root: string,
  relative: string,
  report: (problem: Problem) => void,
): Promise<VocFile | undefined> {
  const file = path.join(root, relative);
  const text = (await readFile(file, "utf8")).replace(/^\uFEFF/, "");
  let annotation: unknown;
  try {
    annotation = (parser.parse(text, true) as Record<string, unknown>).annotation;
  } catch (error) {
    const message = (error as Error).message;
    const line = Number(/:(\d+):(?:\d+|undefined)$/.exec(message)?.[1] ?? 1);
    const what = message.replace(/:\d+:(\d+|undefined)$/, "");
    report({
      kind: "syntax",
      file,
      line,
      message: `not well-formed XML (${what})`,
      done: "picture left out",
    });
    return undefined;
  }
  if (annotation === undefined) return undefined;
  const node = record(annotation);
  const lines = new TextLines(text);
  const size = record(node.size);
  const objects = (Array.isArray(node.object) ? node.object : []).flatMap((value: unknown, position) => {
    const object = record(value);
    const start = (object as { [key: symbol]: { startIndex?: number } | undefined })[metadata]?.startIndex;
    const line = start === undefined ? undefined : lines.at(start);
    const className = textOf(object.name);
    const label = `object ${position + 1}${className === "" ? "" : ` (${className})`}`;
    if (className === "") {
      report({ kind: "unknown-class", file, line, message: `${label} has no name`, done: "object left out" });
      return [];
    }
    const corners = record(object.bndbox);
    const box = {
      xMin: numberOf(corners.xmin),
      yMin: numberOf(corners.ymin),
      xMax: numberOf(corners.xmax),
      yMax: numberOf(corners.ymax),
    };
    return [{ className, box, line, label, difficult: numberOf(object.difficult) === 1 }];
  });
  const told = { width: numberOf(size.width), height: numberOf(size.height) };
  const known = Number.isFinite(told.width) && Number.isFinite(told.height);
  return {
    relative,
    file,
    picture: textOf(node.filename) || path.posix.basename(relative, path.posix.extname(relative)),
    width: known ? told.width : undefined,
    height: known ? told.height : undefined,
    objects,
  };
}

/** Split of each annotation's stem, or undefined where there are no lists. */
async function readImageSets(
  lists: readonly string[],
  files: readonly VocFile[],
  root: string,
  report: (problem: Problem) => void,
): Promise<Map<string, string> | undefined> {
  const all = lists.filter(
    (file) => /(^|\/)ImageSets\/Main\/[a-z]+\.txt$/i.test(file) && splitOfWord(stem(file)),
  );
  const named = new Set(all.map(stem));
  // trainval is train and val together where those are given.
  const used = all.filter((file) => !(stem(file) === "trainval" && (named.has("train") || named.has("val"))));
  if (used.length === 0) return undefined;
  const known = new Set(files.map(({ relative }) => stem(relative)));
  const splits = new Map<string, string>();
  for (const list of used.sort((a, b) => order(a) - order(b))) {
    const split = splitOfWord(stem(list))!;
    const file = path.join(root, list);
    (await readFile(file, "utf8")).split("\n").forEach((row, at) => {
      const [name] = row.trim().split(/\s+/);
      if (name === undefined || name === "") return;
      const line = at + 1;
      const key = known.has(name) ? name : stem(name);
      const before = splits.get(key);
      if (!known.has(key))
        report({
          kind: "missing-annotation",
          file,
          line,
          message: `${name} has no XML file`,
          done: "left out",
        });
      else if (before !== undefined && before !== split)
        report({
          kind: "duplicate-picture",
          file,
          line,
          message: `${name} is in ${before} as well as in ${split}`,
          done: `kept in ${before}`,
        });
      else splits.set(key, split);
    });
  }
  return splits;
}

/** What validates and tests keeps a picture that is listed twice: training on it would flatter the result. */
const order = (list: string) => ["test", "val", "train"].indexOf(splitOfWord(stem(list)) ?? "train");

const stem = (file: string) => path.posix.basename(file).replace(/\.[^./]*$/, "");

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value.trim() : "";
}

function numberOf(value: unknown): number {
  const text = textOf(value);
  return text === "" ? NaN : Number(text);
}
