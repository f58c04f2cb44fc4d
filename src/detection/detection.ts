import type { Box } from "./boxes.ts";
import type { RawDetections } from "./detect.ts";

/** One object that was found, as users get it. */
export interface Detection {
  /** Name of the class. */
  readonly label: string;
  /** The data set's own id of the class (COCO: 1 to 90, with gaps). */
  readonly classId: number;
  /** From 0 to 1. */
  readonly score: number;
  /** In pixels of the picture as a person sees it. */
  readonly box: Box;
}

/** Detections by the names and ids of their classes, in their order; `classes` by index. */
export function namedDetections(
  { boxes, scores, classes }: RawDetections,
  names: readonly { readonly id: number; readonly name: string }[],
): Detection[] {
  return Array.from(scores, (score, i) => {
    const [yMin, xMin, yMax, xMax] = boxes.subarray(i * 4, i * 4 + 4) as unknown as [
      number,
      number,
      number,
      number,
    ];
    const { id, name } = names[classes[i]!]!;
    return { label: name, classId: id, score, box: { xMin, yMin, xMax, yMax } };
  });
}
