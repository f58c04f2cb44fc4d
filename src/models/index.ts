export * from "./backbones.ts";
export * from "./config.ts";
export * from "./count.ts";
export * from "./efficientdet.ts";
export * from "./feature-networks.ts";
export * from "./fusions.ts";
export { activations, type ActivationName } from "./layers.ts";
export * from "./parameters.ts";
export { variants, type VariantName } from "./variants.ts";
