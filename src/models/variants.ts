import type { ModelConfig } from "./config.ts";
import type { FusionName } from "./fusions.ts";

type Variant = Omit<ModelConfig, "name" | "imageSize"> & { readonly imageSize: number };
type Row = (
  backbone: ModelConfig["backbone"], imageSize: number, width: number, cells: number, headRepeats: number,
  levels: readonly [number, number], anchorScale: number, fusion: FusionName,
) => Variant; // prettier-ignore

/** Means and deviations of ImageNet's RGB, 0–255. */
const imageNet = { mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375] } as const;
const lite = { mean: [127, 127, 127], std: [128, 128, 128] } as const;

const row =
  (activation: ModelConfig["activation"], normalisation: Pick<ModelConfig, "mean" | "std">): Row =>
  (backbone, imageSize, width, cells, headRepeats, [min, max], anchorScale, fusion) => ({
    backbone, imageSize, width, cells, headRepeats, levels: { min, max }, anchorScale, fusion, activation, ...normalisation,
    classes: 90, featureNetwork: "bifpn", scalesPerOctave: 3, aspectRatios: [1, 2, 0.5],
  }); // prettier-ignore

const d = row("swish", imageNet);
const l = row("relu6", lite);

/**
 * The published family (paper table 1; automl `hparams_config.py`). The scaling rule (paper §4, equations 1 to 3) gives
 * the first rows; from D4 on the published table departs from it, so it is the table that stands here.
 */
export const variants = {
  //          backbone image width cells head levels anchor fusion
  d0: d("b0", 512, 64, 3, 3, [3, 7], 4, "fast"),
  d1: d("b1", 640, 88, 4, 3, [3, 7], 4, "fast"),
  d2: d("b2", 768, 112, 5, 3, [3, 7], 4, "fast"),
  d3: d("b3", 896, 160, 6, 4, [3, 7], 4, "fast"),
  d4: d("b4", 1024, 224, 7, 4, [3, 7], 4, "fast"),
  d5: d("b5", 1280, 288, 7, 4, [3, 7], 4, "fast"),
  d6: d("b6", 1280, 384, 8, 5, [3, 7], 4, "sum"),
  d7: d("b6", 1536, 384, 8, 5, [3, 7], 5, "sum"),
  d7x: d("b7", 1536, 384, 8, 5, [3, 8], 4, "sum"),
  lite0: l("lite0", 320, 64, 3, 3, [3, 7], 3, "sum"),
  lite1: l("lite1", 384, 88, 4, 3, [3, 7], 3, "sum"),
  lite2: l("lite2", 448, 112, 5, 3, [3, 7], 3, "sum"),
  lite3: l("lite3", 512, 160, 6, 4, [3, 7], 4, "sum"),
  lite3x: l("lite3", 640, 200, 6, 4, [3, 7], 3, "sum"),
  lite4: l("lite4", 640, 224, 7, 4, [3, 7], 4, "sum"),
} as const satisfies Record<string, Variant>;

export type VariantName = keyof typeof variants;
