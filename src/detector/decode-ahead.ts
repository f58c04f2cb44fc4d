import { InterruptedError } from "../errors.ts";
import type { Picture } from "../image/picture.ts";
import type { Platform } from "./detector.ts";

/** A picture that was decoded, or why it was not. */
export interface Decoded {
  readonly source: string;
  readonly picture?: Picture;
  readonly error?: unknown;
  readonly startedMs: number;
  readonly decodeMs: number;
}

/** Pixels that lie decoded, or are being decoded, ahead of the picture that is next: three bytes of memory each. */
const mostPixelsAhead = 2 ** 26;

interface Waiting {
  readonly decoded: Promise<Decoded>;
  /** Of which it is known that they will be decoded. */
  pixels: number;
  /** Lets it go on. */
  enter: (() => void) | undefined;
}

/**
 * Decodes up to `ahead` pictures before they are asked for, in order; fewer where they are large, so that memory stays
 * bounded whatever a folder holds. Decoding runs on the platform's own threads, so it goes on while the network holds
 * this one.
 *
 * @throws {InterruptedError} when the signal is aborted
 */
export async function* decodedAhead<Source>(
  sources: Iterable<Source> | AsyncIterable<Source>,
  platform: Platform<Source>,
  ahead: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Decoded> {
  const queue: Waiting[] = [];
  const letIn = (): void => {
    let held = 0;
    for (const { pixels, enter } of queue) if (enter === undefined) held += pixels;
    for (const [place, waiting] of queue.entries()) {
      if (waiting.enter === undefined || (place > 0 && held + waiting.pixels > mostPixelsAhead)) continue;
      held += waiting.pixels;
      waiting.enter();
      waiting.enter = undefined;
    }
  };
  const start = (source: Source): void => {
    const own: Waiting = {
      decoded: decode(platform, source, {
        signal,
        admit: (pixels) =>
          new Promise((enter) => {
            Object.assign(own, { pixels, enter });
            if (!queue.includes(own)) enter(); // it is already waited for
            letIn();
          }),
      }),
      pixels: 0,
      enter: undefined,
    };
    queue.push(own);
  };
  const next = (): Promise<Decoded> => {
    const { decoded } = queue.shift()!;
    letIn();
    return decoded;
  };
  for await (const source of sources) {
    if (signal?.aborted) throw new InterruptedError();
    start(source);
    if (queue.length > ahead) yield next();
  }
  while (queue.length > 0) yield next();
}

/** What a platform's decoder is told. */
export interface DecodeGuide {
  readonly signal: AbortSignal | undefined;
  /** To be waited for when the size of a picture is known and its pixels are not yet decoded. */
  admit(pixels: number): Promise<void>;
}

async function decode<Source>(
  platform: Platform<Source>,
  source: Source,
  guide: DecodeGuide,
): Promise<Decoded> {
  const name = platform.describe(source);
  const startedMs = performance.now();
  try {
    const picture = await platform.decode(source, guide);
    return { source: name, picture, startedMs, decodeMs: performance.now() - startedMs };
  } catch (error) {
    return { source: name, error, startedMs, decodeMs: performance.now() - startedMs };
  }
}
