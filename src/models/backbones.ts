import { add, type Value } from "../graph/index.ts";
import { activations, convolution, depthwise, squeezeExcite, type ActivationName } from "./layers.ts";
import type { Parameters } from "./parameters.ts";

/** One row of EfficientNet's block table (EfficientNet paper, table 1; automl `efficientnet_builder.py`). */
interface Stage {
  readonly repeats: number;
  readonly kernel: number;
  readonly stride: number;
  readonly expand: number;
  readonly channels: number;
}

const stage = (repeats: number, kernel: number, stride: number, expand: number, channels: number): Stage => ({
  repeats, kernel, stride, expand, channels,
}); // prettier-ignore

/** B0; the others scale its channels and repeats. */
const stages: readonly Stage[] = [
  //    repeats kernel stride expand channels
  stage(1, 3, 1, 1, 16),
  stage(2, 3, 2, 6, 24),
  stage(2, 5, 2, 6, 40),
  stage(3, 3, 2, 6, 80),
  stage(3, 5, 1, 6, 112),
  stage(4, 5, 2, 6, 192),
  stage(1, 3, 1, 6, 320),
];

export interface Backbone {
  /** Factors of channels and of repeats. */
  readonly width: number;
  readonly depth: number;
  /** Lite: no squeeze-and-excite, relu6, stem and first and last stage not scaled. */
  readonly lite: boolean;
}

const backbone = (width: number, depth: number, lite = false): Backbone => ({ width, depth, lite });

/** The backbones of the family (spec A3). Everything else follows from these. */
export const backbones = {
  b0: backbone(1.0, 1.0),
  b1: backbone(1.0, 1.1),
  b2: backbone(1.1, 1.2),
  b3: backbone(1.2, 1.4),
  b4: backbone(1.4, 1.8),
  b5: backbone(1.6, 2.2),
  b6: backbone(1.8, 2.6),
  b7: backbone(2.0, 3.1),
  lite0: backbone(1.0, 1.0, true),
  lite1: backbone(1.0, 1.1, true),
  lite2: backbone(1.1, 1.2, true),
  lite3: backbone(1.2, 1.4, true),
  lite4: backbone(1.4, 1.8, true),
} as const;

export type BackboneName = keyof typeof backbones;

/** Channels scaled by `width`: to the nearest multiple of 8, never more than a tenth below. */
export function roundChannels(channels: number, width: number): number {
  const scaled = channels * width;
  const rounded = Math.max(8, Math.floor(Math.floor(scaled + 4) / 8) * 8);
  return rounded < 0.9 * scaled ? rounded + 8 : rounded;
}

/** The stages of a backbone after scaling. */
export function scaledStages(name: BackboneName): Stage[] {
  const { width, depth, lite } = backbones[name];
  return stages.map((row, i) => ({
    ...row,
    channels: roundChannels(row.channels, width),
    repeats: lite && (i === 0 || i === stages.length - 1) ? row.repeats : Math.ceil(depth * row.repeats),
  }));
}

/**
 * EfficientNet without its classifier (spec A3).
 *
 * @param image `[N, 3, H, W]`, normalised
 * @returns the last features of each stride: `reductions[l]` is `[N, C, ⌈H / 2^l⌉, ⌈W / 2^l⌉]` for `l` in 1…5. Levels
 * 3, 4, 5 are the outputs of stages 3, 5 and 7 (40, 112, 320 channels for B0), not of the expansions after them.
 */
export function efficientNet(
  image: Value,
  name: BackboneName,
  activation: ActivationName,
  p: Parameters,
): Map<number, Value> {
  const { width, lite } = backbones[name];
  const act = activations[activation];
  const rows = scaledStages(name);
  const blocks = rows.reduce((sum, row) => sum + row.repeats, 0);
  let x = act(
    p.mode.batchNorm(
      convolution(image, lite ? 32 : roundChannels(32, width), 3, 2, p.in("conv_stem")),
      p.in("bn1"),
    ),
  );
  const reductions = new Map<number, Value>();
  let level = 1;
  let index = 0;
  rows.forEach((row, s) => {
    for (let r = 0; r < row.repeats; r++) {
      const stride = r === 0 ? row.stride : 1;
      if (stride === 2) reductions.set(level++, x);
      x = block(
        x,
        { ...row, stride },
        lite,
        activation,
        survival(name, index++, blocks),
        p.in(`blocks.${s}.${r}`),
      );
    }
  });
  reductions.set(level, x);
  return reductions;
}

/** Stochastic depth of block `i` of `n`: 0.8 at the end, rising to 1 at the start; off for B0 (spec A3). */
function survival(name: BackboneName, i: number, n: number): number {
  return name === "b0" ? 1 : 1 - (0.2 * i) / n;
}

/** An inverted bottleneck with its skip connection: expand, depthwise, squeeze and excite, project. */
function block(
  x: Value,
  row: Stage,
  lite: boolean,
  activation: ActivationName,
  survive: number,
  p: Parameters,
): Value {
  const act = activations[activation];
  const channels = x.shape[1] as number;
  // timm numbers a block's parts in order, so the first stage, which does not expand, has other names.
  const [dwNorm, projectNorm, project] =
    row.expand === 1 ? ["bn1", "bn2", "conv_pw"] : ["bn2", "bn3", "conv_pwl"];
  let y = x;
  if (row.expand !== 1)
    y = act(p.mode.batchNorm(convolution(y, channels * row.expand, 1, 1, p.in("conv_pw")), p.in("bn1")));
  y = act(p.mode.batchNorm(depthwise(y, row.kernel, row.stride, p.in("conv_dw")), p.in(dwNorm!)));
  if (!lite) y = squeezeExcite(y, Math.max(1, Math.floor(channels * 0.25)), activation, p.in("se"));
  y = p.mode.batchNorm(convolution(y, row.channels, 1, 1, p.in(project!)), p.in(projectNorm!));
  return row.stride === 1 && channels === row.channels ? add(x, p.mode.stochasticDepth(y, survive)) : y;
}
