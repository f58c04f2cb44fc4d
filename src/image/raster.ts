import type { Rgb } from "./palette.ts";
import type { Picture } from "./picture.ts";

/** A closed outline: x and y by turns, in pixels; the last point joins the first. */
export type Contour = readonly number[];

/**
 * Paints the inside of outlines onto a picture, in place, each pixel by the share of it that is covered. Outlines run
 * one way and their holes the other. What leaves the picture is cut off.
 *
 * The signed area that each edge covers is summed up along rows (as in FreeType's and Levien's rasterisers), so that
 * work grows with the edges and the frame around them.
 *
 * @param opacity from 0 (nothing) to 1
 */
export function fillContours(picture: Picture, contours: readonly Contour[], colour: Rgb, opacity = 1): void {
  const bounds = boundsOf(contours);
  const left = Math.max(0, Math.floor(bounds.left));
  const top = Math.max(0, Math.floor(bounds.top));
  const width = Math.min(picture.width, Math.ceil(bounds.right)) - left;
  const height = Math.min(picture.height, Math.ceil(bounds.bottom)) - top;
  if (!(width > 0 && height > 0)) return;
  const stride = width + 1; // what lies right of the frame collects in a column that nobody reads
  const sums = new Float32Array(stride * height);
  for (const contour of contours)
    for (let at = 0; at < contour.length; at += 2) {
      const next = at + 2 < contour.length ? at + 2 : 0;
      addEdge(
        { sums, stride, width, height },
        [contour[at]! - left, contour[at + 1]! - top],
        [contour[next]! - left, contour[next + 1]! - top],
      );
    }
  for (let row = 0; row < height; row++) {
    let covered = 0;
    let at = ((top + row) * picture.width + left) * 3;
    for (let column = 0; column < width; column++, at += 3) {
      covered += sums[row * stride + column]!;
      const share = Math.min(1, Math.abs(covered)) * opacity;
      if (share > 0.002) blend(picture.data, at, colour, share);
    }
  }
}

/** Paints a rectangle of whole pixels, in place; what leaves the picture is cut off. */
export function fillRectangle(
  picture: Picture,
  left: number,
  top: number,
  right: number,
  bottom: number,
  colour: Rgb,
  opacity = 1,
): void {
  const [start, end] = [Math.max(0, left), Math.min(picture.width, right)];
  for (let y = Math.max(0, top); y < Math.min(picture.height, bottom); y++)
    for (let x = start; x < end; x++) blend(picture.data, (y * picture.width + x) * 3, colour, opacity);
}

/** A rectangle with round corners; the radius is cut down to half the shorter side. */
export function roundedRectangle(
  left: number,
  top: number,
  right: number,
  bottom: number,
  radius: number,
): Contour {
  const r = Math.max(0, Math.min(radius, (right - left) / 2, (bottom - top) / 2));
  return [
    ...arc(right - r, bottom - r, r, 0),
    ...arc(left + r, bottom - r, r, 1),
    ...arc(left + r, top + r, r, 2),
    ...arc(right - r, top + r, r, 3),
  ];
}

/**
 * Paints a frame with round corners, `thickness` inward from a rectangle of whole pixels; a rectangle too small to be
 * hollow is filled. Only the frame's own pixels are looked at, so a large one costs no more than its outline.
 */
export function strokeRectangle(
  picture: Picture,
  { left, top, right, bottom }: { left: number; top: number; right: number; bottom: number },
  thickness: number,
  radius: number,
  colour: Rgb,
  opacity = 1,
): void {
  const r = Math.ceil(Math.max(radius, thickness));
  if (right - left < 2 * r || bottom - top < 2 * r) {
    const outer = roundedRectangle(left, top, right, bottom, radius);
    const hollow = right - left > 2 * thickness && bottom - top > 2 * thickness;
    const [x, y, x2, y2] = [left + thickness, top + thickness, right - thickness, bottom - thickness];
    const inner = roundedRectangle(x, y, x2, y2, Math.max(0, radius - thickness));
    fillContours(picture, hollow ? [outer, reversed(inner)] : [outer], colour, opacity);
    return;
  }
  fillRectangle(picture, left + r, top, right - r, top + thickness, colour, opacity);
  fillRectangle(picture, left + r, bottom - thickness, right - r, bottom, colour, opacity);
  fillRectangle(picture, left, top + r, left + thickness, bottom - r, colour, opacity);
  fillRectangle(picture, right - thickness, top + r, right, bottom - r, colour, opacity);
  const centres = [
    [right - r, bottom - r],
    [left + r, bottom - r],
    [left + r, top + r],
    [right - r, top + r],
  ] as const;
  centres.forEach(([x, y], quarter) => {
    const bend = [...arc(x, y, r, quarter), ...reversed(arc(x, y, r - thickness, quarter))];
    fillContours(picture, [bend], colour, opacity);
  });
}

/** Mixes a colour into the pixel at byte `at`. */
export function blend(data: Uint8Array, at: number, colour: Rgb, share: number): void {
  data[at] = data[at]! + (colour[0] - data[at]!) * share + 0.5;
  data[at + 1] = data[at + 1]! + (colour[1] - data[at + 1]!) * share + 0.5;
  data[at + 2] = data[at + 2]! + (colour[2] - data[at + 2]!) * share + 0.5;
}

/** Points of a quarter of a circle: 0 is right to bottom, then on clockwise (y grows downwards). */
function arc(x: number, y: number, radius: number, quarter: number): number[] {
  const steps = radius === 0 ? 0 : Math.max(2, Math.ceil(Math.sqrt(radius) * 3));
  const points: number[] = [];
  for (let step = 0; step <= steps; step++) {
    const angle = ((quarter + (steps === 0 ? 0 : step / steps)) * Math.PI) / 2;
    points.push(x + radius * Math.cos(angle), y + radius * Math.sin(angle));
  }
  return points;
}

/** The same outline the other way round. */
function reversed(contour: Contour): number[] {
  const result: number[] = [];
  for (let at = contour.length - 2; at >= 0; at -= 2) result.push(contour[at]!, contour[at + 1]!);
  return result;
}

function boundsOf(contours: readonly Contour[]): {
  left: number;
  top: number;
  right: number;
  bottom: number;
} {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const contour of contours)
    for (let at = 0; at < contour.length; at += 2) {
      left = Math.min(left, contour[at]!);
      right = Math.max(right, contour[at]!);
      top = Math.min(top, contour[at + 1]!);
      bottom = Math.max(bottom, contour[at + 1]!);
    }
  return { left, top, right, bottom };
}

interface Sums {
  readonly sums: Float32Array;
  readonly stride: number;
  readonly width: number;
  readonly height: number;
}

/** Adds an edge's signed area: summed along its row, every pixel then holds the share of it right of the edge. */
function addEdge(
  { sums, stride, width, height }: Sums,
  from: readonly [x: number, y: number],
  to: readonly [x: number, y: number],
): void {
  const sign = from[1] < to[1] ? 1 : -1;
  const [upper, lower] = sign === 1 ? [from, to] : [to, from];
  const slope = (lower[0] - upper[0]) / (lower[1] - upper[1]);
  if (!Number.isFinite(slope)) return; // level: it covers nothing
  const start = Math.max(0, upper[1]);
  const end = Math.min(height, lower[1]);
  for (let y = start; y < end;) {
    const row = Math.floor(y) * stride;
    const next = Math.min(Math.floor(y) + 1, end);
    const a = upper[0] + slope * (y - upper[1]);
    const b = upper[0] + slope * (next - upper[1]);
    const left = Math.min(a, b);
    const right = Math.max(a, b);
    const drop = sign * (next - y);
    y = next;
    if (right <= 0) sums[row]! += drop;
    else if (right - left < 1e-9) addPiece(sums, row, left, left, drop, width);
    else {
      const perPixel = drop / (right - left);
      if (left < 0) sums[row]! -= perPixel * left; // what lies left of the frame is full from its first column on
      for (let x = Math.max(0, left); x < Math.min(right, width);) {
        const stop = Math.min(Math.floor(x) + 1, right);
        addPiece(sums, row, x, stop, perPixel * (stop - x), width);
        x = stop;
      }
    }
  }
}

/** A piece of an edge within one pixel, from `x` to `stop`. */
function addPiece(
  sums: Float32Array,
  row: number,
  x: number,
  stop: number,
  drop: number,
  width: number,
): void {
  const column = Math.floor(x);
  if (column >= width) return;
  const inside = (x + stop) / 2 - column; // how far into the pixel the edge runs, on average
  sums[row + column]! += drop * (1 - inside);
  sums[row + column + 1]! += drop * inside;
}
