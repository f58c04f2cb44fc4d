import sharp from "sharp";
import { doJobs } from "../runtime/threads-node.ts";
import { BatchMaker, type BatchContent, type BatchEntry, type BatchRecipe } from "./batch.ts";
import type { DatasetImage } from "./dataset.ts";

/** What a loader's thread is started with. */
export interface LoaderStart {
  readonly images: readonly DatasetImage[];
  readonly recipe: BatchRecipe;
}

/** The pictures of a batch to make. */
export type LoaderJob = readonly BatchEntry[];

await doJobs<LoaderStart, LoaderJob, BatchContent>(async ({ images, recipe }) => {
  sharp.concurrency(1); // one thread for each picture: several are decoded at once already
  const maker = new BatchMaker(images, recipe);
  return async (entries) => {
    const result = await maker.make(entries);
    const { images, assignment } = result;
    const moved = [images.buffer, assignment?.classes.buffer, assignment?.boxes.buffer];
    return { result, moved: moved.filter((buffer) => buffer !== undefined) as ArrayBuffer[] };
  };
});
