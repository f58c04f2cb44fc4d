import type { InferenceSession, Tensor as OrtTensor, TypedTensor } from "onnxruntime-common";
import { MachineError } from "../errors.ts";
import { blockedProbe, blockLayout, input, type Graph } from "../graph/index.ts";
import { toOnnx } from "../onnx/index.ts";
import { elementCount, float32, tensor, type DType, type Tensor } from "../tensor/index.ts";
import type { Device, Runtime, RuntimeOptions, Session } from "./session.ts";

/** The part of the onnxruntime-node and onnxruntime-web packages that is the same in both. */
export interface OrtModule {
  readonly InferenceSession: {
    create(model: Uint8Array, options?: InferenceSession.SessionOptions): Promise<InferenceSession>;
  };
  readonly Tensor: typeof OrtTensor;
}

const providers: Record<Device, string> = {
  cpu: "cpu",
  cuda: "cuda",
  coreml: "coreml",
  directml: "dml",
  webgpu: "webgpu",
};

/** ONNX Runtime as an engine for our graphs; `load` gives the package for Node or for the browser. */
export function onnxRuntime(name: string, load: () => Promise<OrtModule>, cpu = "cpu"): Runtime {
  let block: Promise<number> | undefined;
  return {
    name,
    async compile(graph: Graph, options: RuntimeOptions = {}): Promise<Session> {
      const ort = await load();
      const native = cpu === "cpu" && (options.device ?? "cpu") === "cpu";
      const channelBlock = native ? await (block ??= findChannelBlock(ort)) : 0;
      if (options.optimise === false)
        return openSession(ort, toOnnx(graph, { dialect: "onnxruntime", channelBlock }).model, {
          ...options,
          cpu,
        });
      const laidOut = channelBlock > 0 ? blockLayout(graph, channelBlock) : graph;
      const { model } = toOnnx(laidOut, { dialect: "onnxruntime" });
      return openSession(ort, model, { ...options, cpu, layout: laidOut === graph });
    },
  };
}

/** How many channels the engine's own layout keeps together on this machine, by a look at what it does; 0 where it has none. */
async function findChannelBlock(ort: OrtModule): Promise<number> {
  const x = input("x", "float32", [1, 16, 1, 2]);
  const { model } = toOnnx({ inputs: [x], outputs: { y: blockedProbe(x) } }, { dialect: "onnxruntime" });
  try {
    const session = await openSession(ort, model, { threads: 1, optimise: false });
    const { y } = await session.run({
      x: float32(
        Float32Array.from({ length: 32 }, (_, i) => i),
        [1, 16, 1, 2],
      ),
    });
    await session.dispose();
    const order = y!.data as Float32Array;
    const found = order.indexOf(1);
    const fits = (found === 8 || found === 16) && order.every((value, i) => value === blockedOrder(i, found));
    return fits ? found : 0;
  } catch {
    return 0;
  }
}

/** Which element of `[1, 16, 1, 2]` stands at place `i` of the layout in blocks. */
function blockedOrder(i: number, block: number): number {
  const [part, place, lane] = [Math.floor(i / (2 * block)), Math.floor(i / block) % 2, i % block];
  return (part * block + lane) * 2 + place;
}

/** A session of ONNX Runtime from the bytes of a model; `layout`: whether it may choose the layout of maps. @throws {MachineError} where the device is missing */
export async function openSession(
  ort: OrtModule,
  model: Uint8Array,
  options: RuntimeOptions & { cpu?: string; layout?: boolean } = {},
): Promise<Session> {
  const device = options.device ?? "cpu";
  const settings: InferenceSession.SessionOptions = {
    executionProviders: [device === "cpu" ? (options.cpu ?? "cpu") : providers[device]],
    graphOptimizationLevel:
      options.optimise === false ? "disabled" : options.layout === false ? "extended" : "all",
    enableMemPattern: options.planMemory !== false,
    logSeverityLevel: 3,
    ...(options.threads === undefined ? {} : { intraOpNumThreads: options.threads }),
    ...(options.profile === undefined ? {} : { enableProfiling: true, profileFilePrefix: options.profile }),
    // Denormal numbers in a trained network mean nothing and cost tens of times an ordinary one.
    extra: {
      session: {
        set_denormal_as_zero: "1",
        ...(options.restAfterRun ? { force_spinning_stop: "1" } : {}),
        ...(options.threads === 1 ? {} : { intra_op: { allow_spinning: "1" } }),
      },
    },
  };
  let session: InferenceSession;
  try {
    session = await ort.InferenceSession.create(model, settings);
  } catch (cause) {
    if (device === "cpu") throw cause;
    throw new MachineError(
      `the device ${device} is not available here (${firstLine(cause)})`,
      "use --device cpu",
      cause,
    );
  }
  return new OrtSession(ort, session, options.cpu !== "wasm");
}

class OrtSession implements Session {
  readonly #ort: OrtModule;
  readonly #session: InferenceSession;
  readonly #inputs: ReadonlySet<string>;
  /** Whether outputs are written into tensors that are given for them; else they are copied there. */
  readonly #writesInPlace: boolean;

  constructor(ort: OrtModule, session: InferenceSession, writesInPlace: boolean) {
    this.#ort = ort;
    this.#session = session;
    this.#inputs = new Set(session.inputNames);
    this.#writesInPlace = writesInPlace;
  }

  async run(
    feeds: Readonly<Record<string, Tensor>>,
    fetches?: readonly string[] | Readonly<Record<string, Tensor>>,
  ): Promise<Record<string, Tensor>> {
    const inputs: Record<string, OrtTensor> = {};
    for (const [name, tensor] of Object.entries(feeds))
      if (this.#inputs.has(name)) inputs[name] = this.#toOrt(tensor);
    if (isGiven(fetches)) return this.#runInto(inputs, fetches);
    const results = fetches ? await this.#session.run(inputs, [...fetches]) : await this.#session.run(inputs);
    return Object.fromEntries(
      Object.entries(results).map(([name, result]) => [name, fromOrt(result as TypedTensor<"float32">)]),
    );
  }

  async #runInto(
    inputs: Record<string, OrtTensor>,
    given: Readonly<Record<string, Tensor>>,
  ): Promise<Record<string, Tensor>> {
    if (this.#writesInPlace) {
      await this.#session.run(
        inputs,
        Object.fromEntries(Object.entries(given).map(([name, tensor]) => [name, this.#toOrt(tensor)])),
      );
      return { ...given };
    }
    const results = await this.#session.run(inputs, Object.keys(given));
    for (const [name, tensor] of Object.entries(given))
      (tensor.data as Float32Array).set(results[name]!.data as Float32Array);
    return { ...given };
  }

  #toOrt({ dtype, shape, data }: Tensor): OrtTensor {
    return new this.#ort.Tensor(dtype as "float32", data as Float32Array, shape);
  }

  async dispose(): Promise<void> {
    await this.#session.release();
  }
}

function isGiven(
  fetches: readonly string[] | Readonly<Record<string, Tensor>> | undefined,
): fetches is Readonly<Record<string, Tensor>> {
  return fetches !== undefined && !Array.isArray(fetches);
}

function fromOrt(result: TypedTensor<"float32">): Tensor {
  const shape = [...result.dims];
  return tensor(
    result.type as DType,
    shape,
    (elementCount(shape) === 0 ? result.data.slice(0, 0) : result.data) as never,
  );
}

function firstLine(error: unknown): string {
  return String(error instanceof Error ? error.message : error).split("\n")[0]!;
}
