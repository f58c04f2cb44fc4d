import { suggest, UsageError } from "../errors.ts";
import type { DetectOptions as GeometryOptions } from "../detection/index.ts";
import type { ModelClass } from "../weights/index.ts";

/** How detections are chosen. */
export interface DetectOptions {
  /** Least score of a detection, 0 to 1; default 0.3. */
  readonly scoreThreshold?: number;
  /** Overlap (IoU) above which the weaker of two boxes goes, 0 to 1; default 0.5. */
  readonly iouThreshold?: number;
  /** Most detections of a picture; default 100. */
  readonly maxDetections?: number;
  /** `hard` drops the weaker box; `soft` lowers its score (Gaussian, σ 0.5); `diou` also weighs the centres' distance. Default `hard`. */
  readonly nms?: "hard" | "soft" | "diou";
  /** Whether boxes compete within their `class` (the default) or all together (`global`). */
  readonly nmsScope?: "class" | "global";
  /** Names of the only classes wanted; default: all. */
  readonly classes?: readonly string[];
  /** Stops the work; what is under way is finished first. */
  readonly signal?: AbortSignal;
}

/** Options of `detectAll`. */
export interface DetectAllOptions extends DetectOptions {
  /** Pictures that go through the network together; default 1. */
  readonly batchSize?: number;
  /** Whether results carry the decoded picture, for drawing or cutting out; default false. */
  readonly keepPictures?: boolean;
}

const known = [
  "scoreThreshold",
  "iouThreshold",
  "maxDetections",
  "nms",
  "nmsScope",
  "classes",
  "signal",
  "batchSize",
  "keepPictures",
];

/** What every option is where it is not given. */
export const detectDefaults = {
  scoreThreshold: 0.3,
  iouThreshold: 0.5,
  maxDetections: 100,
  nms: "hard",
  nmsScope: "class",
  batchSize: 1,
} as const;

/**
 * Options checked, with names of classes turned into the model's indices.
 *
 * @throws {UsageError} for an unknown option or class, or a value outside its range
 */
export function geometryOptions(
  options: DetectAllOptions,
  classes: readonly ModelClass[],
): GeometryOptions & { batchSize: number } {
  for (const key of Object.keys(options))
    if (!known.includes(key)) throw new UsageError(`there is no option ${key}`, suggest(key, known));
  const { scoreThreshold, iouThreshold, maxDetections, nms, nmsScope, batchSize } = {
    ...detectDefaults,
    ...withoutUndefined(options),
  };
  within("scoreThreshold", scoreThreshold, 0, 1);
  within("iouThreshold", iouThreshold, 0, 1);
  whole("maxDetections", maxDetections, 1, 100_000);
  whole("batchSize", batchSize, 1, 1024);
  oneOf("nms", nms, ["hard", "soft", "diou"]);
  oneOf("nmsScope", nmsScope, ["class", "global"]);
  return {
    scoreThreshold,
    iouThreshold,
    maxDetections,
    nms,
    scope: nmsScope,
    batchSize,
    classFilter: options.classes?.map((name) => classIndex(name, classes)),
  };
}

function classIndex(name: string, classes: readonly ModelClass[]): number {
  const index = classes.findIndex((c) => c.name === name);
  if (index < 0)
    throw new UsageError(
      `this model has no class ${name}`,
      suggest(
        name,
        classes.map((c) => c.name),
      ),
    );
  return index;
}

function within(name: string, value: number, least: number, most: number): void {
  if (typeof value !== "number" || !(value >= least && value <= most))
    throw new UsageError(`${name} ${value} is not possible`, `give a number from ${least} to ${most}`);
}

function whole(name: string, value: number, least: number, most: number): void {
  within(name, value, least, most);
  if (!Number.isInteger(value))
    throw new UsageError(`${name} ${value} is not possible`, `give a whole number from ${least} to ${most}`);
}

function oneOf(name: string, value: string, choices: readonly string[]): void {
  if (!choices.includes(value))
    throw new UsageError(`${name} ${value} is not possible`, suggest(value, choices));
}

function withoutUndefined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as never;
}
