import { DataError } from "../errors.ts";
import { quickDecimal } from "./decimal.ts";

/** Thrown inside the scanner when the bytes at hand end within a value; the caller goes back and asks for more. */
const NEED_MORE = Symbol("need more bytes");

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const POINT = 0x2e;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** More than any record of a real annotation file; beyond it the file is refused instead of buffered. */
const LARGEST_RECORD_BYTES = 256 * 1024 * 1024;

/**
 * A pull parser over JSON that arrives in pieces.
 *
 * Values are read straight from bytes; what nobody asks for is passed over without making a string or an object of
 * it. That keeps a file of several hundred MB, most of it polygons, in the memory of what is kept from it.
 */
export class JsonScanner {
  #bytes = new Uint8Array(1 << 16);
  #at = 0;
  #end = 0;
  #complete = false;
  #before = 0;
  readonly #name: string;
  /** Number of the record that is being read, from 1; 0 outside of records. Errors name it. */
  record = 0;

  /** @param name of the file, for error messages */
  constructor(name: string) {
    this.#name = name;
  }

  /** Adds bytes behind those not yet read. */
  feed(chunk: Uint8Array): void {
    const left = this.#end - this.#at;
    // One byte more than the content: the zero behind it ends every loop, since no JSON token holds one.
    const needed = left + chunk.length + 1;
    if (left > LARGEST_RECORD_BYTES) throw this.error("one record is larger than 256 MB");
    if (needed > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      larger.set(this.#bytes.subarray(this.#at, this.#end));
      this.#bytes = larger;
    } else this.#bytes.copyWithin(0, this.#at, this.#end);
    this.#before += this.#at;
    this.#at = 0;
    this.#bytes.set(chunk, left);
    this.#end = left + chunk.length;
    this.#bytes[this.#end] = 0;
  }

  /** Says that no more bytes come: from now on, missing ones are an error. */
  complete(): void {
    this.#complete = true;
  }

  /**
   * Runs `read` on the bytes at hand.
   *
   * @returns what it returns, or undefined if bytes are missing; then nothing was consumed and `read` must be run
   * again after {@link feed}
   */
  attempt<T>(read: () => T): T | undefined {
    const start = this.#at;
    try {
      return read();
    } catch (thrown) {
      if (thrown !== NEED_MORE) throw thrown;
      this.#at = start;
      return undefined;
    }
  }

  /** The next byte that is not white space, without consuming it; 0 at the very end. */
  peek(): number {
    const bytes = this.#bytes;
    let at = this.#at;
    while (isSpace(bytes[at]!)) at++;
    this.#at = at;
    if (at >= this.#end && !this.#complete) throw NEED_MORE;
    return at >= this.#end ? 0 : bytes[at]!;
  }

  /** Consumes the next byte that is not white space if it is `byte`. */
  accept(byte: number): boolean {
    const bytes = this.#bytes;
    let at = this.#at;
    while (isSpace(bytes[at]!)) at++;
    this.#at = at;
    if (bytes[at] === byte) {
      this.#at = at + 1;
      return true;
    }
    if (at >= this.#end && !this.#complete) throw NEED_MORE;
    return false;
  }

  /** @throws {DataError} if the next byte is another */
  expect(byte: number, where: string): void {
    if (!this.accept(byte)) throw this.unexpected(`${where}: expected ${String.fromCharCode(byte)}`);
  }

  /**
   * A number. `null` and what Python writes for numbers that are none (NaN, Infinity) give NaN.
   *
   * @throws {DataError} if there is something else
   */
  number(where: string): number {
    const first = this.peek();
    const bytes = this.#bytes;
    const start = this.#at;
    let at = start;
    if (first === MINUS) at++;
    if (!isDigit(bytes[at]!)) return this.#noNumber(where);
    // Nine digits fit into a small integer, and eighteen hold any double.
    let high = 0;
    let low = 0;
    let lowDigits = 0;
    let digits = 0;
    let point = -1;
    let byte = bytes[at]!;
    for (; ; byte = bytes[++at]!) {
      const digit = byte - 0x30;
      if (digit >= 0 && digit <= 9) {
        if (digits < 9) {
          high = (high * 10 + digit) | 0;
          if (high > 0) digits++;
        } else {
          if (digits < 18) {
            low = (low * 10 + digit) | 0;
            lowDigits++;
          }
          digits++;
        }
      } else if (byte === POINT && point < 0) point = at;
      else break;
    }
    let places = point < 0 ? 0 : at - point - 1;
    if ((byte | 0x20) === 0x65) {
      byte = bytes[++at]!;
      const negative = byte === MINUS;
      if (negative || byte === 0x2b) byte = bytes[++at]!;
      let exponent = 0;
      while (isDigit(byte)) {
        if (exponent < 10000) exponent = exponent * 10 + (byte - 0x30);
        byte = bytes[++at]!;
      }
      places -= negative ? -exponent : exponent;
    }
    // The last digit may lie in the next piece.
    if (at >= this.#end && !this.#complete) throw NEED_MORE;
    this.#at = at;
    const quick = quickDecimal(high, low, lowDigits, digits, places);
    if (!Number.isNaN(quick)) return first === MINUS ? -quick : quick;
    const value = Number(ascii(bytes, start, at));
    if (Number.isNaN(value)) {
      this.#at = start;
      throw this.unexpected(where);
    }
    return value;
  }

  /** A string. @throws {DataError} if there is something else */
  string(where: string): string {
    if (this.peek() !== QUOTE) throw this.unexpected(`${where}: expected a string`);
    const start = this.#at;
    this.#passString(where);
    const text = new TextDecoder().decode(this.#bytes.subarray(start, this.#at));
    try {
      return JSON.parse(text) as string;
    } catch {
      this.#at = start;
      throw this.unexpected(`${where}: not a valid string`);
    }
  }

  /**
   * The key of an object's member, with its colon; the position in `known`, or −1.
   *
   * @param guess the position to try first: records of one file mostly have their keys in one order
   */
  key(known: readonly Uint8Array[], where: string, guess = -1): number {
    if (this.peek() !== QUOTE) throw this.unexpected(`${where}: expected a key`);
    const start = this.#at + 1;
    let found = -1;
    if (guess >= 0 && this.#holds(known[guess]!, start)) {
      found = guess;
      this.#at = start + known[guess]!.length + 1;
    } else {
      this.#passString(where);
      const length = this.#at - 1 - start;
      for (let k = 0; k < known.length && found < 0; k++)
        if (known[k]!.length === length && this.#holds(known[k]!, start)) found = k;
    }
    this.expect(COLON, where);
    return found;
  }

  /** True or false, also as 1 or 0; `null` is false. */
  flag(where: string): boolean {
    const byte = this.peek();
    if (byte === 0x74) return (this.#word("true", where), true);
    if (byte === 0x66) return (this.#word("false", where), false);
    const value = this.number(where);
    return value !== 0 && !Number.isNaN(value);
  }

  /** Passes over one value. */
  skip(where: string): void {
    const passing = new Passing();
    if (!this.skipSome(passing, where)) throw NEED_MORE;
  }

  /**
   * Passes over as much of one value as there is; true at its end.
   *
   * `passing` remembers where it stands, so that a value of any size needs no buffer.
   */
  skipSome(passing: Passing, where: string): boolean {
    const bytes = this.#bytes;
    let at = this.#at;
    let { depth, inString, started } = passing;
    for (; at < this.#end; at++) {
      // Most of a large file is numbers inside of lists; the zero behind the content ends this loop too.
      if (depth > 0 && !inString) while (PLAIN[bytes[at]!] === 1) at++;
      const byte = bytes[at]!;
      if (inString) {
        if (byte === BACKSLASH) {
          if (at + 1 >= this.#end) break;
          at++;
        } else if (byte === QUOTE) {
          inString = false;
          if (depth === 0) return this.#passed(at + 1);
        }
        continue;
      }
      if (at >= this.#end) break;
      if (byte === QUOTE) inString = started = true;
      else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
        depth++;
        started = true;
      } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
        if (depth === 0) return started ? this.#passed(at) : this.#nothing(at, where);
        if (--depth === 0) return this.#passed(at + 1);
      } else if (depth === 0) {
        if (byte === COMMA) return started ? this.#passed(at) : this.#nothing(at, where);
        if (isSpace(byte)) {
          if (started) return this.#passed(at);
        } else started = true;
      }
    }
    this.#at = at;
    passing.depth = depth;
    passing.inString = inString;
    passing.started = started;
    if (!this.#complete) return false;
    if (started && depth === 0 && !inString) return true;
    throw this.unexpected(where);
  }

  /** An error that names the file and where in it the scanner stands. */
  error(what: string, hint?: string): DataError {
    const record = this.record > 0 ? `entry ${this.record}, ` : "";
    return new DataError(`${this.#name}: ${what} (${record}byte ${this.#before + this.#at})`, hint);
  }

  /** What is wrong at the next byte, by what it is. */
  unexpected(where: string): DataError | typeof NEED_MORE {
    if (this.#at >= this.#end) {
      if (!this.#complete) return NEED_MORE;
      return this.error(`the file ends in ${where}`, "it is cut off; write or download it again");
    }
    const seen = ascii(this.#bytes, this.#at, Math.min(this.#end, this.#at + 16)).replace(
      /[^\x20-\x7e]/g,
      "·",
    );
    return this.error(`not JSON in ${where}, at "${seen}"`, "the file must be valid JSON");
  }

  /** Whether the bytes from `start` are `key` and a quote. */
  #holds(key: Uint8Array, start: number): boolean {
    const bytes = this.#bytes;
    let at = 0;
    while (at < key.length && bytes[start + at] === key[at]) at++;
    return at === key.length && bytes[start + at] === QUOTE;
  }

  #passString(where: string): void {
    const bytes = this.#bytes;
    let at = this.#at + 1;
    for (;;) {
      const byte = bytes[at]!;
      if (byte === QUOTE) break;
      if (byte === BACKSLASH) at++;
      else if (byte < 0x20) {
        this.#at = Math.min(at, this.#end);
        throw this.unexpected(where);
      }
      at++;
      if (at > this.#end) {
        this.#at = this.#end;
        throw this.unexpected(where);
      }
    }
    this.#at = at + 1;
  }

  #noNumber(where: string): number {
    const bytes = this.#bytes;
    let at = this.#at;
    if (bytes[at] === MINUS) at++;
    const letter = bytes[at]!;
    const word =
      letter === 0x4e ? "NaN" : letter === 0x49 ? "Infinity" : letter === 0x6e ? "null" : undefined;
    if (word === undefined) {
      if (at >= this.#end) this.#at = at;
      throw this.unexpected(`${where}: expected a number`);
    }
    this.#at = at;
    this.#word(word, where);
    return NaN;
  }

  #word(word: string, where: string): void {
    for (let i = 0; i < word.length; i++)
      if (this.#bytes[this.#at + i] !== word.charCodeAt(i)) {
        if (this.#at + i >= this.#end) this.#at = this.#end;
        throw this.unexpected(where);
      }
    this.#at += word.length;
  }

  #passed(at: number): true {
    this.#at = at;
    return true;
  }

  #nothing(at: number, where: string): never {
    this.#at = at;
    throw this.unexpected(`${where}: expected a value`);
  }
}

/** 1 for bytes that neither open nor close anything. */
const PLAIN = Uint8Array.from({ length: 256 }, (_, byte) =>
  [0, QUOTE, OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE].includes(byte) ? 0 : 1,
);

/** How far {@link JsonScanner.skipSome} is in one value. */
export class Passing {
  depth = 0;
  inString = false;
  started = false;
}

/** Bytes of a key, for {@link JsonScanner.key}. */
export function keyBytes(...names: string[]): Uint8Array[] {
  return names.map((name) => new TextEncoder().encode(name));
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function ascii(bytes: Uint8Array, from: number, to: number): string {
  let text = "";
  for (let at = from; at < to; at++) text += String.fromCharCode(bytes[at]!);
  return text;
}
