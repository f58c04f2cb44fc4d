import { EfficientDetError, InterruptedError } from "../errors.ts";
import type { Detection } from "../detection/index.ts";
import type { Picture } from "../image/picture.ts";
import type { ModelConfig } from "../models/index.ts";
import type { Runtime, RuntimeOptions } from "../runtime/session.ts";
import type { ModelClass } from "../weights/index.ts";
import { decodedAhead, type Decoded, type DecodeGuide } from "./decode-ahead.ts";
import { Lane, type Found, type Geometry, type Lanes, type NamedPicture, type NotFound } from "./lane.ts";
import { inOrder } from "./lane-order.ts";
import { LaneUse } from "./lane-use.ts";
import { geometryOptions, type DetectAllOptions, type DetectOptions } from "./options.ts";
import type { ReadyModel } from "./ready-model.ts";
import type { DetectedPicture, DetectionResult } from "./result.ts";

/** What a detector needs of the place it runs in. */
export interface Platform<Source> {
  readonly runtime: Runtime;
  /** The pixels of a picture. @throws {ImageError} if it cannot be decoded */
  decode(source: Source, guide: DecodeGuide): Promise<Picture>;
  /** A short name of a source, for results and messages. */
  describe(source: Source): string;
  /** Starts lanes for many pictures, where the place has threads and the model goes faster so. */
  startLanes?(model: ReadyModel, options: RuntimeOptions): Lanes | undefined;
}

/** A picture's way out: detections, or why there are none. */
interface Outcome {
  readonly source: string;
  readonly detected?: DetectedPicture;
  readonly error?: unknown;
}

/**
 * A trained model that finds objects in pictures.
 *
 * `Source` is what the platform can decode: paths, URLs and bytes in Node; also elements of a page in a browser.
 */
export class DetectorOn<Source> implements AsyncDisposable {
  readonly #model: ReadyModel;
  readonly #platform: Platform<Source>;
  /** This thread's own: all threads of the engine look at a picture together. */
  readonly #lane: Lane;
  readonly #lanes: LaneUse;

  protected constructor(model: ReadyModel, platform: Platform<Source>, options: RuntimeOptions) {
    this.#model = model;
    this.#platform = platform;
    this.#lane = new Lane(model, platform.runtime, options);
    this.#lanes = new LaneUse(() => platform.startLanes?.(model, options));
  }

  /** The configuration of the network. */
  get model(): ModelConfig {
    return this.#model.config;
  }

  /** What it can find, in the order of the network's outputs. */
  get classNames(): readonly ModelClass[] {
    return this.#model.classes;
  }

  /** Height and width of the network's input, pixels. */
  get imageSize(): readonly [number, number] {
    return this.#model.config.imageSize;
  }

  /** Compiles the network for a batch, so that the first picture does not wait for it. */
  async warmUp(batchSize = 1): Promise<void> {
    await this.#lane.warmUp(batchSize);
  }

  /**
   * The objects in a picture, best first; none gives `[]`.
   *
   * @throws {ImageError} if the picture cannot be decoded
   * @throws {UsageError} for an unknown option or class, or a value outside its range
   */
  async detect(source: Source, options: DetectOptions = {}): Promise<Detection[]> {
    for await (const result of this.#results([source], options)) {
      if (result.error !== undefined) throw result.error;
      return [...result.detected!.detections];
    }
    throw new InterruptedError();
  }

  /**
   * Looks at many pictures: results come in the order of the sources, each as soon as it is done. Pictures are decoded
   * ahead while the network runs; in Node, many are looked at several at a time, each with one of the engine's threads.
   * One that fails gives a result with its error; the rest goes on.
   *
   * @throws {UsageError} for an unknown option or class, or a value outside its range
   * @throws {InterruptedError} when `signal` is aborted, after the picture under way
   */
  async *detectAll(
    sources: Iterable<Source> | AsyncIterable<Source>,
    options: DetectAllOptions = {},
  ): AsyncGenerator<DetectionResult> {
    for await (const { source, detected, error } of this.#results(sources, options))
      yield detected ?? { source, error: plainError(error) };
  }

  /** Gives back the engine's memory and threads. The detector cannot be used any more. */
  async dispose(): Promise<void> {
    await this.#lanes.close();
    await this.#lane.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  /** Looks at pictures in this thread; where they are many, in the lanes from when those are ready. */
  async *#results(
    sources: Iterable<Source> | AsyncIterable<Source>,
    options: DetectAllOptions,
  ): AsyncGenerator<Outcome> {
    const geometry = geometryOptions(options, this.#model.classes);
    const { batchSize } = geometry;
    const { signal, keepPictures = false } = options;
    let lanes: Lanes | undefined;
    const most = (): number => Math.max(batchSize, lanes?.count ?? 0) + 3;
    const decoded = decodedAhead(sources, this.#platform, most, signal);
    let batch: Decoded[] = [];
    const flush = async (): Promise<Outcome[]> => {
      const ready = batch;
      batch = [];
      const pictures = ready.filter(hasPicture);
      // What is no whole batch goes one by one: it would have to be compiled for.
      const parts = pictures.length === batchSize ? [pictures] : pictures.map((picture) => [picture]);
      const found: (Found | NotFound)[] = [];
      const start = performance.now();
      for (const part of parts) found.push(...(await this.#lane.detect(part, geometry)));
      this.#lanes.took(pictures.length, performance.now() - start);
      return ready.map((entry) => (hasPicture(entry) ? outcome(entry, found.shift()!, keepPictures) : entry));
    };
    let whole = false;
    try {
      for (let seen = 0; ; seen++) {
        if (batchSize === 1) lanes ??= this.#lanes.at(seen, sources);
        if (lanes?.state === "ready") break;
        const next = await decoded.next();
        if (next.done) break;
        if (signal?.aborted) throw new InterruptedError();
        next.value.release();
        batch.push(next.value);
        if (batch.length === batchSize) yield* await flush();
      }
      if (batch.length > 0) yield* await flush();
      if (lanes) {
        const { count } = lanes;
        const look = (entry: Decoded): Promise<Outcome> => this.#aside(lanes!, entry, geometry, keepPictures);
        yield* inOrder(decoded, look, () => 2 * count, signal); // a second one waits in each lane
      }
      whole = true;
    } finally {
      await decoded.return(undefined);
      if (lanes && !whole) await this.#lanes.close();
    }
  }

  /** Looks at a picture in a lane, or in this thread if the lanes ended before they could. */
  async #aside(lanes: Lanes, entry: Decoded, geometry: Geometry, keepPictures: boolean): Promise<Outcome> {
    try {
      if (!hasPicture(entry)) return entry;
      const found = (await lanes.detect(entry, geometry)) ?? (await this.#lane.detect([entry], geometry))[0]!;
      return outcome(entry, found, keepPictures);
    } finally {
      entry.release();
    }
  }
}

function hasPicture(entry: Decoded): entry is Decoded & NamedPicture {
  return "picture" in entry;
}

function outcome(
  { source, picture, startedMs, decodeMs }: Decoded & NamedPicture,
  found: Found | NotFound,
  keepPictures: boolean,
): Outcome {
  if ("error" in found) return { source, error: found.error };
  const { detections, networkMs } = found;
  const { width, height } = picture;
  const timings = {
    decodeMs: round(decodeMs),
    networkMs: round(networkMs),
    totalMs: round(performance.now() - startedMs),
  };
  return {
    source,
    detected: { source, width, height, detections, timings, ...(keepPictures ? { picture } : {}) },
  };
}

function plainError(error: unknown): { code: string; message: string; hint?: string } {
  if (!(error instanceof EfficientDetError)) throw error;
  return {
    code: error.code,
    message: error.message,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
  };
}

function round(milliseconds: number): number {
  return Math.round(milliseconds * 100) / 100;
}
