import { detectionColumns, groundTruthColumns } from "./columns.ts";
import type { CocoCategory, CocoImage, Detections, GroundTruth, ImageId } from "./coco-format.ts";
import { sortByScore } from "./score-order.ts";

/** What was left out or is odd, as counts; see {@link arrangementWarnings}. */
export interface LeftOut {
  readonly detectionsOfUnknownImages: number;
  readonly detectionsOfUnknownCategories: number;
  readonly annotationsOfUnknownImages: number;
  readonly annotationsOfUnknownCategories: number;
  readonly detectionsBeyondLimit: number;
  /** Annotations that repeat an id: each counts here. Differs: the reference reads the last one several times. */
  readonly repeatedAnnotationIds: number;
  /** Annotations with id 0, which the reference takes for "no match". */
  readonly annotationsWithIdZero: number;
  /** Objects marked `ignore` that count like others because nobody said what to do with them. */
  readonly marksNotUsed: number;
}

/** The labelled objects of an arrangement, in the order (class, picture, file). */
export interface ArrangedObjects {
  readonly count: number;
  /** Row in the columns that were given, `[count]`. */
  readonly source: Int32Array;
  /** Position in `images`. */
  readonly image: Int32Array;
  /** `[count, 4]`: x, y, width, height. */
  readonly boxes: Float64Array;
  readonly areas: Float64Array;
  readonly crowd: Uint8Array;
  /** 1 where a match is neither right nor wrong. */
  readonly ignore: Uint8Array;
  /** 1 where the annotation's id is 0. */
  readonly idZero: Uint8Array;
  /** Where each class begins; `[classes + 1]`. */
  readonly start: Int32Array;
}

/** The detections of an arrangement, in the order (class, picture, falling score, file). */
export interface ArrangedDetections {
  readonly count: number;
  readonly source: Int32Array;
  readonly image: Int32Array;
  readonly boxes: Float64Array;
  readonly scores: Float64Array;
  /** `width · height`. */
  readonly areas: Float64Array;
  /** Place among the detections of its class in its picture, from 0. */
  readonly rank: Int32Array;
  /** Positions of each class by falling score over all pictures; ties in the order (picture, file). */
  readonly curve: Int32Array;
  readonly start: Int32Array;
}

/** Ground truth and detections sorted for evaluation: flat arrays, one stretch per class, pictures ascending. */
export interface Arrangement {
  readonly images: readonly CocoImage[];
  readonly categories: readonly CocoCategory[];
  readonly objects: ArrangedObjects;
  readonly detections: ArrangedDetections;
  readonly leftOut: LeftOut;
}

/**
 * Sorts everything once, by class, picture and score, so that matching only walks forwards.
 *
 * Pictures and classes are those that the ground truth lists, in ascending order of id (ties between equal scores
 * depend on it); boxes of others are left out and counted.
 * @param options.limit detections kept per picture and class, the best ones
 * @param options.useIgnore count objects marked `ignore` as neither right nor wrong, as crowd regions always are; where
 * it is left open they count, and a warning says so
 */
export function arrange(
  groundTruth: GroundTruth,
  detections: Detections,
  options: { limit?: number; useIgnore?: boolean } = {},
): Arrangement {
  const truth = groundTruthColumns(groundTruth);
  const found = detectionColumns(detections);
  const images = byId(truth.images, compareIds);
  const categories = byId<number, CocoCategory>(truth.categories, (a, b) => a - b);
  const imageIndex = new Map(images.map((image, index) => [image.id, index]));
  const categoryIndex = new Map(categories.map((category, index) => [category.id, index]));
  const place = (imageIds: ArrayLike<ImageId>, categoryIds: ArrayLike<number>): Placement =>
    placeRows(imageIds, categoryIds, imageIndex, categoryIndex, images.length, categories.length);

  const objectPlaces = place(truth.imageIds, truth.categoryIds);
  const detectionPlaces = place(found.imageIds, found.categoryIds);
  const { objects, idZero, repeated } = gatherObjects(objectPlaces, truth, options.useIgnore ?? false);
  let marks = 0;
  if (options.useIgnore === undefined)
    for (const row of objects.source) if (truth.ignore[row] && !truth.crowd[row]) marks++;
  const arranged = gatherDetections(detectionPlaces, found, options.limit ?? Infinity);
  return {
    images,
    categories,
    objects,
    detections: arranged,
    leftOut: {
      detectionsOfUnknownImages: detectionPlaces.unknownImages,
      detectionsOfUnknownCategories: detectionPlaces.unknownCategories,
      annotationsOfUnknownImages: objectPlaces.unknownImages,
      annotationsOfUnknownCategories: objectPlaces.unknownCategories,
      detectionsBeyondLimit: detectionPlaces.source.length - arranged.count,
      repeatedAnnotationIds: repeated,
      annotationsWithIdZero: idZero,
      marksNotUsed: marks,
    },
  };
}

/** A sentence for everything that an arrangement left out or took differently; empty where nothing was. */
export function arrangementWarnings({ leftOut }: Arrangement): string[] {
  const warnings: string[] = [];
  const warn = (count: number, text: string): void => {
    if (count > 0) warnings.push(`${count} ${text}`);
  };
  warn(
    leftOut.detectionsOfUnknownImages,
    "detections belong to pictures that the ground truth does not list: left out",
  );
  warn(
    leftOut.detectionsOfUnknownCategories,
    "detections have a category id that the ground truth does not list: left out",
  );
  warn(
    leftOut.annotationsOfUnknownImages,
    "annotations belong to pictures that the ground truth does not list: left out",
  );
  warn(leftOut.annotationsOfUnknownCategories, "annotations have a category id that is not listed: left out");
  warn(
    leftOut.repeatedAnnotationIds,
    "annotations repeat the id of another: each is counted as it stands (pycocotools would read one of them several times)",
  );
  warn(
    leftOut.annotationsWithIdZero,
    'annotation has the id 0, which the COCO metric takes for "no match" (as pycocotools does): number from 1',
  );
  warn(
    leftOut.marksNotUsed,
    "objects are marked ignore or difficult and count like all others (as pycocotools has it): useIgnore leaves them out",
  );
  return warnings;
}

/** Where two ids stand in ascending order: numbers before strings. */
export function compareIds(a: ImageId, b: ImageId): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
  return typeof a === "number" ? -1 : 1;
}

function byId<Id extends ImageId, T extends { readonly id: Id }>(
  items: readonly T[],
  compare: (a: Id, b: Id) => number,
): T[] {
  return [...new Map(items.map((item) => [item.id, item])).values()].sort((a, b) => compare(a.id, b.id));
}

/** The rows that can be evaluated, in the order (class, picture, row). */
interface Placement {
  readonly source: Int32Array;
  readonly image: Int32Array;
  readonly start: Int32Array;
  readonly unknownImages: number;
  readonly unknownCategories: number;
}

function placeRows(
  imageIds: ArrayLike<ImageId>,
  categoryIds: ArrayLike<number>,
  imageIndex: ReadonlyMap<ImageId, number>,
  categoryIndex: ReadonlyMap<number, number>,
  imageCount: number,
  categoryCount: number,
): Placement {
  const total = imageIds.length;
  const image = new Int32Array(total);
  const category = new Int32Array(total);
  let unknownImages = 0;
  let unknownCategories = 0;
  let lastId: ImageId | undefined;
  let lastIndex: number | undefined;
  for (let row = 0; row < total; row++) {
    const id = imageIds[row]!;
    if (id !== lastId) {
      lastId = id;
      lastIndex = imageIndex.get(id);
    }
    const categoryAt = categoryIndex.get(categoryIds[row]!);
    image[row] = lastIndex ?? -1;
    category[row] = lastIndex === undefined || categoryAt === undefined ? -1 : categoryAt;
    if (lastIndex === undefined) unknownImages++;
    else if (categoryAt === undefined) unknownCategories++;
  }
  const known = total - unknownImages - unknownCategories;
  // Two counting sorts, both stable: by picture, then by class.
  const rows = new Int32Array(known);
  for (let row = 0, at = 0; row < total; row++) if (category[row]! >= 0) rows[at++] = row;
  const byImage = countingSort(rows, image, imageCount).sorted;
  const { sorted, start } = countingSort(byImage, category, categoryCount);
  return {
    source: sorted,
    image: gather(sorted, image, new Int32Array(known)),
    start,
    unknownImages,
    unknownCategories,
  };
}

function countingSort(
  rows: Int32Array,
  key: Int32Array,
  keys: number,
): { sorted: Int32Array; start: Int32Array } {
  const start = new Int32Array(keys + 1);
  for (const row of rows) start[key[row]! + 1]!++;
  for (let k = 0; k < keys; k++) start[k + 1]! += start[k]!;
  const next = start.slice();
  const sorted = new Int32Array(rows.length);
  for (const row of rows) sorted[next[key[row]!]!++] = row;
  return { sorted, start };
}

function gatherObjects(
  { source, image, start }: Placement,
  truth: ReturnType<typeof groundTruthColumns>,
  useIgnore: boolean,
): { objects: ArrangedObjects; idZero: number; repeated: number } {
  const count = source.length;
  const idZero = new Uint8Array(count);
  const crowd = new Uint8Array(count);
  const ignore = new Uint8Array(count);
  const seen = new Set<number>();
  let zeros = 0;
  for (let at = 0; at < count; at++) {
    const row = source[at]!;
    const id = truth.ids[row]!;
    seen.add(id);
    crowd[at] = truth.crowd[row] ? 1 : 0;
    ignore[at] = crowd[at] || (useIgnore && truth.ignore[row]) ? 1 : 0;
    if (id === 0) zeros += idZero[at] = 1;
  }
  const objects = {
    count,
    source,
    image,
    boxes: gatherBoxes(source, truth.boxes),
    areas: gather(source, truth.areas, new Float64Array(count)),
    crowd,
    ignore,
    idZero,
    start,
  };
  return { objects, idZero: zeros, repeated: count - seen.size };
}

function gatherDetections(
  placement: Placement,
  found: ReturnType<typeof detectionColumns>,
  limit: number,
): ArrangedDetections {
  const total = placement.source.length;
  const classes = placement.start.length - 1;
  const allScores = gather(placement.source, found.scores, new Float64Array(total));
  const order = upTo(total);
  const scratch = new Int32Array(total);
  const rank = new Int32Array(total);
  const start = new Int32Array(classes + 1);
  let kept = 0;
  for (let k = 0; k < classes; k++) {
    const end = placement.start[k + 1]!;
    for (let from = placement.start[k]!; from < end;) {
      let to = from + 1;
      while (to < end && placement.image[to] === placement.image[from]) to++;
      sortByScore(order, from, to, allScores, scratch);
      const size = Math.min(to - from, limit);
      for (let place = 0; place < size; place++) {
        rank[kept] = place;
        order[kept++] = order[from + place]!;
      }
      from = to;
    }
    start[k + 1] = kept;
  }
  const chosen = order.subarray(0, kept);
  const scores = gather(chosen, allScores, new Float64Array(kept));
  const source = gather(chosen, placement.source, new Int32Array(kept));
  const boxes = gatherBoxes(source, found.boxes);
  const areas = new Float64Array(kept);
  for (let at = 0; at < kept; at++) areas[at] = boxes[at * 4 + 2]! * boxes[at * 4 + 3]!;
  const curve = upTo(kept);
  for (let k = 0; k < classes; k++) sortByScore(curve, start[k]!, start[k + 1]!, scores, scratch);
  return {
    count: kept,
    source,
    image: gather(chosen, placement.image, new Int32Array(kept)),
    boxes,
    scores,
    areas,
    rank: rank.slice(0, kept),
    curve,
    start,
  };
}

/** `values` at `rows`, into `target`. Plain loops: `from` and `map` with a function take several times as long. */
function gather<A extends Int32Array | Float64Array>(
  rows: Int32Array,
  values: ArrayLike<number>,
  target: A,
): A {
  for (let at = 0; at < rows.length; at++) target[at] = values[rows[at]!]!;
  return target;
}

function upTo(count: number): Int32Array {
  const numbers = new Int32Array(count);
  for (let at = 0; at < count; at++) numbers[at] = at;
  return numbers;
}

function gatherBoxes(source: Int32Array, from: ArrayLike<number>): Float64Array {
  const boxes = new Float64Array(source.length * 4);
  for (let at = 0; at < source.length; at++) {
    const row = source[at]! * 4;
    const to = at * 4;
    boxes[to] = from[row]!;
    boxes[to + 1] = from[row + 1]!;
    boxes[to + 2] = from[row + 2]!;
    boxes[to + 3] = from[row + 3]!;
  }
  return boxes;
}
