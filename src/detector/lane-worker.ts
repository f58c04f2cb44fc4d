import { nodeRuntime } from "../runtime/node.ts";
import type { RuntimeOptions } from "../runtime/session.ts";
import { doJobs } from "../runtime/threads-node.ts";
import { Lane, type Found, type Geometry, type NamedPicture } from "./lane.ts";
import type { ReadyModel } from "./ready-model.ts";

/** What a lane is started with. */
export interface LaneStart {
  readonly model: ReadyModel;
  readonly options: RuntimeOptions;
  /** Shared by all threads: whether the process is ending, and how many are in the engine. */
  readonly engine: Int32Array;
}

/** A picture to look at. */
export interface LaneJob extends NamedPicture {
  readonly geometry: Geometry;
}

await doJobs<LaneStart, LaneJob, Found>(async ({ model, options, engine }) => {
  const inEngine = async <T>(work: () => Promise<T>): Promise<T> => {
    Atomics.add(engine, 1, 1);
    try {
      if (Atomics.load(engine, 0) === 0) return await work();
    } finally {
      Atomics.sub(engine, 1, 1);
      Atomics.notify(engine, 1);
    }
    return new Promise(() => undefined); // the process is ending
  };
  const weights = new Map(model.weights);
  const lane = new Lane({ ...model, weights }, nodeRuntime, options);
  await inEngine(() => lane.warmUp());
  weights.clear(); // the engine has them
  return async ({ geometry, ...named }) => {
    const [found] = await inEngine(() => lane.detect([named], geometry));
    if ("error" in found!) throw found.error;
    return { result: found! };
  };
});
