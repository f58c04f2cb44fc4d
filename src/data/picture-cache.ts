import { DataError, ImageError } from "../errors.ts";
import type { DatasetImage } from "./dataset.ts";
import { decodeTrainingPicture } from "./training-picture.ts";
import type { Problem } from "./problems.ts";
import type { Picture } from "../image/picture.ts";
import type { LabelledBox, Sample } from "./sample.ts";

/** How pictures are decoded and kept. */
export interface CacheOptions {
  /** Bytes of decoded pictures to keep, the last used ones. */
  readonly cacheBytes: number;
  /** Longer pictures are reduced to this while they are decoded; see `decodeTrainingPicture`. */
  readonly maxSide: number;
  /** Whether a picture that cannot be decoded gives way to the next one, rather than ending the run. */
  readonly replaceBroken: boolean;
  /** Whether objects marked as difficult are learnt. */
  readonly difficult: boolean;
}

/** How many pictures in a row may be broken before it is called a mistake. */
const maxReplacements = 20;

/** Decoded pictures with the objects to learn from them, in pixels of what was decoded. Crowds are no such objects. */
export class PictureCache {
  readonly #images: readonly DatasetImage[];
  readonly #options: CacheOptions;
  readonly #report: (problem: Problem) => void;
  readonly #kept = new Map<number, Picture>();
  readonly #pending = new Map<number, Promise<Picture>>();
  #bytes = 0;

  constructor(images: readonly DatasetImage[], options: CacheOptions, report: (problem: Problem) => void) {
    this.#images = images;
    this.#options = options;
    this.#report = report;
  }

  /**
   * A picture by its index, decoded or from the cache.
   *
   * @throws {ImageError} if it cannot be decoded and `replaceBroken` is off
   * @throws {DataError} if twenty in a row cannot be decoded
   */
  async load(index: number): Promise<Sample> {
    for (let attempt = 0; attempt < maxReplacements; attempt++) {
      const at = (index + attempt) % this.#images.length;
      try {
        const picture = await this.#picture(at);
        return { picture, objects: objectsFor(this.#images[at]!, picture, this.#options.difficult) };
      } catch (error) {
        if (!(error instanceof ImageError) || !this.#options.replaceBroken) throw error;
        const { file, id } = this.#images[at]!;
        this.#report({
          kind: "unreadable-picture",
          file,
          image: id,
          message: error.message,
          done: "another taken instead",
        });
      }
    }
    throw new DataError(
      `${maxReplacements} pictures in a row cannot be decoded (from ${this.#images[index]!.file} on)`,
      "efficientdet inspect lists broken pictures",
    );
  }

  async #picture(index: number): Promise<Picture> {
    const known = this.#kept.get(index);
    if (known !== undefined) {
      this.#kept.delete(index);
      this.#kept.set(index, known);
      return known;
    }
    const { maxSide } = this.#options;
    const pending = this.#pending.get(index) ?? decodeTrainingPicture(this.#images[index]!.file, { maxSide });
    this.#pending.set(index, pending);
    try {
      const picture = await pending;
      if (this.#pending.has(index)) this.#keep(index, picture);
      return picture;
    } finally {
      this.#pending.delete(index);
    }
  }

  #keep(index: number, picture: Picture): void {
    this.#pending.delete(index);
    this.#kept.set(index, picture);
    this.#bytes += picture.data.byteLength;
    for (const [oldest, { data }] of this.#kept) {
      if (this.#bytes <= this.#options.cacheBytes) break;
      this.#kept.delete(oldest);
      this.#bytes -= data.byteLength;
    }
  }
}

function objectsFor(image: DatasetImage, { width, height }: Picture, difficult: boolean): LabelledBox[] {
  const [sx, sy] = [width / image.width, height / image.height];
  return image.objects
    .filter((object) => !object.crowd && (difficult || !object.difficult))
    .map(({ classIndex, box }) => ({
      classIndex,
      box: { xMin: box.xMin * sx, yMin: box.yMin * sy, xMax: box.xMax * sx, yMax: box.yMax * sy },
    }));
}
