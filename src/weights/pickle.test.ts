import { describe, expect, it } from "vitest";
import { ByteReader, refuser } from "./byte-reader.ts";
import type { PickleHost } from "./pickle.ts";
import { PickleTuple, runPickle } from "./pickle.ts";

const refuse = refuser("a pickle", "test.pkl");
const nothing: PickleHost = {
  allows: () => false,
  call: () => refuse("called"),
  persistent: () => refuse("persistent"),
};

function run(code: string, host: PickleHost = nothing): unknown {
  return runPickle(
    new ByteReader(
      Uint8Array.from(code, (c) => c.charCodeAt(0)),
      refuse,
    ),
    host,
    refuse,
  );
}

/** The pickles are CPython's own for the value beside them. */
describe("the pickle machine", () => {
  it.each<[string, string, unknown]>([
    [
      "protocol 0 numbers",
      "(lp0\nI1\naI-2\naI01\naF1.5\naL12345678901234567890L\na.",
      [1, -2, true, 1.5, 12345678901234567890n],
    ],
    [
      "protocol 2 numbers",
      "\x80\x02]q\x00(K\x01J\xfe\xff\xff\xff\x88G?\xf8\0\0\0\0\0\0\x8a\x02\xff\x00Ne.",
      [1, -2, true, 1.5, 255, null],
    ],
    ["negative longs", "\x80\x02]q\x00(\x8a\x01\xff\x8a\x02\x00\xffe.", [-1, -256]],
    [
      "a dict of texts",
      "\x80\x02}q\x00X\x01\x00\x00\x00aq\x01X\x04\x00\x00\x00\xc3\xb6\xc3\xa4q\x02s.",
      new Map([["a", "öä"]]),
    ],
    ["old strings", "S'ab'\n.", "ab"],
    ["protocol 4 frames and memo", "\x80\x04\x95\x0b\0\0\0\0\0\0\0]\x94(\x8c\x01a\x94h\x01e.", ["a", "a"]],
    ["bytes", "\x80\x03C\x02ab.", Uint8Array.of(97, 98)],
  ])("builds %s", (_, code, value) => {
    expect(run(code)).toEqual(value);
  });

  it("builds tuples of every length", () => {
    expect(run("\x80\x02(K\x01K\x02K\x03K\x04t.")).toEqual(new PickleTuple([1, 2, 3, 4]));
    expect(run("\x80\x02K\x01K\x02\x86.")).toEqual(new PickleTuple([1, 2]));
  });

  it.each<[string, string, RegExp]>([
    ["a function of the system, by its text form", "cos\nsystem\n(S'echo owned'\ntR.", /asks for os\.system/],
    [
      "a function of the system, by its stack form",
      "\x80\x04\x8c\x02os\x8c\x06system\x93.",
      /asks for os\.system/,
    ],
    ["code by INST", "(S'echo'\nios\nsystem\n.", /instruction 0x69/],
    ["code by OBJ", "(I1\no.", /instruction 0x6f/],
    ["extension codes", "\x80\x02\x82\x01.", /instruction 0x82/],
    ["an empty stack", ".", /empty stack/],
    ["a mark that is not there", "t.", /no mark/],
    ["a memo that is not there", "h\x05.", /recalls 5/],
    ["an end that is not there", "\x80\x02]", /1 bytes are promised/],
    ["a text longer than the file", "X\xff\xff\xff\x7f.", /2147483647 bytes are promised/],
    [
      "a whole number of a megabyte",
      "\x8b\x00\x00\x10\x00" + "\x01".repeat(1 << 20) + ".",
      /whole number of 1048576 bytes/,
    ],
    ["calling a number", "\x80\x02K\x01)R.", /no class/],
    ["items of a number", "\x80\x02K\x01K\x02K\x03s.", /no dict/],
  ])("refuses %s", (_, code, message) => {
    expect(() => run(code)).toThrow(message);
  });

  it("stops a pickle of endless steps", () => {
    expect(() => run("N0".repeat(1_100_000) + "N.")).toThrow(/over 2000000 instructions/);
  });

  it("takes no time over a structure that would unfold without end", () => {
    // Forty lists, each holding the one before twice: a trillion elements when written out.
    const code =
      "\x80\x02]q\x00" +
      Array.from(
        { length: 40 },
        (_, i) => `](h${String.fromCharCode(i)}h${String.fromCharCode(i)}eq${String.fromCharCode(i + 1)}`,
      ).join("") +
      ".";
    expect(Array.isArray(run(code))).toBe(true);
  });
});
