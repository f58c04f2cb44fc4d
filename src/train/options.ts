import type { TrainEvent } from "./events.ts";
import type { WeightsAccess } from "./starting-weights-node.ts";

/** What may be said of a run beside its configuration. */
export interface TrainOptions {
  /** Aborted: the step under way is finished, everything saved, and `InterruptedError` thrown. */
  readonly signal?: AbortSignal;
  /** Told of everything that happens. */
  readonly onEvent?: (event: TrainEvent) => void;
  /** Folder of downloaded weights and of features; default: the user's cache. */
  readonly cacheDir?: string;
  /** Never to use the network. */
  readonly offline?: boolean;
}

/** The options as the finder of weights wants them. */
export function accessOf({
  cacheDir,
  offline,
  signal,
  onEvent: tell = () => undefined,
}: TrainOptions): WeightsAccess {
  return {
    cacheDir,
    offline,
    signal,
    onDownload: (done, total) =>
      tell({ kind: "progress", phase: "download", done, ...(total === undefined ? {} : { total }) }),
  };
}
