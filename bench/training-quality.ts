/**
 * What training reaches, ours against effdet under PyTorch: Lite0 at 320² from the same ImageNet backbone, on the same
 * augmented batches in the same order, judged on the held-out part by the same evaluation after the last epoch:
 *
 *     npx tsx --conditions=source bench/training-quality.ts --data FOLDER --output FOLDER [--python FILE]
 *         [--sets bccd,raccoon] [--seeds 1,2,3] [--epochs 12] [--recipes effdet,adamw,adamw-4] [--ours fine-tune] [--threads 2]
 *
 * `--data` holds bccd (its train and test parts are used) and raccoon (every fifth picture is held out). `--python`
 * names an interpreter with bench/peers/requirements.txt. `--recipes` are the peer's (bench/peers/training_quality.py),
 * `--ours` our recipes. Each run adds a line to OUTPUT/results.jsonl; all lines there make the table.
 */
import { spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { table } from "../src/cli/terminal.ts";
import {
  augmentationByName,
  BatchLoader,
  readDataset,
  toGroundTruth,
  type Dataset,
} from "../src/data/index.ts";
import { modelAnchors, modelConfig, type ModelConfig } from "../src/models/index.ts";
import { openModel } from "../src/detector/open-node.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import type { Tensor } from "../src/tensor/index.ts";
import { train } from "../src/train/index.ts";
import { validate } from "../src/train/validation.ts";
import { machine, spread } from "./timing.ts";

const { values: options } = parseArgs({
  options: {
    data: { type: "string", default: "." },
    output: { type: "string", default: "runs/quality" },
    python: { type: "string" },
    sets: { type: "string", default: "bccd,raccoon" },
    seeds: { type: "string", default: "1,2,3" },
    epochs: { type: "string", default: "12" },
    recipes: { type: "string", default: "effdet,adamw,adamw-4" },
    ours: { type: "string", default: "fine-tune" },
    threads: { type: "string", default: "2" },
  },
});
const epochs = Number(options.epochs);
const threads = Number(options.threads);
const output = path.resolve(options.output);
const log = path.join(output, "results.jsonl");
mkdirSync(output, { recursive: true });

interface Result {
  readonly set: string;
  readonly who: string;
  readonly seed: number;
  readonly epochs: number;
  readonly AP: number;
  readonly AP50: number;
  readonly seconds: number;
  readonly machine: string;
}

for (const set of listed(options.sets)) {
  const { learnt, heldOut } = await partsOf(set);
  for (const seed of listed(options.seeds).map(Number)) {
    for (const recipe of listed(options.ours)) await ours(set, learnt, heldOut, seed, recipe);
    if (options.python !== undefined)
      for (const recipe of listed(options.recipes)) await peer(set, learnt, heldOut, seed, recipe);
  }
}

const results = readFileSync(log, "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as Result);
const groups = new Map<string, Result[]>();
for (const result of results) {
  const key = `${result.set}|${result.who}|${result.epochs}`;
  groups.set(key, [...(groups.get(key) ?? []), result]);
}
const rows = [...groups].map(([key, list]) => {
  const column = (name: "AP" | "AP50"): string => {
    const values = list.map((result) => result[name]);
    return `${spread(values).median.toFixed(3)} (${values.map((value) => value.toFixed(3)).join(", ")})`;
  };
  const seconds = spread(list.map((result) => result.seconds)).median;
  return [...key.split("|"), column("AP"), column("AP50"), seconds.toFixed(0)];
});
process.stdout.write(
  `${machine()}, ${threads} threads\n${table(["data", "who", "epochs", "AP: median (each seed)", "AP50", "seconds"], rows)}\n`,
);

function listed(text: string): string[] {
  return text.split(",").filter((item) => item !== "");
}

/** The data in its two parts, each also as a COCO file that the command line can be given. */
async function partsOf(set: string): Promise<{ learnt: Dataset; heldOut: Dataset }> {
  const folder = path.join(options.data, set);
  if (set === "bccd")
    return {
      learnt: await readDataset(folder, { split: "train" }),
      heldOut: await readDataset(folder, { split: "test" }),
    };
  const whole = await readDataset(folder);
  const part = (own: boolean): Dataset => ({
    ...whole,
    images: whole.images.filter((_, i) => (i % 5 === 4) === own),
  });
  return { learnt: part(false), heldOut: part(true) };
}

/** A part as a COCO file beside a link to its pictures. */
function cocoFile(set: string, name: string, dataset: Dataset): string {
  const folder = path.join(output, "data", set, name);
  mkdirSync(folder, { recursive: true });
  const pictures = path.join(folder, "images");
  if (!existsSync(pictures)) symlinkSync(path.resolve(dataset.root), pictures);
  const truth = toGroundTruth(dataset);
  const images = truth.images.map((image, i) => ({
    ...image,
    file_name: path.join(
      "images",
      path.relative(path.resolve(dataset.root), path.resolve(dataset.images[i]!.file)),
    ),
  }));
  const file = path.join(folder, "instances.json");
  writeFileSync(file, JSON.stringify({ ...truth, images }));
  return file;
}

async function ours(
  set: string,
  learnt: Dataset,
  heldOut: Dataset,
  seed: number,
  recipe: string,
): Promise<void> {
  const folder = path.join(output, `${set}-${recipe}-${seed}`);
  const start = performance.now();
  const { lastWeights } = await train(
    {
      data: cocoFile(set, "train", learnt),
      val: cocoFile(set, "held-out", heldOut),
      output: folder,
      recipe: recipe as "fine-tune",
      model: "lite0",
      weights: "imagenet",
      epochs,
      seed,
      threads,
      evaluateEvery: epochs,
      samples: 0,
    },
    { offline: true },
  );
  const seconds = (performance.now() - start) / 1000;
  const { config, weights } = await openModel({ weights: lastWeights });
  await judge(set, `efficientdet ${recipe}`, seed, seconds, config, weights, heldOut);
}

async function peer(
  set: string,
  learnt: Dataset,
  heldOut: Dataset,
  seed: number,
  recipe: string,
): Promise<void> {
  const config = modelConfig("lite0", { classes: learnt.classes.length });
  const [height, width] = config.imageSize;
  const batchSize = recipe === "adamw-4" ? 4 : 8;
  const loader = new BatchLoader(learnt.images, {
    size: { height, width },
    normalisation: config,
    batchSize,
    augmentation: augmentationByName("fine-tune"),
    anchors: modelAnchors(config),
    seed,
    workers: 1,
  });
  const steps = loader.batchesPerEpoch * epochs;
  const file = path.join(output, `${set}-effdet-${recipe}-${seed}`);
  const child = spawn(
    options.python!,
    [
      fileURLToPath(new URL("peers/training_quality.py", import.meta.url)),
      path.join(options.data, "weights/efficientnet-lite0-imagenet-float.safetensors"),
      file,
      ...[config.classes, width, batchSize, steps, loader.batchesPerEpoch].map(String),
      recipe,
      String(seed),
      String(threads),
    ],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  const ended = new Promise<void>((resolve, reject) =>
    child.on("close", (code) => (code === 0 ? resolve() : reject(new Error(`the peer ended with ${code}`)))),
  );
  let seconds = 0;
  createInterface({ input: child.stdout }).on("line", (line) => {
    if (line.startsWith("done ")) seconds = Number(line.slice(5));
  });
  for (let step = 0; step < steps; step++) {
    const { images, assignment } = await loader.next();
    for (const { buffer, byteOffset, byteLength } of [
      images,
      assignment!.classes,
      assignment!.boxes,
      assignment!.positives,
    ])
      if (!child.stdin.write(new Uint8Array(buffer, byteOffset, byteLength).slice()))
        await new Promise((resolve) => child.stdin.once("drain", resolve));
  }
  child.stdin.end();
  await ended;
  await loader.close();
  for (const kind of ["plain", "average"]) {
    const names = learnt.classes.map(({ name }) => name);
    const { weights } = await openModel({
      weights: `${file}-${kind}.pth`,
      model: "lite0",
      classNames: names,
    });
    await judge(set, `effdet ${recipe}, ${kind} weights`, seed, seconds, config, weights, heldOut);
  }
}

async function judge(
  set: string,
  who: string,
  seed: number,
  seconds: number,
  network: ModelConfig,
  weights: ReadonlyMap<string, Tensor>,
  heldOut: Dataset,
): Promise<void> {
  const { evaluation } = await validate(heldOut, weights, {
    network,
    runtime: nodeRuntime,
    runtimeOptions: { threads },
  });
  const { AP, AP50 } = evaluation;
  const result: Result = { set, who, seed, epochs, AP, AP50, seconds, machine: machine() };
  appendFileSync(log, `${JSON.stringify(result)}\n`);
  process.stderr.write(`${JSON.stringify(result)}\n`);
}
