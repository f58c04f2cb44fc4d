import { anchorSpec, type AnchorOptions, type AnchorSpec } from "../detection/index.ts";
import type { Dataset, DatasetImage } from "./dataset.ts";
import { histogram, quantile, type Histogram } from "./histogram.ts";

/** An IoU from which on an anchor counts as covering an object: the assignment's threshold. */
const coveredIou = 0.5;

/** How well a set of anchors fits the objects of a data set. */
export interface Coverage {
  /** Height and width of the network's input. */
  readonly imageSize: readonly [height: number, width: number];
  /** Share of objects that an anchor overlaps with an IoU of 0.5 or more; the others are forced on their best anchor. */
  readonly covered: number;
  readonly meanIou: number;
  /** Share of objects with a side below 8 pixels at this size: less than one cell of the finest map. */
  readonly tiny: number;
}

/** Anchors that would fit better, or the present ones where none clearly do. */
export interface AnchorSuggestion {
  /** Width over height, from a clustering (k-means) of the objects' own. */
  readonly aspectRatios: readonly number[];
  readonly anchorScale: number;
  readonly coverage: Coverage;
}

/** All that {@link anchorCoverage} finds. */
export interface CoverageReport {
  readonly anchors: AnchorOptions;
  readonly coverage: Coverage;
  /** Best IoU of each object, in tenths. */
  readonly bestIou: Histogram;
  /** Share of covered objects of each class that has objects, in the order of classes; NaN for others. */
  readonly perClass: readonly number[];
  /** The same anchors at other input sizes. */
  readonly sizes: readonly Coverage[];
  readonly suggestion: AnchorSuggestion;
  /** Sides of objects at the input's size (root of the area): 5th, 50th and 95th percentile. */
  readonly sides: readonly [small: number, middle: number, large: number];
}

/** Width, height and centre of an object in pixels of the network's input. */
interface Shape {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly classIndex: number;
}

/**
 * How well anchors cover the objects of a data set (crowds left out), letterboxed to the input.
 *
 * @returns numbers of a data set without objects are NaN
 * @throws {ConfigError} if the anchors are not possible
 */
export function anchorCoverage(dataset: Dataset, anchors: AnchorOptions): CoverageReport {
  const shapes = shapesAt(dataset.images, anchors.imageSize);
  const best = bestIous(shapes, anchorSpec(anchors));
  const total = new Array<number>(dataset.classes.length).fill(0);
  const covered = total.slice();
  shapes.forEach(({ classIndex }, at) => {
    total[classIndex]!++;
    if (best[at]! >= coveredIou) covered[classIndex]!++;
  });
  const sides = shapes.map(({ width, height }) => Math.sqrt(width * height));
  return {
    anchors,
    coverage: summarise(shapes, best, anchors.imageSize),
    bestIou: histogram(
      best,
      Array.from({ length: 11 }, (_, tenth) => tenth / 10),
    ),
    perClass: total.map((count, index) => covered[index]! / count),
    sizes: otherSizes(anchors.imageSize).map((imageSize) =>
      coverageAt(dataset.images, { ...anchors, imageSize }),
    ),
    suggestion: suggestAnchors(shapes, anchors),
    sides: [quantile(sides, 0.05), quantile(sides, 0.5), quantile(sides, 0.95)],
  };
}

function coverageAt(images: readonly DatasetImage[], anchors: AnchorOptions): Coverage {
  const shapes = shapesAt(images, anchors.imageSize);
  return summarise(shapes, bestIous(shapes, anchorSpec(anchors)), anchors.imageSize);
}

function shapesAt(images: readonly DatasetImage[], [height, width]: readonly [number, number]): Shape[] {
  return images.flatMap((image) => {
    const scale = Math.min(height / image.height, width / image.width);
    return image.objects
      .filter(({ crowd }) => !crowd)
      .map(({ classIndex, box }) => ({
        classIndex,
        x: ((box.xMin + box.xMax) / 2) * scale,
        y: ((box.yMin + box.yMax) / 2) * scale,
        width: (box.xMax - box.xMin) * scale,
        height: (box.yMax - box.yMin) * scale,
      }));
  });
}

/** IoU of each object with its best anchor. For one form of anchor that is the one with the nearest centre. */
function bestIous(shapes: readonly Shape[], spec: AnchorSpec): Float64Array {
  return Float64Array.from(shapes, (shape) => {
    let best = 0;
    for (const level of spec.levels) {
      const dx = Math.abs(shape.x - nearestCentre(shape.x, level.strideX, level.width));
      const dy = Math.abs(shape.y - nearestCentre(shape.y, level.strideY, level.height));
      for (let at = 0; at < level.halves.length; at += 2) {
        const height = 2 * level.halves[at]!;
        const width = 2 * level.halves[at + 1]!;
        const sharedX = Math.min(width, shape.width, (width + shape.width) / 2 - dx);
        const sharedY = Math.min(height, shape.height, (height + shape.height) / 2 - dy);
        if (sharedX <= 0 || sharedY <= 0) continue;
        const shared = sharedX * sharedY;
        best = Math.max(best, shared / (width * height + shape.width * shape.height - shared));
      }
    }
    return best;
  });
}

function nearestCentre(at: number, stride: number, count: number): number {
  const cell = Math.min(Math.max(Math.round(at / stride - 0.5), 0), count - 1);
  return (cell + 0.5) * stride;
}

function summarise(
  shapes: readonly Shape[],
  best: Float64Array,
  imageSize: readonly [number, number],
): Coverage {
  const share = (count: number) => count / shapes.length;
  return {
    imageSize,
    covered: share(best.filter((iou) => iou >= coveredIou).length),
    meanIou: share(best.reduce((sum, iou) => sum + iou, 0)),
    tiny: share(shapes.filter(({ width, height }) => Math.min(width, height) < 8).length),
  };
}

/** Input sizes from half to thrice, in steps of the coarsest stride. */
function otherSizes([height, width]: readonly [number, number]): (readonly [number, number])[] {
  const stepped = (length: number, factor: number) => Math.max(64, Math.round((length * factor) / 64) * 64);
  const sizes = [0.5, 0.75, 1, 1.25, 1.5, 2, 3].map((factor): readonly [number, number] =>
    factor === 1 ? [height, width] : [stepped(height, factor), stepped(width, factor)],
  );
  return sizes.filter(([h, w], at) => sizes.findIndex((other) => other[0] === h && other[1] === w) === at);
}

/** Of the ratios around which the objects gather and the present ones, at several scales, what covers the objects best. */
function suggestAnchors(shapes: readonly Shape[], anchors: AnchorOptions): AnchorSuggestion {
  const { aspectRatios: present = [1, 2, 0.5], anchorScale: presentScale = 4 } = anchors;
  // In logarithms, so that 2 and 1/2 are equally far from 1.
  const logs = shapes.map(({ width, height }) => Math.log(width / height));
  const gathered = clusterNumbers(logs, present.length).map((centre) =>
    Number(Math.exp(centre).toPrecision(2)),
  );
  const ratioSets = [present.map(ratioOf), ...(gathered.length > 0 ? [[...new Set(gathered)]] : [])];
  const scales = Array.from({ length: 25 }, (_, step) => 1 + step / 4);
  if (typeof presentScale === "number") scales.unshift(presentScale);
  const candidates = ratioSets.flatMap((aspectRatios) =>
    scales.map((anchorScale): AnchorSuggestion => {
      const spec = anchorSpec({ ...anchors, aspectRatios, anchorScale });
      return {
        aspectRatios,
        anchorScale,
        coverage: summarise(shapes, bestIous(shapes, spec), anchors.imageSize),
      };
    }),
  );
  const worth = ({ coverage }: AnchorSuggestion) => coverage.covered + coverage.meanIou;
  return candidates.reduce((best, other) => (worth(other) > worth(best) + 0.01 ? other : best));
}

function ratioOf(aspect: number | readonly [width: number, height: number]): number {
  return typeof aspect === "number" ? aspect : aspect[0] / aspect[1];
}

/**
 * Centres of `count` clusters of numbers, ascending (Lloyd's k-means from evenly spaced quantiles); fewer where there are
 * not so many different numbers, none of none.
 */
export function clusterNumbers(values: readonly number[], count: number): number[] {
  const sorted = Float64Array.from(values).sort();
  const start = Array.from(
    { length: count },
    (_, at) => sorted[Math.floor(((at + 0.5) / count) * sorted.length)],
  );
  let centres = [...new Set(start.filter((value) => value !== undefined))];
  for (let round = 0; round < 100; round++) {
    const sums = centres.map(() => [0, 0] as [sum: number, count: number]);
    for (const value of sorted) {
      const near = centres.reduce(
        (best, centre, at) => (distance(centre) < distance(centres[best]!) ? at : best),
        0,
      );
      sums[near]![0] += value;
      sums[near]![1]++;
      function distance(centre: number): number {
        return Math.abs(centre - value);
      }
    }
    const moved = sums.map(([sum, size], at) => (size === 0 ? centres[at]! : sum / size));
    const still = moved.every((centre, at) => Math.abs(centre - centres[at]!) < 1e-6);
    centres = moved;
    if (still) break;
  }
  return centres.sort((a, b) => a - b);
}
