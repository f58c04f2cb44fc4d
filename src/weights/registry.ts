import { suggest, UsageError } from "../errors.ts";
import { cocoClasses } from "./coco-classes.ts";
import type { ModelClass, ModelMetadata, RgbTriple } from "./model-metadata.ts";

/** Trained weights that their authors publish for download. */
export interface RegisteredWeights {
  /** What `--model` takes: the model's name, with a suffix where there are several weights for it. */
  readonly name: string;
  /** The model they are for. */
  readonly model: string;
  /** Who publishes them. */
  readonly publisher: "rwightman/efficientdet-pytorch" | "google/automl";
  readonly url: string;
  /** Name of the file; what to call it where it is fetched by hand. */
  readonly file: string;
  readonly licence: string;
  /** First eight hex digits of the file's SHA-256, where its publisher states them (in the file's name). */
  readonly sha256Start: string | undefined;
  readonly classes: readonly ModelClass[];
  /** AP on COCO val2017 as published, in percent; effdet's with hard NMS, automl's with soft. */
  readonly publishedAP: number;
  /** What the weights were trained with. */
  readonly metadata: ModelMetadata;
}

const imagenet = {
  mean: [123.675, 116.28, 103.53] as RgbTriple,
  std: [58.395, 57.12, 57.375] as RgbTriple,
};
/** 0–255 to −1…1: AdvProp models, and effdet's Lite models. */
const symmetric = { mean: [127.5, 127.5, 127.5] as RgbTriple, std: [127.5, 127.5, 127.5] as RgbTriple };

/** Anchors' factors as they were until mid-2020, when these weights were trained; effdet's default still. */
const roundedRatios = [
  [1, 1],
  [1.4, 0.7],
  [0.7, 1.4],
] as const;

const root = Math.SQRT2;
const exactRatios = [
  [1, 1],
  [root, 1 / root],
  [1 / root, root],
] as const;

type Normalisation = typeof imagenet;

function effdet(
  name: string,
  file: string,
  imageSize: number,
  publishedAP: number,
  normalisation: Normalisation,
  anchorScale = 4,
): RegisteredWeights {
  return {
    name,
    model: name.replace(/-.*$/, ""),
    publisher: "rwightman/efficientdet-pytorch",
    url: `https://github.com/rwightman/efficientdet-pytorch/releases/download/v0.1/${file}`,
    file,
    licence: "Apache-2.0",
    sha256Start: /-([0-9a-f]{8})\.pth$/.exec(file)?.[1],
    classes: cocoClasses,
    publishedAP,
    metadata: {
      imageSize: [imageSize, imageSize],
      ...normalisation,
      aspectRatios: roundedRatios,
      anchorScale,
      source: `rwightman/efficientdet-pytorch ${file}`,
      licence: "Apache-2.0",
      trained: { data: "COCO train2017", publishedAP },
    },
  };
}

function automl(
  name: string,
  path: string,
  imageSize: number,
  publishedAP: number,
  anchorScale = 4,
): RegisteredWeights {
  const file = path.slice(path.lastIndexOf("/") + 1);
  return {
    name,
    model: name.replace(/-.*$/, ""),
    publisher: "google/automl",
    url: `https://storage.googleapis.com/cloud-tpu-checkpoints/efficientdet/${path}`,
    file,
    licence: "Apache-2.0",
    sha256Start: undefined,
    classes: cocoClasses,
    publishedAP,
    metadata: {
      imageSize: [imageSize, imageSize],
      ...imagenet,
      aspectRatios: exactRatios,
      anchorScale,
      source: `google/automl ${path}`,
      licence: "Apache-2.0",
      trained: { data: "COCO train2017", publishedAP },
    },
  };
}

/**
 * The published weights that the models of the family fit. Not among them: effdet's own architectures (other padding,
 * other backbones), and automl's Lite and AdvProp archives, which effdet has as single files with a hash.
 *
 * @see effdet `config/model_config.py`; automl `README.md`
 */
export const registeredWeights: readonly RegisteredWeights[] = [
  effdet("d0", "tf_efficientdet_d0_34-f153e0cf.pth", 512, 34.2, imagenet),
  effdet("d1", "tf_efficientdet_d1_40-a30f94af.pth", 640, 40.1, imagenet),
  effdet("d2", "tf_efficientdet_d2_43-8107aa99.pth", 768, 43.4, imagenet),
  effdet("d3", "tf_efficientdet_d3_47-0b525f35.pth", 896, 47.1, imagenet),
  effdet("d4", "tf_efficientdet_d4_49-f56376d9.pth", 1024, 49.2, imagenet),
  effdet("d5", "tf_efficientdet_d5_51-c79f9be6.pth", 1280, 51.2, imagenet),
  effdet("d6", "tf_efficientdet_d6_52-4eda3773.pth", 1280, 52.0, imagenet),
  effdet("d7", "tf_efficientdet_d7_53-6d1d7a95.pth", 1536, 53.1, imagenet, 5),
  effdet("d7x", "tf_efficientdet_d7x-f390b87c.pth", 1536, 54.3, imagenet),
  effdet("lite0", "tf_efficientdet_lite0-dfacfc78.pth", 320, 27.1, symmetric, 3),
  effdet("lite1", "tf_efficientdet_lite1-6dc7ab30.pth", 384, 32.2, symmetric, 3),
  effdet("lite2", "tf_efficientdet_lite2-86c5d55b.pth", 448, 35.9, symmetric, 3),
  effdet("lite3", "tf_efficientdet_lite3-506852cb.pth", 512, 39.6, symmetric, 4),
  effdet("lite3x", "tf_efficientdet_lite3x-8404c57b.pth", 640, 43.6, symmetric, 3),
  effdet("lite4", "tf_efficientdet_lite4-391ddabc.pth", 640, 44.2, symmetric, 4),
  // The AdvProp numbers are automl's, on val2017.
  effdet("d0-advprop", "tf_efficientdet_d0_ap-d0cdbd0a.pth", 512, 35.1, symmetric),
  effdet("d1-advprop", "tf_efficientdet_d1_ap-7721d075.pth", 640, 40.8, symmetric),
  effdet("d2-advprop", "tf_efficientdet_d2_ap-a2995c19.pth", 768, 44.3, symmetric),
  effdet("d3-advprop", "tf_efficientdet_d3_ap-e4a2feab.pth", 896, 47.7, symmetric),
  effdet("d4-advprop", "tf_efficientdet_d4_ap-f601a5fc.pth", 1024, 50.4, symmetric),
  effdet("d5-advprop", "tf_efficientdet_d5_ap-3673ae5d.pth", 1280, 52.2, symmetric),
  automl("d0-automl", "coco2/efficientdet-d0.h5", 512, 34.3),
  automl("d1-automl", "coco2/efficientdet-d1.h5", 640, 40.2),
  automl("d2-automl", "coco2/efficientdet-d2.h5", 768, 43.5),
  automl("d3-automl", "coco2/efficientdet-d3.h5", 896, 46.8),
  automl("d4-automl", "coco2/efficientdet-d4.h5", 1024, 49.3),
  automl("d5-automl", "coco2/efficientdet-d5.h5", 1280, 51.2),
  automl("d6-automl", "coco2/efficientdet-d6.h5", 1280, 52.1),
  automl("d7-automl", "coco2/efficientdet-d7.h5", 1536, 53.4, 5),
  automl("d7x-automl", "coco2/efficientdet-d7x.h5", 1536, 54.4),
  automl("d2-640", "coco640/efficientdet-d2-640.h5", 640, 41.7),
  automl("d3-640", "coco640/efficientdet-d3-640.h5", 640, 44.0),
  automl("d4-640", "coco640/efficientdet-d4-640.h5", 640, 45.7),
  automl("d5-640", "coco640/efficientdet-d5-640.h5", 640, 46.6),
  automl("d6-640", "coco640/efficientdet-d6-640.h5", 640, 47.9),
];

/**
 * The registered weights of this name.
 *
 * @throws {UsageError} naming the nearest if there are none
 */
export function findRegisteredWeights(name: string): RegisteredWeights {
  const found = registeredWeights.find((weights) => weights.name === name);
  if (found !== undefined) return found;
  throw new UsageError(
    `there are no published weights called ${name}`,
    suggest(
      name,
      registeredWeights.map((weights) => weights.name),
    ),
  );
}
