import type { Box } from "../detection/index.ts";

/** One object found in a picture. */
export interface Detection {
  readonly label: string;
  /** The data set's own id of the class (COCO keeps 1–90 with gaps). */
  readonly classId: number;
  /** From 0 to 1. */
  readonly score: number;
  /** Pixels of the picture as a person sees it (EXIF orientation applied), origin top left, clipped to it. */
  readonly box: Box;
}

/** What took how long, milliseconds. */
export interface Timings {
  /** File to pixels; it overlaps with the network of the picture before. */
  readonly decodeMs: number;
  /** Letterbox, normalisation and network; a picture's share of its batch. */
  readonly networkMs: number;
  /** From the start of decoding to the boxes, waiting included. */
  readonly totalMs: number;
}

/** A picture that was looked at. */
export interface DetectedPicture {
  readonly source: string;
  readonly width: number;
  readonly height: number;
  readonly detections: readonly Detection[];
  readonly timings: Timings;
}

/** A picture that could not be used. */
export interface FailedPicture {
  readonly source: string;
  readonly error: { readonly code: string; readonly message: string; readonly hint?: string };
}

export type DetectionResult = DetectedPicture | FailedPicture;

/** RGB pixels, rows from the top: uint8 `[height, width, 3]`. */
export interface Picture {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}
