import type { Arrangement } from "./arrangement.ts";
import { matchClass, MatchBuffers, MIXED, RIGHT } from "./matching.ts";

/** What became of every detection and object at one IoU threshold; positions are those of the arrangement. */
export interface Outcomes {
  readonly iouThreshold: number;
  /** WRONG, RIGHT or IGNORED, `[detections]`. */
  readonly verdict: Uint8Array;
  /** Position of the object that a detection matched, −1 for none, `[detections]`. */
  readonly object: Int32Array;
  /** Position of the detection that found an object, −1 for none, `[objects]`. */
  readonly finder: Int32Array;
  /** Objects that count, by class. */
  readonly counted: Int32Array;
}

/** Matches everything at one threshold, over all sizes of objects. */
export function outcomesAt(arrangement: Arrangement, iouThreshold: number): Outcomes {
  const { objects, detections, categories } = arrangement;
  const verdict = new Uint8Array(detections.count);
  const object = new Int32Array(detections.count).fill(-1);
  const finder = new Int32Array(objects.count).fill(-1);
  const counted = new Int32Array(categories.length);
  const everything = [{ name: "all", objectsOutside: undefined, detectionsOutside: undefined }];
  const buffers = new MatchBuffers();
  for (let k = 0; k < categories.length; k++) {
    const matches = matchClass(arrangement, k, everything, [iouThreshold], buffers);
    const first = detections.start[k]!;
    counted[k] = matches.counted[0]!;
    for (let d = first; d < detections.start[k + 1]!; d++) {
      if (matches.overall[d - first] !== MIXED) {
        verdict[d] = matches.overall[d - first]!;
        continue;
      }
      verdict[d] = matches.verdict[d - first]!;
      object[d] = matches.matched[d - first]!;
      if (verdict[d] === RIGHT) finder[object[d]!] = d;
    }
  }
  return { iouThreshold, verdict, object, finder, counted };
}
