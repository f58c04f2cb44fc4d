import type { RuntimeOptions } from "../runtime/session.ts";
import { Threads } from "../runtime/threads-node.ts";
import type { Tensor } from "../tensor/index.ts";
import type { Found, Geometry, Lanes, NamedPicture } from "./lane.ts";
import { planLanes } from "./lane-plan.ts";
import type { LaneJob, LaneStart } from "./lane-worker.ts";
import type { ReadyModel } from "./ready-model.ts";

/** Whether the process is ending, and how many threads are in the engine: it aborts a process that ends meanwhile. */
const engine = new Int32Array(new SharedArrayBuffer(8));
let exitWaits = false;

function letExitWait(): void {
  if (exitWaits) return;
  exitWaits = true;
  process.on("exit", () => {
    Atomics.store(engine, 0, 1);
    for (let inside; (inside = Atomics.load(engine, 1)) > 0;)
      if (Atomics.wait(engine, 1, inside, 30_000) === "timed-out") return;
  });
}

/** Starts lanes for a model, each in a worker thread; `undefined` where they would not pay, or cannot be. */
export function startLanes(model: ReadyModel, options: RuntimeOptions): Lanes | undefined {
  const plan = planLanes(model, options);
  if (!plan) return undefined;
  const { optimise, planMemory, restAfterRun } = options;
  const start: LaneStart = {
    model: { ...model, weights: shared(model.weights) },
    options: { optimise, planMemory, restAfterRun, threads: plan.threads },
    engine,
  };
  const { lanes: count } = plan;
  letExitWait();
  try {
    return new LaneThreads(
      new Threads({ count, beside: import.meta.url, module: "lane-worker", start, owner: "the detector" }),
      count,
    );
  } catch {
    return undefined; // this process may start no threads
  }
}

class LaneThreads implements Lanes {
  readonly count: number;
  readonly #threads: Threads<LaneJob, Found>;
  #ready = false;

  constructor(threads: Threads<LaneJob, Found>, count: number) {
    this.#threads = threads;
    this.count = count;
    threads.ready.then(
      () => (this.#ready = true),
      () => this.close(),
    );
  }

  get state(): Lanes["state"] {
    return this.#threads.ended ? "ended" : this.#ready ? "ready" : "starting";
  }

  async detect({ source, picture }: NamedPicture, geometry: Geometry) {
    const data = new Uint8Array(picture.data); // the picture library's memory cannot be given away, nor may the caller's
    try {
      return await this.#threads.ask({ source, picture: { ...picture, data }, geometry }, [data.buffer]);
    } catch (error) {
      return this.#threads.ended ? undefined : { error };
    }
  }

  async close(): Promise<void> {
    await this.#threads.close();
  }
}

/** The weights in memory that all threads see, so that they are not copied for each. */
function shared(weights: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  return new Map(
    [...weights].map(([name, tensor]) => {
      const { buffer, byteOffset, byteLength, length } = tensor.data;
      const memory = new SharedArrayBuffer(byteLength);
      new Uint8Array(memory).set(new Uint8Array(buffer, byteOffset, byteLength));
      const View = tensor.data.constructor as new (memory: SharedArrayBuffer, at: 0, length: number) => never;
      return [name, { ...tensor, data: new View(memory, 0, length) }];
    }),
  );
}
