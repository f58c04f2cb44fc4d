import type { Box } from "../detection/boxes.ts";
import type { Problem } from "./problems.ts";

/** How labelled pictures lie on disk. */
export type DatasetFormat = "coco" | "voc" | "yolo" | "csv";

/** A class of objects: the data set's own id (COCO's have gaps) and its name. */
export interface ObjectClass {
  readonly id: number;
  readonly name: string;
}

/** One labelled object. */
export interface DatasetObject {
  /** Place in {@link Dataset.classes}, from 0. */
  readonly classIndex: number;
  /** Pixels of the picture as a person sees it, inside the picture, with an area above 0. */
  readonly box: Box;
  /** Pixels that the object covers: COCO's `area` (of its outline), else the box's. */
  readonly area: number;
  /** One box for a crowd of objects (COCO `iscrowd`): not trained on, and no false positive in evaluation. */
  readonly crowd: boolean;
  /** Marked as hard to recognise (Pascal VOC): trained on, and left out of the score in evaluation. */
  readonly difficult: boolean;
  /** Left out of the score in evaluation (COCO files with an `ignore` of their own; also where `difficult`). */
  readonly ignore: boolean;
}

/** One picture and what is in it; no objects means that the picture shows none. */
export interface DatasetImage {
  /** COCO's image id, else the picture's path in the data folder; unique in a {@link Dataset}. */
  readonly id: number | string;
  /** Absolute path. */
  readonly file: string;
  /** Pixels, as a person sees the picture (EXIF orientation applied). */
  readonly width: number;
  readonly height: number;
  readonly objects: readonly DatasetObject[];
}

/** Labelled pictures, as read from disk: plain data. */
export interface Dataset {
  readonly format: DatasetFormat;
  /** Absolute path of the folder that was read. */
  readonly root: string;
  /** Name of the part that this is (`train`, `val`, `test`, …), or `all`. */
  readonly split: string;
  readonly classes: readonly ObjectClass[];
  readonly images: readonly DatasetImage[];
  /** What was broken, and what was done about it. */
  readonly problems: readonly Problem[];
  /** What was found and decided, in sentences; nothing is wrong with any of it. */
  readonly notes: readonly string[];
}

/** Objects in all pictures together. */
export function objectCount(dataset: Dataset): number {
  return dataset.images.reduce((count, image) => count + image.objects.length, 0);
}
