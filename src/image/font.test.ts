import { describe, expect, it } from "vitest";
import { canSet, capHeight, singleLine, textContours, textWidth } from "./font.ts";

describe("the built-in font", () => {
  it("has Latin, Greek and Cyrillic, and says what it lacks", () => {
    expect(canSet("person 93% Straße, façade, Łódź, Ελλάδα, Кошка, Việt …")).toBe(true);
    expect(canSet("人")).toBe(false);
    expect(canSet("")).toBe(true);
  });

  it("stands on the baseline, with capitals of the stated height, within the stated width", () => {
    const size = 100;
    const [points] = [textContours("H", size, 20, 300).flat(2)];
    const xs = points.filter((_, i) => i % 2 === 0);
    const ys = points.filter((_, i) => i % 2 === 1);
    expect(Math.max(...ys)).toBeCloseTo(300, 6);
    expect(Math.min(...ys)).toBeCloseTo(300 - capHeight * size, 0);
    expect(Math.min(...xs)).toBeGreaterThan(20);
    expect(Math.max(...xs)).toBeLessThan(20 + textWidth("H", size));
  });

  it("has the round parts of letters round: an O keeps within a hair of its extremes", () => {
    const ys = textContours("O", 100, 0, 100)
      .flat(2)
      .filter((_, i) => i % 2 === 1);
    expect(Math.min(...ys)).toBeGreaterThan(100 - capHeight * 100 - 3);
    expect(Math.max(...ys)).toBeLessThan(103);
  });

  it("adds up widths, grows with the size, and draws a box for what it lacks", () => {
    expect(textWidth("ab", 10)).toBeCloseTo(textWidth("a", 10) + textWidth("b", 10), 9);
    expect(textWidth("a", 20)).toBeCloseTo(2 * textWidth("a", 10), 9);
    expect(textWidth("", 10)).toBe(0);
    expect(textContours("人", 10, 0, 0)[0]).toHaveLength(2);
  });
});

describe("a label", () => {
  it("is set on one line, without marks that turn its direction", () => {
    expect(singleLine(" a\nb\tc\u2028d\u202ee ")).toBe("a b c de");
  });
});
