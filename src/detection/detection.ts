import type { Box } from "./boxes.ts";

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
