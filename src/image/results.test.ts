import { XMLParser, XMLValidator } from "fast-xml-parser";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  cocoImageIds,
  csvHeader,
  toCocoResults,
  toCsvLines,
  toJsonLine,
  toVocXml,
  toYoloText,
} from "./results.ts";

const bus = {
  label: "bus",
  classId: 6,
  score: 0.931234,
  box: { xMin: 31.2345, yMin: 68, xMax: 190.4, yMax: 118.9 },
};
const street = { source: "photos/street.jpg", width: 1280, height: 720, detections: [bus] };

/** Any code points, control characters and halves of surrogate pairs among them. */
const anyText = fc
  .array(fc.nat(0x10ffff), { maxLength: 120 })
  .map((points) => String.fromCodePoint(...points));

describe("results", () => {
  it("as a line of JSON have the fields of the interface, rounded", () => {
    expect(toJsonLine({ ...street, timings: { decodeMs: 4.1234, totalMs: 36 } })).toBe(
      '{"source":"photos/street.jpg","width":1280,"height":720,"detections":[{"label":"bus","classId":6,"score":0.9312,' +
        '"box":{"xMin":31.23,"yMin":68,"xMax":190.4,"yMax":118.9}}],"timings":{"decodeMs":4.1,"totalMs":36}}',
    );
    expect(toJsonLine({ source: "a.jpg", error: { code: "E_IMAGE", message: "a.jpg is empty" } })).toBe(
      '{"source":"a.jpg","error":{"code":"E_IMAGE","message":"a.jpg is empty"}}',
    );
  });

  it("as CSV quote what needs it, and read back", () => {
    const odd = { ...street, source: 'a,"b".jpg', detections: [{ ...bus, label: "traffic\nlight" }, bus] };
    expect(csvHeader + toCsvLines(odd)).toBe(
      "source,width,height,label,classId,score,xMin,yMin,xMax,yMax\r\n" +
        '"a,""b"".jpg",1280,720,"traffic\nlight",6,0.9312,31.23,68,190.4,118.9\r\n' +
        '"a,""b"".jpg",1280,720,bus,6,0.9312,31.23,68,190.4,118.9\r\n',
    );
    expect(toCsvLines({ ...street, detections: [] })).toBe("");
  });

  it("as COCO have x, y, width, height and the picture's number", () => {
    expect(toCocoResults(street, 7)).toEqual([
      {
        image_id: 7,
        category_id: 6,
        bbox: [31.23, 68, 159.17, 50.9],
        score: 0.9312,
        file_name: "street.jpg",
      },
    ]);
    expect(cocoImageIds(["x/000000000086.jpg", "COCO_val2014_000000000139.jpg"])).toEqual([86, 139]);
    expect(cocoImageIds(["a1.jpg", "b1.jpg"])).toEqual([1, 2]);
    expect(cocoImageIds(["7.jpg", "street.jpg", "-"])).toEqual([1, 2, 3]);
    expect(cocoImageIds([])).toEqual([]);
  });

  it("as YOLO have the index of the class and shares of the picture, inside it", () => {
    const large = { ...bus, box: { xMin: -10, yMin: 360, xMax: 640, yMax: 9999 } };
    expect(toYoloText({ ...street, detections: [large] }, [1, 3, 6])).toBe(
      "2 0.250000 0.750000 0.500000 0.500000 0.9312\n",
    );
    expect(toYoloText({ ...street, detections: [] }, [1])).toBe("");
  });

  it("as VOC count pixels from 1, both ends within the box", () => {
    const exact = { ...bus, box: { xMin: 0, yMin: 10, xMax: 20, yMax: 720 } };
    const { annotation } = new XMLParser().parse(toVocXml({ ...street, detections: [exact, bus] })) as {
      annotation: {
        filename: string;
        size: object;
        object: { name: string; bndbox: object; score: number }[];
      };
    };
    expect(annotation.filename).toBe("street.jpg");
    expect(annotation.size).toEqual({ width: 1280, height: 720, depth: 3 });
    expect(annotation.object[0]).toMatchObject({
      name: "bus",
      score: 0.9312,
      bndbox: { xmin: 1, ymin: 11, xmax: 20, ymax: 720 },
    });
  });

  it("as VOC are well-formed XML whatever the names, with boxes that are boxes", () => {
    const word = fc.oneof(fc.string(), anyText);
    const edge = fc.double({ min: -100, max: 1500, noNaN: true });
    fc.assert(
      fc.property(word, word, edge, edge, edge, edge, (source, label, a, b, c, d) => {
        const box = {
          xMin: Math.min(a, b),
          xMax: Math.max(a, b),
          yMin: Math.min(c, d),
          yMax: Math.max(c, d),
        };
        const xml = toVocXml({ ...street, source, detections: [{ ...bus, label, box }] });
        expect(XMLValidator.validate(xml)).toBe(true);
        const [xmin, ymin, xmax, ymax] = [...xml.matchAll(/<[xy]m(?:in|ax)>(-?\d+)</g)].map((found) =>
          Number(found[1]),
        );
        expect(
          xmin! >= 1 && xmin! <= xmax! && xmax! <= 1280 && ymin! >= 1 && ymin! <= ymax! && ymax! <= 720,
        ).toBe(true);
      }),
    );
  });
});
