import { isOutOfMemory, MachineError } from "../errors.ts";
import {
  detectFromMaps,
  namedDetections,
  type AnchorSpec,
  type Detection,
  type LevelMaps,
} from "../detection/index.ts";
import { forInference } from "../graph/index.ts";
import type { Picture } from "../image/picture.ts";
import { headLevels, modelAnchors, pictureInput, pictureToMaps } from "../models/index.ts";
import type { Runtime, RuntimeOptions, Session } from "../runtime/session.ts";
import { tensor, type Tensor } from "../tensor/index.ts";
import type { geometryOptions } from "./options.ts";
import type { ReadyModel } from "./ready-model.ts";

/** How detections are chosen, checked. */
export type Geometry = ReturnType<typeof geometryOptions>;

/** Pixels, and what messages call them. */
export interface NamedPicture {
  readonly source: string;
  readonly picture: Picture;
}

/** What is in a picture, best first. */
export interface Found {
  readonly detections: readonly Detection[];
  /** Letterbox, normalisation and network; a picture's share of its batch. */
  readonly networkMs: number;
}

/** Why nothing can be said of a picture. */
export interface NotFound {
  readonly error: unknown;
}

/** Lanes side by side, each with a thread of its own. */
export interface Lanes {
  readonly state: "starting" | "ready" | "ended";
  readonly count: number;
  /** Looks at a picture in the lane that has the fewest; nothing if the lanes ended before they could. */
  detect(named: NamedPicture, geometry: Geometry): Promise<Found | NotFound | undefined>;
  /** Ends the threads. */
  close(): Promise<void>;
}

/** A model on an engine: the way from pixels to detections. */
export class Lane {
  readonly #model: ReadyModel;
  readonly #runtime: Runtime;
  readonly #options: RuntimeOptions;
  readonly #anchors: AnchorSpec;
  readonly #sessions = new Map<number, Promise<Session>>();

  constructor(model: ReadyModel, runtime: Runtime, options: RuntimeOptions) {
    this.#model = model;
    this.#runtime = runtime;
    this.#options = options;
    this.#anchors = modelAnchors(model.config);
  }

  /** Compiles the network for a batch. */
  async warmUp(batchSize = 1): Promise<void> {
    await this.#session(batchSize);
  }

  /**
   * Looks at pictures together, which is compiled anew for each number of them; one by one if memory does not suffice
   * for all. Where it does not for one, that is its result.
   */
  async detect(pictures: readonly NamedPicture[], geometry: Geometry): Promise<(Found | NotFound)[]> {
    try {
      return await this.#run(pictures, geometry);
    } catch (cause) {
      if (!isOutOfMemory(cause)) throw cause;
      if (pictures.length === 1) return [{ error: notEnoughMemory(pictures[0]!, cause) }];
    }
    const all: (Found | NotFound)[] = [];
    for (const named of pictures) all.push(...(await this.detect([named], geometry)));
    return all;
  }

  /** Gives back the engine's memory. */
  async dispose(): Promise<void> {
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    for (const session of sessions) await (await session).dispose();
  }

  async #run(pictures: readonly NamedPicture[], geometry: Geometry): Promise<Found[]> {
    const batch = pictures.length;
    const session = await this.#session(batch);
    const feeds = pictures.map(
      ({ picture: { data, width, height } }, i) =>
        [pictureInput(i, batch), tensor("uint8", [height, width, 3], data)] as const,
    );
    const start = performance.now();
    const outputs = await session.run(Object.fromEntries(feeds));
    const networkMs = (performance.now() - start) / batch;
    const levels = headLevels(this.#model.config);
    return pictures.map(({ picture: { width, height } }, i) => {
      const maps = {
        classMaps: levels.map((level) => pictureOf(outputs[`class/${level}`]!, i, batch)),
        boxMaps: levels.map((level) => pictureOf(outputs[`box/${level}`]!, i, batch)),
      };
      const imageScale = (outputs[batch === 1 ? "scale" : `scale/${i}`]!.data as Float32Array)[0]!;
      const pictureSize = [height, width] as const;
      return { detections: this.#detections(maps, { ...geometry, imageScale, pictureSize }), networkMs };
    });
  }

  #detections(maps: LevelMaps, options: Parameters<typeof detectFromMaps>[3]): Detection[] {
    const { classes } = this.#model;
    return namedDetections(detectFromMaps(maps, this.#anchors, classes.length, options), classes);
  }

  #session(batch: number): Promise<Session> {
    let session = this.#sessions.get(batch);
    if (!session) {
      const graph = forInference(pictureToMaps(this.#model.config, batch), this.#model.weights);
      this.#sessions.set(batch, (session = this.#runtime.compile(graph, this.#options)));
    }
    return session;
  }
}

/** Picture `i` of an output of a batch. */
function pictureOf(output: Tensor, i: number, batch: number): Float32Array {
  const data = output.data as Float32Array;
  const size = data.length / batch;
  return batch === 1 ? data : data.subarray(i * size, (i + 1) * size);
}

function notEnoughMemory({ source, picture: { width, height } }: NamedPicture, cause: unknown): MachineError {
  const what = `there is not enough memory for ${source}, ${width}×${height} pixels`;
  return new MachineError(what, "scale it down, or take a smaller image size", cause);
}
