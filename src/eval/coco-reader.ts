import type { DataError } from "../errors.ts";
import type {
  CocoCategory,
  CocoImage,
  DetectionColumns,
  GroundTruthColumns,
  ImageId,
} from "./coco-format.ts";
import { GrowingColumn } from "./growing-column.ts";
import { JsonScanner, keyBytes, Passing } from "./json-scanner.ts";

const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const COMMA = 0x2c;
const QUOTE = 0x22;

/**
 * Reads a COCO results file that arrives in pieces: give the bytes to `push` in order, then call `finish`.
 *
 * Both throw a {@link DataError} that names the record where the file is no list of detections.
 */
export class ResultsReader {
  readonly #scanner: JsonScanner;
  readonly #columns = new BoxColumns();
  readonly #scores = new GrowingColumn();
  #state: "start" | "records" | "end" = "start";

  /** @param name of the file, for error messages */
  constructor(name = "the results") {
    this.#scanner = new JsonScanner(name);
  }

  push(chunk: Uint8Array): void {
    this.#scanner.feed(chunk);
    while (this.#state !== "end" && this.#step());
  }

  finish(): DetectionColumns {
    this.#scanner.complete();
    while (this.#state !== "end") this.#step();
    expectEnd(this.#scanner);
    const { imageIds, categoryIds } = this.#columns;
    return { imageIds, categoryIds, boxes: this.#columns.boxes.finish(), scores: this.#scores.finish() };
  }

  #step(): boolean {
    const scanner = this.#scanner;
    const more = scanner.attempt((): true => {
      if (this.#state === "start") {
        skipByteOrderMark(scanner);
        if (scanner.peek() === OPEN_BRACE) throw objectInsteadOfResults(scanner);
        scanner.expect(OPEN_BRACKET, "the list of detections");
        this.#state = scanner.accept(CLOSE_BRACKET) ? "end" : "records";
        return true;
      }
      this.#record();
      return true;
    });
    return more === true;
  }

  #record(): void {
    const scanner = this.#scanner;
    const columns = this.#columns;
    scanner.record = columns.count + 1;
    const record = readRecord(scanner, DETECTION, columns);
    if (Number.isNaN(record.score))
      throw scanner.error(
        "a detection has no score that is a number",
        "every entry of a COCO results file is { image_id, category_id, bbox, score }; without scores this may be ground truth",
      );
    const last = endOfRecord(scanner, "the list of detections");
    scanner.record = 0;
    columns.push(record);
    this.#scores.push(record.score);
    if (last) this.#state = "end";
  }
}

/**
 * Reads a COCO ground-truth file ("instances") that arrives in pieces; polygons and all else that an evaluation does
 * not need is passed over, so a file of several hundred MB takes the memory of its boxes.
 *
 * Give the bytes to `push` in order, then call `finish`. Both throw a {@link DataError} that names the record where
 * the file is no ground truth.
 */
export class GroundTruthReader {
  readonly #scanner: JsonScanner;
  readonly #columns = new BoxColumns();
  readonly #ids = new GrowingColumn();
  readonly #areas = new GrowingColumn();
  readonly #crowd = new GrowingColumn();
  readonly #ignore = new GrowingColumn();
  readonly #images: CocoImage[] = [];
  readonly #categories: CocoCategory[] = [];
  readonly #seen = new Set<string>();
  #state: "start" | "key" | "images" | "annotations" | "categories" | "other" | "end" = "start";
  #passing = new Passing();

  /** @param name of the file, for error messages */
  constructor(name = "the ground truth") {
    this.#scanner = new JsonScanner(name);
  }

  push(chunk: Uint8Array): void {
    this.#scanner.feed(chunk);
    while (this.#state !== "end" && this.#step());
  }

  finish(): GroundTruthColumns {
    this.#scanner.complete();
    while (this.#state !== "end") this.#step();
    expectEnd(this.#scanner);
    for (const part of ["images", "annotations", "categories"])
      if (!this.#seen.has(part))
        throw this.#scanner.error(
          `the ground truth has no "${part}"`,
          "a COCO file of objects (instances_….json) has images, annotations and categories",
        );
    return {
      images: this.#images,
      categories: this.#categories,
      ids: this.#ids.finish(),
      imageIds: this.#columns.imageIds,
      categoryIds: this.#columns.categoryIds,
      boxes: this.#columns.boxes.finish(),
      areas: this.#areas.finish(),
      crowd: this.#crowd.finish(),
      ignore: this.#ignore.finish(),
    };
  }

  #step(): boolean {
    const scanner = this.#scanner;
    if (this.#state === "other") {
      if (!scanner.skipSome(this.#passing, "a member that is not read")) return false;
      this.#passing = new Passing();
      this.#state = "key";
      return true;
    }
    const more = scanner.attempt((): true => {
      if (this.#state === "start") this.#open();
      else if (this.#state === "key") this.#key();
      else this.#record(this.#state as Part);
      return true;
    });
    return more === true;
  }

  #open(): void {
    const scanner = this.#scanner;
    skipByteOrderMark(scanner);
    if (scanner.peek() === OPEN_BRACKET)
      throw scanner.error(
        "is a list, where ground truth is an object with images, annotations and categories",
        "this looks like a results file of detections: give it with --detections, and the annotations with --ground-truth",
      );
    scanner.expect(OPEN_BRACE, "the ground truth");
    this.#state = scanner.accept(CLOSE_BRACE) ? "end" : "key";
  }

  #key(): void {
    const scanner = this.#scanner;
    // Between members stands a comma; before the first one nothing does.
    if (scanner.accept(CLOSE_BRACE)) {
      this.#state = "end";
      return;
    }
    scanner.accept(COMMA);
    const part = parts[scanner.key(partKeys, "the ground truth")];
    if (part === undefined) {
      this.#state = "other";
      return;
    }
    scanner.expect(OPEN_BRACKET, `"${part}"`);
    const empty = scanner.accept(CLOSE_BRACKET);
    this.#seen.add(part);
    this.#state = empty ? "key" : part;
  }

  #record(part: Part): void {
    const scanner = this.#scanner;
    if (part === "annotations") {
      const columns = this.#columns;
      scanner.record = columns.count + 1;
      const record = readRecord(scanner, ANNOTATION, columns);
      const last = endOfRecord(scanner, `"annotations"`);
      columns.push(record);
      this.#ids.push(Number.isNaN(record.id) ? columns.count : record.id);
      this.#areas.push(Number.isNaN(record.area) ? record.width * record.height : record.area);
      this.#crowd.push(record.crowd ? 1 : 0);
      this.#ignore.push(record.ignore ? 1 : 0);
      scanner.record = 0;
      if (last) this.#state = "key";
      return;
    }
    scanner.record = (part === "images" ? this.#images : this.#categories).length + 1;
    const item = part === "images" ? readImage(scanner) : readCategory(scanner);
    const last = endOfRecord(scanner, `"${part}"`);
    scanner.record = 0;
    if (part === "images") this.#images.push(item as CocoImage);
    else this.#categories.push(item as CocoCategory);
    if (last) this.#state = "key";
  }
}

type Part = "images" | "annotations" | "categories";
const parts: readonly Part[] = ["images", "annotations", "categories"];
const partKeys = keyBytes(...parts);

/** What detections and annotations have in common. */
class BoxColumns {
  readonly imageIds: ImageId[] = [];
  readonly categoryIds: number[] = [];
  readonly boxes = new GrowingColumn();

  get count(): number {
    return this.imageIds.length;
  }

  push(record: BoxRecord): void {
    this.imageIds.push(record.imageId);
    this.categoryIds.push(record.categoryId);
    this.boxes.push(record.x);
    this.boxes.push(record.y);
    this.boxes.push(record.width);
    this.boxes.push(record.height);
  }
}

interface BoxRecord {
  imageId: ImageId;
  categoryId: number;
  x: number;
  y: number;
  width: number;
  height: number;
  score: number;
  id: number;
  area: number;
  crowd: boolean;
  ignore: boolean;
}

const record: BoxRecord = {
  imageId: 0,
  categoryId: 0,
  x: 0,
  y: 0,
  width: 0,
  height: 0,
  score: 0,
  id: 0,
  area: 0,
  crowd: false,
  ignore: false,
};

// In the order that files mostly have them: the search goes from the front.
const boxKeys = keyBytes(
  "image_id",
  "category_id",
  "bbox",
  "score",
  "id",
  "area",
  "iscrowd",
  "ignore",
  "difficult",
  "isgroup",
);

/** What errors call the places within a record. */
interface Places {
  readonly record: string;
  readonly imageId: string;
  readonly categoryId: string;
  readonly box: string;
  readonly score: string;
  readonly other: string;
}

const places = (record: string): Places => ({
  record,
  imageId: `image_id of ${record}`,
  categoryId: `category_id of ${record}`,
  box: `bbox of ${record}`,
  score: `score of ${record}`,
  other: `a number of ${record}`,
});

const DETECTION = places("a detection");
const ANNOTATION = places("an annotation");

/** Which key followed which in the last record: a guess only. */
const follower = new Int8Array(boxKeys.length + 1).fill(-1);

/** Reads one annotation or detection into the shared record, whose content lasts until the next call. */
function readRecord(scanner: JsonScanner, where: Places, columns: BoxColumns): BoxRecord {
  record.score = record.id = record.area = record.categoryId = record.x = NaN;
  record.crowd = record.ignore = false;
  let imageId: ImageId | undefined;
  let key = -1;
  scanner.expect(OPEN_BRACE, where.record);
  if (scanner.peek() !== CLOSE_BRACE)
    do {
      const before = key + 1;
      key = scanner.key(boxKeys, where.record, follower[before]!);
      follower[before] = key;
      switch (key) {
        case 0:
          imageId = readId(scanner, where.imageId);
          break;
        case 1:
          record.categoryId = scanner.number(where.categoryId);
          break;
        case 2:
          readBox(scanner, where.box);
          break;
        case 3:
          record.score = scanner.number(where.score);
          break;
        case 4:
          if (scanner.peek() === QUOTE) scanner.skip(where.other);
          else record.id = scanner.number(where.other);
          break;
        case 5:
          record.area = scanner.number(where.other);
          break;
        case 6:
        case 9:
          record.crowd = scanner.flag(where.other) || record.crowd;
          break;
        case 7:
        case 8:
          record.ignore = scanner.flag(where.other) || record.ignore;
          break;
        default:
          scanner.skip(where.other);
      }
    } while (scanner.accept(COMMA));
  if (imageId === undefined) throw missing(scanner, where.record, "image_id");
  if (Number.isNaN(record.categoryId)) throw missing(scanner, where.record, "category_id");
  if (Number.isNaN(record.x)) throw missing(scanner, where.record, "bbox");
  // Of equal strings one is kept: as many copies as boxes would outweigh the boxes.
  record.imageId =
    typeof imageId === "string" && imageId === columns.imageIds.at(-1) ? columns.imageIds.at(-1)! : imageId;
  return record;
}

/** The brace that closes a record, and what follows it; true at the end of the list. */
function endOfRecord(scanner: JsonScanner, where: string): boolean {
  scanner.expect(CLOSE_BRACE, where);
  if (scanner.accept(COMMA)) return false;
  scanner.expect(CLOSE_BRACKET, where);
  return true;
}

function readBox(scanner: JsonScanner, where: string): void {
  scanner.expect(OPEN_BRACKET, where);
  record.x = scanner.number(where);
  scanner.expect(COMMA, where);
  record.y = scanner.number(where);
  scanner.expect(COMMA, where);
  record.width = scanner.number(where);
  scanner.expect(COMMA, where);
  record.height = scanner.number(where);
  scanner.expect(CLOSE_BRACKET, where);
  if (!Number.isFinite(record.x + record.y + record.width + record.height))
    throw scanner.error(
      `${where} is not four finite numbers`,
      "a COCO box is [x, y, width, height] in pixels",
    );
}

function readId(scanner: JsonScanner, where: string): ImageId {
  if (scanner.peek() === QUOTE) return scanner.string(where);
  const id = scanner.number(where);
  if (Number.isNaN(id)) throw missing(scanner, where, "id of a picture");
  return id;
}

const imageKeys = keyBytes("id", "file_name", "width", "height", "verified_category_ids", "neg_category_ids");

function readImage(scanner: JsonScanner): CocoImage {
  const where = "an image";
  let id: ImageId | undefined;
  let fileName: string | undefined;
  let width: number | undefined;
  let height: number | undefined;
  const checked: { verified_category_ids?: number[]; neg_category_ids?: number[] } = {};
  readMembers(scanner, where, imageKeys, (key) => {
    if (key === 0) id = readId(scanner, where);
    else if (key === 1) fileName = scanner.string(where);
    else if (key === 2) width = scanner.number(where);
    else if (key === 3) height = scanner.number(where);
    else checked[key === 4 ? "verified_category_ids" : "neg_category_ids"] = readNumbers(scanner, where);
  });
  if (id === undefined) throw missing(scanner, where, "id");
  return {
    id,
    ...(fileName === undefined ? {} : { file_name: fileName }),
    ...(width === undefined ? {} : { width }),
    ...(height === undefined ? {} : { height }),
    ...checked,
  };
}

function readNumbers(scanner: JsonScanner, where: string): number[] {
  const numbers: number[] = [];
  scanner.expect(OPEN_BRACKET, where);
  if (scanner.accept(CLOSE_BRACKET)) return numbers;
  do numbers.push(scanner.number(where));
  while (scanner.accept(COMMA));
  scanner.expect(CLOSE_BRACKET, where);
  return numbers;
}

const categoryKeys = keyBytes("id", "name", "supercategory");

function readCategory(scanner: JsonScanner): CocoCategory {
  const where = "a category";
  let id = NaN;
  let name: string | undefined;
  let supercategory: string | undefined;
  readMembers(scanner, where, categoryKeys, (key) => {
    if (key === 0) id = scanner.number(where);
    else if (scanner.peek() !== QUOTE) scanner.skip(where);
    else if (key === 1) name = scanner.string(where);
    else supercategory = scanner.string(where);
  });
  if (Number.isNaN(id)) throw missing(scanner, where, "id");
  return { id, name: name ?? String(id), ...(supercategory === undefined ? {} : { supercategory }) };
}

/** Reads an object up to its closing brace, which {@link endOfRecord} takes. */
function readMembers(
  scanner: JsonScanner,
  where: string,
  keys: Uint8Array[],
  read: (key: number) => void,
): void {
  scanner.expect(OPEN_BRACE, where);
  if (scanner.peek() === CLOSE_BRACE) return;
  do {
    const key = scanner.key(keys, where);
    if (key < 0) scanner.skip(where);
    else read(key);
  } while (scanner.accept(COMMA));
}

function missing(scanner: JsonScanner, where: string, field: string): DataError {
  return scanner.error(
    `${where} has no ${field}`,
    where === DETECTION.record
      ? "every entry of a COCO results file is { image_id, category_id, bbox: [x, y, width, height], score }"
      : "see the COCO format: images { id }, annotations { id, image_id, category_id, bbox }, categories { id, name }",
  );
}

function skipByteOrderMark(scanner: JsonScanner): void {
  if (scanner.accept(0xef)) {
    scanner.accept(0xbb);
    scanner.accept(0xbf);
  }
}

function expectEnd(scanner: JsonScanner): void {
  if (scanner.peek() !== 0) throw scanner.unexpected("what follows the end of the file");
}

/** A results file that is an object: says which known kind of file it is. */
function objectInsteadOfResults(scanner: JsonScanner): DataError {
  return scanner.error(
    "is an object, where results are a list of { image_id, category_id, bbox, score }",
    "a file with images, annotations and categories is ground truth: give it with --ground-truth; " +
      "if the detections stand inside the object, write that list alone to a file; " +
      "lines of `detect --json` are not results either: use `detect --results FILE.json`",
  );
}
