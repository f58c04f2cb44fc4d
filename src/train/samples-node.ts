import path from "node:path";
import type { Dataset, DatasetImage } from "../data/index.ts";
import type { Detection } from "../detection/index.ts";
import { fileNamePart, uniqueNames, writeFileAtomic } from "../files/index.ts";
import { drawDetections, type Picture } from "../image/index.ts";
import { loadSharp } from "../image/sharp-node.ts";

/** Longest side of a drawn sample, pixels. */
const longestSide = 480;
/** Least score that is drawn. */
const scoreThreshold = 0.3;

/** Some pictures of the validation data on which a run shows what it has learnt, always the same ones. */
export class SamplePictures {
  /** Their places in the data. */
  readonly indices: ReadonlySet<number>;
  readonly #dataset: Dataset;
  readonly #folder: string;
  readonly #names: ReadonlyMap<number, string>;

  /** @param folder where `labels/` and `epoch-…/` are written */
  constructor(dataset: Dataset, count: number, folder: string) {
    this.#dataset = dataset;
    this.#folder = folder;
    const withObjects = dataset.images.flatMap(({ objects }, i) => (objects.length > 0 ? [i] : []));
    const pool = withObjects.length > 0 ? withObjects : dataset.images.map((_, i) => i);
    const shown = Math.min(count, pool.length);
    this.indices = new Set(
      Array.from({ length: shown }, (_, i) => pool[Math.floor((i * pool.length) / shown)]!),
    );
    const unique = uniqueNames();
    this.#names = new Map(
      [...this.indices].map((index) => [
        index,
        unique(`${fileNamePart(path.parse(dataset.images[index]!.file).name)}.jpg`),
      ]),
    );
  }

  /** Draws what the labels say, into `labels/`. */
  async drawLabels(): Promise<void> {
    for (const index of this.indices) {
      const { objects } = this.#dataset.images[index]!;
      const detections = objects.map(({ classIndex, box }) => ({
        ...this.#named(classIndex),
        score: 1,
        box,
      }));
      await this.#draw(index, "labels", detections, false);
    }
  }

  /** Draws what was found after an epoch, into `epoch-0001/` …. */
  async draw(epoch: number, detections: ReadonlyMap<number, readonly Detection[]>): Promise<void> {
    for (const [index, found] of detections)
      await this.#draw(
        index,
        epochFolder(epoch),
        found.filter(({ score }) => score >= scoreThreshold),
        true,
      );
  }

  #named(classIndex: number): { label: string; classId: number } {
    const { id, name } = this.#dataset.classes[classIndex]!;
    return { label: name, classId: id };
  }

  async #draw(
    index: number,
    folder: string,
    detections: readonly Detection[],
    scores: boolean,
  ): Promise<void> {
    const image = this.#dataset.images[index]!;
    try {
      const { picture, scale } = await smallPicture(image);
      const drawn = detections.map((d) => ({
        ...d,
        box: {
          xMin: d.box.xMin * scale,
          yMin: d.box.yMin * scale,
          xMax: d.box.xMax * scale,
          yMax: d.box.yMax * scale,
        },
      }));
      const bytes = await drawDetections({ ...picture, channels: 3 }, drawn, {
        scores,
        fontSize: 12,
        lineWidth: 2,
        quality: 82,
      });
      await writeFileAtomic(path.join(this.#folder, folder, this.#names.get(index)!), bytes);
    } catch (error) {
      // A picture that cannot be decoded is told by the evaluation; a full disk has to be heard.
      if ((error as { code?: string }).code === "E_MACHINE") throw error;
    }
  }
}

/** The folder of an epoch's samples. */
export function epochFolder(epoch: number): string {
  return `epoch-${String(epoch).padStart(4, "0")}`;
}

async function smallPicture({
  file,
  width,
  height,
}: DatasetImage): Promise<{ picture: Picture; scale: number }> {
  const scale = Math.min(1, longestSide / Math.max(width, height));
  const [w, h] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
  const sharp = await loadSharp();
  const image = sharp(file, { failOn: "none" })
    .autoOrient()
    .resize(w, h, { fit: "fill" })
    .flatten()
    .toColourspace("srgb")
    .removeAlpha();
  const { data, info } = await image.raw({ depth: "uchar" }).toBuffer({ resolveWithObject: true });
  const rgb =
    info.channels === 3
      ? data
      : Uint8Array.from({ length: w * h * 3 }, (_, i) => data[Math.floor(i / 3) * info.channels]!);
  return { picture: { data: rgb, width: w, height: h }, scale };
}
