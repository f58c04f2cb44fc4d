import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import path from "node:path";
import { readDataset, readSplits, type Dataset } from "../data/index.ts";
import { DataError, suggest, UsageError } from "../errors.ts";
import { nameOf } from "../graph/index.ts";
import { buildModel, type ModelConfig } from "../models/index.ts";
import { defaultLearningRate, type TrainConfig } from "./config.ts";
import {
  findStartingWeights,
  networkOf,
  type StartingWeights,
  type WeightsAccess,
} from "./starting-weights-node.ts";

/** A configuration in which nothing is open any more. */
export interface DecidedConfig extends TrainConfig {
  readonly model: string;
  readonly weights: string;
  readonly output: string;
  readonly learningRate: number;
  readonly imageSize: [number, number];
}

/** A run that could begin: its data read, its network decided. */
export interface PreparedRun {
  readonly config: DecidedConfig;
  readonly train: Dataset;
  readonly val: Dataset;
  readonly network: ModelConfig;
  readonly start: StartingWeights;
  /** Tells whether a parameter stays as it is. */
  readonly frozen: (name: string) => boolean;
  /** What a person should know, in sentences. */
  readonly notes: readonly string[];
}

/**
 * Reads the data, finds the weights and decides what the configuration left open.
 *
 * @param before what a run to resume had decided
 * @throws {DataError} if the data cannot be read or shows no objects
 * @throws {UsageError} for names that are not known, or a `freeze` that fits nothing or everything
 */
export async function prepareRun(
  config: TrainConfig,
  access: WeightsAccess,
  before?: Pick<PreparedRun, "network" | "start">,
): Promise<PreparedRun> {
  const { train, val, note } = await readParts(config);
  if (train.images.every(({ objects }) => objects.length === 0))
    throw new DataError(`no picture of ${train.root} shows an object`, "label some, or name other data");
  const start = before?.start ?? (await findStartingWeights(config, access));
  const network = before?.network ?? networkOf(config, start, train.classes.length);
  const frozen = freezing(config, network);
  const trained = start.checkpoint?.tensors.has("class_net.predict.conv_pw.weight") ?? false;
  const decided: DecidedConfig = {
    ...config,
    model: network.name,
    weights: start.name,
    output: config.output ?? path.join("runs", `${path.basename(train.root)}-${stamp(new Date())}`),
    learningRate:
      config.learningRate ??
      defaultLearningRate(config.optimizer, config.batchSize * config.accumulate, {
        trained,
        batchNorm: config.batchNorm,
      }),
    imageSize: [...network.imageSize],
    gradient: {
      ...config.gradient,
      weightDecay: config.gradient.weightDecay ?? (config.optimizer === "adamw" ? 0.01 : 4e-5),
    },
  };
  return {
    config: decided,
    train,
    val,
    network,
    start,
    frozen,
    notes: [...train.notes, ...note],
  };
}

async function readParts({
  data,
  val,
  format,
  strict,
}: TrainConfig): Promise<{ train: Dataset; val: Dataset; note: string[] }> {
  if (typeof val !== "string") {
    const { train, val: validation, made } = await readSplits(data, { format, strict, fraction: val });
    return {
      train,
      val: validation,
      note: made
        ? [
            `${validation.images.length} of ${train.images.length + validation.images.length} pictures validate, chosen by their names`,
          ]
        : [],
    };
  }
  const train = await partOr(data, "train", { format, strict });
  return { train, val: await partOr(val, "val", { strict, classes: train.classes }), note: [] };
}

/** A named part of the data, or all of it where it is not divided so. */
async function partOr(
  location: string,
  split: string,
  options: Parameters<typeof readDataset>[1],
): Promise<Dataset> {
  const whole = await readDataset(location, options);
  try {
    return await readDataset(location, { ...options, split });
  } catch (error) {
    if (error instanceof DataError) return whole;
    throw error;
  }
}

function freezing({ freeze, recipe }: TrainConfig, network: ModelConfig): (name: string) => boolean {
  if (freeze === "none" && recipe !== "quick") return () => false;
  const pattern = new RegExp(freeze);
  const names = buildModel(network).parameters.map((p) => nameOf(p)!);
  const frozen = names.filter((name) => pattern.test(name));
  const parts = [...new Set(names.map((name) => name.replace(/\.[^.]+$/, "")))];
  if (recipe === "quick" && names.some((name) => name.startsWith("backbone.") && !pattern.test(name)))
    throw new UsageError(
      `the recipe quick freezes the backbone, freeze ${freeze} does not`,
      "leave --freeze out, or take the recipe fine-tune",
    );
  if (frozen.length === 0)
    throw new UsageError(`freeze ${freeze} fits no part of the network`, suggest(freeze, parts));
  if (frozen.length === names.length)
    throw new UsageError(`freeze ${freeze} leaves nothing to learn`, "freeze less, such as ^backbone");
  return (name) => pattern.test(name);
}

/**
 * What pictures and labels a run learns from and is judged by, as a hash: a resumed run must find the same.
 * Where the files lie does not count.
 */
export function dataFingerprint(...datasets: readonly Dataset[]): string {
  const hash = createHash("sha256");
  for (const { classes, images, root } of datasets) {
    hash.update(JSON.stringify(classes));
    for (const { id, file, width, height, objects } of images)
      hash.update(
        JSON.stringify([typeof id === "number" ? id : path.relative(root, file), width, height, objects]),
      );
  }
  return hash.digest("hex").slice(0, 32);
}

/** @throws {UsageError} if a folder already holds a run */
export function refuseUsedFolder(output: string): void {
  if (existsSync(path.join(output, "checkpoint", "state.safetensors")))
    throw new UsageError(
      `${output} already holds a run`,
      `go on with --resume ${output}, or name another --output`,
    );
}

/** `2026-05-31-1405`, local time. */
function stamp(date: Date): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}-${two(date.getHours())}${two(date.getMinutes())}`;
}
