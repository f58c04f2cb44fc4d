import { availableParallelism, totalmem } from "node:os";
import type { RuntimeOptions } from "../runtime/session.ts";
import type { ReadyModel } from "./ready-model.ts";

/** How many lanes there are, and how many of the engine's threads each has. */
export interface LanePlan {
  readonly lanes: number;
  readonly threads: number;
}

/**
 * Whether many pictures go faster side by side: `undefined` where they do not.
 *
 * Two threads that share one picture wait for each other at every node, and one of them stands still while pictures are
 * decoded and boxes chosen; two pictures on a thread each do not. So there are as many lanes as threads were given (or the
 * machine runs), unless memory is too small: each lane holds the model anew, and all together may take a quarter of it.
 * Fewer lanes share the threads; fewer than two are none. Another device than the processor works by itself.
 */
export function planLanes(model: ReadyModel, options: RuntimeOptions): LanePlan | undefined {
  const { device = "cpu", threads = availableParallelism(), profile } = options;
  if (device !== "cpu" || profile !== undefined) return undefined;
  const lanes = Math.min(threads, Math.floor(memory() / 4 / laneBytes(model)));
  return lanes < 2 ? undefined : { lanes, threads: Math.floor(threads / lanes) };
}

/**
 * What a lane takes, not too little: the engine keeps weights about four times over (as it was given them and as it lays
 * them out), and 400 to 700 bytes of maps for a pixel of the network's input, as measured from Lite0 (80 MB) to D4 (940 MB).
 */
function laneBytes({ config, weights }: ReadyModel): number {
  const [height, width] = config.imageSize;
  const parameters = [...weights.values()].reduce((sum, { data }) => sum + data.length, 0);
  return 4 * 4 * parameters + 700 * height * width;
}

/** Of the machine, or what this process may have of it. */
function memory(): number {
  const allowed = process.constrainedMemory();
  return allowed > 0 ? Math.min(allowed, totalmem()) : totalmem();
}
