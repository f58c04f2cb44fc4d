import { readFile } from "node:fs/promises";
import path from "node:path";
import type { Box } from "../detection/boxes.ts";
import { DataError } from "../errors.ts";
import type { AnnotatedObject, AnnotatedPicture, Annotations } from "./annotations.ts";
import { parseDelimited, type DelimitedRow } from "./delimited-rows.ts";
import type { PictureIndex } from "./picture-index.ts";
import type { Problem } from "./problems.ts";
import { splitOfPath, splitOfWord } from "./split.ts";

/** What a column may be called, in lower case without `_`, `-`, `.` and blanks. */
const columnNames = {
  picture: ["filename", "file", "image", "imageid", "imagepath", "imagename", "path", "filepath", "picture", "img"],
  className: ["class", "label", "classname", "labelname", "name", "category", "categoryname", "celltype", "classlabel"],
  xMin: ["xmin", "x1", "left", "minx", "bboxxmin", "bbxmin"],
  yMin: ["ymin", "y1", "top", "miny", "bboxymin", "bbymin"],
  xMax: ["xmax", "x2", "right", "maxx", "bboxxmax", "bbxmax"],
  yMax: ["ymax", "y2", "bottom", "maxy", "bboxymax", "bbymax"],
  x: ["x", "bboxx", "bbx"],
  y: ["y", "bboxy", "bby"],
  boxWidth: ["w", "boxwidth", "bboxwidth", "bbwidth"],
  boxHeight: ["h", "boxheight", "bboxheight", "bbheight"],
  box: ["bbox", "box"],
  width: ["width", "imagewidth", "imgwidth"],
  height: ["height", "imageheight", "imgheight"],
  split: ["split", "set", "subset", "usage"],
  difficult: ["difficult", "isdifficult"],
  crowd: ["iscrowd", "crowd", "isgroupof"],
} as const; // prettier-ignore

type Column = keyof typeof columnNames;
type Columns = Readonly<Partial<Record<Column, number>>>;

/** The order that keras-retinanet uses, for files without a header. */
const headless: Columns = { picture: 0, xMin: 1, yMin: 2, xMax: 3, yMax: 4, className: 5 };

/**
 * Reads a table of boxes, one row for each: the names of its columns tell picture, class and corners (or x, y and sizes,
 * or a list in one column `bbox`); a file without a header is `picture, x1, y1, x2, y2, class`. A row without box and
 * class names a picture that shows no objects. Open Images' tables (`ImageID`, `LabelName`) are in fractions. Classes
 * are sorted by name, with ids from 1.
 *
 * @param files relative paths
 * @throws {DataError} if a file lacks the columns
 */
export async function readCsv(
  files: readonly string[],
  index: PictureIndex,
  report: (problem: Problem) => void,
): Promise<Annotations> {
  const tables = await Promise.all(files.map(async (relative) => await readTable(index.root, relative)));
  const classNames = new Set<string>();
  for (const { rows, columns } of tables)
    for (const { fields } of rows)
      if (isFilled(fields, columns)) classNames.add(fieldOf(fields, columns.className));
  classNames.delete("");
  const names = [...classNames].sort();
  const classIndex = new Map(names.map((name, position) => [name, position]));
  const pictures = tables.flatMap((table) => picturesOf(table, index, classIndex, report));
  return { classes: names.map((name, position) => ({ id: position + 1, name })), pictures };
}

interface Table {
  readonly relative: string;
  readonly file: string;
  readonly rows: readonly DelimitedRow[];
  readonly columns: Columns;
  readonly frame: "pixels" | "fractions";
}

/** The columns that a header names, or undefined if it names none of those that are needed. */
export function findColumns(header: readonly string[]): Columns | undefined {
  const columns: Partial<Record<Column, number>> = {};
  const keys = header.map((name) => name.toLowerCase().replace(/[^a-z0-9]/g, ""));
  for (const [column, names] of Object.entries(columnNames) as [Column, readonly string[]][]) {
    const at = names.map((name) => keys.indexOf(name)).find((position) => position !== -1);
    if (at !== undefined) columns[column] = at;
  }
  // With x and y beside them, width and height are the box's.
  if (columns.x !== undefined && columns.boxWidth === undefined && columns.xMax === undefined) {
    [columns.boxWidth, columns.boxHeight] = [columns.width, columns.height];
    delete columns.width;
    delete columns.height;
  }
  const has = (...wanted: Column[]) => wanted.every((column) => columns[column] !== undefined);
  const located = has("xMin", "yMin", "xMax", "yMax") || has("x", "y", "boxWidth", "boxHeight") || has("box");
  return has("picture") && located ? columns : undefined;
}

/** Whether a row reads like the headless form: a picture, then four numbers and a class, or nothing. */
export function isHeadlessRow(fields: readonly string[]): boolean {
  return (
    fields.length === 6 &&
    fields[0] !== "" &&
    fields.slice(1, 5).every((field) => field === "" || Number.isFinite(Number(field)))
  );
}

async function readTable(root: string, relative: string): Promise<Table> {
  const file = path.join(root, relative);
  const rows = parseDelimited(await readFile(file, "utf8"));
  const header = rows[0]?.fields ?? [];
  const columns = findColumns(header);
  if (columns !== undefined) {
    const openImages = /^imageid$/i.test(header[columns.picture!]!) && header.includes("LabelName");
    return { relative, file, rows: rows.slice(1), columns, frame: openImages ? "fractions" : "pixels" };
  }
  if (isHeadlessRow(header)) return { relative, file, rows, columns: headless, frame: "pixels" };
  throw new DataError(
    `${file}:1 names no columns for picture and box (${header.slice(0, 8).join(", ")})`,
    "call them filename, xmin, ymin, xmax, ymax and class",
  );
}

interface Gathered {
  readonly row: DelimitedRow;
  readonly objects: AnnotatedObject[];
}

function picturesOf(
  { relative, file, rows, columns, frame }: Table,
  index: PictureIndex,
  classIndex: ReadonlyMap<string, number>,
  report: (problem: Problem) => void,
): AnnotatedPicture[] {
  const gathered = new Map<string, Gathered>();
  for (const row of rows) {
    const { line, fields } = row;
    const name = fieldOf(fields, columns.picture);
    const problem = (kind: Problem["kind"], message: string, done: string) =>
      report({ kind, file, line, message, done });
    if (name === "") {
      problem("bad-value", "no picture is named", "row left out");
      continue;
    }
    const entry = gathered.get(name) ?? { row, objects: [] };
    gathered.set(name, entry);
    if (!isFilled(fields, columns)) continue;
    const className = columns.className === undefined ? "object" : fieldOf(fields, columns.className);
    const index = columns.className === undefined ? 0 : classIndex.get(className);
    if (index === undefined) problem("unknown-class", `a box of ${name} has no class`, "object left out");
    else
      entry.objects.push({
        classIndex: index,
        box: boxOf(fields, columns),
        line,
        label: `row ${line} (${className})`,
        difficult: Number(fieldOf(fields, columns.difficult)) === 1,
        crowd: Number(fieldOf(fields, columns.crowd)) === 1,
      });
  }
  return [...gathered].map(([name, { row, objects }]): AnnotatedPicture => {
    const split = splitOfWord(fieldOf(row.fields, columns.split)) ?? splitOfPath(relative);
    const found = index.find(name, path.posix.dirname(relative), split);
    return {
      id: found ?? name,
      file: found === undefined ? undefined : path.join(index.root, found),
      name,
      source: file,
      line: row.line,
      split,
      width: sizeOf(row.fields, columns.width),
      height: sizeOf(row.fields, columns.height),
      frame,
      objects,
    };
  });
}

function fieldOf(fields: readonly string[], column: number | undefined): string {
  return column === undefined ? "" : (fields[column] ?? "");
}

/** Whether a row has a box: one without is a picture that shows nothing. */
function isFilled(fields: readonly string[], columns: Columns): boolean {
  return [columns.xMin, columns.yMin, columns.xMax, columns.yMax, columns.x, columns.box].some(
    (column) => fieldOf(fields, column) !== "",
  );
}

function boxOf(fields: readonly string[], columns: Columns): Box {
  const number = (column: number | undefined) => {
    const text = fieldOf(fields, column);
    return text === "" ? NaN : Number(text);
  };
  if (columns.xMin !== undefined && columns.yMin !== undefined && columns.xMax !== undefined)
    return {
      xMin: number(columns.xMin),
      yMin: number(columns.yMin),
      xMax: number(columns.xMax),
      yMax: number(columns.yMax),
    };
  const listed = fieldOf(fields, columns.box).replace(/[[\]()]/g, "").split(/[,\s]+/).filter(Boolean).map(Number); // prettier-ignore
  const [x, y, width, height] =
    columns.x === undefined
      ? [listed[0] ?? NaN, listed[1] ?? NaN, listed[2] ?? NaN, listed[3] ?? NaN]
      : [number(columns.x), number(columns.y), number(columns.boxWidth), number(columns.boxHeight)];
  return { xMin: x, yMin: y, xMax: x + width, yMax: y + height };
}

function sizeOf(fields: readonly string[], column: number | undefined): number | undefined {
  const value = Number(fieldOf(fields, column));
  return Number.isFinite(value) && value > 0 ? value : undefined;
}
