import { createRequire } from "node:module";
import { cpus, totalmem } from "node:os";
import { benchmark, type Benchmark, type Spread } from "../detector/benchmark.ts";
import { openModel } from "../detector/open-node.ts";
import type { ReadyModel } from "../detector/ready-model.ts";
import { decodePicture, type Picture } from "../image/index.ts";
import { initialWeights, modelConfig, variants } from "../models/index.ts";
import { table } from "./terminal.ts";
import { action, imageSize, list, verb, wholeNumber, type Settings, type Work } from "./verb.ts";

interface Options {
  readonly model: string[];
  readonly weights?: string;
  readonly imageSize?: [number, number];
  readonly batchSize: number;
  readonly runs: number;
  readonly picture?: string;
}

/** `efficientdet benchmark`: how fast, part by part. */
export const benchmarkVerb = verb("benchmark", "Time detection part by part on this machine")
  .option(
    "--model <names>",
    "ready detectors, or variants (these with fresh weights: speed does not depend on them), a,b",
    list,
    ["lite0-everyday"],
  )
  .option("--weights <file>", "a weight file instead")
  .option("--image-size <size>", "network input, N or HxW (default: the model's)", imageSize)
  .option("--batch-size <n>", "pictures that go through the network together", wholeNumber(1, 1024), 1)
  .option("--runs <n>", "runs that count", wholeNumber(1, 100_000), 20)
  .option("--picture <file>", "the picture to look at (default: a made one, 1280×720)")
  .action(
    action<Options>(async (_, options, work) => {
      const { terminal } = work;
      const picture =
        options.picture === undefined ? madePicture(1280, 720) : await decodePicture(options.picture);
      const progress = terminal.progress("models");
      const results: Benchmark[] = [];
      for (const source of options.weights === undefined ? options.model : [options.weights]) {
        progress.update(results.length, options.model.length, source);
        results.push(
          await benchmark(await modelFor(source, options, work), picture, {
            ...options,
            batchSize: options.batchSize,
            runs: options.runs,
            signal: work.signal,
          }),
        );
      }
      progress.end();
      const environment = surroundings(options);
      if (terminal.json) return terminal.showJson({ environment, results });
      terminal.show(
        `${environment.cpu}, ${environment.cores} cores, ${environment.memoryGiB} GiB; Node ${environment.node}, onnxruntime-node ${environment.onnxruntime}; device ${environment.device}, threads ${environment.threads}`,
      );
      const ms = ({ medianMs, lowMs, highMs }: Spread): string =>
        `${medianMs.toFixed(1)} (${lowMs.toFixed(1)}–${highMs.toFixed(1)})`;
      terminal.show(
        table(
          [
            "model",
            "input",
            "batch",
            "decode",
            "pre",
            "network",
            "post",
            "end to end, ms",
            "pictures/s",
            "peak MB",
          ],
          results.map((r) => [
            r.model, r.imageSize.join("×"), r.batchSize, ms(r.decode), ms(r.preprocessing), ms(r.network), ms(r.postprocessing), ms(r.endToEnd),
            r.picturesPerSecond.toFixed(1), (r.peakMemoryBytes / 1e6).toFixed(0),
          ]), // prettier-ignore
        ),
      );
      terminal.show(
        `median (quartiles) of ${options.runs} runs, for one picture of ${picture.width}×${picture.height}`,
      );
    }),
  );

async function modelFor(source: string, options: Options & Settings, { signal }: Work): Promise<ReadyModel> {
  if (!Object.hasOwn(variants, source))
    return openModel(
      options.weights === undefined
        ? { model: source, imageSize: options.imageSize }
        : { weights: source, imageSize: options.imageSize },
      { ...options, signal },
    );
  const config = modelConfig(source, { imageSize: options.imageSize });
  const classes = Array.from({ length: config.classes }, (_, i) => ({ id: i + 1, name: `class ${i + 1}` }));
  return { config, classes, weights: initialWeights(config, 0), source: "fresh weights" };
}

/** Something with edges and gradients, so that decoding it is ordinary work. */
function madePicture(width: number, height: number): Picture {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0, at = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      data[at++] = (x * 255) / width;
      data[at++] = (y * 255) / height;
      data[at++] = ((x >> 5) + (y >> 5)) % 2 === 0 ? 200 : 60;
    }
  return { data, width, height };
}

function surroundings({ threads, device }: Settings) {
  const versions = createRequire(import.meta.url)("onnxruntime-node/package.json") as { version: string };
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform}-${process.arch}`,
    node: process.version,
    onnxruntime: versions.version,
    device,
    threads: threads ?? "default",
    date: new Date().toISOString().slice(0, 10),
  };
}
