import { createHash } from "node:crypto";
import { closeSync, openSync, readvSync } from "node:fs";
import { mkdir, readdir, readFile, stat, statfs } from "node:fs/promises";
import path from "node:path";
import { decodeTrainingPicture } from "../data/training-picture.ts";
import { jitter, letterbox, placeObjects, renderPicture, type Placement } from "../data/placement.ts";
import type { Dataset, DatasetImage } from "../data/index.ts";
import type { LabelledBox, Size } from "../data/sample.ts";
import { EfficientDetError, InterruptedError, MachineError } from "../errors.ts";
import { writeFileAtomic } from "../files/index.ts";
import { forInference, input } from "../graph/index.ts";
import { efficientNet, Parameters, type ModelConfig } from "../models/index.ts";
import type { Runtime, RuntimeOptions } from "../runtime/session.ts";
import { elementCount, float32, float32ToHalf, type Tensor } from "../tensor/index.ts";
import { Random } from "../tensor/random.ts";
import type { TrainConfig } from "./config.ts";
import { featureShapes } from "./training-graph.ts";

/** How each picture is shown to the backbone: one entry for each set of features. */
export interface FeatureView {
  readonly scale: number;
  readonly mirrored: boolean;
}

/** All views that a configuration asks for, the plain one of inference first where it is among them. */
export function featureViews({ scales, mirror }: TrainConfig["quick"]): FeatureView[] {
  return scales.flatMap((scale) =>
    (mirror ? [false, true] : [false]).map((mirrored) => ({ scale, mirrored })),
  );
}

/**
 * Where a picture lies in a view. Larger than the input, it is cropped at a place that follows from its name; smaller, it
 * lies at the top left, as in inference.
 */
export function viewPlacement(
  { id, width, height }: DatasetImage,
  { scale, mirrored }: FeatureView,
  input: Size,
): Placement {
  const placement =
    scale === 1
      ? letterbox({ width, height }, input)
      : jitter(
          { width, height },
          input,
          { min: scale, max: scale },
          new Random(scale, ...Array.from(String(id), (letter) => letter.codePointAt(0)!)),
        );
  return { ...placement, flipX: mirrored };
}

/** What {@link openFeatures} works with. */
export interface FeatureOptions {
  readonly network: ModelConfig;
  readonly weights: ReadonlyMap<string, Tensor>;
  readonly views: readonly FeatureView[];
  readonly cacheDir: string;
  readonly runtime: Runtime;
  readonly runtimeOptions: RuntimeOptions;
  readonly signal?: AbortSignal;
  readonly onPicture?: (done: number, total: number) => void;
  readonly onFailed?: (file: string, message: string) => void;
}

/** Features of a data set's pictures, on disk in half precision. */
export interface FeatureStore {
  /** Places of the pictures that could be decoded. */
  readonly usable: readonly number[];
  /** Bytes on disk. */
  readonly bytes: number;
  readonly folder: string;
  /** The levels of a picture in a view, from below, half precision, written into `into` at picture `at` of a batch. */
  read(image: number, view: number, into: readonly Uint16Array[], at: number): void;
  /** The objects of a picture in a view, in pixels of the input. */
  objects(image: number, view: number): LabelledBox[];
}

/**
 * Computes the backbone's features of each picture in each view, but for those that an earlier run left: a picture's
 * file is named by the hash of its bytes, its folder by all that decides the features.
 *
 * @throws {InterruptedError} when `signal` is aborted; what is done stays
 * @throws {MachineError} if the disk is full
 */
export async function openFeatures(dataset: Dataset, options: FeatureOptions): Promise<FeatureStore> {
  const { network, views, runtime, runtimeOptions, signal, onPicture, onFailed } = options;
  const size: Size = { height: network.imageSize[0], width: network.imageSize[1] };
  const shapes = [...featureShapes(network).values()];
  const perView = shapes.reduce((sum, shape) => sum + elementCount(shape), 0);
  const folder = path.join(options.cacheDir, "features", folderName(options));
  await makeFolder(folder);
  const known = new Set(await readdir(folder));
  await refuseFullDisk(folder, (dataset.images.length - known.size) * views.length * perView * 2);
  const files: (string | undefined)[] = [];
  let session: Awaited<ReturnType<typeof backboneSession>> | undefined;
  try {
    for (const [i, image] of dataset.images.entries()) {
      if (signal?.aborted)
        throw new InterruptedError(
          "stopped while features were computed",
          "the same command goes on from here",
        );
      files.push(undefined);
      try {
        const file = path.join(folder, `${await fileName(image)}.f16`);
        if (!known.has(path.basename(file)) || (await stat(file)).size !== perView * views.length * 2) {
          session ??= await backboneSession(network, options.weights, runtime, runtimeOptions);
          const sets = await featuresOf(image, views, size, network, session);
          await writeFileAtomic(
            file,
            sets.map((half) => new Uint8Array(half.buffer, half.byteOffset, half.byteLength)),
          );
        }
        files[i] = file;
      } catch (error) {
        if (!(error instanceof EfficientDetError) || error instanceof MachineError) throw error;
        onFailed?.(image.file, error.message);
      }
      onPicture?.(i + 1, dataset.images.length);
    }
  } finally {
    await session?.dispose();
  }
  const bytesOfView = perView * 2;
  return {
    usable: files.flatMap((file, i) => (file === undefined ? [] : [i])),
    bytes: files.filter((file) => file !== undefined).length * views.length * bytesOfView,
    folder,
    read: (image, view, into, at) => {
      const levels = shapes.map((shape, level) => {
        const length = elementCount(shape);
        return into[level]!.subarray(at * length, (at + 1) * length);
      });
      readAt(files[image]!, levels, view * bytesOfView);
    },
    objects: (image, view) => {
      const own = dataset.images[image]!;
      const placement = viewPlacement(own, views[view]!, size);
      const labelled = own.objects.filter(({ crowd }) => !crowd);
      return placeObjects(labelled, own, placement, {
        minVisible: views[view]!.scale === 1 ? 0 : minVisible,
      });
    },
  };
}

/** As the augmentation's default: of a cropped object at least so much must be left. */
const minVisible = 0.15;

/** All that decides the features of a picture, but the picture. */
function folderName({ network, weights, views }: FeatureOptions): string {
  const hash = createHash("sha256");
  hash.update(
    JSON.stringify([
      "1",
      network.backbone,
      network.activation,
      network.imageSize,
      network.mean,
      network.std,
      network.levels.min,
      views,
    ]),
  );
  for (const [name, { data }] of weights)
    if (name.startsWith("backbone."))
      hash.update(name).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return hash.digest("hex").slice(0, 24);
}

/** Where a picture is cropped follows from its id, so that is part of the name too. */
async function fileName({ file, id }: DatasetImage): Promise<string> {
  const bytes = await readFile(file).catch((cause: NodeJS.ErrnoException) => {
    throw new EfficientDetError("E_IMAGE", `${file} cannot be read (${cause.code})`, { exitCode: 3, cause });
  });
  return createHash("sha256").update(JSON.stringify(id)).update(bytes).digest("hex").slice(0, 32);
}

async function backboneSession(
  network: ModelConfig,
  weights: ReadonlyMap<string, Tensor>,
  runtime: Runtime,
  options: RuntimeOptions,
) {
  const image = input("image", "float32", [1, 3, ...network.imageSize]);
  const levels = efficientNet(image, network.backbone, network.activation, new Parameters().in("backbone"));
  const outputs = Object.fromEntries(
    [...levels]
      .filter(([level]) => level >= network.levels.min)
      .map(([level, value]) => [`feature/${level}`, value]),
  );
  return runtime.compile(forInference({ inputs: [image], outputs }, weights), options);
}

/** The features of a picture in each view, half precision, levels from below one after the other. */
async function featuresOf(
  image: DatasetImage,
  views: readonly FeatureView[],
  size: Size,
  network: ModelConfig,
  session: Awaited<ReturnType<typeof backboneSession>>,
): Promise<Uint16Array[]> {
  const largest = Math.max(...views.map(({ scale }) => scale));
  const picture = await decodeTrainingPicture(image.file, {
    maxSide: Math.ceil(3 * Math.max(1, largest) * Math.max(size.height, size.width)),
  });
  const sets: Uint16Array[] = [];
  for (const view of views) {
    const shown = new Float32Array(3 * size.height * size.width);
    renderPicture(picture, viewPlacement(image, view, size), shown, size, { normalisation: network });
    const outputs = await session.run({ image: float32(shown, [1, 3, size.height, size.width]) });
    const levels = [...featureShapes(network).keys()].map((level) =>
      float32ToHalf(outputs[`feature/${level}`]!.data as Float32Array),
    );
    const all = new Uint16Array(levels.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const level of levels) {
      all.set(level, at);
      at += level.length;
    }
    sets.push(all);
  }
  return sets;
}

/** @throws {MachineError} before hours of work, if the features cannot fit */
async function refuseFullDisk(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const gib = (value: number): string => (value / 2 ** 30).toFixed(1);
  if (bytes > bavail * bsize * 0.95)
    throw new MachineError(
      `the features need ${gib(bytes)} GiB, ${folder} has ${gib(bavail * bsize)} GiB free`,
      "pass another --cache-dir, or fewer views: --set quick.scales=[1]",
    );
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (cause) {
    throw new MachineError(
      `${folder} cannot be made (${(cause as NodeJS.ErrnoException).code})`,
      "pass another --cache-dir",
      cause,
    );
  }
}

/**
 * Reads at once what is wanted now: while a step runs the engine holds this thread, so what is read behind its back
 * arrives after the step all the same.
 */
function readAt(file: string, into: Uint16Array[], position: number): void {
  const handle = openSync(file, "r");
  try {
    const bytesRead = readvSync(handle, into, position);
    if (bytesRead !== into.reduce((sum, { byteLength }) => sum + byteLength, 0))
      throw new MachineError(
        `${file} was cut short while training`,
        "delete it and start again with --resume",
      );
  } finally {
    closeSync(handle);
  }
}
