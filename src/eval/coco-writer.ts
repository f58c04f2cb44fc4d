import type { Box } from "../detection/boxes.ts";
import type { CocoResult, ImageId } from "./coco-format.ts";

/** What a detector says about one object, as far as a results file holds it. */
export interface FoundObject {
  /** The data set's own id of the class. */
  readonly classId: number;
  readonly score: number;
  /** In pixels of the original picture. */
  readonly box: Box;
}

/** The detections of one picture as COCO results; empty in, empty out. */
export function cocoResults(imageId: ImageId, detections: readonly FoundObject[]): CocoResult[] {
  return detections.map(({ classId, score, box: { xMin, yMin, xMax, yMax } }) => ({
    image_id: imageId,
    category_id: classId,
    bbox: [xMin, yMin, xMax - xMin, yMax - yMin],
    score,
  }));
}

/**
 * The text of a COCO results file in pieces, one detection a line; `[]` from none.
 *
 * Numbers are written with as many digits as they need to be read back unchanged.
 */
export function* resultsJson(results: Iterable<CocoResult>): Generator<string> {
  let lines: string[] = [];
  let first = true;
  for (const { image_id, category_id, bbox, score } of results) {
    lines.push((first ? "[" : ",\n") + JSON.stringify({ image_id, category_id, bbox, score }));
    first = false;
    if (lines.length < 4096) continue;
    yield lines.join("");
    lines = [];
  }
  yield lines.join("") + (first ? "[]\n" : "]\n");
}
