import { BatchLoader, type Dataset } from "../data/index.ts";
import { input } from "../graph/index.ts";
import { efficientDet, Parameters, type ModelConfig } from "../models/index.ts";
import type { Runtime, RuntimeOptions } from "../runtime/session.ts";
import { float32, tensor, type Tensor } from "../tensor/index.ts";
import { TrainingMode } from "./mode.ts";

/** Pictures that statistics are measured on: a few dozen settle a mean and a variance over whole maps. */
const batchSize = 8;
const batches = 4;

/** How {@link measureStatistics} goes about it. */
export interface MeasureOptions {
  readonly runtime: Runtime;
  readonly runtimeOptions: RuntimeOptions;
  readonly seed: number;
  /** Which batch normalisations, by the name of their `weight`. */
  readonly which: (name: string) => boolean;
  readonly onBatch?: (done: number, total: number) => void;
}

/**
 * Measures the statistics of fresh batch normalisations on some pictures, layer after layer, so that a network whose
 * statistics stay frozen begins with layers of mean 0 and variance 1 (as Mishkin and Matas 2016 and Salimans and Kingma
 * 2016 do with weights).
 *
 * @returns `running_mean` and `running_var` of those that were measured, by name
 */
export async function measureStatistics(
  network: ModelConfig,
  dataset: Dataset,
  weights: ReadonlyMap<string, Tensor>,
  { runtime, runtimeOptions, seed, which, onBatch }: MeasureOptions,
): Promise<Map<string, Tensor>> {
  const mode = new TrainingMode((name) => !which(name), false);
  const [height, width] = network.imageSize;
  const images = input("images", "float32", [batchSize, 3, height, width]);
  efficientDet(images, network, new Parameters(mode));
  const { statistics } = mode;
  if (statistics.length === 0) return new Map();
  const outputs = Object.fromEntries(statistics.flatMap(({ mean, variance }, i) => [[`mean/${i}`, mean], [`variance/${i}`, variance]])); // prettier-ignore
  const session = await runtime.compile({ inputs: [images], outputs }, runtimeOptions);
  const loader = new BatchLoader(dataset.images, {
    size: { height, width },
    normalisation: network,
    batchSize,
    seed,
    shuffle: true,
    lastBatch: "drop",
    workers: 0,
  });
  const seen: Record<string, Tensor>[] = [];
  try {
    for (let i = 0; i < batches; i++) {
      const batch = await loader.next();
      seen.push(
        await session.run({
          ...Object.fromEntries(weights),
          images: float32(batch.images, [batchSize, 3, height, width]),
        }),
      );
      onBatch?.(i + 1, batches);
    }
  } finally {
    await session.dispose();
    await loader.close();
  }
  return new Map(
    statistics.flatMap(({ names }, i) => {
      const means = seen.map((outputs) => outputs[`mean/${i}`]!.data as Float32Array);
      const variances = seen.map((outputs) => outputs[`variance/${i}`]!.data as Float32Array);
      const mean = Float32Array.from(means[0]!, (_, c) => average(means, c));
      // The variance of all pictures together: within the batches, and between them.
      const variance = Float32Array.from(
        mean,
        (m, c) =>
          average(variances, c) + means.reduce((sum, own) => sum + (own[c]! - m) ** 2, 0) / means.length,
      );
      return [
        [names.mean, tensor("float32", [mean.length], mean)],
        [names.variance, tensor("float32", [variance.length], variance)],
      ] as const;
    }),
  );
}

function average(values: readonly Float32Array[], at: number): number {
  return values.reduce((sum, own) => sum + own[at]!, 0) / values.length;
}
