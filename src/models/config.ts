import { UsageError, suggest } from "../errors.ts";
import { backbones, type BackboneName } from "./backbones.ts";
import { featureNetworks, type FeatureNetworkName, type Levels } from "./feature-networks.ts";
import { fusions, type FusionName } from "./fusions.ts";
import { activations, type ActivationName } from "./layers.ts";
import { variants, type VariantName } from "./variants.ts";

/** Everything that decides a network's form, its input and its anchors. */
export interface ModelConfig {
  readonly name: string;
  readonly backbone: BackboneName;
  /** Height and width of the network's input, pixels. */
  readonly imageSize: readonly [number, number];
  readonly classes: number;
  readonly levels: Levels;
  readonly featureNetwork: FeatureNetworkName;
  readonly fusion: FusionName;
  /** Channels of the feature network and the heads. */
  readonly width: number;
  /** How often the feature network is repeated. */
  readonly cells: number;
  /** Convolutions of each head before the prediction. */
  readonly headRepeats: number;
  readonly activation: ActivationName;
  /** Anchor sides are `anchorScale · stride · 2^(octave / scalesPerOctave)`; one number, or one per level. */
  readonly anchorScale: number | readonly number[];
  readonly scalesPerOctave: number;
  /** Width to height, or factors `[width, height]`. */
  readonly aspectRatios: readonly (number | readonly [number, number])[];
  /** Of RGB 0–255. */
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

/** What may be changed of a variant. */
export type ModelOverrides = Partial<Omit<ModelConfig, "imageSize">> & {
  readonly imageSize?: number | readonly [number, number];
};

/** Anchors at one place of a level. */
export function anchorsPerCell(config: Pick<ModelConfig, "scalesPerOctave" | "aspectRatios">): number {
  return config.scalesPerOctave * config.aspectRatios.length;
}

/**
 * The configuration of a variant, with some of it changed.
 *
 * @throws {UsageError} for an unknown variant, backbone, feature network, fusion or activation, or an impossible number
 */
export function modelConfig(name: string, overrides: ModelOverrides = {}): ModelConfig {
  if (!Object.hasOwn(variants, name))
    throw new UsageError(`there is no model ${name}`, suggest(name, Object.keys(variants)));
  const { imageSize, ...rest } = { ...variants[name as VariantName], ...defined(overrides) };
  const config: ModelConfig = {
    ...rest,
    name: overrides.name ?? name,
    imageSize: typeof imageSize === "number" ? [imageSize, imageSize] : imageSize,
  };
  checkName("backbone", config.backbone, Object.keys(backbones));
  checkName("feature network", config.featureNetwork, Object.keys(featureNetworks));
  checkName("fusion", config.fusion, fusions);
  checkName("activation", config.activation, Object.keys(activations));
  checkRange("classes", config.classes, 1, 100_000);
  checkRange("width", config.width, 1, 4096);
  checkRange("cells", config.cells, 0, 64);
  checkRange("head repeats", config.headRepeats, 0, 64);
  checkRange("scales per octave", config.scalesPerOctave, 1, 16);
  checkPositive("aspect ratios", config.aspectRatios, 1, 64);
  checkPositive("anchor scale", config.anchorScale, 1, 16);
  checkPositive("standard deviation", config.std, 3, 3);
  if (!Array.isArray(config.mean) || config.mean.length !== 3 || !config.mean.every(Number.isFinite))
    throw new UsageError(`mean ${String(config.mean)} is not possible`, "give three numbers");
  if (!Array.isArray(config.imageSize) || config.imageSize.length !== 2)
    throw new UsageError(`image size ${String(config.imageSize)} is not possible`, "give height and width");
  for (const side of config.imageSize) checkRange("image size", side, 32, 8192);
  checkRange("lowest level", config.levels?.min, 1, 5);
  checkRange("highest level", config.levels.max, Math.max(5, config.levels.min), 10);
  return config;
}

function checkName(what: string, name: string, known: readonly string[]): void {
  if (!known.includes(name)) throw new UsageError(`there is no ${what} ${name}`, suggest(name, known));
}

function checkRange(what: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most)
    throw new UsageError(`${what} ${value} is not possible`, `give a whole number from ${least} to ${most}`);
}

/** A number above 0, or so many of them, or of lists of them. */
function checkPositive(what: string, value: unknown, least: number, most: number): void {
  const positive = (item: unknown): boolean => typeof item === "number" && item > 0 && Number.isFinite(item);
  const fits = (item: unknown): boolean =>
    positive(item) || (Array.isArray(item) && item.length === 2 && item.every(positive));
  if (
    Array.isArray(value)
      ? value.length >= least && value.length <= most && value.every(fits)
      : positive(value)
  )
    return;
  throw new UsageError(`${what} ${JSON.stringify(value)} is not possible`, "give numbers above 0");
}

function defined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as T;
}
