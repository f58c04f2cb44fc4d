import type { Picture } from "../image/picture.ts";
import type { Platform } from "./detector.ts";
import { inOrder } from "./lane-order.ts";

/** A picture that was decoded, or why it was not. */
export type Decoded = Attempt & ({ readonly picture: Picture } | { readonly error: unknown });

interface Attempt {
  readonly source: string;
  readonly startedMs: number;
  readonly decodeMs: number;
  /** To be called when its pixels count no more as lying ahead: makes room for others. */
  release(): void;
}

/** What a platform's decoder is told. */
export interface DecodeGuide {
  readonly signal: AbortSignal | undefined;
  /** To be waited for when the size of a picture is known and its pixels are not yet decoded. */
  admit(pixels: number): Promise<void>;
}

/**
 * Decodes pictures before they are asked for, in order, `most()` at once; fewer where they are large, so that memory
 * stays bounded whatever a folder holds. Decoding runs on the platform's own threads, so it goes on while the network
 * holds this one.
 *
 * @throws {InterruptedError} when the signal is aborted
 */
export function decodedAhead<Source>(
  sources: Iterable<Source> | AsyncIterable<Source>,
  platform: Platform<Source>,
  most: () => number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Decoded> {
  const room = new Room();
  return inOrder(
    sources,
    async (source) => {
      const own = room.enter();
      const release = (): void => room.leave(own);
      const name = platform.describe(source);
      const startedMs = performance.now();
      const attempt = (): Attempt => ({
        source: name,
        startedMs,
        decodeMs: performance.now() - startedMs,
        release,
      });
      try {
        const admit = (pixels: number): Promise<void> => room.admit(own, pixels);
        const picture = await platform.decode(source, { signal, admit });
        return { ...attempt(), picture };
      } catch (error) {
        return { ...attempt(), error };
      }
    },
    most,
    signal,
  );
}

/** Pixels that lie decoded, or are being decoded, behind the oldest picture: three bytes of memory each. */
const mostPixels = 2 ** 26;

interface Place {
  /** Of which it is known that they will be decoded. */
  pixels: number;
  /** Lets it go on. */
  admitted: (() => void) | undefined;
}

/** Room for pixels: pictures come in by size, the oldest always, so that none waits for ever. */
class Room {
  readonly #places: Place[] = [];

  enter(): Place {
    const place: Place = { pixels: 0, admitted: undefined };
    this.#places.push(place);
    return place;
  }

  admit(place: Place, pixels: number): Promise<void> {
    return new Promise((admitted) => {
      Object.assign(place, { pixels, admitted });
      this.#letIn();
    });
  }

  leave(place: Place): void {
    const at = this.#places.indexOf(place);
    if (at >= 0) this.#places.splice(at, 1);
    this.#letIn();
  }

  #letIn(): void {
    const [, ...others] = this.#places;
    let held = others.reduce((sum, { pixels, admitted }) => sum + (admitted ? 0 : pixels), 0);
    for (const [at, place] of this.#places.entries()) {
      if (!place.admitted || (at > 0 && held + place.pixels > mostPixels)) continue;
      if (at > 0) held += place.pixels;
      place.admitted();
      place.admitted = undefined;
    }
  }
}
