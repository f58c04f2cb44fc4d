import type { Value } from "../graph/index.ts";
import type { ModelConfig } from "./config.ts";
import { activations, separable } from "./layers.ts";
import type { Parameters } from "./parameters.ts";

/**
 * A head shared by all levels: separable convolutions whose batch normalisations are each level's own, then the
 * prediction (paper §4; spec A5).
 *
 * @param features `[N, width, h, w]` per level
 * @returns `[N, channels, h, w]` per level
 */
export function head(
  features: readonly Value[],
  channels: number,
  config: ModelConfig,
  p: Parameters,
): Value[] {
  const act = activations[config.activation];
  return features.map((feature, level) => {
    let x = feature;
    for (let repeat = 0; repeat < config.headRepeats; repeat++) {
      const norm = p.in(`bn_rep.${repeat}.${level}.bn`);
      x = act(norm.mode.batchNorm(separable(x, config.width, p.in(`conv_rep.${repeat}`)), norm));
    }
    return separable(x, channels, p.in("predict"));
  });
}
