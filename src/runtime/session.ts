import type { Graph } from "../graph/index.ts";
import type { Tensor } from "../tensor/index.ts";

/** A compiled graph, ready to run. */
export interface Session {
  /**
   * Runs the graph.
   *
   * @param feeds one tensor for each input (and each unbound parameter), by name
   * @param fetches names of the outputs wanted, or tensors by their names that the outputs are written into; default: all
   */
  run(
    feeds: Readonly<Record<string, Tensor>>,
    fetches?: readonly string[] | Readonly<Record<string, Tensor>>,
  ): Promise<Record<string, Tensor>>;
  /** Gives back what the engine holds; the session cannot run any more. */
  dispose(): Promise<void>;
}

export interface RuntimeOptions {
  /** Threads of one run; default: as many as the machine has physical cores. */
  readonly threads?: number;
  readonly device?: Device;
  /** Whether the engine rewrites the graph before it runs; default true. A graph of thousands of nodes that is emitted as it should run is ready sooner without. */
  readonly optimise?: boolean;
  /** Whether the engine lays out the memory of a run in one piece, from the second run on; it keeps that of the first too. Default true. */
  readonly planMemory?: boolean;
  /**
   * Whether the engine's threads sleep as soon as a run ends. Else they wait for the next one for some milliseconds, which
   * it begins sooner by, and take cores from what is done in between. Default false.
   */
  readonly restAfterRun?: boolean;
  /** Where the engine writes its profile (JSON, Chrome's trace format); default: nowhere. */
  readonly profile?: string;
}

export type Device = "cpu" | "cuda" | "coreml" | "directml" | "webgpu";

/** An engine that runs graphs. */
export interface Runtime {
  readonly name: string;
  /** Compiles a graph; its parameters that are not constants become inputs. */
  compile(graph: Graph, options?: RuntimeOptions): Promise<Session>;
}
