import { nameOf, staticShape } from "../graph/index.ts";
import { Random } from "../tensor/random.ts";
import { elementCount, float32, type Shape, type Tensor } from "../tensor/index.ts";
import { buildModel } from "./efficientdet.ts";
import type { ModelConfig } from "./config.ts";

/** The share of a map's cells that a new class head takes for objects: rare, so that the first steps are calm (Lin et al. 2017). */
const priorProbability = 0.01;

/**
 * A network's weights before training (spec A6), with its running statistics (mean 0, variance 1).
 *
 * Backbone kernels: normal, deviation √(2 / fan-out) (depthwise: fan-out k · k). Feature network: Glorot's uniform;
 * heads: truncated normal of variance 1 / fan-in. A depthwise kernel of the feature network and the heads counts its
 * fans as Keras does from `[k, k, W, 1]`: in k · k · W, out k · k (effdet divides by the groups). Biases 0, but
 * −log((1 − 0.01) / 0.01) of the class prediction; γ 1, β 0, fusion weights 1.
 *
 * Every tensor has its own random sequence, so that one name gives the same numbers in every model of one seed.
 */
export function initialWeights(config: ModelConfig, seed: number): Map<string, Tensor> {
  return new Map(
    buildModel(config).parameters.map((parameter) => {
      const [name, shape] = [nameOf(parameter)!, staticShape(parameter)];
      const next = drawing(
        name,
        shape,
        new Random(seed, ...Array.from(name, (letter) => letter.codePointAt(0)!)),
      );
      return [name, float32(Float32Array.from({ length: elementCount(shape) }, next), shape)];
    }),
  );
}

/** How the elements of a parameter are drawn, by its name. */
function drawing(name: string, shape: Shape, random: Random): () => number {
  if (name.endsWith(".running_mean")) return () => 0;
  if (name.endsWith(".running_var") || name.endsWith(".edge_weights")) return () => 1;
  if (name === "class_net.predict.conv_pw.bias")
    return () => -Math.log((1 - priorProbability) / priorProbability);
  if (name.endsWith(".bias")) return () => 0;
  if (shape.length !== 4) return () => 1;
  const [outputs, channels, height, width] = shape as [number, number, number, number];
  const area = height * width;
  if (name.startsWith("backbone.")) {
    const depthwise = name.includes(".conv_dw.");
    const deviation = Math.sqrt(2 / (area * (depthwise ? 1 : outputs)));
    return () => random.normal() * deviation;
  }
  const depthwise = name.includes(".conv_dw.");
  const [fanIn, fanOut] = depthwise ? [area * outputs, area] : [area * channels, area * outputs];
  if (name.startsWith("fpn.")) {
    const limit = Math.sqrt(6 / (fanIn + fanOut));
    return () => random.uniform(-limit, limit);
  }
  // Keras' variance_scaling: cut at two deviations, and widened by what the cut takes away.
  const deviation = Math.sqrt(1 / fanIn) / 0.87962566103423978;
  return () => {
    for (;;) {
      const value = random.normal();
      if (Math.abs(value) <= 2) return value * deviation;
    }
  };
}
