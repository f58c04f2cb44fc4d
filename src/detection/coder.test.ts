import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ShapeError } from "../errors.ts";
import { boxRows, decode, encode } from "./index.ts";

describe("box coder", () => {
  it("encodes offsets of the centre and logarithms of sizes, in units of the anchor", () => {
    const codes = encode(boxRows([[10, 20, 50, 80]]), boxRows([[0, 0, 32, 64]]));
    [0.4375, 0.28125, 0.22314355, -0.06453852].forEach((code, i) => expect(codes[i]).toBeCloseTo(code, 8));
  });

  it("decodes zeros to the anchor itself", () => {
    const anchors = boxRows([[-3, 4, 10, 25]]);
    expect(decode(new Float64Array(4), anchors)).toEqual(anchors);
  });

  it("decodes what it encoded", () => {
    const start = fc.double({ min: -1000, max: 1000, noNaN: true });
    const side = fc.double({ min: 0.01, max: 1000, noNaN: true });
    const box = fc.tuple(start, start, side, side).map(([y, x, h, w]) => [y, x, y + h, x + w]);
    fc.assert(
      fc.property(fc.array(fc.tuple(box, box), { maxLength: 5 }), (pairs) => {
        const boxes = boxRows(pairs.map(([b]) => b));
        const anchors = boxRows(pairs.map(([, anchor]) => anchor));
        const again = decode(encode(boxes, anchors), anchors);
        again.forEach((edge, i) => expect(Math.abs(edge - boxes[i]!)).toBeLessThan(1e-6));
      }),
    );
  });

  it("takes boxes and anchors of no size as 1e-8 wide, so that targets stay finite", () => {
    const codes = encode(boxRows([[5, 5, 5, 5]]), boxRows([[0, 0, 10, 10]]));
    expect(codes[2]).toBeCloseTo(Math.log(1e-9), 9);
  });

  it("keeps the precision it was given", () => {
    expect(encode(new Float32Array(4), new Float32Array([0, 0, 1, 1]))).toBeInstanceOf(Float32Array);
  });

  it("gives nothing for nothing, and refuses another number of anchors", () => {
    expect(decode(new Float64Array(0), new Float64Array(0))).toHaveLength(0);
    expect(() => encode(new Float64Array(4), new Float64Array(8))).toThrow(ShapeError);
    expect(() => decode(new Float64Array(4), new Float64Array(8))).toThrow("1 offsets for 2 anchors");
  });
});
