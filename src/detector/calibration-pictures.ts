import type { EfficientDetError } from "../errors.ts";
import { ImageError, InterruptedError } from "../errors.ts";
import { decodePicture, expandInputs, type Picture } from "../image/index.ts";

/** Which pictures of a folder {@link calibrationPictures} takes, and who hears of it. */
export interface CalibrationPictureOptions {
  /** Most pictures to take, evenly spread over the folder's, sorted by name. */
  readonly count: number;
  /** Told after each picture. */
  readonly onPicture?: (done: number, total: number) => void;
  /** Told of a picture that cannot be used; the others are. */
  readonly onProblem?: (error: EfficientDetError) => void;
  readonly signal?: AbortSignal;
}

/**
 * The pictures of a folder and of the folders within, decoded one at a time: what `exportOnnxInt8` looks at.
 *
 * @throws {ImageError} if there is none, or none can be decoded
 * @throws {InterruptedError} when `signal` is aborted
 */
export async function* calibrationPictures(
  folder: string,
  { count, onPicture, onProblem, signal }: CalibrationPictureOptions,
): AsyncGenerator<Picture> {
  const all = await expandInputs([folder], { recursive: true });
  const total = Math.min(count, all.length);
  let failed: EfficientDetError | undefined;
  let usable = 0;
  for (let i = 0; i < total; i++) {
    if (signal?.aborted) throw new InterruptedError();
    const { source, read } = all[Math.floor((i * all.length) / total)]!;
    try {
      yield await decodePicture(await read(), { name: source });
      usable++;
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      failed ??= error;
      if (total > 1) onProblem?.(error);
    }
    onPicture?.(i + 1, total);
  }
  if (usable === 0 && failed) throw failed;
}
