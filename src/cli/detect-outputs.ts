import { stat } from "node:fs/promises";
import path from "node:path";
import type { DetectedPicture } from "../detector/result.ts";
import { uniqueNames, writeFileAtomic } from "../files/index.ts";
import { cropDetections, drawnPicture, encodePicture, formatOf, type PictureInput } from "../image/index.ts";

/** Pictures that may be written while the network goes on with the next. */
const writesUnderWay = 3;

/** Drawn pictures and cut-out objects of a run. */
export interface PictureOutputs {
  /** Whether pixels are needed at all. */
  readonly wanted: boolean;
  /** Draws and cuts out; returns where the drawn picture goes, before it is there. @throws {MachineError} if an earlier one could not be written */
  write(input: PictureInput, result: DetectedPicture): Promise<string | undefined>;
  /** Waits until all is written. */
  finish(): Promise<void>;
}

/** What the options ask for: `NAME.detected.jpg` beside the only input, else files in a folder. */
export function pictureOutputs(
  pictures: readonly PictureInput[],
  options: { output?: string; draw: boolean; crops?: string },
): PictureOutputs {
  const drawnNames = uniqueNames();
  const stems = uniqueNames();
  const pending = new Set<Promise<void>>();
  let failure: unknown;

  const start = async (work: Promise<void>): Promise<void> => {
    const watched = work
      .catch((error: unknown) => void (failure ??= error))
      .finally(() => pending.delete(watched));
    pending.add(watched);
    if (pending.size >= writesUnderWay) await Promise.race(pending);
    if (failure) throw failure;
  };
  const place = async (input: PictureInput): Promise<string> => {
    if (pictures.length === 1 && options.output === undefined)
      return path.join(input.folder ?? ".", `${input.stem}.detected.jpg`);
    if (pictures.length === 1 && !(await isFolder(options.output!)) && path.extname(options.output!) !== "")
      return options.output!;
    return path.join(options.output ?? "detected", drawnNames(`${input.stem}.jpg`));
  };
  const work = async (
    input: PictureInput,
    { picture, detections }: DetectedPicture,
    file: string | undefined,
  ): Promise<void> => {
    if (options.crops !== undefined) {
      const stem = stems(input.stem);
      for await (const crop of cropDetections(picture!, detections, stem))
        await writeFileAtomic(path.join(options.crops, crop.name), crop.bytes);
    }
    if (file !== undefined)
      await writeFileAtomic(
        file,
        await encodePicture(await drawnPicture(picture!, detections), { format: formatOf(file) }),
      );
  };
  return {
    wanted: options.draw || options.crops !== undefined,
    write: async (input, result) => {
      const file = options.draw ? await place(input) : undefined;
      if (options.draw || options.crops !== undefined) await start(work(input, result, file));
      return file;
    },
    finish: async () => {
      await Promise.all(pending);
      if (failure) throw failure;
    },
  };
}

async function isFolder(file: string): Promise<boolean> {
  return stat(file).then((found) => found.isDirectory(), () => false); // prettier-ignore
}
