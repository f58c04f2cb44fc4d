import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { quickDecimal } from "./decimal.ts";

/** Takes a plain decimal apart as the scanner does. */
function parse(text: string): number {
  const [whole, fraction = ""] = text.split(".") as [string, string?];
  const digits = (whole + fraction).replace(/^0+/, "");
  const high = digits.slice(0, 9);
  const low = digits.slice(9, 18);
  return quickDecimal(Number(high), Number(low), low.length, digits.length, fraction.length);
}

describe("the quick reading of decimals", () => {
  it("is that of the language wherever it answers", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e6, noNaN: true }), (value) => {
        const text = String(value);
        fc.pre(!text.includes("e"));
        const read = parse(text);
        expect(Number.isNaN(read) || Object.is(read, Number(text))).toBe(true);
      }),
      { numRuns: 5000 },
    );
  });

  it("is that of the language for digits that lie close to the middle of two doubles", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 1e-3, max: 1000, noNaN: true }),
        fc.integer({ min: -3, max: 3 }),
        (value, nudge) => {
          // Eighteen digits of a midpoint, nudged in the last place.
          const above = value + Math.max(2 ** -60, value * 2 ** -52);
          const middle =
            (BigInt(Math.round(value * 2 ** 52)) + BigInt(Math.round(above * 2 ** 52))) * 5n ** 15n;
          const digits = (middle + BigInt(nudge)).toString().slice(0, 18).padStart(18, "1");
          const text = `${digits.slice(0, 3)}.${digits.slice(3)}`;
          const read = parse(text);
          expect(Number.isNaN(read) || Object.is(read, Number(text))).toBe(true);
        },
      ),
      { numRuns: 5000 },
    );
  });

  it("answers for nearly every number that a detector writes", () => {
    let unanswered = 0;
    for (let i = 1; i <= 2000; i++) if (Number.isNaN(parse(String((i * Math.SQRT2) % 640)))) unanswered++;
    expect(unanswered).toBeLessThan(20);
  });
});
