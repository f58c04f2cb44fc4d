import type { Box } from "../detection/boxes.ts";
import type {
  CocoCategory,
  CocoImage,
  DetectionColumns,
  GroundTruthColumns,
  ImageId,
} from "./coco-format.ts";
import type { FoundObject } from "./coco-writer.ts";
import { cocoResults } from "./coco-writer.ts";
import { detectionColumns, groundTruthColumns } from "./columns.ts";
import type { EvaluateOptions } from "./evaluate.ts";
import { evaluate, readSettings } from "./evaluate.ts";
import type { Evaluation } from "./result.ts";

/** A labelled object of a picture. */
export interface TrueObject {
  readonly classId: number;
  /** In pixels of the original picture. */
  readonly box: Box;
  /** Pixels of the outline; the box's own area if missing. */
  readonly area?: number;
  /** A region of many such objects. */
  readonly crowd?: boolean;
  /** A difficult object; see `useIgnore`. */
  readonly ignore?: boolean;
}

/** One picture for {@link CocoEvaluator.add}. */
export interface EvaluatedImage {
  readonly id: ImageId;
  readonly fileName?: string;
  readonly width?: number;
  readonly height?: number;
  readonly objects: readonly TrueObject[];
  readonly detections: readonly FoundObject[];
}

/**
 * An evaluation that takes pictures one at a time, such as within a training loop.
 *
 * What it gives is what {@link evaluate} gives for the same boxes: the numbers do not depend on the order of adding.
 */
export class CocoEvaluator {
  readonly #categories: readonly CocoCategory[];
  readonly #options: EvaluateOptions;
  readonly #images = new Map<ImageId, EvaluatedImage>();

  /**
   * @param categories the classes, with the ids that boxes use
   * @throws {UsageError} if an option is unknown or out of its range
   */
  constructor(categories: readonly CocoCategory[], options: EvaluateOptions = {}) {
    readSettings(options);
    this.#categories = categories;
    this.#options = options;
  }

  /** Number of pictures so far. */
  get size(): number {
    return this.#images.size;
  }

  /** Adds a picture; one with an id that was there before replaces it. */
  add(image: EvaluatedImage): void {
    this.#images.set(image.id, image);
  }

  /** Forgets all pictures, for the next epoch. */
  clear(): void {
    this.#images.clear();
  }

  /** The evaluation of all pictures so far; may be asked at any time. */
  result(): Evaluation {
    return evaluate(this.groundTruth(), this.detections(), this.#options);
  }

  /** What was added as ground truth, for reports and comparisons. */
  groundTruth(): GroundTruthColumns {
    const images = [...this.#images.values()];
    let id = 0;
    return groundTruthColumns({
      images: images.map(({ id, fileName, width, height }): CocoImage => ({
        id,
        file_name: fileName,
        width,
        height,
      })),
      categories: this.#categories,
      annotations: images.flatMap(({ id: image_id, objects }) =>
        objects.map(({ classId, box: { xMin, yMin, xMax, yMax }, area, crowd, ignore }) => ({
          id: ++id,
          image_id,
          category_id: classId,
          bbox: [xMin, yMin, xMax - xMin, yMax - yMin] as const,
          area,
          iscrowd: crowd,
          ignore,
        })),
      ),
    });
  }

  /** The detections that were added; {@link detectionRows} makes a results file of them. */
  detections(): DetectionColumns {
    return detectionColumns(
      [...this.#images.values()].flatMap(({ id, detections }) => cocoResults(id, detections)),
    );
  }
}
