/**
 * Our networks against other runtimes, in turns in one run, batch 1:
 *
 *     npx tsx --conditions=source bench/inference.ts [--threads 2] [--rounds 30] [--models d0,d2,lite0]
 *         [--peers FOLDER] [--python FILE] [--tfjs FOLDER] [--profile PREFIX]
 *
 * `--peers` names the folder of effdet's exports (`python bench/peers/export_effdet.py FOLDER`); `--python` an interpreter that has
 * `bench/peers/requirements.txt`; `--tfjs` the folder in which `bench/peers/tfjs/package.json` is installed (`npm ci` there, and
 * `--tfjs bench/peers/tfjs`). Without them only ours is measured. TensorFlow.js runs our network in its own operations as
 * WebAssembly, which must give ONNX Runtime's outputs first; ours is then measured as WebAssembly too. With `--profile` ONNX Runtime
 * writes profiles of ours and of effdet's export (PREFIX-ours…json, PREFIX-effdet…json) for bench/profile.ts, and times are not
 * to be trusted.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { forInference, nameOf, staticShape } from "../src/graph/index.ts";
import { buildModel, modelConfig } from "../src/models/index.ts";
import { loadOrtNode, nodeRuntime } from "../src/runtime/node.ts";
import { webRuntime } from "../src/runtime/web.ts";
import { float32 } from "../src/tensor/index.ts";
import { ruleTensor, type RuleVariant } from "../src/testing/rule.ts";
import { table } from "../src/cli/terminal.ts";
import { inTurns, machine, spread, timeRow } from "./timing.ts";
import { startWorker } from "./worker.ts";

const { values: options } = parseArgs({
  options: {
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "30" },
    models: { type: "string", default: "d0,d2,lite0" },
    peers: { type: "string" },
    python: { type: "string" },
    tfjs: { type: "string" },
    profile: { type: "string" },
  },
});
const threads = Number(options.threads);
const python = options.python === undefined ? undefined : await pythonPeer(options.python, options.peers!);

for (const name of options.models.split(",") as RuleVariant[]) {
  const contenders = new Map<string, () => Promise<number>>();
  const closing: (() => Promise<void> | void)[] = [];
  const notes: string[] = [];
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

  const graph = forInference(model.graph, weights);
  const ours = await nodeRuntime.compile(graph, {
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

  if (options.tfjs !== undefined) {
    const { env } = await import("onnxruntime-web");
    env.wasm.numThreads = threads;
    const web = await webRuntime.compile(graph);
    contenders.set("efficientdet, WebAssembly", () => timed(() => web.run({ image })));
    const tfjs = await tfjsPeer(options.tfjs, name);
    contenders.set("TensorFlow.js, WebAssembly", async () => (await tfjs.ask("run"))[0]!);
    notes.push(tfjs.ready);
    closing.push(() => web.dispose(), tfjs.end);
  }

  const times = await inTurns(contenders, Number(options.rounds));
  const base = spread(times.get("efficientdet")!).median;
  process.stdout.write(`\n${name}, ${h}×${w}, ${threads} threads; ${machine()}\n`);
  for (const note of notes) process.stdout.write(`${note}\n`);
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

/** TensorFlow.js in a process of its own, with threads of its own. */
function tfjsPeer(folder: string, model: RuleVariant): ReturnType<typeof startWorker> {
  const script = fileURLToPath(new URL("peers/tfjs/worker.ts", import.meta.url));
  const node = ["--import", "tsx", "--conditions=source", script];
  return startWorker(process.execPath, [...node, folder, model, String(threads)]);
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
