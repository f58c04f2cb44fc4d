/**
 * A detector exported in float32 and in eight bits, both run by plain ONNX Runtime: AP on labelled pictures, and the time
 * of a picture from pixels to boxes, in turns in one run, with our own engine's layout of the float graph beside them:
 *
 *     npx tsx --conditions=source bench/int8.ts --data FOLDER [--model lite0-everyday] [--pictures 962]
 *         [--calibration-pictures 200] [--threads 2] [--rounds 60]
 *
 * The data has a part `train`, from which calibration takes its pictures, and a part `val`; without `--data` it is
 * `everyday` in the folder that EFFICIENTDET_DATA names. Float and eight bits see the same pictures, evenly spread over
 * `val` where they are not all of it.
 */
import type { InferenceSession } from "onnxruntime-common";
import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import { readSplits, toGroundTruth, type DatasetImage } from "../src/data/index.ts";
import { exportOnnx, exportOnnxInt8, type ExportGraphOptions } from "../src/detector/export.ts";
import { openModel } from "../src/detector/open-node.ts";
import { detectDefaults } from "../src/detector/options.ts";
import { cocoResults, evaluate, type CocoResult } from "../src/eval/index.ts";
import { forInference } from "../src/graph/index.ts";
import { decodePicture, type Picture } from "../src/image/index.ts";
import { pictureToBoxes } from "../src/models/index.ts";
import { loadOrtNode, nodeRuntime } from "../src/runtime/node.ts";
import { table } from "../src/cli/terminal.ts";
import { tensor } from "../src/tensor/index.ts";
import { inTurns, machine, spread, timeRow } from "./timing.ts";

const { values: options } = parseArgs({
  options: {
    data: { type: "string", default: `${process.env.EFFICIENTDET_DATA ?? "."}/everyday` },
    model: { type: "string", default: "lite0-everyday" },
    pictures: { type: "string", default: "962" },
    "calibration-pictures": { type: "string", default: "200" },
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "60" },
  },
});
const threads = Number(options.threads);
const thresholds = { scoreThreshold: 0.005, iouThreshold: 0.5, maxDetections: 100 };

const ort = await loadOrtNode();
const { train, val } = await readSplits(options.data);
const images = evenly(val.images, Number(options.pictures));
const groundTruth = toGroundTruth({ ...val, images });
const model = await openModel(options.model);

const float = exportOnnx(model, thresholds).model;
const start = performance.now();
const whole = await int8(thresholds);
const exportSeconds = (performance.now() - start) / 1000;

process.stdout.write(
  `${model.config.name}, ${images.length} pictures, calibrated on ${options["calibration-pictures"]} in ${exportSeconds.toFixed(0)} s; ` +
    `${threads} threads; ${machine()}; load ${loadavg()[0]!.toFixed(1)} before\n\n`,
);
const rows: string[][] = [];
for (const [name, bytes] of [
  ["float32", float],
  ["int8", whole],
] as const) {
  const session = await opened(bytes);
  const { AP, AP50, APs, APm, APl } = evaluate(groundTruth, await resultsOf(session), { useIgnore: true });
  await session.release();
  rows.push([name, ...[AP, AP50, APs, APm, APl].map((ap) => ap.toFixed(4)), (bytes.length / 1e6).toFixed(2)]);
}
process.stdout.write(`${table(["file", "AP", "AP50", "APs", "APm", "APl", "MB"], rows)}\n\n`);

const picture = await decodePicture(images[0]!.file);
// Timed at the thresholds that a user has: at the evaluation's, suppression would take a fifth of the time of both.
const contenders = new Map<string, () => Promise<number>>();
const sessions = new Map([
  ["float32", await opened(exportOnnx(model).model)],
  ["int8", await opened(await int8({}))],
]);
for (const [name, session] of sessions) {
  const feeds = { image: ortPicture(picture) };
  contenders.set(`${name} file`, () => timed(() => session.run(feeds)));
}
const ids = model.classes.map(({ id }) => id);
const ours = await nodeRuntime.compile(
  forInference(pictureToBoxes(model.config, ids, detectDefaults), model.weights),
  {
    threads,
  },
);
const image = tensor("uint8", [picture.height, picture.width, 3], picture.data);
contenders.set("float32, our layout", () => timed(() => ours.run({ image })));
const times = await inTurns(contenders, Number(options.rounds));
const base = spread(times.get("float32 file")!).median;
process.stdout.write(
  `${table(
    ["pixels to boxes", "median ms", "quartiles", "of float32"],
    [...times].map(([name, list]) => timeRow(name, list, base)),
  )}\nload ${loadavg()[0]!.toFixed(1)} after\n`,
);
await ours.dispose();
for (const session of sessions.values()) await session.release();

function evenly(list: readonly DatasetImage[], count: number): DatasetImage[] {
  const wanted = Math.min(count, list.length);
  return Array.from({ length: wanted }, (_, i) => list[Math.floor((i * list.length) / wanted)]!);
}

async function int8(options: ExportGraphOptions): Promise<Uint8Array> {
  return (await exportOnnxInt8(model, calibrationPictures(), nodeRuntime, { ...options, threads })).model;
}

function opened(bytes: Uint8Array): Promise<InferenceSession> {
  return ort.InferenceSession.create(bytes, { intraOpNumThreads: threads, logSeverityLevel: 3 });
}

async function* calibrationPictures(): AsyncGenerator<Picture> {
  for (const { file } of evenly(train.images, Number(options["calibration-pictures"])))
    yield decodePicture(file);
}

function ortPicture({ data, width, height }: Picture): InstanceType<typeof ort.Tensor> {
  return new ort.Tensor("uint8", data, [height, width, 3]);
}

async function resultsOf(session: InferenceSession): Promise<CocoResult[]> {
  const results: CocoResult[] = [];
  for (const { id, file } of images) {
    const outputs = (await session.run({
      image: ortPicture(await decodePicture(file)),
    })) as unknown as Outputs;
    const [boxes, scores] = [outputs.boxes.data, outputs.scores.data];
    const found = Array.from(outputs.classes.data, (classId, i) => {
      const [xMin, yMin, xMax, yMax] = boxes.subarray(i * 4, i * 4 + 4) as unknown as [
        number,
        number,
        number,
        number,
      ];
      return { classId: Number(classId), score: scores[i]!, box: { xMin, yMin, xMax, yMax } };
    });
    results.push(...cocoResults(id, found));
  }
  return results;
}

interface Outputs {
  readonly boxes: { readonly data: Float32Array };
  readonly scores: { readonly data: Float32Array };
  readonly classes: { readonly data: BigInt64Array };
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await run();
  return performance.now() - begin;
}
