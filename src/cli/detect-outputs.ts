import { stat } from "node:fs/promises";
import path from "node:path";
import type { DetectedPicture } from "../detector/result.ts";
import { EfficientDetError, UsageError } from "../errors.ts";
import { fittingName, uniqueNames, writeFileAtomic } from "../files/index.ts";
import {
  cropDetections,
  drawnPicture,
  encodePicture,
  formatOf,
  pictureEndings,
  type PictureInput,
} from "../image/index.ts";

/** Pictures, and pixels of them, that may be waiting to be written while the network goes on with the next. */
const mostUnderWay = 3;
const mostPixelsUnderWay = 2 ** 26;

/** The machine's no to one file, which would be its no to all others too. */
const ofEveryFile = ["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "EIO", "EMFILE", "ENFILE"];

/** Drawn pictures and cut-out objects of a run. */
export interface PictureOutputs extends AsyncDisposable {
  /** Whether pixels are needed at all. */
  readonly wanted: boolean;
  /**
   * Draws and cuts out, which goes on after this returns.
   *
   * @param index of the picture among the inputs
   * @returns where the drawn picture will be
   * @throws {MachineError} if an earlier one could not be written for a reason that holds for all
   */
  write(index: number, result: DetectedPicture): Promise<string | undefined>;
  /** Waits until all is written. @throws {MachineError} as `write` */
  finish(): Promise<void>;
}

/**
 * What the options ask for: `NAME.detected.jpg` beside the only input, else files in a folder.
 *
 * @param onFailure told of a picture that could not be written while others may be
 * @throws {UsageError} if a drawn picture would take the place of an input
 */
export async function pictureOutputs(
  pictures: readonly PictureInput[],
  options: { output?: string; draw: boolean; crops?: string },
  onFailure: (input: PictureInput, error: EfficientDetError) => void,
): Promise<PictureOutputs> {
  const places = options.draw ? await drawnPlaces(pictures, options.output) : [];
  const stems = uniqueNames();
  const pending = new Map<Promise<void>, number>();
  let failure: unknown;

  const write = async (
    index: number,
    { picture, detections }: DetectedPicture,
    stem: string,
  ): Promise<void> => {
    if (options.crops !== undefined)
      for await (const crop of cropDetections(picture!, detections, stem))
        await writeFileAtomic(path.join(options.crops, crop.name), crop.bytes);
    const file = places[index];
    if (file !== undefined)
      await writeFileAtomic(
        file,
        await encodePicture(await drawnPicture(picture!, detections), { format: formatOf(file) }),
      );
  };
  const failed = (input: PictureInput, error: unknown): void => {
    const { code } = ((error as Error).cause ?? {}) as NodeJS.ErrnoException;
    const one = error instanceof EfficientDetError && (code === undefined || !ofEveryFile.includes(code));
    if (one) onFailure(input, error);
    else failure ??= error;
  };
  const full = (pixels: number): boolean =>
    pending.size >= mostUnderWay ||
    (pending.size > 0 && [...pending.values()].reduce((a, b) => a + b, pixels) > mostPixelsUnderWay);
  return {
    wanted: options.draw || options.crops !== undefined,
    write: async (index, result) => {
      const input = pictures[index]!;
      const stem = stems(fittingName(input.stem, roomForLabel));
      const pixels = result.width * result.height;
      while (full(pixels)) await Promise.race(pending.keys());
      if (failure) throw failure;
      const work: Promise<void> = write(index, result, stem)
        .catch((error: unknown) => failed(input, error))
        .finally(() => pending.delete(work));
      pending.set(work, pixels);
      return places[index];
    },
    finish: async () => {
      await Promise.all(pending.keys());
      if (failure) throw failure;
    },
    [Symbol.asyncDispose]: async () => void (await Promise.all(pending.keys())), // an interrupted run leaves no halves
  };
}

/** Bytes that a cut-out's name has after the picture's: `-INDEX-LABEL.jpg`. */
const roomForLabel = 140;

/** Where the drawn picture of each input goes. */
async function drawnPlaces(
  pictures: readonly PictureInput[],
  output: string | undefined,
): Promise<readonly string[]> {
  const places = await chosenPlaces(pictures, output);
  const inputs = new Set(
    pictures
      .filter(({ folder }) => folder !== undefined)
      .map(({ folder, source }) => path.resolve(folder!, path.basename(source))),
  );
  const taken = places.find((place) => inputs.has(path.resolve(place)));
  if (taken !== undefined)
    throw new UsageError(`${taken} is one of the pictures to look at`, "give another --output");
  return places;
}

async function chosenPlaces(
  pictures: readonly PictureInput[],
  output: string | undefined,
): Promise<readonly string[]> {
  const [only, ...more] = pictures;
  if (only !== undefined && more.length === 0) {
    if (output === undefined)
      return [
        path.join(only.folder ?? ".", `${fittingName(only.stem, ".detected.jpg".length)}.detected.jpg`),
      ];
    const ending = path.extname(output).toLowerCase();
    if (ending !== "" && !(await isFolder(output))) {
      if (formatOf(output) === "jpeg" && !/^\.(jpe?g|jpe|jfif)$/.test(ending))
        throw new UsageError(
          `--output ${output} names no format that is written`,
          (pictureEndings as readonly string[]).includes(ending)
            ? "end it in .jpg, .png or .webp"
            : "end it in .jpg, .png or .webp, or name a folder",
        );
      return [output];
    }
  }
  const names = uniqueNames();
  return pictures.map(({ stem }) =>
    path.join(output ?? "detected", names(`${fittingName(stem, ".jpg".length)}.jpg`)),
  );
}

async function isFolder(file: string): Promise<boolean> {
  return stat(file).then((found) => found.isDirectory(), () => false); // prettier-ignore
}
