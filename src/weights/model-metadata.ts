import { WeightsError } from "../errors.ts";
import { printable } from "./printable.ts";

/** A class of a model: the data set's own id, and its name. */
export interface ModelClass {
  readonly id: number;
  readonly name: string;
}

/** Three numbers, for red, green and blue. */
export type RgbTriple = readonly [number, number, number];

/**
 * What a weight file says about its model (interface, section 4). Every field may be missing: files of others have
 * few or none of them.
 */
export interface ModelMetadata {
  /** Version of this set of fields; missing in files of others. */
  readonly formatVersion?: string;
  /** Name of the variant, such as `d0` or `lite3x`. */
  readonly model?: string;
  /** The model's configuration, where it is none of the named variants; a JSON object. */
  readonly modelConfig?: Readonly<Record<string, unknown>>;
  /** In the order of the class predictor's outputs. */
  readonly classes?: readonly ModelClass[];
  /** Height and width of the network input, pixels. */
  readonly imageSize?: readonly [height: number, width: number];
  /** Of RGB values in 0–255. */
  readonly mean?: RgbTriple;
  /** Of RGB values in 0–255. */
  readonly std?: RgbTriple;
  /** Factors of an anchor's width and height, one pair for each aspect. */
  readonly aspectRatios?: readonly (readonly [width: number, height: number])[];
  /** One number for all levels, or one for each. */
  readonly anchorScale?: number | readonly number[];
  readonly source?: string;
  readonly licence?: string;
  /** What it was trained on and how well it does: data, epochs, AP. */
  readonly trained?: Readonly<Record<string, unknown>>;
  readonly creator?: string;
}

/** The version that {@link formatModelMetadata} writes. */
export const metadataFormatVersion = "1";

/**
 * The metadata strings of a safetensors file for a model, with the interface's keys; missing fields are left out.
 */
export function formatModelMetadata(metadata: ModelMetadata): Record<string, string> {
  const { imageSize } = metadata;
  const fields: Record<string, unknown> = {
    format_version: metadata.formatVersion ?? metadataFormatVersion,
    model: metadata.model,
    model_config: metadata.modelConfig,
    classes: metadata.classes?.map(({ id, name }) => ({ id, name })),
    image_size: imageSize !== undefined && imageSize[0] === imageSize[1] ? imageSize[0] : imageSize,
    mean: metadata.mean,
    std: metadata.std,
    aspect_ratios: metadata.aspectRatios,
    anchor_scale: metadata.anchorScale,
    source: metadata.source,
    licence: metadata.licence,
    trained: metadata.trained,
    creator: metadata.creator,
  };
  const strings = Object.entries(fields).flatMap(([key, value]) =>
    value === undefined ? [] : [[key, typeof value === "string" ? value : JSON.stringify(value)] as const],
  );
  return Object.fromEntries(strings);
}

/**
 * The fields found in the metadata strings of a file. Other people's forms are understood too: class names without
 * ids (numbered from 1), `mean` and `std` of 0–1 values (multiplied by 255), aspect ratios as single numbers,
 * `license`, `tf_efficientdet_lite0` for `lite0`. A field in a form that is not understood is left out where the file
 * does not say that it follows our format.
 *
 * @param source the file's name, for messages
 * @throws {WeightsError} if a file with `format_version` has a field that cannot be read
 */
export function parseModelMetadata(
  strings: Readonly<Record<string, string>>,
  source = "weights",
): ModelMetadata {
  const own = strings.format_version !== undefined;
  const field = <T>(keys: readonly string[], parse: (text: string) => T | undefined): T | undefined => {
    for (const key of keys) {
      const text = Object.hasOwn(strings, key) ? strings[key] : undefined;
      if (text === undefined) continue;
      const value = parse(text);
      if (value !== undefined) return value;
      if (own)
        throw new WeightsError(
          `metadata ${key} cannot be read: ${printable(text)} (${source})`,
          "write the file again, or remove that field",
        );
    }
    return undefined;
  };
  const text = (value: string) => value;
  const std = field(["std"], parseTriple);
  const mean = field(["mean"], parseTriple);
  // No picture of 0–255 values has a deviation of 1 or less: such numbers speak of 0–1 values.
  const unit = !own && std !== undefined && std.every((value) => value <= 1);
  const scaled = (triple: RgbTriple | undefined): RgbTriple | undefined =>
    triple === undefined || !unit ? triple : [triple[0] * 255, triple[1] * 255, triple[2] * 255];
  const metadata: ModelMetadata = {
    formatVersion: field(["format_version"], text),
    model: field(["model", "architecture"], own ? text : parseVariantName),
    modelConfig: field(["model_config"], parseRecord),
    classes: field(["classes", "class_names"], parseClasses),
    imageSize: field(["image_size"], parseImageSize),
    mean: scaled(mean),
    std: scaled(std),
    aspectRatios: field(["aspect_ratios", "anchor_aspect_ratios"], parseAspectRatios),
    anchorScale: field(["anchor_scale"], parseAnchorScale),
    source: field(["source"], text),
    licence: field(["licence", "license"], text),
    trained: field(["trained"], parseRecord) ?? looseScores(strings),
    creator: field(["creator"], text),
  };
  return Object.fromEntries(Object.entries(metadata).filter(([, value]) => value !== undefined));
}

/** `lite0` of `tf_efficientdet_lite0`, `efficientdet-lite0.h5`, `lite0`; undefined where no variant is named. */
export function parseVariantName(text: string): string | undefined {
  return /(?:^|efficientdet[-_]?)(d7x|lite3x|d[0-7]|lite[0-4])(?![0-9a-z])/i.exec(text)?.[1]?.toLowerCase();
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

function parseRecord(text: string): Record<string, unknown> | undefined {
  const value = parseJson(text);
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

function parseTriple(text: string): RgbTriple | undefined {
  const value = parseJson(text);
  if (isNumber(value)) return [value, value, value];
  if (!Array.isArray(value) || value.length !== 3 || !value.every(isNumber)) return undefined;
  return [value[0]!, value[1]!, value[2]!];
}

function parseClasses(text: string): ModelClass[] | undefined {
  const value = parseJson(text);
  if (!Array.isArray(value)) return undefined;
  const classes: ModelClass[] = [];
  for (const [index, item] of (value as unknown[]).entries()) {
    if (typeof item === "string") {
      classes.push({ id: index + 1, name: item });
      continue;
    }
    const { id, name } = (item ?? {}) as { id?: unknown; name?: unknown };
    if (!Number.isSafeInteger(id) || typeof name !== "string") return undefined;
    classes.push({ id: id as number, name });
  }
  return classes;
}

function parseImageSize(text: string): [number, number] | undefined {
  const value = /^\s*\d+x\d+\s*$/.test(text) ? text.split("x").map(Number) : parseJson(text);
  const sizes = isNumber(value) ? [value, value] : value;
  if (!Array.isArray(sizes) || sizes.length !== 2) return undefined;
  const [height, width] = sizes as unknown[];
  const fits = (size: unknown): size is number => Number.isSafeInteger(size) && (size as number) > 0;
  return fits(height) && fits(width) ? [height, width] : undefined;
}

function parseAspectRatios(text: string): [number, number][] | undefined {
  const value = parseJson(text);
  if (!Array.isArray(value)) return undefined;
  const pairs: [number, number][] = [];
  for (const item of value as unknown[]) {
    const [width, height] = isNumber(item)
      ? [Math.sqrt(item), 1 / Math.sqrt(item)]
      : Array.isArray(item) && item.length === 2
        ? (item as unknown[])
        : [];
    if (!isNumber(width) || !isNumber(height) || width <= 0 || height <= 0) return undefined;
    pairs.push([width, height]);
  }
  return pairs.length > 0 ? pairs : undefined;
}

function parseAnchorScale(text: string): number | number[] | undefined {
  const value = parseJson(text);
  if (isNumber(value) && value > 0) return value;
  return Array.isArray(value) && value.length > 0 && value.every((scale) => isNumber(scale) && scale > 0)
    ? (value as number[])
    : undefined;
}

/** Scores that some files give as fields of their own, `AP` and `AP50`. */
function looseScores(strings: Readonly<Record<string, string>>): Record<string, unknown> | undefined {
  const scores = ["AP", "AP50"].flatMap((key) => {
    const value = Object.hasOwn(strings, key) ? parseJson(strings[key]!) : undefined;
    return isNumber(value) ? [[key, value] as const] : [];
  });
  return scores.length > 0 ? Object.fromEntries(scores) : undefined;
}
