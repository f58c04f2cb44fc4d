import { Worker } from "node:worker_threads";
import { DataError, ImageError, MachineError } from "../errors.ts";
import type { BatchContent, BatchEntry } from "./batch.ts";
import type { WorkerJob, WorkerReply, WorkerStart } from "./loader-worker.ts";

interface Waiting {
  readonly resolve: (content: BatchContent) => void;
  readonly reject: (error: Error) => void;
}

/** Worker threads that make batches; each job goes to the one with the fewest. */
export class LoaderThreads {
  readonly #workers: readonly { readonly thread: Worker; readonly waiting: Map<number, Waiting> }[];
  #jobs = 0;
  #closed = false;

  constructor(count: number, start: WorkerStart) {
    this.#workers = Array.from({ length: count }, () => {
      const thread = startThread(start);
      const waiting = new Map<number, Waiting>();
      const fail = (error: Error) => {
        for (const { reject } of waiting.values()) reject(error);
        waiting.clear();
      };
      thread.on("message", (reply: WorkerReply) => {
        const entry = waiting.get(reply.job);
        waiting.delete(reply.job);
        if ("content" in reply) entry?.resolve(reply.content);
        else entry?.reject(revive(reply.error));
      });
      thread.on("error", (error: Error) =>
        fail(new MachineError(`a loader thread stopped: ${error.message}`, "try fewer --workers", error)),
      );
      thread.on("exit", () => fail(new MachineError("a loader thread ended before its work was done")));
      return { thread, waiting };
    });
  }

  /** Makes one batch; rejects with the error of the thread that tried. */
  async make(entries: readonly BatchEntry[]): Promise<BatchContent> {
    if (this.#closed) throw new MachineError("the loader is closed");
    const worker = this.#workers.reduce((best, other) =>
      other.waiting.size < best.waiting.size ? other : best,
    );
    const job = this.#jobs++;
    return await new Promise<BatchContent>((resolve, reject) => {
      worker.waiting.set(job, { resolve, reject });
      worker.thread.postMessage({ job, entries } satisfies WorkerJob);
    });
  }

  /** Ends the threads; jobs that are not done reject. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#workers.map(async ({ thread }) => await thread.terminate()));
  }
}

/** From sources (tests, `npm run dev`) the thread first needs a loader of TypeScript, which tsx leaves out of threads. */
function startThread(workerData: WorkerStart): Worker {
  if (!import.meta.url.endsWith(".ts"))
    return new Worker(new URL("./loader-worker.js", import.meta.url), { workerData });
  const worker = new URL("./loader-worker.ts", import.meta.url).href;
  const api = import.meta.resolve("tsx/esm/api");
  const code = `const { register } = await import(${JSON.stringify(api)}); register(); await import(${JSON.stringify(worker)});`;
  return new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), {
    workerData,
    execArgv: [],
  });
}

function revive({ code, message, hint }: { code?: string; message: string; hint?: string }): Error {
  if (code === "E_IMAGE") return new ImageError(message, hint);
  if (code === "E_DATA") return new DataError(message, hint);
  return new Error(message);
}
