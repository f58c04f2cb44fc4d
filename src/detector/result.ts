import type { Detection } from "../detection/index.ts";
import type { Picture } from "../image/picture.ts";

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
  /** Its pixels, where `keepPictures` asked for them. */
  readonly picture?: Picture;
}

/** A picture that could not be used. */
export interface FailedPicture {
  readonly source: string;
  readonly error: { readonly code: string; readonly message: string; readonly hint?: string };
}

export type DetectionResult = DetectedPicture | FailedPicture;
