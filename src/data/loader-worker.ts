import { parentPort, workerData } from "node:worker_threads";
import sharp from "sharp";
import { EfficientDetError } from "../errors.ts";
import { BatchMaker, type BatchContent, type BatchEntry, type BatchRecipe } from "./batch.ts";
import type { DatasetImage } from "./dataset.ts";

/** What a worker is started with. */
export interface WorkerStart {
  readonly images: readonly DatasetImage[];
  readonly recipe: BatchRecipe;
}

/** What it is asked. */
export interface WorkerJob {
  readonly job: number;
  readonly entries: readonly BatchEntry[];
}

/** What it answers. */
export type WorkerReply =
  | { readonly job: number; readonly content: BatchContent }
  | {
      readonly job: number;
      readonly error: { readonly code?: string; readonly message: string; readonly hint?: string };
    };

const port = parentPort;
if (port !== null) {
  sharp.concurrency(1); // one thread for each picture: several are decoded at once already
  const { images, recipe } = workerData as WorkerStart;
  const maker = new BatchMaker(images, recipe);
  port.on("message", ({ job, entries }: WorkerJob) => {
    maker.make(entries).then(
      (content) => {
        const { images, assignment } = content;
        const moved = [images.buffer, assignment?.classes.buffer, assignment?.boxes.buffer];
        port.postMessage({ job, content } satisfies WorkerReply, moved.filter((buffer) => buffer !== undefined) as ArrayBuffer[]); // prettier-ignore
      },
      (error: unknown) => {
        const { message } = error as Error;
        const known = error instanceof EfficientDetError ? { code: error.code, hint: error.hint } : {};
        port.postMessage({ job, error: { message, ...known } } satisfies WorkerReply);
      },
    );
  });
}
