import { DataError } from "../errors.ts";
import type {
  BoxXywh,
  CocoDataset,
  CocoResult,
  DetectionColumns,
  Detections,
  GroundTruth,
  GroundTruthColumns,
  ImageId,
} from "./coco-format.ts";

/**
 * Ground truth as columns; columns pass through unchanged.
 *
 * A missing `area` becomes `width · height`, a missing `id` the position counted from 1.
 * @throws {DataError} if a part is missing, or a box is not four finite numbers
 */
export function groundTruthColumns(groundTruth: GroundTruth): GroundTruthColumns {
  if (typeof groundTruth !== "object" || groundTruth === null)
    throw new DataError(
      "the ground truth is not an object",
      "give the COCO form: { images, annotations, categories }",
    );
  if ("boxes" in groundTruth) return checkedGroundTruth(groundTruth);
  const { images, annotations, categories } = groundTruth as Partial<CocoDataset>;
  for (const [name, part] of Object.entries({ images, annotations, categories }))
    if (!Array.isArray(part))
      throw new DataError(
        `the ground truth has no array "${name}"`,
        Array.isArray(groundTruth)
          ? "this is a list of detections; the ground truth is an object with images, annotations and categories"
          : "give the COCO form: { images, annotations, categories }",
      );
  const rows = annotations!;
  const count = rows.length;
  const imageIds = new Array<ImageId>(count);
  const categoryIds = new Array<number>(count);
  const ids = new Array<number>(count);
  const boxes = new Float64Array(count * 4);
  const areas = new Float64Array(count);
  const crowd = new Uint8Array(count);
  const ignore = new Uint8Array(count);
  for (let row = 0; row < count; row++) {
    const annotation = rows[row]!;
    copyBox(annotation.bbox, boxes, row, "annotation");
    ids[row] = annotation.id ?? row + 1;
    imageIds[row] = annotation.image_id;
    categoryIds[row] = annotation.category_id;
    areas[row] = annotation.area ?? annotation.bbox[2] * annotation.bbox[3];
    crowd[row] = annotation.iscrowd || annotation.isgroup ? 1 : 0;
    ignore[row] = annotation.ignore || annotation.difficult ? 1 : 0;
  }
  return {
    images: images!,
    categories: categories!,
    ids,
    imageIds,
    categoryIds,
    boxes,
    areas,
    crowd,
    ignore,
  };
}

/**
 * Detections as columns; columns pass through unchanged.
 *
 * @throws {DataError} if a box is not four finite numbers or a score is not a finite number
 */
export function detectionColumns(detections: Detections): DetectionColumns {
  if (!isRows(detections)) {
    if (typeof detections !== "object" || detections === null || !("scores" in detections))
      throw new DataError(
        "the detections are not a list",
        typeof detections === "object" && detections !== null && "annotations" in detections
          ? "this is ground truth; detections are a list of { image_id, category_id, bbox, score }"
          : "give a list of { image_id, category_id, bbox, score }",
      );
    return checkedDetections(detections);
  }
  const count = detections.length;
  const imageIds = new Array<ImageId>(count);
  const categoryIds = new Array<number>(count);
  const boxes = new Float64Array(count * 4);
  const scores = new Float64Array(count);
  for (let row = 0; row < count; row++) {
    const detection = detections[row]!;
    copyBox(detection.bbox, boxes, row, "detection");
    imageIds[row] = detection.image_id;
    categoryIds[row] = detection.category_id;
    scores[row] = checkedScore(detection.score, row);
  }
  return { imageIds, categoryIds, boxes, scores };
}

/** Detections as the rows of a COCO results file; rows pass through unchanged. */
export function detectionRows(detections: Detections): readonly CocoResult[] {
  if (isRows(detections)) return detections;
  const { imageIds, categoryIds, boxes, scores } = detections;
  return Array.from({ length: scores.length }, (_, row) => ({
    image_id: imageIds[row]!,
    category_id: categoryIds[row]!,
    bbox: boxAt(boxes, row),
    score: scores[row]!,
  }));
}

/** Row `row` of `[N, 4]` boxes. */
export function boxAt(boxes: ArrayLike<number>, row: number): BoxXywh {
  const at = row * 4;
  return [boxes[at]!, boxes[at + 1]!, boxes[at + 2]!, boxes[at + 3]!];
}

function isRows(detections: Detections): detections is readonly CocoResult[] {
  return Array.isArray(detections);
}

function copyBox(box: ArrayLike<number> | undefined, boxes: Float64Array, row: number, what: string): void {
  if (box?.length === 4) {
    const at = row * 4;
    const x = (boxes[at] = box[0]!);
    const y = (boxes[at + 1] = box[1]!);
    const width = (boxes[at + 2] = box[2]!);
    const height = (boxes[at + 3] = box[3]!);
    // One sum instead of four tests: it is finite exactly if all four are (pixels are far from the largest double).
    if (typeof x === "number" && Number.isFinite(x + y + width + height)) return;
  }
  throw new DataError(
    `the box of ${what} ${row + 1} is not four finite numbers (${JSON.stringify(box)?.slice(0, 80)})`,
    "a COCO box is [x, y, width, height] in pixels",
  );
}

function checkedScore(score: number, row: number): number {
  if (typeof score === "number" && Number.isFinite(score)) return score;
  throw new DataError(
    `the score of detection ${row + 1} is not a finite number (${String(score)})`,
    "every detection of a COCO results file has a score",
  );
}

function checkedGroundTruth(columns: GroundTruthColumns): GroundTruthColumns {
  const { ids, imageIds, categoryIds, boxes, areas, crowd, ignore } = columns;
  sameLength({ ids, imageIds, categoryIds, areas, crowd, ignore }, boxes);
  finite(boxes, "box", "annotation", 4);
  return columns;
}

function checkedDetections(columns: DetectionColumns): DetectionColumns {
  const { imageIds, categoryIds, boxes, scores } = columns;
  sameLength({ imageIds, categoryIds, scores }, boxes);
  finite(boxes, "box", "detection", 4);
  finite(scores, "score", "detection", 1);
  return columns;
}

function sameLength(columns: Record<string, ArrayLike<unknown>>, boxes: ArrayLike<number>): void {
  for (const [name, column] of Object.entries(columns))
    if (column.length * 4 !== boxes.length)
      throw new DataError(
        `the column ${name} has ${column.length} rows where boxes has ${boxes.length / 4}`,
        "all columns of an evaluation have one row for each box; boxes has four numbers a row",
      );
}

function finite(values: ArrayLike<number>, what: string, of: string, width: number): void {
  for (let at = 0; at < values.length; at++)
    if (!Number.isFinite(values[at]!))
      throw new DataError(`the ${what} of ${of} ${Math.floor(at / width) + 1} is not finite (${values[at]})`);
}
