import type { Refuse } from "./byte-reader.ts";
import { utf8 } from "./byte-reader.ts";

/**
 * A FlatBuffers file with every access checked. Offsets may point anywhere, so parts can be shared and a small file
 * can describe a huge structure; the elements of vectors are counted, and more than the file has bytes are refused.
 */
export class FlatBuffer {
  readonly bytes: Uint8Array;
  readonly refuse: Refuse;
  readonly #view: DataView;
  #budget: number;

  constructor(bytes: Uint8Array, refuse: Refuse) {
    this.bytes = bytes;
    this.refuse = refuse;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#budget = bytes.byteLength;
  }

  /** The table that the file begins with. */
  root(): FlatTable {
    return new FlatTable(this, this.u32(0));
  }

  /** Checks that `size` bytes lie at `at`. */
  check(at: number, size: number): void {
    if (!(at >= 0) || at + size > this.bytes.byteLength)
      this.refuse(`${size} bytes are pointed to at byte ${at}, the end is at ${this.bytes.byteLength}`);
  }

  /** Counts elements that are about to be made. */
  spend(count: number): void {
    this.#budget -= count;
    if (this.#budget < 0) this.refuse("its parts are shared so often that they would not fit in memory");
  }

  i8(at: number): number {
    this.check(at, 1);
    return this.#view.getInt8(at);
  }
  u16(at: number): number {
    this.check(at, 2);
    return this.#view.getUint16(at, true);
  }
  i32(at: number): number {
    this.check(at, 4);
    return this.#view.getInt32(at, true);
  }
  u32(at: number): number {
    this.check(at, 4);
    return this.#view.getUint32(at, true);
  }
  f32(at: number): number {
    this.check(at, 4);
    return this.#view.getFloat32(at, true);
  }
  /** A signed 64-bit number; beyond 2^53 it loses digits, which no caller minds. */
  i64(at: number): number {
    this.check(at, 8);
    return Number(this.#view.getBigInt64(at, true));
  }
}

/** A table: fields by their number in the schema, each of which may be missing. */
export class FlatTable {
  readonly #file: FlatBuffer;
  readonly #start: number;
  readonly #layout: number;
  readonly #layoutSize: number;

  constructor(file: FlatBuffer, start: number) {
    this.#file = file;
    this.#start = start;
    this.#layout = start - file.i32(start);
    this.#layoutSize = file.u16(this.#layout);
  }

  /** The position of a field, or undefined where it is missing. */
  #field(number: number): number | undefined {
    const entry = 4 + 2 * number;
    if (entry + 2 > this.#layoutSize) return undefined;
    const offset = this.#file.u16(this.#layout + entry);
    return offset === 0 ? undefined : this.#start + offset;
  }

  i8(number: number, missing = 0): number {
    const at = this.#field(number);
    return at === undefined ? missing : this.#file.i8(at);
  }
  i32(number: number, missing = 0): number {
    const at = this.#field(number);
    return at === undefined ? missing : this.#file.i32(at);
  }
  u32(number: number, missing = 0): number {
    const at = this.#field(number);
    return at === undefined ? missing : this.#file.u32(at);
  }
  i64(number: number, missing = 0): number {
    const at = this.#field(number);
    return at === undefined ? missing : this.#file.i64(at);
  }

  table(number: number): FlatTable | undefined {
    const at = this.#field(number);
    return at === undefined ? undefined : new FlatTable(this.#file, at + this.#file.u32(at));
  }

  #vector(number: number, elementBytes: number): { start: number; count: number } | undefined {
    const at = this.#field(number);
    if (at === undefined) return undefined;
    const length = at + this.#file.u32(at);
    const count = this.#file.u32(length);
    this.#file.check(length + 4, count * elementBytes);
    return { start: length + 4, count };
  }

  /** The bytes of a vector of bytes, as a view. */
  bytes(number: number): Uint8Array | undefined {
    const vector = this.#vector(number, 1);
    return vector && this.#file.bytes.subarray(vector.start, vector.start + vector.count);
  }

  /** A text; empty where it is missing. Cut at 1,000 bytes, since it serves only to tell parts apart. */
  text(number: number): string {
    return utf8((this.bytes(number) ?? new Uint8Array()).subarray(0, 1000));
  }

  tables(number: number): FlatTable[] {
    return this.#elements(number, 4, (at) => new FlatTable(this.#file, at + this.#file.u32(at)));
  }
  i32s(number: number): number[] {
    return this.#elements(number, 4, (at) => this.#file.i32(at));
  }
  f32s(number: number): number[] {
    return this.#elements(number, 4, (at) => this.#file.f32(at));
  }
  i64s(number: number): number[] {
    return this.#elements(number, 8, (at) => this.#file.i64(at));
  }

  #elements<T>(number: number, size: number, read: (at: number) => T): T[] {
    const vector = this.#vector(number, size);
    if (vector === undefined) return [];
    this.#file.spend(vector.count);
    return Array.from({ length: vector.count }, (_, i) => read(vector.start + i * size));
  }
}
