import { readFile } from "node:fs/promises";
import { detectFromMaps, namedDetections, type AnchorSpec, type Detection } from "../detection/index.ts";
import type { Dataset, DatasetImage } from "../data/index.ts";
import { EfficientDetError, InterruptedError } from "../errors.ts";
import { CocoEvaluator, type Evaluation } from "../eval/index.ts";
import { forInference } from "../graph/index.ts";
import { decodePicture, type Picture } from "../image/index.ts";
import { headLevels, modelAnchors, pictureToMaps, type ModelConfig } from "../models/index.ts";
import type { Runtime, RuntimeOptions, Session } from "../runtime/session.ts";
import { tensor, type Tensor } from "../tensor/index.ts";

/** A network and where it runs. */
export interface ValidationOptions {
  readonly network: ModelConfig;
  readonly runtime: Runtime;
  readonly runtimeOptions: RuntimeOptions;
  readonly signal?: AbortSignal;
  /** Told after each picture. */
  readonly onPicture?: (done: number, total: number) => void;
  /** Pictures whose detections are wanted, by their place in the data. */
  readonly keep?: ReadonlySet<number>;
}

/** How good weights are on labelled pictures. */
export interface Validation {
  readonly evaluation: Evaluation;
  /** Of the pictures to keep: what was found, from score 0.001. */
  readonly kept: ReadonlyMap<number, readonly Detection[]>;
  /** Pictures that could not be used: they count as without detections. */
  readonly failed: readonly { readonly file: string; readonly message: string }[];
}

/** As the verb `eval` does. */
const settings = { scoreThreshold: 0.001, iouThreshold: 0.5, maxDetections: 100 } as const;

/**
 * Runs weights on a data set as `eval` does, so that both say the same: pictures one by one, from file to COCO metrics.
 *
 * @throws {InterruptedError} when `signal` is aborted
 */
export async function validate(
  dataset: Dataset,
  weights: ReadonlyMap<string, Tensor>,
  options: ValidationOptions,
): Promise<Validation> {
  const { network, runtime, runtimeOptions, signal, onPicture, keep } = options;
  const anchors = modelAnchors(network);
  const useIgnore = dataset.images.some(({ objects }) => objects.some(({ ignore }) => ignore)) || undefined;
  const evaluator = new CocoEvaluator(dataset.classes, useIgnore === undefined ? {} : { useIgnore });
  const failed: { file: string; message: string }[] = [];
  const kept = new Map<number, readonly Detection[]>();
  const session = await runtime.compile(forInference(pictureToMaps(network), weights), runtimeOptions);
  try {
    let done = 0;
    for await (const { image, picture, error } of decoded(dataset.images)) {
      if (signal?.aborted) throw new InterruptedError();
      const detections = picture ? await detect(session, picture, network, anchors, dataset) : [];
      if (error !== undefined) failed.push({ file: image.file, message: error.message });
      if (keep?.has(done)) kept.set(done, detections);
      evaluator.add({
        id: image.id,
        width: image.width,
        height: image.height,
        objects: image.objects.map(({ classIndex, box, area, crowd, ignore }) => ({
          classId: dataset.classes[classIndex]!.id,
          box,
          area,
          crowd,
          ignore,
        })),
        detections,
      });
      onPicture?.(++done, dataset.images.length);
    }
  } finally {
    await session.dispose();
  }
  return { evaluation: evaluator.result(), kept, failed };
}

async function detect(
  session: Session,
  picture: Picture,
  network: ModelConfig,
  anchors: AnchorSpec,
  { classes: names }: Dataset,
): Promise<Detection[]> {
  const outputs = await session.run({
    image: tensor("uint8", [picture.height, picture.width, 3], picture.data),
  });
  const maps = (kind: "class" | "box"): Float32Array[] =>
    headLevels(network).map((level) => outputs[`${kind}/${level}`]!.data as Float32Array);
  const found = detectFromMaps({ classMaps: maps("class"), boxMaps: maps("box") }, anchors, network.classes, {
    ...settings,
    imageScale: (outputs.scale!.data as Float32Array)[0]!,
    pictureSize: [picture.height, picture.width],
  });
  return namedDetections(found, names);
}

interface DecodedImage {
  readonly image: DatasetImage;
  readonly picture?: Picture;
  readonly error?: EfficientDetError;
}

/** Pictures in order, the next ones decoded while the network runs. */
async function* decoded(images: readonly DatasetImage[], ahead = 3): AsyncGenerator<DecodedImage> {
  const queue: Promise<DecodedImage>[] = [];
  for (const image of images) {
    queue.push(decodeImage(image));
    if (queue.length > ahead) yield await queue.shift()!;
  }
  while (queue.length > 0) yield await queue.shift()!;
}

async function decodeImage(image: DatasetImage): Promise<DecodedImage> {
  try {
    return { image, picture: await decodePicture(await readFile(image.file), { name: image.file }) };
  } catch (cause) {
    const error =
      cause instanceof EfficientDetError
        ? cause
        : new EfficientDetError("E_IMAGE", (cause as Error).message, { exitCode: 3, cause });
    return { image, error };
  }
}
