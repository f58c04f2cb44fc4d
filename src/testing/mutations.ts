import fc from "fast-check";

/** A change to a file: where, as a part of its length, and what. */
interface Edit {
  readonly kind: "flip" | "byte" | "word" | "cut" | "drop" | "repeat";
  readonly place: number;
  readonly value: number;
}

/** Numbers that lengths and offsets break at. */
const nasty = [0, 1, 2, 0x7f, 0x80, 0xff, 0xffff, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff];

const edit: fc.Arbitrary<Edit> = fc.record({
  kind: fc.constantFrom<Edit["kind"]>("flip", "flip", "byte", "word", "word", "cut", "drop", "repeat"),
  // Not fc.double, which favours numbers so near to 0 that nearly every change would hit the first byte.
  place: fc.nat(9999).map((place) => place / 10_000),
  value: fc.oneof(fc.constantFrom(...nasty), fc.nat(0xffffffff)),
});

/**
 * Copies of a file with one to six changes: bits flipped, bytes and words overwritten, pieces cut, dropped or doubled.
 *
 * @param range where to change it, as parts of its length: where its structure lies, say
 */
export function mutated(
  original: Uint8Array,
  range: readonly [number, number] = [0, 1],
): fc.Arbitrary<Uint8Array> {
  return fc.array(edit, { minLength: 1, maxLength: 6 }).map((edits) => {
    let bytes = Uint8Array.from(original);
    for (const { kind, place, value } of edits) {
      const at = Math.floor((range[0] + place * (range[1] - range[0])) * bytes.length);
      const length = 1 + (value % 64);
      if (kind === "cut") bytes = bytes.slice(0, at);
      else if (kind === "drop") bytes = joined(bytes.subarray(0, at), bytes.subarray(at + length));
      else if (kind === "repeat") bytes = joined(bytes.subarray(0, at + length), bytes.subarray(at));
      else if (at < bytes.length) {
        if (kind === "flip") bytes[at]! ^= 1 << (value % 8);
        else if (kind === "byte") bytes[at] = value;
        else for (let i = 0; i < 4 && at + i < bytes.length; i++) bytes[at + i] = value >>> (8 * i);
      }
    }
    return bytes;
  });
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(a.length + b.length);
  result.set(a);
  result.set(b, a.length);
  return result;
}
