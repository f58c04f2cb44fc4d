/**
 * A training step, ours against effdet under PyTorch, in turns in one run, each contender in a process of its own:
 *
 *     npx tsx --conditions=source bench/training-step.ts [--python FILE] [--threads 2] [--rounds 15]
 *         [--cases d0:4:256,lite0:8:320] [--modes batch,frozen,fine-tune] [--engines channels-last,eager,compile]
 *
 * `--python` names an interpreter that has bench/peers/requirements.txt; without it only ours is measured. Modes: batch
 * normalisation by the batch's statistics, by the stored ones, and fine-tuning's default (the stem and the first two stages
 * frozen with theirs, the others by the batch's). `compile` is torch.compile, which takes minutes before its first step.
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { table } from "../src/cli/terminal.ts";
import { inTurns, machine, spread, timeRow } from "./timing.ts";
import { startWorker, type Worker } from "./worker.ts";

const { values: options } = parseArgs({
  options: {
    python: { type: "string" },
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "15" },
    cases: { type: "string", default: "d0:4:256,lite0:8:320" },
    modes: { type: "string", default: "batch,frozen,fine-tune" },
    engines: { type: "string", default: "channels-last,eager" },
  },
});
const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const ours = ["--import", "tsx", "--conditions=source", path("training-step-worker.ts")];

for (const one of options.cases.split(","))
  for (const mode of options.modes.split(",")) {
    const [model, batch, size] = one.split(":") as [string, string, string];
    const workers = new Map<string, Worker>();
    const tail = [mode, options.threads];
    workers.set("efficientdet", await startWorker(process.execPath, [...ours, model, batch, size, ...tail]));
    if (options.python !== undefined)
      for (const engine of options.engines.split(","))
        workers.set(
          `effdet, PyTorch ${engine}`,
          await startWorker(options.python, [
            path("peers/training_step.py"),
            model,
            batch,
            size,
            engine,
            ...tail,
          ]),
        );
    const contenders = new Map(
      [...workers].map(([name, worker]) => [name, async () => (await worker.ask("step"))[0]!] as const),
    );
    const times = await inTurns(contenders, Number(options.rounds));
    const base = spread(times.get("efficientdet")!).median;
    const rows: string[][] = [];
    for (const [name, list] of times) {
      const worker = workers.get(name)!;
      const [peak] = await worker.ask("peak");
      const perSecond = (Number(batch) * 1000) / spread(list).median;
      rows.push([
        ...timeRow(name, list, base),
        perSecond.toFixed(1),
        Number(worker.ready).toFixed(1),
        peak!.toFixed(0),
      ]);
      worker.end();
    }
    process.stdout.write(
      `\n${model}, ${size}², ${batch} pictures, ${mode}, ${options.threads} threads; ${machine()}\n` +
        table(["contender", "median ms", "quartiles", "of ours", "pictures/s", "ready s", "peak MB"], rows) +
        "\n",
    );
  }
