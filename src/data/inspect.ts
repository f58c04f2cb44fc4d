import type { AnchorOptions } from "../detection/index.ts";
import { anchorCoverage, type CoverageReport } from "./anchor-coverage.ts";
import type { Dataset, DatasetFormat } from "./dataset.ts";
import { histogram, type Histogram } from "./histogram.ts";
import { mapConcurrently, readPictureHeader } from "./picture-header.ts";
import type { Problem } from "./problems.ts";
import { decodeAll, findTwins } from "./twin-pictures.ts";

/** What to look at; see {@link inspectDataset}. */
export interface InspectOptions {
  /** Anchors of a model, to tell how they cover the objects. */
  readonly anchors?: AnchorOptions;
  /** Whether to decode every picture, which finds broken files and pictures that look the same; default true. */
  readonly decode?: boolean;
  /** Called as pictures are decoded. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** One class in numbers. */
export interface ClassReport {
  readonly id: number;
  readonly name: string;
  readonly objects: number;
  /** Pictures that show one at least. */
  readonly pictures: number;
  readonly difficult: number;
  readonly crowds: number;
}

/** What a data set holds; plain data. */
export interface InspectionReport {
  readonly format: DatasetFormat;
  readonly root: string;
  readonly split: string;
  readonly pictures: number;
  readonly objects: number;
  readonly classes: readonly ClassReport[];
  /** Ids of pictures that show no object. */
  readonly withoutObjects: readonly (number | string)[];
  /** Sizes of pictures, the most frequent first. */
  readonly pictureSizes: readonly {
    readonly width: number;
    readonly height: number;
    readonly pictures: number;
  }[];
  /** Pictures with one channel only, and ones that their EXIF orientation turns. */
  readonly grey: number;
  readonly turned: number;
  readonly objectsPerPicture: Histogram;
  /** Root of an object's box area, in pixels of the original. */
  readonly objectSides: Histogram;
  /** The same as a share of the root of the picture's area. */
  readonly relativeSides: Histogram;
  /** Width over height. */
  readonly aspectRatios: Histogram;
  /** COCO's three sizes by area: below 32², below 96², above. */
  readonly sizes: { readonly small: number; readonly medium: number; readonly large: number };
  /** Groups of picture files with the same bytes. */
  readonly duplicates: readonly (readonly string[])[];
  /** Groups of picture files that look the same but differ in their bytes; empty without `decode`. */
  readonly lookAlikes: readonly (readonly string[])[];
  readonly coverage?: CoverageReport;
  readonly problems: readonly Problem[];
  readonly notes: readonly string[];
}

/**
 * Looks a data set over: classes, sizes, pictures without objects, duplicates, broken files, and how a model's anchors
 * cover the objects.
 *
 * @throws {ConfigError} if the anchors are not possible
 */
export async function inspectDataset(
  dataset: Dataset,
  options: InspectOptions = {},
): Promise<InspectionReport> {
  const { anchors, decode = true, onProgress } = options;
  const { format, root, split, images, notes } = dataset;
  const files = images.map(({ file }) => file);
  const headers = await mapConcurrently(
    files,
    8,
    async (file) => await readPictureHeader(file).catch(() => undefined),
  );
  const duplicates = await findTwins(files);
  const check = decode
    ? await decodeAll(files, (done) => onProgress?.(done, files.length))
    : { broken: [], lookAlikes: [] };
  const objects = images.flatMap((image) => image.objects.map((object) => ({ image, ...object })));
  const sides = objects.map(({ box }) => Math.sqrt((box.xMax - box.xMin) * (box.yMax - box.yMin)));
  const areas = objects.map(({ area }) => area);
  return {
    format,
    root,
    split,
    pictures: images.length,
    objects: objects.length,
    classes: classReports(dataset),
    withoutObjects: images.filter((image) => image.objects.length === 0).map(({ id }) => id),
    pictureSizes: countSizes(dataset),
    grey: headers.filter((header) => header !== undefined && header.channels < 3).length,
    turned: headers.filter((header) => header !== undefined && header.orientation > 1).length,
    objectsPerPicture: histogram(
      images.map((image) => image.objects.length),
      [0, 1, 2, 3, 4, 5, 8, 12, 20, 30, 50, 100, Infinity],
    ),
    objectSides: histogram(sides, [0, 4, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512, Infinity]),
    relativeSides: histogram(
      objects.map(({ image }, at) => sides[at]! / Math.sqrt(image.width * image.height)),
      [0, 0.02, 0.04, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1],
    ),
    aspectRatios: histogram(
      objects.map(({ box }) => (box.xMax - box.xMin) / (box.yMax - box.yMin)),
      [0, 1 / 8, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 0.9, 1.1, 1.5, 2, 3, 4, 8, Infinity],
    ),
    sizes: {
      small: areas.filter((area) => area < 32 ** 2).length,
      medium: areas.filter((area) => area >= 32 ** 2 && area < 96 ** 2).length,
      large: areas.filter((area) => area >= 96 ** 2).length,
    },
    duplicates,
    lookAlikes: unlessTwins(check.lookAlikes, duplicates),
    ...(anchors && { coverage: anchorCoverage(dataset, anchors) }),
    problems: [...dataset.problems, ...brokenPictures(check.broken)],
    notes,
  };
}

function classReports({ classes, images }: Dataset): ClassReport[] {
  const counts = classes.map(() => ({ objects: 0, pictures: 0, difficult: 0, crowds: 0 }));
  for (const { objects } of images) {
    for (const { classIndex, difficult, crowd } of objects) {
      const count = counts[classIndex]!;
      count.objects++;
      if (difficult) count.difficult++;
      if (crowd) count.crowds++;
    }
    for (const classIndex of new Set(objects.map((object) => object.classIndex)))
      counts[classIndex]!.pictures++;
  }
  return classes.map(({ id, name }, index) => ({ id, name, ...counts[index]! }));
}

function countSizes({ images }: Dataset): InspectionReport["pictureSizes"] {
  const counts = new Map<string, { width: number; height: number; pictures: number }>();
  for (const { width, height } of images) {
    const key = `${width}×${height}`;
    const known = counts.get(key);
    if (known === undefined) counts.set(key, { width, height, pictures: 1 });
    else known.pictures++;
  }
  return [...counts.values()].sort(
    (a, b) => b.pictures - a.pictures || b.width * b.height - a.width * a.height,
  );
}

/** Groups of which at least two files are no exact duplicates of each other. */
function unlessTwins(groups: readonly (readonly string[])[], twins: readonly (readonly string[])[]) {
  const twinGroup = new Map(twins.flatMap((group, at) => group.map((file) => [file, at] as const)));
  return groups.filter((group) => new Set(group.map((file) => twinGroup.get(file) ?? file)).size > 1);
}

function brokenPictures(broken: readonly { file: string; message: string }[]): Problem[] {
  return broken.map(({ file, message }) => ({
    kind: "unreadable-picture",
    file,
    message: `the picture cannot be decoded to its end (${message})`,
    done: "used as far as it goes",
  }));
}
