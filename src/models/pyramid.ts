import {
  add,
  div,
  maxPool2d,
  mul,
  reduceMax,
  reduceSum,
  relu,
  reshape,
  resizeNearest,
  sigmoid,
  slice,
  softmax,
  type Value,
} from "../graph/index.ts";
import type { ModelConfig } from "./config.ts";
import { featureNetworks, outputNumbers, type FeatureNetwork, type PyramidNode } from "./feature-networks.ts";
import { fusionParts, type FusionName } from "./fusions.ts";
import { activations, projection, separable } from "./layers.ts";
import type { Parameters } from "./parameters.ts";

/** Keeps Σw away from 0 in fast normalised fusion (paper §3.3). */
const fusionEpsilon = 1e-4;

type Size = readonly [number, number];
const sizeOf = (x: Value): Size => [x.shape[2] as number, x.shape[3] as number];

/**
 * The levels of the pyramid before any feature network: the backbone's own, and above them ever smaller ones. The first
 * extra level is a projection of the top one, max-pooled; the others are max-pooled only (spec A4).
 */
export function extendLevels(
  reductions: ReadonlyMap<number, Value>,
  config: ModelConfig,
  p: Parameters,
): Value[] {
  const { min, max } = config.levels;
  const pyramid: Value[] = [];
  for (let level = min; level <= max; level++) {
    const own = reductions.get(level);
    if (own) pyramid.push(own);
    else {
      const below = pyramid.at(-1)!;
      const projected =
        below.shape[1] === config.width
          ? below
          : projection(below, config.width, p.in(`${level - min}.conv`));
      pyramid.push(maxPool2d(projected, { kernel: 3, stride: 2 }));
    }
  }
  return pyramid;
}

/**
 * All cells of the feature network.
 *
 * @param pyramid one `[N, C, h, w]` per level, from below
 * @returns one `[N, width, h, w]` per level that the heads see
 */
export function featureNetwork(pyramid: readonly Value[], config: ModelConfig, p: Parameters): Value[] {
  const network: FeatureNetwork = featureNetworks[config.featureNetwork];
  const nodes = network.nodes(config.levels);
  if (nodes.length === 0) {
    const seen = network.outputs === "top" ? [5 - config.levels.min] : pyramid.map((_, i) => i);
    return seen.map((i) =>
      pyramid[i]!.shape[1] === config.width
        ? pyramid[i]!
        : projection(pyramid[i]!, config.width, p.in(`lateral.${i}.conv`)),
    );
  }
  let features = [...pyramid];
  for (let cell = 0; cell < config.cells; cell++)
    features = runCell(features, network, nodes, config, p.in(`cell.${cell}`));
  return features;
}

function runCell(
  inputs: readonly Value[],
  network: FeatureNetwork,
  nodes: readonly PyramidNode[],
  config: ModelConfig,
  p: Parameters,
): Value[] {
  const features = [...inputs];
  const act = activations[config.activation];
  nodes.forEach((node, k) => {
    const own = p.in(`fnode.${k}`);
    const size = sizeOf(inputs[node.level - config.levels.min]!);
    const resampled = node.inputs.map((i) =>
      resample(features[i]!, config.width, size, network, own.in(`combine.resample.${i}`)),
    );
    const levels = node.inputs.map((i) =>
      i < inputs.length ? i + config.levels.min : nodes[i - inputs.length]!.level,
    );
    const merged =
      node.merge === "attention"
        ? attention(resampled, levels)
        : fuse(resampled, network.fusion ?? config.fusion, own.in("combine"));
    const after = own.in("after_combine.conv");
    features.push(after.mode.batchNorm(separable(act(merged), config.width, after), after.in("bn")));
  });
  return outputNumbers(nodes, config.levels).map((i) => features[i]!);
}

/** Features at another level's size and width: projected where the width differs, then max-pooled down or repeated up (spec A4). */
function resample(
  x: Value,
  width: number,
  [height, wide]: Size,
  network: FeatureNetwork,
  p: Parameters,
): Value {
  const projected = x.shape[1] === width ? x : projection(x, width, p.in("conv"));
  const [h, w] = sizeOf(x);
  if (h === height && w === wide) return projected;
  if (h < height || w < wide) return resizeNearest(projected, height, wide);
  const stride = [Math.floor((h - 1) / height) + 1, Math.floor((w - 1) / wide) + 1] as const;
  const kernel = network.pooling === "exact" ? stride : ([stride[0] + 1, stride[1] + 1] as const);
  return maxPool2d(projected, { kernel, stride });
}

/**
 * Several features of one size into one (paper §3.3).
 *
 * The weights are `edge_weights`: `[inputs]`, `[inputs, width]` per channel, or `[inputs, h, w]` per pixel. A single
 * input has none.
 */
export function fuse(inputs: readonly Value[], fusion: FusionName, p: Parameters): Value {
  const { kind, per } = fusionParts(fusion);
  const sum = (values: readonly Value[]): Value => values.reduce((a, b) => add(a, b));
  if (kind === "sum" || inputs.length === 1) return sum(inputs);
  const [, channels, h, w] = inputs[0]!.shape as number[];
  const place = { feature: [], channel: [channels!], pixel: [h!, w!] }[per];
  const raw = p.get("edge_weights", [inputs.length, ...place]);
  const weights = kind === "softmax" ? softmax(raw, 0) : kind === "fast" ? normalised(relu(raw)) : raw;
  const shape = { feature: [1], channel: [1, channels!, 1, 1], pixel: [1, 1, h!, w!] }[per];
  return sum(inputs.map((x, i) => mul(x, reshape(slice(weights, 0, i, i + 1), shape))));
}

function normalised(weights: Value): Value {
  return div(weights, add(reduceSum(weights, [0]), fusionEpsilon));
}

/**
 * NAS-FPN's global attention: `h + l · σ(max h)` of the coarser input `h` and the finer `l`, the maximum over the whole
 * map per channel; further inputs are added. Differs: mmdetection keeps the finer one and takes a mean.
 */
function attention([a, b, ...more]: readonly Value[], levels: readonly number[]): Value {
  const [coarse, fine] = levels[1]! > levels[0]! ? [b!, a!] : [a!, b!];
  const gated = add(coarse, mul(fine, sigmoid(reduceMax(coarse, [2, 3]))));
  return more.reduce((sum, x) => add(sum, x), gated);
}
