import type { Arrangement } from "./arrangement.ts";
import type { Slice } from "./matching.ts";

/** Bounds of object areas in square pixels, both inclusive. */
export type AreaRange = readonly [from: number, to: number];

/** COCO's ranges: small is up to 32², medium up to 96², large beyond; an area on a border is in both. */
export const cocoAreas: Readonly<Record<string, AreaRange>> = {
  all: [0, 1e10],
  small: [0, 32 ** 2],
  medium: [32 ** 2, 96 ** 2],
  large: [96 ** 2, 1e10],
};

/**
 * One slice for each area range: objects by their annotated `area`, detections by `width · height`.
 *
 * The bounds of "all" apply like any other, as in the reference: an area of more than 10¹⁰ or less than 0 is outside.
 */
export function areaSlices(
  { objects, detections }: Arrangement,
  areas: Readonly<Record<string, AreaRange>>,
): Slice[] {
  return Object.entries(areas).map(([name, [from, to]]) => ({
    name,
    objectsOutside: outside(objects.areas, from, to),
    detectionsOutside: outside(detections.areas, from, to),
  }));
}

/** 1 where a value is below `from` or above `to`; undefined where none is. */
export function outside(values: ArrayLike<number>, from: number, to: number): Uint8Array | undefined {
  const mask = new Uint8Array(values.length);
  let any = false;
  for (let at = 0; at < values.length; at++)
    if (values[at]! < from || values[at]! > to) {
      mask[at] = 1;
      any = true;
    }
  return any ? mask : undefined;
}
