/**
 * COCO evaluation against pycocotools and faster-coco-eval (C++): 5,000 pictures, 80 classes, 36,000 boxes, 100
 * detections a picture, made from a seed with COCO-like statistics. The three run in turns, each in its own process.
 *
 *     PYTHON=… npx tsx --conditions=source bench/evaluation.ts [rounds=3] [images=5000] [peers]
 *
 * Peers: faster-coco-eval,pycocotools (which takes about a minute a round) or one of them.
 * PYTHON is an interpreter with tools/golden/eval/requirements.txt installed; without one only our own times are shown.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { CocoDataset, CocoResult } from "../src/eval/coco-format.ts";
import { evaluate } from "../src/eval/evaluate.ts";
import { readGroundTruth, readResults } from "../src/eval/files-node.ts";
import { summaryNames } from "../src/eval/result.ts";

interface Run {
  name: string;
  load: number;
  evaluate: number;
  stats: number[];
  peak: number;
  /** Processor time of loading and evaluating: unlike the others, it bears a busy machine. */
  cpu: number;
}

/** Mulberry32: small, seeded, good enough to scatter boxes. */
function random(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Pictures of 640 × 480; classes and objects a picture follow power laws, sizes are log-uniform, as in COCO. */
export function cocoLike(images: number, seed = 1): { truth: CocoDataset; found: CocoResult[] } {
  const next = random(seed);
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  const round = (value: number): number => Math.round(value * 100) / 100;
  const categoryIds = Array.from({ length: 80 }, (_, k) => k + 1 + Math.floor(k / 8));
  const weights = categoryIds.map((_, k) => 1 / (k + 1));
  const total = weights.reduce((a, b) => a + b, 0);
  const category = (): number => {
    let left = next() * total;
    return categoryIds[
      Math.max(
        0,
        weights.findIndex((weight) => (left -= weight) <= 0),
      )
    ]!;
  };
  const box = (): [number, number, number, number] => {
    const width = Math.exp(2.3 + next() * 3.7);
    const height = Math.min(470, width * Math.exp(normal() * 0.5));
    return [round(next() * (640 - width)), round(next() * (480 - height)), round(width), round(height)];
  };
  const truth = {
    info: { description: "made from a seed" },
    images: Array.from({ length: images }, (_, i) => ({
      id: 139 + i * 116,
      file_name: `${i}.jpg`,
      width: 640,
      height: 480,
    })),
    categories: categoryIds.map((id) => ({ id, name: `class ${id}` })),
    annotations: [] as CocoDataset["annotations"][number][],
  };
  const found: CocoResult[] = [];
  for (const { id: image_id } of truth.images) {
    const own: (typeof truth.annotations)[number][] = [];
    // 7.2 objects a picture on average, of few classes.
    const count = Math.floor(-Math.log(1 - next()) * 7.2 + 0.5);
    const present = Array.from({ length: 3 }, category);
    for (let i = 0; i < count; i++) {
      const bbox = box();
      own.push({
        id: truth.annotations.length + own.length + 1,
        image_id,
        category_id: present[Math.floor(next() * 3)]!,
        bbox,
        area: round(bbox[2] * bbox[3] * (0.5 + next() * 0.5)),
        iscrowd: next() < 0.012 ? 1 : 0,
        // Files carry outlines, which every reader has to get past.
        segmentation: [Array.from({ length: 20 }, () => round(next() * 640))],
      } as CocoDataset["annotations"][number]);
    }
    truth.annotations.push(...own);
    const detections: CocoResult[] = [];
    for (const { category_id, bbox } of own) {
      if (next() < 0.25) continue;
      for (let copy = next() < 0.3 ? 2 : 1; copy > 0; copy--) {
        const spread = 0.02 + next() * 0.12;
        detections.push({
          image_id,
          category_id: next() < 0.92 ? category_id : category(),
          bbox: [
            bbox[0] + normal() * spread * bbox[2],
            bbox[1] + normal() * spread * bbox[3],
            bbox[2] * Math.exp(normal() * spread),
            bbox[3] * Math.exp(normal() * spread),
          ],
          score: Math.min(0.999, next() ** 0.4),
        });
      }
    }
    while (detections.length < 100) {
      const bbox = box();
      detections.push({
        image_id,
        category_id: category(),
        bbox: bbox.map((v) => v + next() / 64) as never,
        score: 0.001 + 0.6 * next() ** 8,
      });
    }
    found.push(...detections.slice(0, 100));
  }
  return { truth, found };
}

async function own(truthFile: string, resultsFile: string): Promise<Run> {
  const start = performance.now();
  const before = process.cpuUsage();
  const truth = await readGroundTruth(truthFile);
  const found = await readResults(resultsFile);
  const loaded = performance.now();
  const result = evaluate(truth, found);
  const end = performance.now();
  return {
    name: "efficientdet",
    load: (loaded - start) / 1000,
    evaluate: (end - loaded) / 1000,
    stats: summaryNames.map((name) => result[name]),
    peak: process.resourceUsage().maxRSS * 1024,
    cpu: (({ user, system }) => (user + system) / 1e6)(process.cpuUsage(before)),
  };
}

/** A process that answers one line of JSON to each line. */
function worker(command: string, args: string[]): { ask: (line: string) => Promise<Run>; end: () => void } {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    ask: async (line) => {
      child.stdin.write(`${line}\n`);
      const answer = await lines.next();
      if (answer.done) throw new Error(`${command} ended without an answer`);
      return JSON.parse(answer.value) as Run;
    },
    end: () => child.stdin.end(),
  };
}

async function main(rounds: number, images: number, peerNames: string[]): Promise<void> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "evaluation-"));
  const truthFile = path.join(folder, "truth.json");
  const resultsFile = path.join(folder, "results.json");
  const { truth, found } = cocoLike(images);
  writeFileSync(truthFile, JSON.stringify(truth));
  writeFileSync(resultsFile, JSON.stringify(found));
  console.log(`${images} images, 80 classes, ${truth.annotations.length} boxes, ${found.length} detections`);

  const self = fileURLToPath(import.meta.url);
  const peers = fileURLToPath(new URL("peers/evaluation.py", import.meta.url));
  const contenders = [
    { name: "efficientdet", ...worker(process.execPath, [...process.execArgv, self, "--worker"]) },
  ];
  if (process.env.PYTHON !== undefined)
    for (const name of peerNames)
      contenders.push({ name, ...worker(process.env.PYTHON, ["-W", "ignore", peers]) });

  const runs = new Map<string, Run[]>();
  for (let round = 0; round < rounds; round++)
    for (const { name, ask } of contenders) {
      const line = name === "efficientdet" ? "" : `${name} `;
      const run = await ask(`${line}${truthFile} ${resultsFile}`);
      runs.set(run.name, [...(runs.get(run.name) ?? []), run]);
    }
  for (const { end } of contenders) end();
  rmSync(folder, { recursive: true });

  const reference = [...runs.values()].at(-1)![0]!;
  const median = (values: number[]): number =>
    values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
  console.log(
    "| evaluator | load s | evaluate s | together s | processor s | peak MB | AP | largest difference |\n|---|---|---|---|---|---|---|---|",
  );
  for (const [name, list] of runs) {
    const load = median(list.map((run) => run.load));
    const evaluated = median(list.map((run) => run.evaluate));
    const together = median(list.map((run) => run.load + run.evaluate));
    const difference = Math.max(...list[0]!.stats.map((value, at) => Math.abs(value - reference.stats[at]!)));
    console.log(
      `| ${name} | ${load.toFixed(2)} | ${evaluated.toFixed(2)} | ${together.toFixed(2)} | ${median(list.map((run) => run.cpu)).toFixed(2)} | ` +
        `${(Math.max(...list.map((run) => run.peak)) / 1e6).toFixed(0)} | ${list[0]!.stats[0]!.toFixed(6)} | ${difference.toExponential(1)} |`,
    );
  }
}

if (process.argv[2] === "--worker") {
  for await (const line of createInterface({ input: process.stdin })) {
    const [truthFile, resultsFile] = line.split(" ");
    console.log(JSON.stringify(await own(truthFile!, resultsFile!)));
  }
} else
  await main(
    Number(process.argv[2] ?? 3),
    Number(process.argv[3] ?? 5000),
    (process.argv[4] ?? "faster-coco-eval,pycocotools").split(","),
  );
