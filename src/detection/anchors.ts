import { ConfigError } from "../errors.ts";
import type { BoxYxyx } from "./boxes.ts";

/** What anchors follow from (the defaults are EfficientDet's; paper §5, automl `anchors.py`). */
export interface AnchorOptions {
  /** Size of the network input: height, width. */
  readonly imageSize: readonly [height: number, width: number];
  /** The pyramid's levels; default 3 to 7. */
  readonly levels?: { readonly min: number; readonly max: number };
  /** Height and width of each level's map; default: halved and rounded up, level by level. */
  readonly featureSizes?: readonly (readonly [height: number, width: number])[];
  /** Sizes per octave; default 3. */
  readonly scalesPerOctave?: number;
  /** Width over height, or a pair of factors on width and height; default 1, 2, 0.5 (as square roots). */
  readonly aspectRatios?: readonly (number | readonly [width: number, height: number])[];
  /** Side of the smallest anchor in strides of its level, one number or one per level; default 4. */
  readonly anchorScale?: number | readonly number[];
}

/** The anchors of one pyramid level. */
export interface AnchorLevel {
  readonly level: number;
  /** Rows and columns of the level's map. */
  readonly height: number;
  readonly width: number;
  /** Pixels from one cell to the next; not always whole numbers. */
  readonly strideY: number;
  readonly strideX: number;
  /** Half heights and half widths of the anchors of a cell, `[perCell, 2]`, in pixels. */
  readonly halves: Float64Array;
  /** Index of the level's first anchor. */
  readonly first: number;
}

/** All that decides the anchors of a model at one input size. */
export interface AnchorSpec {
  readonly imageSize: readonly [height: number, width: number];
  /** Anchors of a cell: octaves × aspects. */
  readonly perCell: number;
  /** Anchors in all. */
  readonly count: number;
  readonly levels: readonly AnchorLevel[];
}

/**
 * Heights and widths of the maps of levels `min` to `max`: each level halves the one before and rounds up.
 *
 * @see automl `utils.get_feat_sizes`
 */
export function featureSizes(
  [height, width]: readonly [height: number, width: number],
  { min, max }: { readonly min: number; readonly max: number },
): [height: number, width: number][] {
  const sizes: [number, number][] = [[height, width]];
  for (let level = 1; level <= max; level++) {
    const [h, w] = sizes[level - 1]!;
    sizes.push([Math.ceil(h / 2), Math.ceil(w / 2)]);
  }
  return sizes.slice(min);
}

/**
 * The anchors of a model, as arithmetic: a cell's centre is `stride / 2 + index · stride`, the side of an anchor
 * `anchorScale · stride · 2^(octave / scalesPerOctave)`, times √aspect in width and 1/√aspect in height.
 *
 * @throws {ConfigError} if a size, level, ratio or scale is out of range, or lists differ in length
 * @see paper §5; automl `anchors.py: Anchors`. Differs: nothing.
 */
export function anchorSpec(options: AnchorOptions): AnchorSpec {
  const { imageSize, levels = { min: 3, max: 7 }, scalesPerOctave = 3, aspectRatios = [1, 2, 0.5] } = options;
  const { anchorScale = 4 } = options;
  checkRanges(imageSize, levels, scalesPerOctave);
  const sizes = options.featureSizes ?? featureSizes(imageSize, levels);
  const levelCount = levels.max - levels.min + 1;
  if (sizes.length !== levelCount)
    throw new ConfigError(
      `${sizes.length} feature sizes for ${levelCount} levels (${levels.min} to ${levels.max})`,
    );
  if (typeof anchorScale !== "number" && anchorScale.length !== levelCount)
    throw new ConfigError(
      `${anchorScale.length} anchor scales for ${levelCount} levels (${levels.min} to ${levels.max})`,
      "give one number, or one for each level",
    );
  const aspects = aspectRatios.map(aspectFactors);
  const perCell = scalesPerOctave * aspects.length;
  let first = 0;
  const resolved = sizes.map(([height, width], index): AnchorLevel => {
    const scale = typeof anchorScale === "number" ? anchorScale : anchorScale[index]!;
    if (!(height >= 1 && width >= 1 && scale > 0 && Number.isFinite(scale)))
      throw new ConfigError(
        `level ${levels.min + index} has a ${height}×${width} map and anchor scale ${scale}`,
        "sizes are at least 1, scales above 0",
      );
    const strideY = imageSize[0] / height;
    const strideX = imageSize[1] / width;
    const halves = new Float64Array(perCell * 2);
    for (let octave = 0, at = 0; octave < scalesPerOctave; octave++)
      for (const [x, y] of aspects) {
        const side = scale * 2 ** (octave / scalesPerOctave);
        halves[at++] = (side * strideY * y) / 2;
        halves[at++] = (side * strideX * x) / 2;
      }
    const level = { level: levels.min + index, height, width, strideY, strideX, halves, first };
    first += height * width * perCell;
    return level;
  });
  return { imageSize, perCell, count: first, levels: resolved };
}

/**
 * Every anchor, `[N, 4]`: yMin, xMin, yMax, xMax in pixels of the network input, never clipped; order level, y, x,
 * octave, aspect.
 */
export function generateAnchors(spec: AnchorSpec, precision?: "float32"): Float32Array;
/** The same in float64. */
export function generateAnchors(spec: AnchorSpec, precision: "float64"): Float64Array;
export function generateAnchors(spec: AnchorSpec, precision = "float32"): Float32Array | Float64Array {
  const anchors =
    precision === "float64" ? new Float64Array(spec.count * 4) : new Float32Array(spec.count * 4);
  let at = 0;
  for (const { height, width, strideY, strideX, halves } of spec.levels)
    for (let row = 0; row < height; row++)
      for (let column = 0; column < width; column++) {
        const y = strideY / 2 + row * strideY;
        const x = strideX / 2 + column * strideX;
        for (let shape = 0; shape < halves.length; shape += 2) {
          anchors[at++] = y - halves[shape]!;
          anchors[at++] = x - halves[shape + 1]!;
          anchors[at++] = y + halves[shape]!;
          anchors[at++] = x + halves[shape + 1]!;
        }
      }
  return anchors;
}

/**
 * One anchor, without the table.
 *
 * @throws {RangeError} if there is no anchor of that index
 */
export function anchorAt(spec: AnchorSpec, index: number): BoxYxyx {
  const level = spec.levels.findLast(({ first }) => first <= index);
  if (level === undefined || index >= spec.count || !Number.isInteger(index))
    throw new RangeError(`no anchor ${index} among ${spec.count}`);
  const cell = Math.floor((index - level.first) / spec.perCell);
  const shape = 2 * ((index - level.first) % spec.perCell);
  const y = level.strideY / 2 + Math.floor(cell / level.width) * level.strideY;
  const x = level.strideX / 2 + (cell % level.width) * level.strideX;
  const halfHeight = level.halves[shape]!;
  const halfWidth = level.halves[shape + 1]!;
  return [y - halfHeight, x - halfWidth, y + halfHeight, x + halfWidth];
}

function checkRanges(
  [height, width]: readonly [number, number],
  { min, max }: { readonly min: number; readonly max: number },
  scalesPerOctave: number,
): void {
  if (!(Number.isInteger(height) && Number.isInteger(width) && height > 0 && width > 0))
    throw new ConfigError(`image size ${height}×${width}`, "both are whole numbers above 0");
  if (!(Number.isInteger(min) && Number.isInteger(max) && min >= 0 && min <= max && max <= 16))
    throw new ConfigError(
      `levels ${min} to ${max}`,
      "whole numbers, the first not above the last, at most 16",
    );
  if (!(Number.isInteger(scalesPerOctave) && scalesPerOctave > 0 && scalesPerOctave <= 64))
    throw new ConfigError(`${scalesPerOctave} scales per octave`, "a whole number from 1 to 64");
}

/** Factors on width and height. */
function aspectFactors(aspect: number | readonly [number, number]): readonly [width: number, height: number] {
  const factors = typeof aspect === "number" ? ([Math.sqrt(aspect), 1 / Math.sqrt(aspect)] as const) : aspect;
  if (!factors.every((factor) => factor > 0 && Number.isFinite(factor)))
    throw new ConfigError(
      `aspect ratio ${JSON.stringify(aspect)}`,
      "a number above 0 (width / height), or a pair of factors on width and height",
    );
  return factors;
}
