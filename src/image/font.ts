import { packedGlyphs } from "./glyphs.ts";
import type { Contour } from "./raster.ts";

/** Height of capital letters, in ems. */
export const capHeight = 0.711;

interface Glyph {
  /** In 1/1024 em. */
  readonly advance: number;
  /** Points x, y (up), on the curve (1) or a control point of a quadratic one (0), one after another. */
  readonly contours: readonly (readonly number[])[];
}

let glyphs: ReadonlyMap<number, Glyph> | undefined;

/**
 * Whether the built-in font (Latin, Greek, Cyrillic) has every character of a text. It is in the package because a
 * machine may have no font at all, and pictures then come out the same everywhere.
 */
export function canSet(text: string): boolean {
  glyphs ??= unpack(packedGlyphs);
  return [...text].every((character) => glyphs!.has(character.codePointAt(0)!));
}

/** A label without line breaks, control characters and marks that turn the direction of writing; spaces single. */
export function singleLine(label: string): string {
  return label
    .replace(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "")
    .replace(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, " ")
    .trim();
}

/** Width of a line of text, in pixels; unknown characters count as a box. */
export function textWidth(text: string, fontSize: number): number {
  glyphs ??= unpack(packedGlyphs);
  let width = 0;
  for (const character of text) width += glyphs.get(character.codePointAt(0)!)?.advance ?? missing.advance;
  return (width * fontSize) / 1024;
}

/** Outlines of a line of text, one list for each character; the baseline starts at `x`, `y`. */
export function textContours(text: string, fontSize: number, x: number, y: number): Contour[][] {
  glyphs ??= unpack(packedGlyphs);
  const scale = fontSize / 1024;
  let pen = x;
  return Array.from(text, (character) => {
    const glyph = glyphs!.get(character.codePointAt(0)!) ?? missing;
    const contours = glyph.contours.map((points) => flatten(points, scale, pen, y));
    pen += glyph.advance * scale;
    return contours;
  });
}

/** What stands for a character that the font lacks: an empty box. */
const missing: Glyph = {
  advance: 640,
  contours: [
    [80, 0, 1, 80, 728, 1, 560, 728, 1, 560, 0, 1],
    [150, 70, 1, 490, 70, 1, 490, 658, 1, 150, 658, 1],
  ],
};

/** Straight pieces of an outline of lines and quadratic curves; between two control points lies one on the curve. */
function flatten(points: readonly number[], scale: number, x: number, y: number): Contour {
  const count = points.length / 3;
  const at = (index: number) => {
    const i = (index % count) * 3;
    return { x: x + points[i]! * scale, y: y - points[i + 1]! * scale, on: points[i + 2] === 1 };
  };
  const middle = (a: { x: number; y: number }, b: { x: number; y: number }) => ({
    x: (a.x + b.x) / 2,
    y: (a.y + b.y) / 2,
  });
  const pieces = Math.max(2, Math.min(12, Math.ceil(Math.sqrt(scale * 1024) / 1.5)));
  const contour: number[] = [];
  let current = at(0).on
    ? at(0)
    : at(count - 1).on
      ? at(count - 1)
      : { ...middle(at(count - 1), at(0)), on: true };
  for (let i = at(0).on ? 1 : 0; i < count + (at(0).on ? 1 : 0); i++) {
    const point = at(i);
    if (point.on) {
      contour.push(point.x, point.y);
      current = point;
      continue;
    }
    const next = at(i + 1);
    const end = next.on ? next : { ...middle(point, next), on: true };
    for (let piece = 1; piece <= pieces; piece++) {
      const t = piece / pieces;
      const [a, b, c] = [(1 - t) ** 2, 2 * t * (1 - t), t * t];
      contour.push(a * current.x + b * point.x + c * end.x, a * current.y + b * point.y + c * end.y);
    }
    current = end;
  }
  return contour;
}

/**
 * Numbers of seven bits to a byte, lowest first, in base64. A glyph: code point less the one before, advance, number of
 * contours; each contour: number of points; each point: step in x (zigzag, doubled, plus 1 if on the curve), step in y.
 */
function unpack(packed: string): Map<number, Glyph> {
  const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  let at = 0;
  const next = () => {
    let value = 0;
    for (let unit = 1; ; unit *= 128) {
      const byte = bytes[at++]!;
      value += (byte & 127) * unit;
      if (byte < 128) return value;
    }
  };
  const signed = (zigzag: number) => (zigzag % 2 === 1 ? -(zigzag + 1) / 2 : zigzag / 2);
  const table = new Map<number, Glyph>();
  for (let code = 0; at < bytes.length;) {
    code += next();
    const advance = next();
    const contours = Array.from({ length: next() }, () => {
      const points: number[] = [];
      let [x, y] = [0, 0];
      for (let left = next(); left > 0; left--) {
        const packedX = next();
        x += signed(Math.floor(packedX / 2));
        y += signed(next());
        points.push(x, y, packedX % 2);
      }
      return points;
    });
    table.set(code, { advance, contours });
  }
  return table;
}
