import { anchorTargets, assignAnchors, type AnchorSpec, type MatchOptions } from "../detection/index.ts";
import { fromBoxes } from "../detection/boxes.ts";
import { Random } from "../tensor/random.ts";
import { augmentInto, letterboxInto } from "./augment.ts";
import type { AugmentationConfig } from "./augmentation-config.ts";
import type { DatasetImage } from "./dataset.ts";
import { PictureCache } from "./picture-cache.ts";
import type { Problem } from "./problems.ts";
import { letterboxGeometry, type Normalisation } from "../image/letterbox.ts";
import type { LabelledBox, Size } from "./sample.ts";

/** What every picture of a run is made with. Plain data: it goes to worker threads. */
export interface BatchRecipe {
  /** The network's input. */
  readonly size: Size;
  readonly normalisation: Normalisation;
  /** How pictures are changed, or shown as in inference. */
  readonly augmentation: AugmentationConfig | "letterbox";
  readonly seed: number;
  /** Anchors to assign; without them batches have no `assignment`. */
  readonly anchors?: AnchorSpec;
  readonly match?: MatchOptions;
  /** Whether objects marked as difficult are learnt; default true, as the reference does. */
  readonly difficult?: boolean;
  /** Bytes of decoded pictures to keep, in each worker. */
  readonly cacheBytes: number;
}

/** One picture of a batch: which, and its place in its epoch, which decides all that is random about it. */
export interface BatchEntry {
  readonly index: number;
  readonly epoch: number;
  readonly position: number;
}

/** What the network should say at every anchor, for all pictures of a batch. */
export interface BatchAssignment {
  /** `[N, anchors]`: class index, -1 for background, -2 for nothing to learn. */
  readonly classes: Int32Array;
  /** `[N, anchors, 4]`: ty, tx, th, tw; 0 where there is no object. */
  readonly boxes: Float32Array;
  /** `[N]`: anchors that belong to an object. */
  readonly positives: Int32Array;
}

/** Pictures for one step, ready for the network. */
export interface BatchContent {
  /** `[N, 3, height, width]`, normalised. */
  readonly images: Float32Array;
  /** Of each picture, its objects in pixels of the input. */
  readonly objects: readonly (readonly LabelledBox[])[];
  readonly assignment?: BatchAssignment;
  /** Ids of the pictures in their data set, and their places in it. */
  readonly imageIds: readonly (number | string)[];
  readonly indices: readonly number[];
  /** Pixels of the original for one of the input, `[N]`; of use where pictures were letterboxed. */
  readonly scales: Float64Array;
  /** Pictures that turned out broken while they were decoded. */
  readonly problems: readonly Problem[];
}

/** Makes batches, in whatever thread it lives. */
export class BatchMaker {
  readonly #images: readonly DatasetImage[];
  readonly #recipe: BatchRecipe;
  readonly #cache: PictureCache;
  #problems: Problem[] = [];

  constructor(images: readonly DatasetImage[], recipe: BatchRecipe) {
    this.#images = images;
    this.#recipe = recipe;
    const { augmentation, size, cacheBytes, difficult = true } = recipe;
    const augmented = augmentation !== "letterbox";
    const largest = augmented ? Math.max(augmentation.scaleJitter.max, augmentation.mosaic.max) : 1;
    // Photographs several times larger than they are ever shown; in evaluation every pixel counts as in inference.
    const maxSide = augmented ? Math.ceil(3 * largest * Math.max(size.height, size.width)) : Infinity;
    this.#cache = new PictureCache(
      images,
      { cacheBytes, maxSide, replaceBroken: augmented, difficult },
      (problem) => void this.#problems.push(problem),
    );
  }

  /**
   * Decodes, augments and assigns; the same entries give the same batch in any maker of the same recipe.
   *
   * @throws {ImageError} if a picture to evaluate cannot be decoded
   */
  async make(entries: readonly BatchEntry[]): Promise<BatchContent> {
    const { size } = this.#recipe;
    const length = 3 * size.height * size.width;
    const images = new Float32Array(entries.length * length);
    const objects = await Promise.all(
      entries.map(
        async (entry, at) => await this.#draw(images.subarray(at * length, (at + 1) * length), entry),
      ),
    );
    const assignment = this.#assign(objects);
    const problems = this.#problems;
    this.#problems = [];
    return {
      images,
      objects,
      ...(assignment && { assignment }),
      imageIds: entries.map(({ index }) => this.#images[index]!.id),
      indices: entries.map(({ index }) => index),
      scales: Float64Array.from(entries, ({ index }) => this.#scaleOf(this.#images[index]!)),
      problems,
    };
  }

  async #draw(image: Float32Array, { index, epoch, position }: BatchEntry): Promise<LabelledBox[]> {
    const { augmentation: config, size, normalisation, seed } = this.#recipe;
    if (config === "letterbox")
      return letterboxInto(image, await this.#cache.load(index), size, normalisation);
    const load = async (other: number) => await this.#cache.load(other);
    const context = { config, size, normalisation, count: this.#images.length, load };
    return await augmentInto(image, index, context, new Random(seed, 1, epoch, position));
  }

  #scaleOf({ height, width }: DatasetImage): number {
    const { size } = this.#recipe;
    return letterboxGeometry([height, width], [size.height, size.width]).imageScale;
  }

  #assign(objects: readonly (readonly LabelledBox[])[]): BatchAssignment | undefined {
    const { anchors, match } = this.#recipe;
    if (anchors === undefined) return undefined;
    const assignment = {
      classes: new Int32Array(objects.length * anchors.count),
      boxes: new Float32Array(objects.length * anchors.count * 4),
      positives: new Int32Array(objects.length),
    };
    objects.forEach((list, at) => {
      const boxes = fromBoxes(list.map(({ box }) => box));
      const classes = list.map(({ classIndex }) => classIndex);
      const targets = anchorTargets(assignAnchors(boxes, anchors, match), boxes, classes, anchors);
      assignment.classes.set(targets.classes, at * anchors.count);
      assignment.boxes.set(targets.boxes, at * anchors.count * 4);
      assignment.positives[at] = targets.positives;
    });
    return assignment;
  }
}
