import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseDelimited } from "./delimited-rows.ts";
import { splitByName, splitOfPath, splitPosition } from "./split.ts";
import { elementOffsets, TextLines } from "./text-lines.ts";

describe("elementOffsets", () => {
  it("finds the elements of a top-level array in any JSON", () =>
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), fc.jsonValue(), fc.nat(4), (items, other, indent) => {
        const json = JSON.stringify(
          { before: { list: [other] }, 'tricky "list\\': [other], list: items, after: other },
          undefined,
          indent,
        );
        const offsets = elementOffsets(json, "list");
        expect(offsets).toHaveLength(items.length);
        offsets.forEach((offset, at) => {
          const shown = JSON.stringify(items[at], undefined, indent);
          // What stands there is the element, up to the indentation of its lines.
          expect(json.slice(offset).replace(/\s/g, "").startsWith(shown.replace(/\s/g, ""))).toBe(true);
        });
      }),
    ));
});

describe("TextLines", () => {
  it("counts lines as splitting does", () =>
    fc.assert(
      fc.property(fc.array(fc.constantFrom("a", "\n", "é", "\r\n")), fc.nat(30), (parts, offset) => {
        const text = parts.join("");
        expect(new TextLines(text).at(offset)).toBe(text.slice(0, offset).split("\n").length);
      }),
    ));
});

describe("parseDelimited", () => {
  it("reads quotes, doubled quotes, delimiters and line breaks in them, and counts lines", () => {
    expect(parseDelimited('\uFEFFa,"b, ""c""\nd" ,e\r\n\n1;2,,3')).toEqual([
      { line: 1, fields: ["a", 'b, "c"\nd', "e"] },
      { line: 4, fields: ["1;2", "", "3"] },
    ]);
  });
});

describe("splits", () => {
  it.each([
    ["annotations/instances_val2017.json", "val"],
    ["valid/_annotations.coco.json", "val"],
    ["train/x.xml", "train"],
    ["data/test.csv", "test"],
    ["retrained/validity.csv", undefined],
    ["constructor/x.csv", undefined],
  ])("of %s is %s", (file, split) => expect(splitOfPath(file)).toBe(split));

  it("follow the file's name alone, the same for augmented copies", () => {
    expect(splitPosition("/a/b/photo.jpg")).toBe(splitPosition("c:\\x\\photo.png"));
    expect(splitPosition("photo_jpg.rf.0123abcd.jpg")).toBe(splitPosition("photo_jpg.rf.ffff0000.jpg"));
    expect(splitPosition("photo1.jpg")).not.toBe(splitPosition("photo2.jpg"));
  });

  it("take about the fraction, never all and never none of two or more", () => {
    const files = (count: number) => Array.from({ length: count }, (_, at) => ({ file: `${at}.jpg` }));
    const { val } = splitByName(files(2000), 0.2);
    expect(Math.abs(val.length - 400)).toBeLessThan(5 * Math.sqrt(2000 * 0.2 * 0.8));
    for (const count of [2, 3, 4]) {
      expect(splitByName(files(count), 0.001).val).toHaveLength(1);
      expect(splitByName(files(count), 0.999).train).toHaveLength(1);
    }
    expect(splitByName(files(1), 0.5)).toEqual({ train: files(1), val: [] });
    expect(splitByName([], 0.5)).toEqual({ train: [], val: [] });
  });
});
