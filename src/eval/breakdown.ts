import type { Arrangement } from "./arrangement.ts";
import type { CocoSettings } from "./coco-metric.ts";
import { cocoPrecisionRecall, meanPrecision, meanRecall } from "./coco-metric.ts";
import type { Slice } from "./matching.ts";
import { cocoAreas, outside } from "./slices.ts";

/** The numbers of one part of the objects; −1 where one does not exist. */
export interface PartResult {
  /** Such as "small" or "wide (4:3 to 3:1)". */
  readonly name: string;
  readonly AP: number;
  readonly AP50: number;
  readonly AR100: number;
  /** Objects that count. */
  readonly boxes: number;
  /** AP of each class, in the order of the evaluation's `perClass`. */
  readonly perClassAP: readonly number[];
}

/** The objects divided by one property. */
export interface Breakdown {
  readonly by: "size" | "aspect" | "crowding";
  readonly title: string;
  readonly parts: readonly PartResult[];
}

// Half-open ranges meet at a number just below the next bound.
const below = (bound: number): number => bound * (1 - 2 ** -50);

const shapes: readonly [name: string, from: number, to: number][] = [
  ["very tall (beyond 1:3)", 0, below(1 / 3)],
  ["tall (1:3 to 3:4)", 1 / 3, below(3 / 4)],
  ["square (3:4 to 4:3)", 3 / 4, 4 / 3],
  ["wide (4:3 to 3:1)", (4 / 3) * (1 + 2 ** -50), 3],
  ["very wide (beyond 3:1)", 3 * (1 + 2 ** -50), Infinity],
];

const companies: readonly [name: string, from: number, to: number][] = [
  ["1 object in the picture", 0, 1],
  ["2 to 4", 2, 4],
  ["5 to 9", 5, 9],
  ["10 to 19", 10, 19],
  ["20 and more", 20, Infinity],
];

/**
 * AP, AP50 and AR by size, by shape (width : height) and by how many objects the picture holds, for all classes
 * together and each alone.
 *
 * A part is judged as the COCO metric judges sizes: objects outside are ignored, and so are detections outside that
 * match nothing; a detection is outside by its own size or shape, or by its picture. The empty parts have −1.
 */
export function breakdowns(arrangement: Arrangement, settings: CocoSettings): Breakdown[] {
  const { objects, detections, categories } = arrangement;
  const ratio = (boxes: Float64Array, count: number): Float64Array =>
    Float64Array.from({ length: count }, (_, at) => boxes[at * 4 + 2]! / boxes[at * 4 + 3]! || 0);
  const company = new Float64Array(arrangement.images.length);
  for (let g = 0; g < objects.count; g++) if (!objects.ignore[g]) company[objects.image[g]!]!++;
  const companyOf = (image: Int32Array): Float64Array => Float64Array.from(image, (at) => company[at]!);
  const slices = (
    ranges: readonly (readonly [string, number, number])[],
    ofObjects: Float64Array,
    ofDetections: Float64Array,
  ): Slice[] =>
    ranges.map(([name, from, to]) => ({
      name,
      objectsOutside: outside(ofObjects, from, to),
      detectionsOutside: outside(ofDetections, from, to),
    }));
  const sizes = Object.entries({ ...cocoAreas, ...settings.areas })
    .filter(([name]) => name !== "all")
    .map(([name, [from, to]]) => [name, from, to] as const);

  return [
    { by: "size", title: "Size (area)", slices: slices(sizes, objects.areas, detections.areas) },
    {
      by: "aspect",
      title: "Shape (width : height)",
      slices: slices(shapes, ratio(objects.boxes, objects.count), ratio(detections.boxes, detections.count)),
    },
    {
      by: "crowding",
      title: "Crowding (objects in the picture)",
      slices: slices(companies, companyOf(objects.image), companyOf(detections.image)),
    },
  ].map(({ by, title, slices }) => {
    const limits = settings.maxDetections.slice(-1);
    const curves = cocoPrecisionRecall(arrangement, { ...settings, maxDetections: limits }, slices);
    const half = settings.iouThresholds.findIndex((t) => Math.abs(t - 0.5) < 1e-9);
    const parts = slices.map(({ name, objectsOutside }, s): PartResult => ({
      name,
      AP: meanPrecision(curves, { s, m: 0 }),
      AP50: meanPrecision(curves, { t: half, s, m: 0 }),
      AR100: meanRecall(curves, { s, m: 0 }),
      boxes: objects.ignore.reduce((sum, ignored, g) => sum + (ignored || objectsOutside?.[g] ? 0 : 1), 0),
      perClassAP: categories.map((_, k) => meanPrecision(curves, { k, s, m: 0 })),
    }));
    return { by: by as Breakdown["by"], title, parts };
  });
}
