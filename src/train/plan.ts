import { objectCount } from "../data/index.ts";
import { nameOf, staticShape } from "../graph/index.ts";
import { buildModel } from "../models/index.ts";
import { elementCount } from "../tensor/index.ts";
import type { DecidedConfig, PreparedRun } from "./preparation.ts";

/** What a run will do. */
export interface RunPlan {
  readonly config: DecidedConfig;
  readonly data: string;
  readonly classes: readonly { readonly id: number; readonly name: string; readonly objects: number }[];
  readonly trainPictures: number;
  readonly trainObjects: number;
  readonly emptyPictures: number;
  readonly valPictures: number;
  readonly problems: number;
  readonly parameters: number;
  readonly trainedParameters: number;
  /** Pictures of a step. */
  readonly picturesPerStep: number;
  readonly stepsPerEpoch: number;
  readonly steps: number;
}

/** The numbers of a run before it begins. */
export function planOf({ config, train, val, network, frozen }: PreparedRun, stepsPerEpoch: number): RunPlan {
  const counts = new Map<number, number>();
  for (const { objects } of train.images)
    for (const { classIndex } of objects) counts.set(classIndex, (counts.get(classIndex) ?? 0) + 1);
  const trainable = buildModel(network).parameters.filter(
    (p) => p.source.kind === "parameter" && p.source.trainable,
  );
  const count = (names: typeof trainable): number =>
    names.reduce((sum, p) => sum + elementCount(staticShape(p)), 0);
  return {
    config,
    data: train.root,
    classes: train.classes.map(({ id, name }, i) => ({ id, name, objects: counts.get(i) ?? 0 })),
    trainPictures: train.images.length,
    trainObjects: objectCount(train),
    emptyPictures: train.images.filter(({ objects }) => objects.length === 0).length,
    valPictures: val.images.length,
    problems: train.problems.length,
    parameters: count(trainable),
    trainedParameters: count(trainable.filter((p) => !frozen(nameOf(p)!))),
    picturesPerStep: config.batchSize * config.accumulate,
    stepsPerEpoch,
    steps: stepsPerEpoch * config.epochs,
  };
}
