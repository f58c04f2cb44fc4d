import type { AnchorTargets } from "../detection/index.ts";
import {
  augmentationSchema,
  BatchLoader,
  type BatchAssignment,
  type Dataset,
  type LoaderPosition,
  type Problem,
} from "../data/index.ts";
import { modelAnchors, type ModelConfig } from "../models/index.ts";
import { float32 } from "../tensor/index.ts";
import type { DecidedConfig } from "./preparation.ts";
import type { TrainingBatch } from "./step.ts";

/** A batch for a step, and where it comes from. */
export interface SourceBatch extends LoaderPosition {
  readonly batch: number;
  readonly content: TrainingBatch;
  /** The pictures' files, for messages. */
  readonly files: readonly string[];
  readonly problems: readonly Problem[];
}

/** An endless row of batches, the same for the same position. */
export interface BatchSource {
  readonly batchesPerEpoch: number;
  /** Time that steps waited for batches, in all. */
  readonly waitedMs: number;
  /** The next batch; its tensors and targets may be written over when another is asked for. */
  next(): Promise<SourceBatch>;
  close(): Promise<void>;
}

/** Batches of augmented pictures, from `start` on. */
export function pictureBatches(
  config: DecidedConfig,
  dataset: Dataset,
  network: ModelConfig,
  start: LoaderPosition,
): BatchSource {
  const [height, width] = network.imageSize;
  const anchors = modelAnchors(network);
  const loader = new BatchLoader(dataset.images, {
    size: { height, width },
    normalisation: network,
    batchSize: config.batchSize * config.accumulate,
    augmentation: augmentationSchema.parse(config.augmentation),
    anchors,
    match: config.match,
    seed: config.seed,
    start,
    ...(config.workers === undefined ? {} : { workers: config.workers }),
  });
  return {
    batchesPerEpoch: loader.batchesPerEpoch,
    get waitedMs() {
      return loader.waitedMs;
    },
    next: async () => {
      const { epoch, batch, images, indices, assignment, problems } = await loader.next();
      const content = {
        images: float32(images, [indices.length, 3, height, width]),
        targets: targetsOf(assignment!, anchors.count),
      };
      return { epoch, batch, content, files: indices.map((index) => dataset.images[index]!.file), problems };
    },
    close: () => loader.close(),
  };
}

/** The targets of each picture of a batch. */
export function targetsOf({ classes, boxes, positives }: BatchAssignment, anchors: number): AnchorTargets[] {
  return Array.from(positives, (count, i) => ({
    classes: classes.subarray(i * anchors, (i + 1) * anchors),
    boxes: boxes.subarray(i * anchors * 4, (i + 1) * anchors * 4),
    positives: count,
  }));
}
