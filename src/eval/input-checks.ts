import { detectionColumns, groundTruthColumns } from "./columns.ts";
import type {
  DetectionColumns,
  Detections,
  GroundTruth,
  GroundTruthColumns,
  ImageId,
} from "./coco-format.ts";
import { evaluate } from "./evaluate.ts";

/** Something about the files that makes the numbers meaningless, or less than they seem. */
export interface InputProblem {
  readonly code:
    | "other-split"
    | "image-names"
    | "image-positions"
    | "few-images"
    | "unknown-categories"
    | "category-shift"
    | "boxes-corners"
    | "boxes-normalised"
    | "boxes-centre"
    | "boxes-swapped"
    | "boxes-scaled"
    | "truth-boxes"
    | "scores"
    | "no-boxes";
  /** Fatal: the numbers would be about something else than the detector. */
  readonly severity: "fatal" | "warning";
  /** What is wrong, as a sentence without a full stop. */
  readonly message: string;
  /** The likely cure. */
  readonly hint: string;
}

/**
 * Looks at ground truth and detections for the mistakes that people make with such files; empty where none shows.
 *
 * A guess is only made where a cure demonstrably helps: boxes are read in every other known form, classes and pictures
 * are numbered in every other way, and the one that raises AP50 on a sample of pictures far above the file's own is
 * named with both numbers. A merely bad detector raises no alarm.
 */
export function checkInputs(groundTruth: GroundTruth, detections: Detections): InputProblem[] {
  const truth = groundTruthColumns(groundTruth);
  const found = detectionColumns(detections);
  if (truth.imageIds.length === 0)
    return [
      fatal(
        "no-boxes",
        "the ground truth has no boxes",
        "give the annotations of the pictures that were detected on",
      ),
    ];
  if (found.scores.length === 0)
    return [
      {
        code: "no-boxes",
        severity: "warning",
        message: "there are no detections",
        hint: "every object will count as missed",
      },
    ];
  const problems = [...checkTruth(truth), ...checkImages(truth, found)];
  if (problems.some(({ severity }) => severity === "fatal")) return problems;
  return [...problems, ...checkCures(truth, found), ...checkCategories(truth, found), ...checkScores(found)];
}

function fatal(code: InputProblem["code"], message: string, hint: string): InputProblem {
  return { code, severity: "fatal", message, hint };
}

function warning(code: InputProblem["code"], message: string, hint: string): InputProblem {
  return { code, severity: "warning", message, hint };
}

/** Ground-truth boxes that lie outside of their pictures as they stand, but inside when read otherwise. */
function checkTruth(truth: GroundTruthColumns): InputProblem[] {
  const { boxes } = truth;
  const size = new Map(truth.images.map((image) => [image.id, image]));
  let outside = 0;
  let asCorners = 0;
  let known = 0;
  let largest = 0;
  for (let row = 0; row < truth.imageIds.length; row++) {
    const [x, y, w, h] = [boxes[row * 4]!, boxes[row * 4 + 1]!, boxes[row * 4 + 2]!, boxes[row * 4 + 3]!];
    largest = Math.max(largest, x, y, w, h);
    const { width, height } = size.get(truth.imageIds[row]!) ?? {};
    if (!width || !height) continue;
    known++;
    if (x + w > width * 1.02 + 2 || y + h > height * 1.02 + 2) outside++;
    if (w >= x && h >= y && w <= width * 1.02 + 2 && h <= height * 1.02 + 2) asCorners++;
  }
  if (largest <= 1.5 && truth.imageIds.length > 3)
    return [
      fatal(
        "truth-boxes",
        "the boxes of the ground truth are fractions of the picture",
        "multiply them by its width and height",
      ),
    ];
  if (known > 3 && outside > known * 0.2 && asCorners > known * 0.95)
    return [
      fatal(
        "truth-boxes",
        `${outside} of ${known} boxes of the ground truth reach beyond their picture, and all would fit as corners`,
        "they look like [x1, y1, x2, y2]; COCO's are [x, y, width, height]",
      ),
    ];
  return [];
}

function checkImages(truth: GroundTruthColumns, found: DetectionColumns): InputProblem[] {
  const ids = new Set<ImageId>(truth.images.map(({ id }) => id));
  const given = new Set<ImageId>();
  for (let row = 0; row < found.imageIds.length; row++) given.add(found.imageIds[row]!);
  const unknown = [...given].filter((id) => !ids.has(id));
  const example = (values: Iterable<ImageId>): string => [...values].slice(0, 3).join(", ");
  if (unknown.length > given.size / 2) {
    const names = new Set(
      truth.images.flatMap(({ id, file_name }) => (file_name ? [stem(file_name)] : []).concat(String(id))),
    );
    if (unknown.filter((id) => names.has(stem(String(id)))).length > unknown.length / 2)
      return [
        fatal(
          "image-names",
          `the detections name pictures by file name or text (${example(unknown)}), the ground truth by id (${example(ids)})`,
          "write each picture's id of the ground-truth file as image_id",
        ),
      ];
    const last = truth.images.length;
    if (unknown.every((id) => typeof id === "number" && Number.isInteger(id) && id >= 0 && id <= last))
      return [
        fatal(
          "image-positions",
          `the detections number the pictures ${Math.min(...(unknown as number[]))} to ${Math.max(...(unknown as number[]))}, the ground truth has ids such as ${example(ids)}`,
          "image_id must be the id of the ground-truth file, not the picture's position in it",
        ),
      ];
    return [
      fatal(
        "other-split",
        `${unknown.length} of the ${given.size} pictures with detections are not in the ground truth (${example(unknown)}; the ground truth has ${example(ids)})`,
        "the results seem to belong to another split or data set: give the ground truth they were made for",
      ),
    ];
  }
  if (unknown.length > 0)
    return [
      warning(
        "other-split",
        `${unknown.length} of the ${given.size} pictures with detections are not in the ground truth (${example(unknown)})`,
        "their detections are left out; check that both files are of one split",
      ),
    ];
  const withObjects = new Set<ImageId>();
  for (let row = 0; row < truth.imageIds.length; row++) withObjects.add(truth.imageIds[row]!);
  const without = [...withObjects].filter((id) => !given.has(id)).length;
  if (without > withObjects.size / 2)
    return [
      warning(
        "few-images",
        `${without} of the ${withObjects.size} pictures with objects have no detection at all`,
        "if only a part was detected on, evaluate that part: their objects count as missed",
      ),
    ];
  return [];
}

function stem(name: string): string {
  return name.replace(/^.*[\\/]/, "").replace(/\.[A-Za-z]{3,4}$/, "");
}

type BoxReader = (
  box: readonly number[],
  width: number,
  height: number,
) => readonly [number, number, number, number];

interface BoxForm {
  readonly code: InputProblem["code"];
  readonly looksLike: string;
  readonly hint: string;
  readonly read: BoxReader;
}

const forms: readonly BoxForm[] = [
  {
    code: "boxes-corners",
    looksLike: "corners [x1, y1, x2, y2]",
    hint: "write [x1, y1, x2 − x1, y2 − y1]",
    read: ([a, b, c, d]) => [a!, b!, c! - a!, d! - b!],
  },
  {
    code: "boxes-corners",
    looksLike: "corners with y first [y1, x1, y2, x2]",
    hint: "write [x1, y1, x2 − x1, y2 − y1]",
    read: ([a, b, c, d]) => [b!, a!, d! - b!, c! - a!],
  },
  {
    code: "boxes-centre",
    looksLike: "centre and size [cx, cy, width, height]",
    hint: "write [cx − width / 2, cy − height / 2, width, height]",
    read: ([a, b, c, d]) => [a! - c! / 2, b! - d! / 2, c!, d!],
  },
  {
    code: "boxes-swapped",
    looksLike: "[y, x, height, width]",
    hint: "write [x, y, width, height]",
    read: ([a, b, c, d]) => [b!, a!, d!, c!],
  },
];

const asIs: BoxReader = ([a, b, c, d]) => [a!, b!, c!, d!];
const networkSizes = [224, 256, 300, 320, 384, 416, 448, 512, 600, 640, 768, 800, 896, 1024, 1280, 1536];

/** Every other reading of the boxes that their numbers and the pictures' sizes allow. */
function otherForms(found: DetectionColumns, sized: boolean): BoxForm[] {
  let largest = 0;
  for (let at = 0; at < found.boxes.length; at++) largest = Math.max(largest, found.boxes[at]!);
  if (largest <= 2) {
    if (!sized) return [];
    return [{ looksLike: "[x, y, width, height]", read: asIs }, ...forms].map(({ looksLike, read }) => ({
      code: "boxes-normalised",
      looksLike: `fractions of the picture, ${looksLike}`,
      hint: "multiply by the picture's width and height, and write [x, y, width, height] in pixels",
      read: (box, width, height) =>
        read([box[0]!, box[1]!, box[2]!, box[3]!], 1, 1).map(
          (v, side) => v * (side % 2 ? height : width),
        ) as never,
    }));
  }
  if (!sized) return [...forms];
  const scaled = networkSizes.flatMap((size): BoxForm[] => [
    {
      code: "boxes-scaled",
      looksLike: `pixels of a network input of ${size}, letterboxed`,
      hint: `divide them by min(${size} / width, ${size} / height) of each picture`,
      read: ([a, b, c, d], width, height) => {
        const scale = Math.max(width, height) / size;
        return [a! * scale, b! * scale, c! * scale, d! * scale];
      },
    },
    {
      code: "boxes-scaled",
      looksLike: `pixels of a network input of ${size} × ${size}, stretched`,
      hint: `multiply x and width by the picture's width / ${size}, y and height by its height / ${size}`,
      read: ([a, b, c, d], width, height) => [
        (a! * width) / size,
        (b! * height) / size,
        (c! * width) / size,
        (d! * height) / size,
      ],
    },
  ]);
  return [...forms, ...scaled];
}

const SAMPLE_IMAGES = 100;

/** Reads the boxes and numbers the classes in other ways, and names the way that makes sense of them. */
function checkCures(allTruth: GroundTruthColumns, allFound: DetectionColumns): InputProblem[] {
  const { truth, found } = sample(allTruth, allFound);
  if (found.scores.length === 0) return [];
  const problems: InputProblem[] = [];
  const size = new Map(truth.images.map((image) => [image.id, image]));
  const sized = truth.images.every(({ width, height }) => width! > 0 && height! > 0);
  const oneClass = (columns: { categoryIds: ArrayLike<number> }): number[] =>
    Array.from(columns.categoryIds, () => 1);
  const agnostic = { ...truth, categories: [{ id: 1, name: "any" }], categoryIds: oneClass(truth) };
  const anyClass = oneClass(found);
  const value = (boxes: ArrayLike<number>): number =>
    ap50(agnostic, { ...found, categoryIds: anyClass, boxes });

  let boxes: ArrayLike<number> = found.boxes;
  const before = value(boxes);
  const best = { after: before, form: undefined as BoxForm | undefined, boxes };
  for (const form of before > 0.6 ? [] : otherForms(found, sized)) {
    const read = readAs(found, form.read, size);
    const after = value(read);
    if (after > best.after) Object.assign(best, { after, form, boxes: read });
  }
  if (best.form !== undefined && clearlyBetter(before, best.after)) {
    ({ boxes } = best);
    problems.push(
      fatal(
        best.form.code,
        `the boxes of the detections look like ${best.form.looksLike}, not [x, y, width, height] in pixels ` +
          `(read so, AP50 over all classes together is ${best.after.toFixed(2)} instead of ${before.toFixed(2)})`,
        best.form.hint,
      ),
    );
  }
  return [...problems, ...checkNumbering(truth, { ...found, boxes })];
}

/** Class ids that were shifted, or counted without COCO's gaps. */
function checkNumbering(truth: GroundTruthColumns, found: DetectionColumns): InputProblem[] {
  const ids = truth.categories.map(({ id }) => id).sort((a, b) => a - b);
  const before = ap50(truth, found);
  const ways: readonly [says: string, hint: string, id: (given: number) => number | undefined][] = [
    ["are one too low", "add 1 to every category_id", (given) => given + 1],
    ["are one too high", "subtract 1 from every category_id", (given) => given - 1],
    [
      `count the classes 0 to ${ids.length - 1}, without the gaps of the ground truth's ids`,
      "write the id of the ground truth's class at that position",
      (given) => ids[given],
    ],
    [
      `count the classes 1 to ${ids.length}, without the gaps of the ground truth's ids`,
      "write the id of the ground truth's class at that position",
      (given) => ids[given - 1],
    ],
  ];
  let best: { after: number; says: string; hint: string } | undefined;
  for (const [says, hint, id] of before > 0.6 ? [] : ways) {
    const after = ap50(truth, {
      ...found,
      categoryIds: Array.from(found.categoryIds, (given) => id(given) ?? -1),
    });
    // A plain shift and a count without gaps agree where there are no gaps: the simpler one comes first.
    if (after > (best?.after ?? before) + 1e-9) best = { after, says, hint };
  }
  if (best === undefined || !clearlyBetter(before, best.after)) return [];
  return [
    fatal(
      "category-shift",
      `the category ids of the detections ${best.says} (read so, AP50 is ${best.after.toFixed(2)} instead of ${before.toFixed(2)})`,
      best.hint,
    ),
  ];
}

function clearlyBetter(before: number, after: number): boolean {
  return after >= 0.1 && after >= 2 * Math.max(0, before) + 0.05;
}

function ap50(truth: GroundTruthColumns, found: DetectionColumns): number {
  return evaluate(truth, found, { iouThresholds: [0.5], maxDetections: [100], areas: {} }).AP50;
}

function readAs(
  found: DetectionColumns,
  read: BoxReader,
  size: ReadonlyMap<ImageId, { width?: number; height?: number }>,
): Float64Array {
  const boxes = new Float64Array(found.boxes.length);
  for (let row = 0; row < found.scores.length; row++) {
    const { width = 1, height = 1 } = size.get(found.imageIds[row]!) ?? {};
    const given = [0, 1, 2, 3].map((side) => found.boxes[row * 4 + side]!);
    boxes.set(read(given, width, height), row * 4);
  }
  return boxes;
}

/** The first pictures that have both objects and detections, and what belongs to them. */
function sample(
  truth: GroundTruthColumns,
  found: DetectionColumns,
): { truth: GroundTruthColumns; found: DetectionColumns } {
  const detected = new Set<ImageId>();
  for (let row = 0; row < found.imageIds.length; row++) detected.add(found.imageIds[row]!);
  const chosen = new Set<ImageId>();
  for (let row = 0; row < truth.imageIds.length && chosen.size < SAMPLE_IMAGES; row++)
    if (detected.has(truth.imageIds[row]!)) chosen.add(truth.imageIds[row]!);
  const rowsOf = (ids: ArrayLike<ImageId>): number[] => {
    const rows: number[] = [];
    for (let row = 0; row < ids.length; row++) if (chosen.has(ids[row]!)) rows.push(row);
    return rows;
  };
  const take = <T>(rows: readonly number[], column: ArrayLike<T>): T[] => rows.map((row) => column[row]!);
  const takeBoxes = (rows: readonly number[], boxes: ArrayLike<number>): number[] =>
    rows.flatMap((row) => [0, 1, 2, 3].map((side) => boxes[row * 4 + side]!));
  const objects = rowsOf(truth.imageIds);
  const detections = rowsOf(found.imageIds);
  return {
    truth: {
      images: truth.images.filter(({ id }) => chosen.has(id)),
      categories: truth.categories,
      ids: take(objects, truth.ids),
      imageIds: take(objects, truth.imageIds),
      categoryIds: take(objects, truth.categoryIds),
      boxes: takeBoxes(objects, truth.boxes),
      areas: take(objects, truth.areas),
      crowd: take(objects, truth.crowd),
      ignore: take(objects, truth.ignore),
    },
    found: {
      imageIds: take(detections, found.imageIds),
      categoryIds: take(detections, found.categoryIds),
      boxes: takeBoxes(detections, found.boxes),
      scores: take(detections, found.scores),
    },
  };
}

function checkCategories(truth: GroundTruthColumns, found: DetectionColumns): InputProblem[] {
  const ids = new Set(truth.categories.map(({ id }) => id));
  const unknown = new Set<number>();
  let rows = 0;
  for (let row = 0; row < found.categoryIds.length; row++)
    if (!ids.has(found.categoryIds[row]!)) {
      unknown.add(found.categoryIds[row]!);
      rows++;
    }
  if (rows === 0) return [];
  return [
    warning(
      "unknown-categories",
      `${rows} of ${found.scores.length} detections have category ids that the ground truth does not list (${[...unknown].slice(0, 5).join(", ")})`,
      "they are left out; check that both files number the classes alike",
    ),
  ];
}

function checkScores(found: DetectionColumns): InputProblem[] {
  let low = Infinity;
  let high = -Infinity;
  for (let row = 0; row < found.scores.length; row++) {
    low = Math.min(low, found.scores[row]!);
    high = Math.max(high, found.scores[row]!);
  }
  if (low === high && found.scores.length > 1)
    return [
      warning(
        "scores",
        `all scores are ${low}`,
        "AP ranks detections by score; without scores the order is that of the file",
      ),
    ];
  if (low < 0 || high > 1)
    return [
      warning(
        "scores",
        `scores go from ${low} to ${high}, beyond 0 to 1`,
        "AP only needs their order, but calibration and thresholds of the report mean probabilities",
      ),
    ];
  return [];
}
