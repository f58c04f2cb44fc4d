/**
 * Our networks against other runtimes, in turns in one run, batch 1:
 *
 *     npx tsx --conditions=source bench/inference.ts [--threads 2] [--rounds 30] [--models d0,d2,lite0]
 *         [--peers FOLDER] [--python FILE] [--profile PREFIX]
 *
 * FOLDER holds effdet's exports (`python bench/peers/export_effdet.py FOLDER`); `--python` names an interpreter that has
 * `bench/peers/requirements.txt`. Without them only ours is measured. With `--profile` ONNX Runtime writes profiles of ours and of
 * effdet's export (PREFIX-ours…json, PREFIX-effdet…json) for bench/profile.ts, and times are not to be trusted.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { forInference, nameOf, staticShape } from "../src/graph/index.ts";
import { buildModel, modelConfig } from "../src/models/index.ts";
import { loadOrtNode, nodeRuntime } from "../src/runtime/node.ts";
import { float32 } from "../src/tensor/index.ts";
import { ruleTensor, type RuleVariant } from "../src/testing/rule.ts";
import { table } from "../src/cli/terminal.ts";
import { inTurns, machine, spread, timeRow } from "./timing.ts";

const { values: options } = parseArgs({
  options: {
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "30" },
    models: { type: "string", default: "d0,d2,lite0" },
    peers: { type: "string" },
    python: { type: "string" },
    profile: { type: "string" },
  },
});
const threads = Number(options.threads);
const python = options.python === undefined ? undefined : await pythonPeer(options.python, options.peers!);

for (const name of options.models.split(",") as RuleVariant[]) {
  const contenders = new Map<string, () => Promise<number>>();
  const closing: (() => Promise<void>)[] = [];
  const config = modelConfig(name);
  const model = buildModel(config);
  const weights = new Map(
    model.parameters.map((p) => [nameOf(p)!, ruleTensor(nameOf(p)!, staticShape(p), name)]),
  );
  const [h, w] = config.imageSize;
  const image = float32(
    Float32Array.from({ length: 3 * h * w }, () => Math.random() * 4 - 2),
    [1, 3, h, w],
  );

  const ours = await nodeRuntime.compile(forInference(model.graph, weights), {
    threads,
    ...(options.profile !== undefined && { profile: `${options.profile}-ours` }),
  });
  contenders.set("efficientdet", () => timed(() => ours.run({ image })));

  const peerFile = `${options.peers}/effdet-${name}.onnx`;
  if (options.peers !== undefined && existsSync(peerFile)) {
    const ort = await loadOrtNode();
    const session = await ort.InferenceSession.create(peerFile as never, {
      intraOpNumThreads: threads,
      graphOptimizationLevel: "all",
      logSeverityLevel: 3,
      ...(options.profile !== undefined && {
        enableProfiling: true,
        profileFilePrefix: `${options.profile}-effdet`,
      }),
    });
    const feed = { [session.inputNames[0]!]: new ort.Tensor("float32", image.data, image.shape) };
    contenders.set("ONNX Runtime on effdet's export", () => timed(() => session.run(feed)));
    closing.push(() => session.release());
  }
  if (python)
    for (const engine of ["torch-channels-last", "torch", "openvino"])
      contenders.set(`${engine} (effdet)`, () => python.run(`${engine} ${name}`));

  const times = await inTurns(contenders, Number(options.rounds));
  const base = spread(times.get("efficientdet")!).median;
  process.stdout.write(`\n${name}, ${h}×${w}, ${threads} threads; ${machine()}\n`);
  process.stdout.write(
    `${table(
      ["runtime", "median ms", "quartiles", "of ours"],
      [...times].map(([key, list]) => timeRow(key, list, base)),
    )}\n`,
  );
  await ours.dispose();
  for (const close of closing) await close(); // which writes profiles
}
python?.end();

async function timed(run: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

/** A Python process that runs a peer's network when told to, so that it takes its turn with ours. */
async function pythonPeer(
  interpreter: string,
  folder: string,
): Promise<{ run: (what: string) => Promise<number>; end: () => void }> {
  const script = fileURLToPath(new URL("peers/inference.py", import.meta.url));
  const child = spawn(interpreter, [script, folder, String(threads)], { stdio: ["pipe", "pipe", "ignore"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  await lines.next();
  return {
    run: async (what) => {
      child.stdin.write(`${what}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error(`the peer ended while it ran ${what}`);
      return Number(value);
    },
    end: () => child.kill(),
  };
}
