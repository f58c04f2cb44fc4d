import { parentPort, Worker, workerData, type TransferListItem } from "node:worker_threads";
import { DataError, EfficientDetError, ImageError, MachineError } from "../errors.ts";

interface Thread<Result> {
  readonly worker: Worker;
  readonly exited: Promise<void>;
  readonly waiting: Map<number, { resolve: (result: Result) => void; reject: (error: Error) => void }>;
}

type Request<Job> = { readonly id: number; readonly job: Job } | { readonly end: true };
type Reply<Result> =
  | { readonly ready: true }
  | { readonly id: number; readonly result: Result }
  | { readonly id: number; readonly error: PlainError };
type PlainError = { readonly code?: string; readonly message: string; readonly hint?: string };

/** Which threads do the work of a {@link Threads}. */
export interface ThreadsOptions {
  readonly count: number;
  /** The module that they run, which calls {@link doJobs}: beside the module whose `import.meta.url` this is … */
  readonly beside: string;
  /** … and its name without ending. */
  readonly module: string;
  /** What each is given to begin with. */
  readonly start: unknown;
  /** What messages call their owner: "the loader". */
  readonly owner: string;
  /** What to do if one stops. */
  readonly hint?: string;
}

/** Worker threads that do jobs; each job goes to the one with the fewest. They keep the process alive only while they have some. */
export class Threads<Job, Result> {
  /** Settles when all are prepared, or one is not. */
  readonly ready: Promise<void>;
  readonly #owner: string;
  readonly #threads: readonly Thread<Result>[];
  #jobs = 0;
  #ended: Error | undefined;

  constructor({ count, beside, module, start, owner, hint }: ThreadsOptions) {
    this.#owner = owner;
    const began: Promise<void>[] = [];
    this.#threads = Array.from({ length: count }, () => {
      const worker = startThread(beside, module, start);
      const waiting: Thread<Result>["waiting"] = new Map();
      const exited = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
      began.push(
        new Promise((resolve, reject) => {
          const fail = (error: Error): void => {
            this.#ended ??= error;
            reject(error);
            for (const job of waiting.values()) job.reject(error);
            waiting.clear();
          };
          worker.on("message", (reply: Reply<Result>) => {
            if ("ready" in reply) return resolve();
            const job = waiting.get(reply.id);
            waiting.delete(reply.id);
            if (waiting.size === 0) worker.unref();
            if ("result" in reply) job?.resolve(reply.result);
            else job?.reject(revived(reply.error));
          });
          worker.on("error", (error: Error) =>
            fail(new MachineError(`a thread of ${owner} stopped: ${error.message}`, hint, error)),
          );
          worker.on("exit", () =>
            fail(new MachineError(`a thread of ${owner} ended before its work was done`)),
          );
        }),
      );
      worker.unref();
      return { worker, waiting, exited };
    });
    this.ready = Promise.all(began).then(() => undefined);
    this.ready.catch(() => undefined); // told to whoever waits for it, and by `ended`
  }

  /** Whether they were closed, or one stopped: no more jobs are done. */
  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /**
   * Has one job done.
   *
   * @param transfer buffers of the job that this thread no longer needs
   * @throws the error of the job
   * @throws {MachineError} if the threads are closed, or one stopped
   */
  async ask(job: Job, transfer: readonly TransferListItem[] = []): Promise<Result> {
    if (this.#ended) throw this.#ended;
    const { worker, waiting } = this.#threads.reduce((best, other) =>
      other.waiting.size < best.waiting.size ? other : best,
    );
    const id = this.#jobs++;
    return await new Promise<Result>((resolve, reject) => {
      waiting.set(id, { resolve, reject });
      worker.ref();
      worker.postMessage({ id, job } satisfies Request<Job>, transfer);
    });
  }

  /**
   * Ends the threads, each when it next waits for something: to be cut off in native code aborts the whole process. Jobs
   * that are not done reject.
   */
  async close(): Promise<void> {
    this.#ended ??= new MachineError(`${this.#owner} is closed`);
    for (const { worker } of this.#threads) {
      worker.ref();
      worker.postMessage({ end: true } satisfies Request<Job>);
    }
    await Promise.all(this.#threads.map(({ exited }) => exited));
  }
}

/** From sources (tests, `npm run dev`) the thread first needs a loader of TypeScript, which tsx leaves out of threads. */
function startThread(beside: string, module: string, workerData: unknown): Worker {
  const options = { workerData, execArgv: [] };
  if (!beside.endsWith(".ts")) return new Worker(new URL(`./${module}.js`, beside), options);
  const worker = new URL(`./${module}.ts`, beside).href;
  const api = import.meta.resolve("tsx/esm/api");
  const code = `const { register } = await import(${JSON.stringify(api)}); register(); await import(${JSON.stringify(worker)});`;
  return new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), options);
}

/**
 * What the module of a thread does: prepares itself, then does the jobs that come, several at once where they wait.
 *
 * @param prepare gives what does a job from what the thread was started with; `moved` are buffers of the result that
 * the thread no longer needs
 */
export async function doJobs<Start, Job, Result>(
  prepare: (
    start: Start,
  ) => Promise<(job: Job) => Promise<{ result: Result; moved?: readonly TransferListItem[] }>>,
): Promise<void> {
  const port = parentPort;
  if (port === null) return;
  const prepared = prepare(workerData as Start);
  port.on("message", (request: Request<Job>) => {
    if ("end" in request) process.exit(); // of this thread
    const { id, job } = request;
    prepared
      .then((work) => work(job))
      .then(
        ({ result, moved = [] }) => port.postMessage({ id, result } satisfies Reply<Result>, moved),
        (error: unknown) => port.postMessage({ id, error: plain(error) } satisfies Reply<Result>),
      );
  });
  await prepared;
  port.postMessage({ ready: true } satisfies Reply<Result>);
}

function plain(error: unknown): PlainError {
  const { code, message = String(error) } = error as { code?: string; message?: string };
  return error instanceof EfficientDetError ? { code, message, hint: error.hint } : { code, message };
}

function revived({ code, message, hint }: PlainError): Error {
  if (code === "E_IMAGE") return new ImageError(message, hint);
  if (code === "E_DATA") return new DataError(message, hint);
  if (code === "E_MACHINE") return new MachineError(message, hint);
  return Object.assign(new Error(message), code === undefined ? {} : { code });
}
