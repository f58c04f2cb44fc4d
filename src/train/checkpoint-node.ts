import { readFile } from "node:fs/promises";
import path from "node:path";
import { removeAbandoned, writeFileAtomic } from "../files/index.ts";
import { UsageError, WeightsError } from "../errors.ts";
import { modelConfig, type ModelConfig } from "../models/index.ts";
import { readSafetensors, safetensorsChunks } from "../weights/index.ts";
import { readTrainConfig } from "./config.ts";
import type { DecidedConfig } from "./preparation.ts";
import type { StartingWeights } from "./starting-weights-node.ts";
import type { TrainingState } from "./step.ts";

/** How far a run is, beside its weights. */
export interface Progress {
  /** Place of the next batch; `batch` as high as the batches of an epoch means that its evaluation comes next. */
  readonly epoch: number;
  readonly batch: number;
  readonly best?: { readonly epoch: number; readonly AP: number };
  /** Sums over the batches of the epoch so far. */
  readonly sums: {
    readonly batches: number;
    readonly loss: number;
    readonly classLoss: number;
    readonly boxLoss: number;
  };
  /** Time spent training, in earlier sittings too. */
  readonly seconds: number;
  /** True when nothing is left to do. */
  readonly finished: boolean;
}

/** Where a run begins. */
export const noProgress: Progress = {
  epoch: 0,
  batch: 0,
  sums: { batches: 0, loss: 0, classLoss: 0, boxLoss: 0 },
  seconds: 0,
  finished: false,
};

/** All that a run needs to go on. */
export interface RunCheckpoint {
  readonly config: DecidedConfig;
  readonly network: ModelConfig;
  /** What the run started from, without the weights themselves. */
  readonly start: StartingWeights;
  readonly progress: Progress;
  /** `dataFingerprint` of what it learns from. */
  readonly data: string;
  readonly state: TrainingState;
}

const formatVersion = "1";

/** The one file of a run's checkpoint. */
export function checkpointFile(output: string): string {
  return path.join(output, "checkpoint", "state.safetensors");
}

/**
 * Writes a checkpoint: the old one stays until the new one is whole and on the disk.
 *
 * @throws {MachineError} if the machine refuses
 */
export async function saveCheckpoint(
  output: string,
  { config, network, start, progress, data, state }: RunCheckpoint,
): Promise<void> {
  const metadata = {
    format_version: formatVersion,
    kind: "training state",
    step: String(state.step),
    config: JSON.stringify(config),
    network: JSON.stringify(network),
    start: JSON.stringify(start),
    progress: JSON.stringify(progress),
    data,
  };
  await writeFileAtomic(checkpointFile(output), safetensorsChunks(state.tensors, metadata), {
    durable: true,
  });
}

/**
 * Reads the checkpoint of a run, and removes what a killed run left half-written.
 *
 * @throws {UsageError} if the folder holds none
 * @throws {WeightsError} if it is damaged, or of another version
 */
export async function loadCheckpoint(output: string): Promise<RunCheckpoint> {
  const file = checkpointFile(output);
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (cause) {
    throw new UsageError(
      `${output} holds no run to resume (there is no ${path.relative(output, file)})`,
      "name the --output folder of an earlier run",
      cause,
    );
  }
  for (const folder of [output, path.dirname(file)]) await removeAbandoned(folder);
  const { tensors, metadata } = readSafetensors(bytes, file);
  if (metadata.kind !== "training state" || metadata.format_version !== formatVersion)
    throw new WeightsError(
      `this is no training state of version ${formatVersion} (${file})`,
      "it was written by another version: train anew from last.safetensors (--weights)",
    );
  try {
    return {
      config: readTrainConfig(JSON.parse(metadata.config!), file) as DecidedConfig,
      network: checkedNetwork(JSON.parse(metadata.network!) as ModelConfig),
      start: JSON.parse(metadata.start!) as StartingWeights,
      progress: JSON.parse(metadata.progress!) as Progress,
      data: metadata.data!,
      state: {
        step: Number(metadata.step),
        tensors: new Map([...tensors].map(([name, lazy]) => [name, lazy.read()])),
      },
    };
  } catch (cause) {
    throw new WeightsError(
      `the training state cannot be read (${file})`,
      "train anew from last.safetensors (--weights)",
      cause,
    );
  }
}

/** A network's configuration from a file, its names and numbers checked. */
function checkedNetwork(network: ModelConfig): ModelConfig {
  return modelConfig(network.name, network);
}
