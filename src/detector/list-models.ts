import {
  buildModel,
  countModel,
  headLevels,
  modelConfig,
  variants,
  type FeatureNetworkName,
  type FusionName,
  type ModelOverrides,
} from "../models/index.ts";

/** A variant as `efficientdet models --json` gives it. */
export interface ModelDescription {
  readonly name: string;
  readonly backbone: string;
  /** Height, width. */
  readonly imageSize: readonly [number, number];
  /** Trainable ones. */
  readonly parameters: number;
  /** Of convolutions, for one picture. */
  readonly multiplyAdds: number;
  /** Lowest and highest level that the heads see. */
  readonly levels: readonly [number, number];
  readonly featureNetwork: FeatureNetworkName;
  readonly fusion: FusionName;
  readonly widthChannels: number;
  readonly cells: number;
  readonly headRepeats: number;
  readonly anchorScale: number | readonly number[];
  readonly weights: readonly ReadyWeights[];
}

/** A ready weight file of a variant. */
export interface ReadyWeights {
  readonly name: string;
  readonly source: string;
  readonly licence: string;
  /** Size of the file; null where it is not here and its publisher does not say. */
  readonly bytes: number | null;
  /** Hex digits: all 64 of a file in the package; the first 8 where that is what its publisher states; else null. */
  readonly sha256: string | null;
  readonly classes: number;
  /** On the data it was made for, percent: COCO val2017 for 90 classes. */
  readonly publishedAP: number | null;
  readonly where: "package" | "cache" | "download";
}

/**
 * A variant, with some of it changed, counted from the graph that is built for it.
 *
 * @throws {UsageError} for an unknown name or an impossible number
 */
export function describeModel(
  name: string,
  overrides: ModelOverrides = {},
  weights: readonly ReadyWeights[] = [],
): ModelDescription {
  const config = modelConfig(name, overrides);
  const { parameters, multiplyAdds } = countModel(buildModel(config)).all;
  const levels = headLevels(config);
  return {
    name,
    backbone: `efficientnet-${config.backbone}`,
    imageSize: config.imageSize,
    parameters,
    multiplyAdds,
    levels: [levels[0]!, levels.at(-1)!],
    featureNetwork: config.featureNetwork,
    fusion: config.fusion,
    widthChannels: config.width,
    cells: config.cells,
    headRepeats: config.headRepeats,
    anchorScale: config.anchorScale,
    weights,
  };
}

/** The whole family; `weightsOf` says which ready weights a variant has. */
export function listModels(
  overrides: ModelOverrides = {},
  weightsOf: (variant: string) => readonly ReadyWeights[] = () => [],
): ModelDescription[] {
  return Object.keys(variants).map((name) => describeModel(name, overrides, weightsOf(name)));
}
