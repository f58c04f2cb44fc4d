import type { Lanes } from "./lane.ts";

/** Rows of fewer pictures are looked at in the detector's own thread. */
const few = 32;

/**
 * So much work in the ordinary session is what lanes win their start back with: it takes about half a second, of small
 * models and large ones alike, and they save about a sixth of the time.
 */
const worthMs = 3000;

/** A detector's lanes, from when they pay. */
export class LaneUse {
  readonly #start: () => Lanes | undefined;
  #lanes: Lanes | undefined;
  /** What was looked at without lanes. */
  #pictures = 0;
  #ms = 0;

  constructor(start: () => Lanes | undefined) {
    this.#start = start;
  }

  /** To be told how long pictures took in the ordinary session. */
  took(pictures: number, ms: number): void {
    this.#pictures += pictures;
    this.#ms += ms;
  }

  /**
   * The lanes, started or being started, where they are worth it at this place of a row. How many pictures still come is
   * known of a list; else as many are expected as have come so far.
   */
  at(seen: number, row: object): Lanes | undefined {
    const { length, size = length } = row as { length?: number; size?: number };
    if ((size ?? seen) < few) return undefined;
    const more = Math.max((size ?? seen) - seen, this.#pictures);
    const pays = this.#pictures > 3 && (more * this.#ms) / this.#pictures > worthMs;
    return (this.#lanes ??= pays ? this.#start() : undefined);
  }

  /** Ends the lanes; they may be started again. */
  async close(): Promise<void> {
    const lanes = this.#lanes;
    this.#lanes = undefined;
    await lanes?.close();
  }
}
