import { detectFromMaps, type LevelMaps } from "../detection/index.ts";
import { InterruptedError } from "../errors.ts";
import { forInference, input, letterbox, type Graph } from "../graph/index.ts";
import { decodePicture, encodePicture, type Picture } from "../image/index.ts";
import { buildModel, headLevels, modelAnchors, type ModelConfig } from "../models/index.ts";
import { nodeRuntime } from "../runtime/node.ts";
import type { RuntimeOptions } from "../runtime/session.ts";
import { tensor, zeros } from "../tensor/index.ts";
import { detectDefaults } from "./options.ts";
import { Detector } from "./node.ts";
import type { ReadyModel } from "./ready-model.ts";

/** Median and quartiles, milliseconds. */
export interface Spread {
  readonly medianMs: number;
  readonly lowMs: number;
  readonly highMs: number;
}

/** How long the parts of detection take, for one picture of a batch. */
export interface Benchmark {
  readonly model: string;
  readonly imageSize: readonly [number, number];
  readonly batchSize: number;
  readonly runs: number;
  /** JPEG to pixels. */
  readonly decode: Spread;
  /** Letterbox and normalisation, as a graph of their own. */
  readonly preprocessing: Spread;
  /** The network alone. */
  readonly network: Spread;
  /** Selection, decoding of boxes, suppression. */
  readonly postprocessing: Spread;
  /** An encoded picture to boxes; parts overlap and are one graph, so it is not the sum. */
  readonly endToEnd: Spread;
  readonly picturesPerSecond: number;
  /** Of the whole process so far. */
  readonly peakMemoryBytes: number;
}

/**
 * Times a detector part by part and end to end, parts in turns.
 *
 * @param picture the picture to look at; the batch holds it several times
 * @throws {InterruptedError} when `signal` is aborted, after the part under way
 */
export async function benchmark(
  model: ReadyModel,
  picture: Picture,
  options: RuntimeOptions & { batchSize: number; runs: number; signal?: AbortSignal },
): Promise<Benchmark> {
  const { batchSize, runs, signal } = options;
  const { config } = model;
  const bytes = await encodePicture(picture);
  const pixels = tensor("uint8", [picture.height, picture.width, 3], picture.data);
  const preprocessing = await nodeRuntime.compile(letterboxAlone(config), options);
  const network = await nodeRuntime.compile(
    forInference(buildModel(config, { batch: batchSize }).graph, model.weights),
    options,
  );
  const image = zeros("float32", [batchSize, 3, ...config.imageSize]);
  const first = await network.run({ image });
  const levels = headLevels(config);
  const one = (name: string): Float32Array =>
    (first[name]!.data as Float32Array).subarray(0, first[name]!.data.length / batchSize);
  const maps: LevelMaps = {
    classMaps: levels.map((level) => one(`class/${level}`)),
    boxMaps: levels.map((level) => one(`box/${level}`)),
  };
  const anchors = modelAnchors(config);
  await using detector = await Detector.of(model, options);
  const batch = Array.from({ length: batchSize }, () => bytes);
  const parts = {
    decode: () => decodePicture(bytes),
    preprocessing: () => preprocessing.run({ image: pixels }),
    network: () => network.run({ image }),
    postprocessing: async () =>
      detectFromMaps(maps, anchors, config.classes, {
        ...detectDefaults,
        pictureSize: [picture.height, picture.width],
      }),
    endToEnd: async () => {
      for await (const _ of detector.detectAll(batch, { batchSize }));
    },
  };
  const times = Object.fromEntries(Object.keys(parts).map((name) => [name, [] as number[]])) as Record<
    keyof typeof parts,
    number[]
  >;
  const warmUps = 2;
  for (let run = -warmUps; run < runs; run++)
    for (const [name, part] of Object.entries(parts) as [keyof typeof parts, () => Promise<unknown>][]) {
      if (signal?.aborted) throw new InterruptedError();
      const start = performance.now();
      await part();
      const shared = name === "network" || name === "endToEnd" ? batchSize : 1;
      if (run >= 0) times[name].push((performance.now() - start) / shared);
    }
  await preprocessing.dispose();
  await network.dispose();
  return {
    model: config.name,
    imageSize: config.imageSize,
    batchSize,
    runs,
    decode: spread(times.decode),
    preprocessing: spread(times.preprocessing),
    network: spread(times.network),
    postprocessing: spread(times.postprocessing),
    endToEnd: spread(times.endToEnd),
    picturesPerSecond: 1000 / spread(times.endToEnd).medianMs,
    peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
  };
}

function letterboxAlone({ imageSize: [height, width], mean, std }: ModelConfig): Graph {
  const picture = input("image", "uint8", ["height", "width", 3]);
  return { inputs: [picture], outputs: { input: letterbox(picture, { height, width, mean, std }).input } };
}

function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
  return { medianMs: at(0.5), lowMs: at(0.25), highMs: at(0.75) };
}
