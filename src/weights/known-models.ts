import { nameOf, staticShape } from "../graph/index.ts";
import { buildModel, modelConfig, variants, type ModelConfig } from "../models/index.ts";
import type { KnownModel, ModelMetadata, ParameterShape } from "./index.ts";

/** The family as the weight readers want it: names and shapes of every parameter, and what each model is made for. */
export const knownModels: readonly KnownModel[] = Object.keys(variants).map((name) => ({
  name,
  parameters: (classes) => parameterShapes(modelConfig(name, { classes })),
  defaults: configMetadata(modelConfig(name)),
}));

/** Names and shapes of a model's parameters and running statistics. */
export function parameterShapes(config: ModelConfig): ParameterShape[] {
  return buildModel(config).parameters.map((p) => ({ name: nameOf(p)!, shape: staticShape(p) }));
}

/** What a weight file says of its model's input and anchors. */
export function configMetadata(config: ModelConfig): ModelMetadata {
  return {
    model: config.name,
    imageSize: config.imageSize,
    mean: config.mean,
    std: config.std,
    aspectRatios: config.aspectRatios.map((ratio) =>
      typeof ratio === "number" ? [Math.sqrt(ratio), 1 / Math.sqrt(ratio)] : ratio,
    ),
    anchorScale: config.anchorScale,
  };
}
