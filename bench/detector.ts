/**
 * The detector around the network: what letterbox, suppression, decoding and starting cost.
 *
 *     npm run build && npx tsx --conditions=source bench/detector.ts --pictures FOLDER [--threads 2] [--rounds 5]
 *
 * Folder throughput, a long row's (eight times the folder) and the network alone take turns; cold starts and peak memory are those of processes of their own.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { table } from "../src/cli/terminal.ts";
import { benchmark } from "../src/detector/benchmark.ts";
import { forInference } from "../src/graph/index.ts";
import { expandInputs } from "../src/image/index.ts";
import { Detector, openModel } from "../src/index.ts";
import { buildModel, initialWeights, modelConfig } from "../src/models/index.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { zeros } from "../src/tensor/index.ts";
import { inTurns, machine, spread } from "./timing.ts";

const { values: options } = parseArgs({
  options: {
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "5" },
    pictures: { type: "string" },
  },
});
const threads = Number(options.threads);
const rounds = Number(options.rounds);
const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const picture = fileURLToPath(new URL("../examples/pictures/biplane.jpg", import.meta.url));
process.stdout.write(`${machine()}, ${threads} threads\n\n`);

// 1. Around D0's network, for a picture of 1280×720.
const d0 = modelConfig("d0");
const classes = Array.from({ length: 90 }, (_, i) => ({ id: i + 1, name: `class ${i + 1}` }));
const big = {
  data: new Uint8Array(1280 * 720 * 3).map((_, i) => (i * 2654435761) >>> 24),
  width: 1280,
  height: 720,
};
const parts = await benchmark({ config: d0, classes, weights: initialWeights(d0, 0), source: "" }, big, {
  threads,
  batchSize: 1,
  runs: 20,
});
const around = parts.preprocessing.medianMs + parts.postprocessing.medianMs;
process.stdout.write(
  `${table(
    ["D0, 1280×720", "median ms"],
    [
      ["letterbox and normalisation", parts.preprocessing.medianMs.toFixed(2)],
      ["network", parts.network.medianMs.toFixed(2)],
      ["selection and suppression", parts.postprocessing.medianMs.toFixed(2)],
      ["around the network, of its time", `${((100 * around) / parts.network.medianMs).toFixed(1)} %`],
    ],
  )}\n\n`,
);

// 2. A folder of photographs against the network alone: as one folder, by a detector that has just been opened, and as one of
// many in a long row, when lanes run.
if (options.pictures !== undefined) {
  const inputs = await expandInputs([options.pictures]);
  const many = Array.from({ length: 8 }, () => inputs).flat();
  const model = await openModel();
  await using longRow = await Detector.of(model, { threads });
  const network = await nodeRuntime.compile(forInference(buildModel(model.config).graph, model.weights), {
    threads,
  });
  const image = zeros("float32", [1, 3, ...model.config.imageSize]);
  /** Milliseconds a picture. */
  const timed = async (pictures: number, run: () => Promise<void>): Promise<number> => {
    const start = performance.now();
    await run();
    return (performance.now() - start) / pictures;
  };
  const all = async (detector: Detector, pictures: typeof inputs): Promise<void> => {
    for await (const _ of detector.detectAll(pictures));
  };
  const times = await inTurns(
    new Map([
      ["network", () => timed(inputs.length, async () => { for (const _ of inputs) await network.run({ image }); })],
      ["folder", async () => {
        await using detector = await Detector.of(model, { threads });
        await detector.warmUp();
        return await timed(inputs.length, () => all(detector, inputs));
      }],
      ["long row", () => timed(many.length, () => all(longRow, many))],
    ]), // prettier-ignore
    rounds,
    1,
  );
  const alone = spread(times.get("network")!).median;
  const rows = [...times].map(([name, list]) => {
    const { median, low, high } = spread(list);
    const rate = (ms: number): string => (1000 / ms).toFixed(1);
    return [name, `${rate(median)} (${rate(high)}–${rate(low)})`, `${((100 * alone) / median).toFixed(1)} %`];
  });
  process.stdout.write(
    `${table([`lite0-everyday, ${inputs.length} photographs`, "pictures/s", "of the network alone"], rows)}\n\n`,
  );
  await network.dispose();
}

// 3. Cold starts of the command, and the peak memory of a D0 process.
const folder = mkdtempSync(path.join(tmpdir(), "efficientdet-bench-"));
const starts = Array.from({ length: rounds }, () => {
  const start = performance.now();
  execFileSync(
    process.execPath,
    [main, "detect", picture, "--output", path.join(folder, "out.jpg"), "--quiet"],
    { stdio: "ignore" },
  );
  return performance.now() - start;
});
const { median, low, high } = spread(starts);
process.stdout.write(
  `efficientdet detect one.jpg, cold: ${(median / 1000).toFixed(2)} s (${(low / 1000).toFixed(2)}–${(high / 1000).toFixed(2)})\n`,
);
const script = `import { existsSync, readFileSync } from "node:fs";
import { Detector } from ${JSON.stringify(new URL("../dist/detector/node.js", import.meta.url).href)};
import { initialWeights, modelConfig } from ${JSON.stringify(new URL("../dist/models/index.js", import.meta.url).href)};
const config = modelConfig("d0");
const classes = Array.from({ length: 90 }, (_, i) => ({ id: i + 1, name: String(i) }));
const detector = await Detector.of({ config, classes, weights: initialWeights(config, 0), source: "" }, { threads: ${threads} });
for (let i = 0; i < 5; i++) await detector.detect(${JSON.stringify(picture)});
// What the process that started this one had counts in maxRSS.
const own = existsSync("/proc/self/status") && /VmHWM:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"));
console.log(own ? own[1] : process.resourceUsage().maxRSS);`;
const memory = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
process.stdout.write(`a D0 process, peak memory: ${(Number(memory.stdout) / 1024).toFixed(0)} MiB\n`);
rmSync(folder, { recursive: true });
