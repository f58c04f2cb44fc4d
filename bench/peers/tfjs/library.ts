import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import type { Worker as NodeWorker } from "node:worker_threads";

/** What is used of a tensor of TensorFlow.js. */
export interface TfTensor {
  readonly shape: number[];
  dataSync(): Float32Array;
  dispose(): void;
}

/** What is used of @tensorflow/tfjs-core, said here so that the benchmarks can be checked where it is not installed. */
export interface TensorFlow {
  readonly fused: {
    conv2d(convolution: FusedConvolution): TfTensor;
    depthwiseConv2d(convolution: FusedConvolution): TfTensor;
  };
  readonly image: { resizeNearestNeighbor(x: TfTensor, size: [number, number]): TfTensor };
  tensor(data: Float32Array, shape: readonly number[]): TfTensor;
  transpose(x: TfTensor, axes: readonly number[]): TfTensor;
  add(x: TfTensor, y: TfTensor): TfTensor;
  mul(x: TfTensor, y: TfTensor): TfTensor;
  sigmoid(x: TfTensor): TfTensor;
  relu6(x: TfTensor): TfTensor;
  maxPool(x: TfTensor, kernel: Pair, stride: Pair, pad: Padding): TfTensor;
  avgPool(x: TfTensor, kernel: Pair, stride: Pair, pad: "valid"): TfTensor;
  tidy(run: () => void): void;
  env(): { getAsync(flag: string): Promise<unknown>; set(flag: string, value: unknown): void };
  enableProdMode(): void;
  setBackend(name: string): Promise<boolean>;
  getBackend(): string;
}

/** Rows, then columns. */
export type Pair = readonly [number, number];
/** Before and after, for each axis of `[N, h, w, C]`. */
export type Padding = readonly [Pair, Pair, Pair, Pair];
/** Activations that the WebAssembly backend has in a convolution and that our networks need. */
export type FusedActivation = "linear" | "relu6" | "sigmoid";

export interface FusedConvolution {
  readonly x: TfTensor;
  readonly filter: TfTensor;
  readonly bias?: TfTensor;
  readonly strides: Pair;
  readonly dilations: Pair;
  readonly pad: Padding;
  readonly activation: FusedActivation;
}

interface WasmBackend {
  readonly version_wasm: string;
  setWasmPaths(folder: string): void;
  setThreadsCount(threads: number): void;
  getThreadsCount(): number;
}

/**
 * TensorFlow.js on its WebAssembly backend, as installed in `folder`, and in words what it runs on.
 *
 * @throws {Error} where the backend does not come up with SIMD and as many threads as asked for
 */
export async function loadTensorFlow(
  folder: string,
  threads: number,
): Promise<{ tf: TensorFlow; engine: string }> {
  const require = createRequire(resolve(folder, "package.json"));
  const tf = require("@tensorflow/tfjs-core") as TensorFlow;
  const wasm = require("@tensorflow/tfjs-backend-wasm") as WasmBackend;
  const home = dirname(require.resolve("@tensorflow/tfjs-backend-wasm/package.json"));
  tf.enableProdMode();
  wasm.setWasmPaths(join(home, "dist/"));
  wasm.setThreadsCount(threads);
  const leave = threads > 1 ? allowThreads(tf, require, home, threads) : () => {};
  await tf.setBackend("wasm");
  leave();
  const simd = await tf.env().getAsync("WASM_HAS_SIMD_SUPPORT");
  const found = wasm.getThreadsCount();
  if (tf.getBackend() !== "wasm" || simd !== true || found !== threads)
    throw new Error(
      `TensorFlow.js runs on ${tf.getBackend()}, SIMD ${simd}, ${found} threads, not ${threads}`,
    );
  return {
    tf,
    engine: `TensorFlow.js ${wasm.version_wasm}, WebAssembly, SIMD, ${found === 1 ? "1 thread" : `${found} threads`}`,
  };
}

/**
 * Lets the backend have threads in Node, where it says that it cannot: its threaded build is there and knows Node's
 * workers, but is handed them as `blob:` addresses, which Node's workers do not read; and it takes at most half of the
 * logical cores. Both are answered here while it starts. Returns what puts Node back.
 */
function allowThreads(tf: TensorFlow, require: NodeJS.Require, home: string, threads: number): () => void {
  const workers = require("node:worker_threads") as { Worker: typeof NodeWorker };
  const os = require("node:os") as { cpus: () => unknown[] };
  const script = join(home, "wasm-out/tfjs-backend-wasm-threaded-simd.js");
  const { wasmWorkerContents } = require(script.replace(/js$/, "worker.js")) as {
    wasmWorkerContents: string;
  };
  const [Worker, cpus] = [workers.Worker, os.cpus];
  workers.Worker = class extends Worker {
    constructor() {
      super(wasmWorkerContents.replaceAll("\n", "\\n"), { eval: true, execArgv: [] });
    }
    override postMessage(message: { cmd?: string }, transfer?: never): void {
      super.postMessage(message.cmd === "load" ? { ...message, urlOrBlob: script } : message, transfer);
    }
  };
  os.cpus = () => Array.from({ length: 2 * threads });
  tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", true);
  return () => {
    workers.Worker = Worker;
    os.cpus = cpus;
  };
}
