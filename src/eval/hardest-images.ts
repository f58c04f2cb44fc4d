import type { Box } from "../detection/boxes.ts";
import type { Arrangement } from "./arrangement.ts";
import type { CocoImage } from "./coco-format.ts";
import { classOf, groupByImage } from "./confusion.ts";
import type { ErrorKind } from "./error-kinds.ts";
import { IGNORED, RIGHT } from "./matching.ts";
import type { Outcomes } from "./outcomes.ts";

/** A labelled object and whether it was found. */
export interface JudgedObject {
  readonly label: string;
  readonly box: Box;
  readonly state: "found" | "missed" | "ignored";
}

/** A detection and whether it is right; a wrong one with its kind of error where that is known. */
export interface JudgedDetection {
  readonly label: string;
  readonly score: number;
  readonly box: Box;
  readonly state: "right" | "wrong" | "ignored";
  readonly error?: ErrorKind;
}

/** A picture with all that was right and wrong in it. */
export interface JudgedImage {
  readonly image: CocoImage;
  /** Objects missed, plus the scores of the wrong detections: how much went wrong. */
  readonly loss: number;
  readonly missed: number;
  readonly wrong: number;
  readonly objects: readonly JudgedObject[];
  /** Those of at least the threshold, the best score first. */
  readonly detections: readonly JudgedDetection[];
}

/**
 * The pictures in which most went wrong, the worst first; at most `count`, none without errors.
 *
 * @param scoreThreshold detections below it are taken as not made
 * @param errors kinds of errors by row of the input
 */
export function hardestImages(
  arrangement: Arrangement,
  outcomes: Outcomes,
  scoreThreshold: number,
  count: number,
  errors: ReadonlyMap<number, ErrorKind> = new Map(),
): JudgedImage[] {
  const { objects, detections, categories, images } = arrangement;
  const made = (d: number): boolean => detections.scores[d]! >= scoreThreshold;
  const isMissed = (g: number): boolean =>
    !objects.ignore[g] && (outcomes.finder[g]! < 0 || !made(outcomes.finder[g]!));
  const isWrong = (d: number): boolean =>
    made(d) && outcomes.verdict[d] !== RIGHT && outcomes.verdict[d] !== IGNORED;
  const missed = new Int32Array(images.length);
  const wrong = new Int32Array(images.length);
  const loss = new Float64Array(images.length);
  for (let g = 0; g < objects.count; g++)
    if (isMissed(g)) {
      missed[objects.image[g]!]!++;
      loss[objects.image[g]!]!++;
    }
  for (let d = 0; d < detections.count; d++)
    if (isWrong(d)) {
      wrong[detections.image[d]!]!++;
      loss[detections.image[d]!]! += detections.scores[d]!;
    }
  const worst = [...loss.keys()]
    .filter((image) => loss[image]! > 0)
    .sort((a, b) => loss[b]! - loss[a]! || a - b)
    .slice(0, count);

  const objectsOf = groupByImage(objects, images.length);
  const detectionsOf = groupByImage(detections, images.length);
  const objectClass = classOf(objects.start, categories.length);
  const detectionClass = classOf(detections.start, categories.length);
  return worst.map((image) => ({
    image: images[image]!,
    loss: loss[image]!,
    missed: missed[image]!,
    wrong: wrong[image]!,
    objects: objectsOf[image]!.map((g) => ({
      label: categories[objectClass(g)]!.name,
      box: publicBox(objects.boxes, g),
      state: objects.ignore[g] ? "ignored" : isMissed(g) ? "missed" : "found",
    })),
    detections: detectionsOf[image]!.filter(made)
      .sort((a, b) => detections.scores[b]! - detections.scores[a]!)
      .map((d) => ({
        label: categories[detectionClass(d)]!.name,
        score: detections.scores[d]!,
        box: publicBox(detections.boxes, d),
        state:
          outcomes.verdict[d] === RIGHT ? "right" : outcomes.verdict[d] === IGNORED ? "ignored" : "wrong",
        ...(isWrong(d) && errors.has(detections.source[d]!)
          ? { error: errors.get(detections.source[d]!)! }
          : {}),
      })),
  }));
}

function publicBox(boxes: Float64Array, row: number): Box {
  const [x, y, width, height] = boxes.subarray(row * 4, row * 4 + 4) as unknown as [
    number,
    number,
    number,
    number,
  ];
  return { xMin: x, yMin: y, xMax: x + width, yMax: y + height };
}
