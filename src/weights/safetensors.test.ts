import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { DType, Tensor } from "../tensor/index.ts";
import { allocate, elementCount, float32, int64, tensor } from "../tensor/index.ts";
import { bytesOf } from "./little-endian.ts";
import { readSafetensors, safetensorsChunks, writeSafetensors } from "./safetensors.ts";

/** A file with this header (an object, or text as it is) and this many bytes of data. */
function file(header: unknown, dataBytes = 0): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

const entry = (dtype: string, shape: unknown, begin: unknown, end: unknown) => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

describe("safetensors", () => {
  it("read back what was written, for every element type, shape and order", () => {
    const dtypes: DType[] = [
      "float64",
      "float32",
      "float16",
      "int64",
      "int32",
      "int16",
      "int8",
      "uint16",
      "uint8",
      "bool",
    ];
    const anyTensor = fc
      .record({
        dtype: fc.constantFrom(...dtypes),
        shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }),
        seed: fc.integer({ min: 0, max: 255 }),
      })
      .map(({ dtype, shape, seed }): Tensor => {
        const result = tensor(dtype, shape, allocate(dtype, elementCount(shape)));
        bytesOf(result).forEach(
          (_, i, bytes) => (bytes[i] = dtype === "bool" ? (seed + i) % 2 : seed + 7 * i),
        );
        return result;
      });
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ minLength: 1 }), anyTensor),
        fc.dictionary(fc.string(), fc.string()),
        (named, metadata) => {
          fc.pre(!("__metadata__" in named));
          const read = readSafetensors(writeSafetensors(Object.entries(named), metadata));
          expect(Object.fromEntries(Object.entries(read.metadata))).toEqual(metadata);
          expect([...read.tensors.keys()].sort()).toEqual(Object.keys(named).sort());
          for (const [name, lazy] of read.tensors) {
            const back = lazy.read();
            expect([back.dtype, back.shape]).toEqual([named[name]!.dtype, named[name]!.shape]);
            expect([lazy.dtype, lazy.shape]).toEqual([back.dtype, back.shape]);
            expect(bytesOf(back)).toEqual(bytesOf(named[name]!));
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it("keep tensors as views of the file where they are aligned, and the writer aligns them", () => {
    const bytes = writeSafetensors([
      ["flag", tensor("uint8", [3], Uint8Array.of(1, 2, 3))],
      ["weight", float32([1, 2])],
      ["count", int64([5])],
    ]);
    for (const lazy of readSafetensors(bytes).tensors.values())
      expect(lazy.read().data.buffer).toBe(bytes.buffer);
  });

  it("are read from any place in memory", () => {
    const bytes = writeSafetensors([["weight", float32([1, 2.5])]]);
    const moved = new Uint8Array(bytes.length + 3).subarray(3);
    moved.set(bytes);
    expect([...readSafetensors(moved).tensors.get("weight")!.read().data]).toEqual([1, 2.5]);
  });

  it("are written piece by piece, each lazy tensor read only in its turn", () => {
    const read: string[] = [];
    const lazy = (name: string) => ({
      dtype: "float32" as const,
      shape: [2],
      read: () => {
        read.push(name);
        return float32([1, 2]);
      },
    });
    const chunks = safetensorsChunks([["a", lazy("a")] as const, ["b", lazy("b")] as const]);
    chunks.next();
    expect(read).toEqual([]);
    chunks.next();
    expect(read).toEqual(["a"]);
    chunks.next();
    expect(read).toEqual(["a", "b"]);
  });

  it("widen bfloat16 and unsigned 32-bit numbers without loss", () => {
    const bytes = file({ b: entry("BF16", [2], 0, 4), u: entry("U32", [1], 4, 8) }, 8);
    bytes.set([0x80, 0x3f, 0x20, 0xc0, 0xff, 0xff, 0xff, 0xff], bytes.length - 8);
    const { tensors } = readSafetensors(bytes);
    expect(tensors.get("b")!.read()).toEqual(float32([1, -2.5]));
    expect(tensors.get("u")!.read().data).toEqual(BigInt64Array.of(4294967295n));
  });

  it("refuse a name given twice when written", () => {
    expect(() => writeSafetensors([["a", float32([1])] as const, ["a", float32([2])] as const])).toThrow(
      /name a /,
    );
  });

  it.each<[string, Uint8Array, RegExp]>([
    ["seven bytes", new Uint8Array(7), /starts with 8 bytes of length, this has 7/],
    [
      "a header longer than the file",
      (() => {
        const b = file({});
        b[3] = 1;
        return b;
      })(),
      /claims 16777218 bytes/,
    ],
    ["a header that is no JSON", file("{"), /not JSON/],
    ["a header that is a list", file([]), /not a JSON object/],
    ["metadata that are no strings", file({ __metadata__: { a: 1 } }), /metadata a is not a string/],
    ["an unknown element type", file({ a: entry("F4", [1], 0, 4) }, 4), /tensor a has element type F4/],
    ["a shape that is no list", file({ a: entry("F32", 1, 0, 4) }, 4), /tensor a has no shape/],
    ["a negative size", file({ a: entry("F32", [-1], 0, 4) }, 4), /impossible shape \[-1\]/],
    ["a size that overflows", file({ a: entry("F32", [2 ** 40, 2 ** 40], 0, 4) }, 4), /impossible shape/],
    ["zero times an overflow", file({ a: entry("F32", [0, 2 ** 50, 2 ** 50], 0, 0) }), /impossible shape/],
    [
      "offsets beyond the end",
      file({ a: entry("F32", [1000], 0, 4000) }, 4),
      /ends at byte 4000 of the data, the file at 4/,
    ],
    ["offsets backwards", file({ a: entry("F32", [1], 4, 0) }, 4), /offsets \[4,0\]/],
    ["offsets that are no numbers", file({ a: entry("F32", [1], "0", 4) }, 4), /offsets/],
    [
      "a shape that is not its bytes",
      file({ a: entry("F32", [3], 0, 8) }, 8),
      /tensor a of F32 \[3\] needs 12 bytes, its offsets span 8/,
    ],
    [
      "overlapping tensors",
      file({ a: entry("F32", [1], 0, 4), b: entry("F32", [1], 2, 6) }, 6),
      /tensor b begins at byte 2/,
    ],
    [
      "a hole between tensors",
      file({ a: entry("F32", [1], 0, 4), b: entry("F32", [1], 8, 12) }, 12),
      /tensor b begins at byte 8/,
    ],
    [
      "bytes after the last tensor",
      file({ a: entry("F32", [1], 0, 4) }, 5),
      /end at byte 4 of the data, the file at 5/,
    ],
    [
      "a name of control characters",
      file({ "a\n\u001b[2J": entry("F32", [3], 0, 8) }, 8),
      /tensor a\\u000a\\u001b\[2J of/,
    ],
  ])("refuse %s", (_, bytes, message) => {
    expect(() => readSafetensors(bytes, "x.safetensors")).toThrow(message);
    expect(() => readSafetensors(bytes, "x.safetensors")).toThrow(/^[^\n]+ \(x\.safetensors\)$/);
  });
});
