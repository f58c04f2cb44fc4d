import type { Shape, Tensor } from "../tensor/index.ts";
import { elementCount, tensor, zeros } from "../tensor/index.ts";

/**
 * Weights and pictures that a rule makes, the same bits in every language: what the golden numbers were computed
 * with, so that no weights need to be shipped with the tests. The rule is stated in the README of the reference data.
 */

/** 32-bit FNV-1a of the text's UTF-8 bytes. */
export function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** The generator mulberry32, seeded with the name's hash: each call gives the next unsigned 32-bit number. */
export function draws(name: string): () => number {
  let state = fnv1a(name);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

/** A draw as a multiple of 1/128 in [-1, 127/128]. */
export const u8 = (draw: number): number => ((draw >>> 24) - 128) / 128;
/** A draw as an odd multiple of 1/16 in [-15/16, 15/16]. */
export const u4 = (draw: number): number => (2 * (draw >>> 28) - 15) / 16;
/** A draw as a multiple of 2^-23 in [-1, 1). */
export const u24 = (draw: number): number => (draw >>> 8) / 8388608 - 1;

/** Gains of the backbone, the feature network and the heads: those that differ between the variants. */
const variantGains = {
  d0: [3.09, 2.7, 1.96],
  d1: [2.89, 2.77, 1.87],
  d2: [2.94, 2.66, 1.93],
  d3: [2.9, 2.66, 2.01],
  d4: [2.73, 2.71, 2.06],
  d5: [2.68, 2.71, 1.93],
  d6: [2.56, 1.77, 2.1],
  d7: [2.56, 1.77, 2.1],
  d7x: [2.39, 1.74, 2.0],
  lite0: [2.2, 1.86, 1.9],
  lite1: [2.2, 1.82, 1.71],
  lite2: [2.2, 1.79, 1.81],
  lite3: [2.2, 1.79, 1.87],
  lite3x: [2.2, 1.79, 1.96],
  lite4: [2.2, 1.82, 1.95],
} as const;

/** A variant that the rule has gains for. */
export type RuleVariant = keyof typeof variantGains;

/** All of them. */
export const ruleVariants = Object.keys(variantGains) as RuleVariant[];

/** The gain of a kernel, which keeps the signal of a network of random weights alive. */
function kernelGain(name: string, variant: RuleVariant): number {
  const [backbone, featureNetwork, head] = variantGains[variant];
  const lite = variant.startsWith("lite");
  const inBackbone = name.startsWith("backbone.");
  if (name.startsWith("backbone.conv_stem.")) return lite ? 2.5 : 3;
  if (inBackbone && name.includes(".se.")) return 1.5;
  if (inBackbone && name.includes(".conv_dw.")) return lite ? 2.5 : backbone;
  if (inBackbone && name.includes(".conv_pwl.")) return lite ? 2.5 : 3;
  if (/^backbone\.blocks\.0\..*\.conv_pw\./.test(name)) return lite ? 2.5 : 3;
  if (inBackbone && name.includes(".conv_pw.")) return backbone;
  if (/^fpn\..*\.conv\.conv\./.test(name)) return lite ? 2 : 4;
  if (name.startsWith("fpn.")) return featureNetwork;
  if (/^(class|box)_net\.conv_rep\./.test(name)) return head;
  if (/^(class|box)_net\.predict\./.test(name)) return lite ? 3.5 : 4;
  throw new Error(`the rule has no gain for ${name}`);
}

/** What a draw becomes, by the tensor's name. */
function valueOf(name: string, shape: Shape, variant: RuleVariant): (draw: number) => number {
  if (name.endsWith(".running_mean")) return (draw) => u8(draw) * 0.1;
  if (name.endsWith(".running_var")) return (draw) => 1 + Math.abs(u8(draw)) * 0.5;
  if (name.endsWith(".edge_weights")) return (draw) => 1 + u8(draw) * 0.5;
  if (/(^|\.)bn[123]?\.weight$/.test(name)) return (draw) => 1 + u8(draw) * 0.2;
  if (/(^|\.)bn[123]?\.bias$/.test(name)) return (draw) => u8(draw) * 0.2;
  if (name === "class_net.predict.conv_pw.bias") return (draw) => -2 + u8(draw) * 0.5;
  if (name.endsWith(".bias")) return (draw) => u8(draw) * 0.1;
  if (!name.endsWith(".weight")) throw new Error(`the rule has no kind for ${name}`);
  const fanIn = elementCount(shape.slice(1));
  const scale = Math.floor((kernelGain(name, variant) * 1024) / Math.sqrt(fanIn) + 0.5) / 1024;
  return (draw) => u4(draw) * scale;
}

/**
 * The rule's tensor for a state-dict name and PyTorch shape: float32, or a zero int64 for `num_batches_tracked`.
 *
 * @param seedPrefix put before the name where it seeds the generator: `ema:` and `plain:` give other weights
 */
export function ruleTensor(name: string, shape: Shape, variant: RuleVariant, seedPrefix = ""): Tensor {
  if (name.endsWith(".num_batches_tracked")) return zeros("int64", shape);
  const next = draws(seedPrefix + name);
  const value = valueOf(name, shape, variant);
  const data = new Float32Array(elementCount(shape));
  for (let i = 0; i < data.length; i++) data[i] = value(next());
  // Some fusion weights are negative, so that their clamping at 0 is seen.
  if (name.endsWith(".edge_weights") && fnv1a(seedPrefix + name) % 5 === 0)
    data[data.length - 1] = -data[data.length - 1]!;
  return tensor("float32", shape, data);
}

function triangle(t: number, period: number): number {
  const m = t % (2 * period);
  return Math.floor(((m < period ? m : 2 * period - m) * 255) / period);
}

/** The rule's picture: RGB bytes `[height, width, 3]`; `dy` and `dx` move its pattern, `name` seeds its noise. */
export function rulePicture(height: number, width: number, name = "picture", dy = 0, dx = 0): Uint8Array {
  const pixels = new Uint8Array(height * width * 3);
  const next = draws(name);
  let i = 0;
  for (let y = dy; y < height + dy; y++)
    for (let x = dx; x < width + dx; x++)
      for (let c = 0; c < 3; c++) {
        const board = 3 * 255 * (((x >> 4) + (y >> 4) + c) & 1);
        const waves = 6 * triangle(2 * x + y + 60 * c, 97) + 6 * triangle(x + 3 * y + 40 * c, 151);
        pixels[i++] = (waves + board + (next() >>> 24)) >> 4;
      }
  return pixels;
}

/** Flat indices at which the golden files sample a tensor of `size` elements: first, last, then drawn ones. */
export function sampleIndices(key: string, size: number, count: number): number[] {
  const next = draws(`sample:${key}`);
  const drawn = Array.from({ length: Math.max(count - 2, 0) }, () => next() % size);
  return [0, size - 1, ...drawn].slice(0, count);
}
