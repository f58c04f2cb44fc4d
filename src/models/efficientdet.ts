import { input, type Dim, type Graph, type Value } from "../graph/index.ts";
import { efficientNet } from "./backbones.ts";
import { anchorsPerCell, type ModelConfig } from "./config.ts";
import { featureNetworks, type FeatureNetwork } from "./feature-networks.ts";
import { head } from "./heads.ts";
import { Parameters } from "./parameters.ts";
import { extendLevels, featureNetwork } from "./pyramid.ts";

/** What the network says of a picture, before decoding; one value per level that the heads see, from below. */
export interface RawDetections {
  /** Logits, `[N, anchors · classes, h, w]`; channel = anchor · classes + class. */
  readonly classes: readonly Value[];
  /** `[N, anchors · 4, h, w]`: ty, tx, th, tw of each anchor, in units of its height and width (log for th, tw). */
  readonly boxes: readonly Value[];
  /** The backbone's levels and the feature network's, for who wants to look inside. */
  readonly backbone: readonly Value[];
  readonly pyramid: readonly Value[];
}

/** EfficientDet (paper §4): backbone → feature network, repeated → class and box heads shared by all levels. */
export function efficientDet(image: Value, config: ModelConfig, parameters: Parameters): RawDetections {
  const features = efficientNet(image, config.backbone, config.activation, parameters.in("backbone")); // P1 … P5
  return detectionsFromFeatures(features, config, parameters);
}

/** All of the network that follows the backbone, from its levels by number (as {@link efficientNet} gives them). */
export function detectionsFromFeatures(
  features: ReadonlyMap<number, Value>,
  config: ModelConfig,
  parameters: Parameters,
): RawDetections {
  const levels = extendLevels(features, config, parameters.in("fpn.resample")); // P6, P7 by max-pooling
  const pyramid = featureNetwork(levels, config, parameters.in("fpn"));
  const anchors = anchorsPerCell(config);
  return {
    classes: head(pyramid, anchors * config.classes, config, parameters.in("class_net")),
    boxes: head(pyramid, anchors * 4, config, parameters.in("box_net")),
    backbone: levels.slice(0, 5 - config.levels.min + 1),
    pyramid,
  };
}

/** The levels that the heads see. */
export function headLevels(config: ModelConfig): number[] {
  const network: FeatureNetwork = featureNetworks[config.featureNetwork];
  if (network.outputs === "top") return [5];
  return Array.from({ length: config.levels.max - config.levels.min + 1 }, (_, i) => config.levels.min + i);
}

/** A network as a graph, and its parameters in the order of effdet's names. */
export interface Model {
  readonly config: ModelConfig;
  /** Input `image` float32 `[N, 3, H, W]`, normalised; outputs `class/3` …, `box/3` …, with `features` also `backbone/3` … and `pyramid/3` …. */
  readonly graph: Graph;
  readonly parameters: readonly Value[];
}

/**
 * Builds a model's graph. Its parameters are unbound; `forInference` binds them.
 *
 * @param options.batch pictures in a batch, or the name of a size known at run time; default 1
 */
export function buildModel(config: ModelConfig, options: { batch?: Dim; features?: boolean } = {}): Model {
  const parameters = new Parameters();
  const image = input("image", "float32", [options.batch ?? 1, 3, ...config.imageSize]);
  const raw = efficientDet(image, config, parameters);
  return {
    config,
    graph: { inputs: [image], outputs: namedOutputs(raw, config, options.features) },
    parameters: parameters.all(),
  };
}

/** The raw outputs under the names that users see: `class/3` …, `box/3` …. */
export function namedOutputs(
  raw: RawDetections,
  config: ModelConfig,
  features = false,
): Record<string, Value> {
  const levels = headLevels(config);
  const named = (name: string, values: readonly Value[], from: readonly number[]): [string, Value][] =>
    values.map((value, i) => [`${name}/${from[i]}`, value]);
  return Object.fromEntries([
    ...named("class", raw.classes, levels),
    ...named("box", raw.boxes, levels),
    ...(features
      ? [
          ...named(
            "backbone",
            raw.backbone,
            raw.backbone.map((_, i) => config.levels.min + i),
          ),
          ...named("pyramid", raw.pyramid, levels),
        ]
      : []),
  ]);
}
