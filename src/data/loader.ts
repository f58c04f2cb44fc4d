import { availableParallelism } from "node:os";
import { DataError, UsageError } from "../errors.ts";
import { Threads } from "../runtime/threads-node.ts";
import { Random } from "../tensor/random.ts";
import { BatchMaker, type BatchContent, type BatchEntry, type BatchRecipe } from "./batch.ts";
import type { DatasetImage } from "./dataset.ts";
import type { LoaderJob, LoaderStart } from "./loader-worker.ts";

/** Where a loader stands: the next batch it gives. With the same pictures and options it goes on from there. */
export interface LoaderPosition {
  /** From 0. */
  readonly epoch: number;
  /** Batch of that epoch, from 0. */
  readonly batch: number;
}

/** What a {@link BatchLoader} does, beyond the recipe of its pictures. */
export interface LoaderOptions extends Omit<BatchRecipe, "seed" | "augmentation" | "cacheBytes"> {
  readonly batchSize: number;
  /** Default: shown as in inference. */
  readonly augmentation?: BatchRecipe["augmentation"];
  /** Decides the order of pictures and all that is random about them; default 0. */
  readonly seed?: number;
  /** A new order in each epoch; default: where pictures are augmented. */
  readonly shuffle?: boolean;
  /**
   * Pictures that do not fill a batch at the end of an epoch: left out (they come early enough in another epoch), or
   * given as a smaller batch. Default: left out where pictures are augmented. A set smaller than one batch is repeated to
   * fill it rather than left out.
   */
  readonly lastBatch?: "drop" | "keep";
  /** Threads that work ahead; 0 works in this thread, when asked. Default: half the cores, 1 to 4. */
  readonly workers?: number;
  /** Batches to have ready or under way; default: two for each worker. */
  readonly ahead?: number;
  /** Bytes of decoded pictures to keep in all workers together; default 512 MiB. */
  readonly cacheBytes?: number;
  /** Where to begin; default the first batch of epoch 0. */
  readonly start?: LoaderPosition;
}

/** A batch and its place in the run. */
export interface Batch extends BatchContent {
  readonly epoch: number;
  /** Batch of its epoch, from 0. */
  readonly batch: number;
}

/**
 * An endless row of batches, made ahead of the step that takes them. The same pictures, options and seed give the same
 * batches, whatever the number of workers and wherever the row was left and taken up again.
 */
export class BatchLoader {
  /** Batches of one epoch. */
  readonly batchesPerEpoch: number;
  readonly #count: number;
  readonly #options: LoaderOptions;
  readonly #seed: number;
  readonly #shuffle: boolean;
  readonly #make: (entries: readonly BatchEntry[]) => Promise<BatchContent>;
  readonly #threads: Threads<LoaderJob, BatchContent> | undefined;
  readonly #ahead: number;
  readonly #queue: Promise<Batch>[] = [];
  #given: LoaderPosition;
  #planned: LoaderPosition;
  #order: { epoch: number; indices: Uint32Array } | undefined;
  #waitedMs = 0;

  /**
   * @throws {DataError} if there are no pictures
   * @throws {UsageError} if a number is out of range
   */
  constructor(images: readonly DatasetImage[], options: LoaderOptions) {
    if (images.length === 0) throw new DataError("no pictures to load");
    const {
      augmentation = "letterbox",
      seed = 0,
      workers = defaultWorkers(),
      cacheBytes = 2 ** 29,
    } = options;
    const { batchSize, ahead = 2 * workers, start = { epoch: 0, batch: 0 } } = options;
    const augmented = augmentation !== "letterbox";
    const { shuffle = augmented, lastBatch = augmented ? "drop" : "keep" } = options;
    checkWhole("batch size", batchSize, 1, 4096);
    checkWhole("number of workers", workers, 0, 64);
    checkWhole("number of batches ahead", ahead, 0, 1024);
    this.#count = images.length;
    this.#options = { ...options, lastBatch };
    this.#seed = seed;
    this.#shuffle = shuffle;
    this.#ahead = workers === 0 ? 0 : Math.max(1, ahead);
    const full = images.length / batchSize;
    this.batchesPerEpoch = Math.max(1, lastBatch === "drop" ? Math.floor(full) : Math.ceil(full));
    checkWhole("epoch to start from", start.epoch, 0, Number.MAX_SAFE_INTEGER);
    checkWhole("batch to start from", start.batch, 0, this.batchesPerEpoch);
    this.#given = this.#planned = this.#wrapped(start);
    const { size, normalisation, anchors, match, difficult } = options;
    const shared = { size, normalisation, augmentation, seed, anchors, match, difficult };
    if (workers === 0) {
      const maker = new BatchMaker(images, { ...shared, cacheBytes });
      this.#make = async (entries) => await maker.make(entries);
    } else {
      const threads = new Threads<LoaderJob, BatchContent>({
        count: workers,
        beside: import.meta.url,
        module: "loader-worker",
        start: {
          images: images.map(({ id, file, width, height, objects }) => ({
            id,
            file,
            width,
            height,
            objects,
          })),
          recipe: { ...shared, cacheBytes: Math.floor(cacheBytes / workers) },
        } satisfies LoaderStart,
        owner: "the loader",
        hint: "try fewer --workers",
      });
      this.#threads = threads;
      this.#make = (entries) => threads.ask(entries);
    }
    this.#fill();
  }

  /** The next batch that {@link next} gives. */
  get position(): LoaderPosition {
    return this.#given;
  }

  /** Time that {@link next} spent waiting for batches that were not ready, in all. */
  get waitedMs(): number {
    return this.#waitedMs;
  }

  /**
   * The next batch, of the next epoch after the last of one.
   *
   * @throws {ImageError} if a picture that is not augmented cannot be decoded
   * @throws {DataError} if twenty pictures in a row cannot be decoded
   * @throws {MachineError} if the loader is closed, or a thread died
   */
  async next(): Promise<Batch> {
    const started = performance.now();
    const batch = await (this.#queue.shift() ?? this.#plan());
    this.#waitedMs += performance.now() - started;
    this.#given = this.#wrapped({ epoch: batch.epoch, batch: batch.batch + 1 });
    this.#fill();
    return batch;
  }

  /** What is left of the epoch that the loader stands in. */
  async *epoch(): AsyncGenerator<Batch, void, void> {
    const { epoch } = this.#given;
    while (this.#given.epoch === epoch) yield await this.next();
  }

  /** Ends the threads. Batches made ahead are lost; {@link position} tells where to go on. */
  async close(): Promise<void> {
    await this.#threads?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #fill(): void {
    while (this.#queue.length < this.#ahead) {
      const batch = this.#plan();
      batch.catch(() => undefined); // told to whoever takes the batch, if anybody does
      this.#queue.push(batch);
    }
  }

  #plan(): Promise<Batch> {
    const { epoch, batch } = this.#planned;
    this.#planned = this.#wrapped({ epoch, batch: batch + 1 });
    return this.#make(this.#entries(epoch, batch)).then((content) => ({ epoch, batch, ...content }));
  }

  #entries(epoch: number, batch: number): BatchEntry[] {
    const { batchSize, lastBatch } = this.#options;
    const first = batch * batchSize;
    const end = lastBatch === "keep" ? Math.min(first + batchSize, this.#count) : first + batchSize;
    if (this.#order?.epoch !== epoch)
      this.#order = {
        epoch,
        indices: new Random(this.#seed, 0, epoch).permutation(this.#shuffle ? this.#count : 0),
      };
    const { indices } = this.#order;
    return Array.from({ length: end - first }, (_, at) => {
      const position = first + at;
      const place = position % this.#count;
      return { index: indices[place] ?? place, epoch, position };
    });
  }

  #wrapped({ epoch, batch }: LoaderPosition): LoaderPosition {
    return batch < this.batchesPerEpoch ? { epoch, batch } : { epoch: epoch + 1, batch: 0 };
  }
}

function defaultWorkers(): number {
  return Math.min(4, Math.max(1, Math.floor(availableParallelism() / 2)));
}

function checkWhole(what: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most)
    throw new UsageError(`${what} ${value} is not possible`, `give a whole number from ${least} to ${most}`);
}
