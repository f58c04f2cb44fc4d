import { EfficientDetError, InterruptedError, isOutOfMemory, MachineError } from "../errors.ts";
import { detectFromMaps, type AnchorSpec, type Detection, type LevelMaps } from "../detection/index.ts";
import { forInference } from "../graph/index.ts";
import type { Picture } from "../image/picture.ts";
import { headLevels, modelAnchors, pictureInput, pictureToMaps, type ModelConfig } from "../models/index.ts";
import type { Runtime, RuntimeOptions, Session } from "../runtime/session.ts";
import { tensor, type Tensor } from "../tensor/index.ts";
import type { ModelClass } from "../weights/index.ts";
import { decodedAhead, type Decoded, type DecodeGuide } from "./decode-ahead.ts";
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
}

/**
 * A trained model that finds objects in pictures.
 *
 * `Source` is what the platform can decode: paths, URLs and bytes in Node; also elements of a page in a browser.
 */
export class DetectorOn<Source> implements AsyncDisposable {
  readonly #model: ReadyModel;
  readonly #platform: Platform<Source>;
  readonly #runtimeOptions: RuntimeOptions;
  readonly #anchors: AnchorSpec;
  readonly #sessions = new Map<number, Promise<Session>>();

  protected constructor(model: ReadyModel, platform: Platform<Source>, options: RuntimeOptions) {
    this.#model = model;
    this.#platform = platform;
    this.#runtimeOptions = options;
    this.#anchors = modelAnchors(model.config);
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
    await this.#session(batchSize);
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
   * ahead while the network runs. One that fails gives a result with its error; the rest goes on.
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

  /** Gives back the engine's memory. The detector cannot be used any more. */
  async dispose(): Promise<void> {
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    for (const session of sessions) await (await session).dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  async *#results(
    sources: Iterable<Source> | AsyncIterable<Source>,
    options: DetectAllOptions,
  ): AsyncGenerator<{ source: string; detected?: DetectedPicture; error?: unknown }> {
    const geometry = geometryOptions(options, this.#model.classes);
    const { batchSize } = geometry;
    let batch: Decoded[] = [];
    const flush = async (): Promise<{ source: string; detected?: DetectedPicture; error?: unknown }[]> => {
      const ready = batch;
      batch = [];
      const pictures = ready.filter((entry) => entry.picture !== undefined);
      const maps =
        batchSize > 1 && pictures.length === batchSize
          ? await this.#together(pictures)
          : await this.#oneByOne(pictures);
      return ready.map(({ source, picture, error, startedMs, decodeMs }) => {
        if (!picture) return { source, error };
        const own = maps.shift()!;
        if ("error" in own) return { source, error: own.error };
        const detections = this.#detections(own.maps, {
          ...geometry,
          imageScale: own.scale,
          pictureSize: [picture.height, picture.width],
        });
        const timings = {
          decodeMs: round(decodeMs),
          networkMs: round(own.networkMs),
          totalMs: round(performance.now() - startedMs),
        };
        const kept = options.keepPictures ? { picture } : {};
        return {
          source,
          detected: { source, width: picture.width, height: picture.height, detections, timings, ...kept },
        };
      });
    };
    for await (const decoded of decodedAhead(sources, this.#platform, batchSize + 2, options.signal)) {
      if (options.signal?.aborted) throw new InterruptedError();
      batch.push(decoded);
      if (batch.length === batchSize) yield* await flush();
    }
    if (batch.length > 0) yield* await flush();
  }

  /** One by one if memory does not suffice for all. */
  async #together(entries: readonly Decoded[]): Promise<(PictureMaps | { error: unknown })[]> {
    try {
      return await this.#run(entries);
    } catch (error) {
      if (!isOutOfMemory(error)) throw error;
      return this.#oneByOne(entries);
    }
  }

  async #oneByOne(entries: readonly Decoded[]): Promise<(PictureMaps | { error: unknown })[]> {
    const all: (PictureMaps | { error: unknown })[] = [];
    for (const entry of entries)
      try {
        all.push(...(await this.#run([entry])));
      } catch (cause) {
        if (!isOutOfMemory(cause)) throw cause;
        const { width, height } = entry.picture!;
        const what = `there is not enough memory for ${entry.source}, ${width}×${height} pixels`;
        all.push({ error: new MachineError(what, "scale it down, or take a smaller image size", cause) });
      }
    return all;
  }

  async #run(entries: readonly Decoded[]): Promise<PictureMaps[]> {
    const batch = entries.length;
    const session = await this.#session(batch);
    const feeds = entries.map(
      ({ picture }, i) =>
        [
          pictureInput(i, batch),
          tensor("uint8", [picture!.height, picture!.width, 3], picture!.data),
        ] as const,
    );
    const start = performance.now();
    const outputs = await session.run(Object.fromEntries(feeds));
    const networkMs = (performance.now() - start) / batch;
    const levels = headLevels(this.#model.config);
    return entries.map((_, i) => ({
      maps: {
        classMaps: levels.map((level) => pictureOf(outputs[`class/${level}`]!, i, batch)),
        boxMaps: levels.map((level) => pictureOf(outputs[`box/${level}`]!, i, batch)),
      },
      scale: (outputs[batch === 1 ? "scale" : `scale/${i}`]!.data as Float32Array)[0]!,
      networkMs,
    }));
  }

  #detections(maps: LevelMaps, options: Parameters<typeof detectFromMaps>[3]): Detection[] {
    const { boxes, scores, classes } = detectFromMaps(
      maps,
      this.#anchors,
      this.#model.classes.length,
      options,
    );
    return Array.from(scores, (score, i) => {
      const [yMin, xMin, yMax, xMax] = boxes.subarray(i * 4, i * 4 + 4) as unknown as [
        number,
        number,
        number,
        number,
      ];
      const { id, name } = this.#model.classes[classes[i]!]!;
      return { label: name, classId: id, score, box: { xMin, yMin, xMax, yMax } };
    });
  }

  #session(batch: number): Promise<Session> {
    let session = this.#sessions.get(batch);
    if (!session) {
      const graph = forInference(pictureToMaps(this.#model.config, batch), this.#model.weights);
      this.#sessions.set(batch, (session = this.#platform.runtime.compile(graph, this.#runtimeOptions)));
    }
    return session;
  }
}

interface PictureMaps {
  readonly maps: LevelMaps;
  readonly scale: number;
  readonly networkMs: number;
}

/** Picture `i` of an output of a batch. */
function pictureOf(output: Tensor, i: number, batch: number): Float32Array {
  const data = output.data as Float32Array;
  const size = data.length / batch;
  return batch === 1 ? data : data.subarray(i * size, (i + 1) * size);
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
