import { WeightsError } from "../errors.ts";

/** Refuses a file with one sentence about what is wrong in it, and what to do where that is not the usual. */
export type Refuse = (what: string, hint?: string) => never;

/** A {@link Refuse} for files of one format: `WHAT (SOURCE)`, and what to do. */
export function refuser(format: string, source: string): Refuse {
  return (what, hint = `the file is damaged, cut short, or not ${format}: fetch or save it again`) => {
    throw new WeightsError(`${what} (${source})`, hint);
  };
}

/**
 * Little-endian numbers out of bytes, in order. Never reads past the end: a file that promises more than it has is
 * refused, so a length read here can be trusted only after {@link ByteReader.take} has given that many bytes.
 */
export class ByteReader {
  readonly bytes: Uint8Array;
  position: number;
  readonly #view: DataView;
  readonly #refuse: Refuse;

  constructor(bytes: Uint8Array, refuse: Refuse, position = 0) {
    this.bytes = bytes;
    this.position = position;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#refuse = refuse;
    if (!Number.isSafeInteger(position) || position < 0 || position > bytes.byteLength)
      refuse(`byte ${position} is pointed to, the end is at ${bytes.byteLength}`);
  }

  get remaining(): number {
    return this.bytes.byteLength - this.position;
  }

  /** Moves on by `count` bytes and returns where they began. */
  skip(count: number): number {
    if (!(count >= 0) || count > this.remaining)
      this.#refuse(`${count} bytes are promised at byte ${this.position}, ${this.remaining} are left`);
    const start = this.position;
    this.position += count;
    return start;
  }

  /** The next `count` bytes, as a view. */
  take(count: number): Uint8Array {
    const start = this.skip(count);
    return this.bytes.subarray(start, start + count);
  }

  u8(): number {
    return this.#view.getUint8(this.skip(1));
  }
  u16(): number {
    return this.#view.getUint16(this.skip(2), true);
  }
  u32(): number {
    return this.#view.getUint32(this.skip(4), true);
  }
  i32(): number {
    return this.#view.getInt32(this.skip(4), true);
  }
  /** An unsigned 64-bit number; one over 2^53 is refused, as nothing in a file can be that large. */
  u64(): number {
    const value = this.#view.getBigUint64(this.skip(8), true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER))
      this.#refuse(`the number ${value} at byte ${this.position - 8}`);
    return Number(value);
  }
  f64BigEndian(): number {
    return this.#view.getFloat64(this.skip(8), false);
  }

  /** The bytes up to the next line feed, which is passed over. */
  line(): Uint8Array {
    const end = this.bytes.indexOf(0x0a, this.position);
    if (end < 0) this.#refuse(`a line at byte ${this.position} has no end`);
    const line = this.take(end - this.position);
    this.position++;
    return line;
  }
}

/** Text of ASCII or Latin-1 bytes. */
export function latin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** Text of UTF-8 bytes; bytes that are no UTF-8 become U+FFFD. */
export function utf8(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
