import type { Box } from "../detection/boxes.ts";
import type { DatasetImage, DatasetObject, ObjectClass } from "./dataset.ts";
import { mapConcurrently, readPictureHeader, type PictureHeader } from "./picture-header.ts";
import type { Problem } from "./problems.ts";

/** A line in a file, from 1; a function where finding it costs something and is asked for only if something is wrong. */
export type Line = number | (() => number | undefined);

/** An object as its file tells it, not checked yet. */
export interface AnnotatedObject {
  readonly classIndex: number;
  /** Corners; in fractions of the picture's size where the picture's `frame` says so. Any numbers, even NaN. */
  readonly box: Box;
  readonly line?: Line;
  /** What to call it in a message, such as `annotation 17`. */
  readonly label: string;
  readonly area?: number;
  readonly crowd?: boolean;
  readonly difficult?: boolean;
  readonly ignore?: boolean;
}

/** A picture as its annotation tells it, not checked yet. */
export interface AnnotatedPicture {
  readonly id: number | string;
  /** Absolute path, or undefined where none was found. */
  readonly file: string | undefined;
  /** The name by which the annotation calls it. */
  readonly name: string;
  /** Absolute path of the annotation, and the line in it. */
  readonly source: string;
  readonly line?: Line;
  readonly split?: string;
  /** Size that the annotation tells, if it does. */
  readonly width?: number;
  readonly height?: number;
  readonly frame: "pixels" | "fractions";
  readonly objects: readonly AnnotatedObject[];
}

/** What a reader of one format gives. */
export interface Annotations {
  readonly classes: readonly ObjectClass[];
  readonly pictures: readonly AnnotatedPicture[];
}

/** Pixels by which a box may reach beyond its picture and still count as whole: what rounding does. */
const tolerance = 1;

/**
 * Looks at every picture's header and at every box, and keeps what can be trained on and evaluated; what is broken is
 * repaired or left out, and reported.
 *
 * @param report called with each problem
 */
export async function checkPictures(
  pictures: readonly AnnotatedPicture[],
  report: (problem: Problem) => void,
): Promise<DatasetImage[]> {
  const headers = await mapConcurrently(pictures, 8, async ({ file }) =>
    file === undefined ? undefined : await readPictureHeader(file).catch((error: unknown) => error as Error),
  );
  const images: DatasetImage[] = [];
  const seen = new Map<string, number>();
  pictures.forEach((picture, index) => {
    const header = headers[index];
    const problem: Tell = ({ line, ...fields }) =>
      report({
        file: picture.source,
        line: typeof line === "function" ? line() : line,
        image: picture.id,
        ...fields,
      });
    if (picture.file === undefined || header === undefined)
      return problem({
        kind: "missing-picture",
        line: picture.line,
        message: `the picture ${picture.name} is not in the data folder`,
        done: "left out with its objects",
      });
    if (header instanceof Error)
      return report({
        kind: "unreadable-picture",
        file: picture.file,
        image: picture.id,
        message: `the picture cannot be decoded (${header.message.split("\n")[0]})`,
        done: "left out with its objects",
      });
    const objects = checkObjects(picture, header, problem);
    const twin = seen.get(picture.file);
    if (twin !== undefined) {
      problem({
        kind: "duplicate-picture",
        line: picture.line,
        message: `the picture ${picture.name} is listed twice`,
        done: "objects put together in one",
      });
      const first = images[twin]!;
      images[twin] = { ...first, objects: withoutTwins([...first.objects, ...objects]) };
      return;
    }
    seen.set(picture.file, images.length);
    images.push({ id: picture.id, file: picture.file, width: header.width, height: header.height, objects });
  });
  return images;
}

type Tell = (fields: Pick<Problem, "kind" | "message" | "done"> & { readonly line?: Line }) => void;

function checkObjects(picture: AnnotatedPicture, header: PictureHeader, problem: Tell): DatasetObject[] {
  const toPicture = frameOf(picture, header, problem);
  const { width, height } = header;
  const objects: DatasetObject[] = [];
  const kept = new Set<string>();
  for (const object of picture.objects) {
    const { label, line } = object;
    const leftOut = "object left out";
    const at = (box: Box) => `${label} has the box ${shown(box)}`;
    if (!Object.values(object.box).every(Number.isFinite)) {
      problem({
        kind: "bad-value",
        line,
        message: `${label} has a box that is no four numbers`,
        done: leftOut,
      });
      continue;
    }
    let box = toPicture(object.box);
    if (box.xMin > box.xMax || box.yMin > box.yMax) {
      problem({
        kind: "swapped-corners",
        line,
        message: `${at(box)}, minimum beyond maximum`,
        done: "corners swapped",
      });
      box = sorted(box);
    }
    if (!(box.xMax > box.xMin && box.yMax > box.yMin)) {
      problem({ kind: "zero-area", line, message: `${at(box)}, without area`, done: leftOut });
      continue;
    }
    const inside = clip(box, width, height);
    if (!(inside.xMax > inside.xMin && inside.yMax > inside.yMin)) {
      const message = `${at(box)}, outside its picture of ${width}×${height}`;
      problem({ kind: "outside", line, message, done: leftOut });
      continue;
    }
    if (reach(box, inside) > tolerance) {
      const message = `${at(box)}, beyond its picture of ${width}×${height}`;
      problem({ kind: "clipped", line, message, done: `clipped to ${shown(inside)}` });
    }
    const { classIndex, crowd = false, difficult = false, ignore = false } = object;
    const key = twinKey({ classIndex, box: inside, crowd });
    if (kept.has(key)) {
      problem({ kind: "duplicate-object", line, message: `${at(box)}, a second time`, done: leftOut });
      continue;
    }
    kept.add(key);
    const own = (inside.xMax - inside.xMin) * (inside.yMax - inside.yMin);
    const area = object.area !== undefined && object.area > 0 ? object.area : own;
    objects.push({ classIndex, box: inside, area, crowd, difficult, ignore: ignore || difficult });
  }
  return objects;
}

/** How a box of the annotation comes into the picture as a person sees it. */
function frameOf(picture: AnnotatedPicture, header: PictureHeader, problem: Tell): (box: Box) => Box {
  const { width, height, orientation } = header;
  if (picture.frame === "fractions")
    return (box) => ({
      xMin: box.xMin * width,
      yMin: box.yMin * height,
      xMax: box.xMax * width,
      yMax: box.yMax * height,
    });
  const told = { width: picture.width ?? 0, height: picture.height ?? 0 };
  if (picture.width === undefined && picture.height === undefined) return (box) => box;
  if (told.width === width && told.height === height) return (box) => box;
  const mismatch = (done: string) =>
    problem({
      kind: "size-mismatch",
      line: picture.line,
      message: `the size is given as ${told.width}×${told.height}, the picture has ${width}×${height}`,
      done,
    });
  // Labelled in a tool that paid no heed to EXIF: the size told is the stored one, and the boxes are in it.
  if (orientation >= 5 && told.width === height && told.height === width) {
    mismatch("boxes turned as the picture's EXIF orientation says");
    return (box) => turned(box, orientation, width, height);
  }
  const [sx, sy] = [width / told.width, height / told.height];
  if (told.width > 0 && told.height > 0 && Math.abs(sx / sy - 1) < 0.01) {
    mismatch("boxes scaled to the picture");
    return (box) => ({ xMin: box.xMin * sx, yMin: box.yMin * sy, xMax: box.xMax * sx, yMax: box.yMax * sy });
  }
  mismatch("boxes taken as they are");
  return (box) => box;
}

/** A box of the stored picture in the upright one of size `width` × `height` (EXIF orientations 5 to 8). */
function turned(box: Box, orientation: number, width: number, height: number): Box {
  const [flipX, flipY] = [orientation === 6 || orientation === 7, orientation === 7 || orientation === 8];
  const [x0, x1, y0, y1] = [box.yMin, box.yMax, box.xMin, box.xMax];
  return {
    xMin: flipX ? width - x1 : x0,
    xMax: flipX ? width - x0 : x1,
    yMin: flipY ? height - y1 : y0,
    yMax: flipY ? height - y0 : y1,
  };
}

function sorted({ xMin, yMin, xMax, yMax }: Box): Box {
  return {
    xMin: Math.min(xMin, xMax),
    yMin: Math.min(yMin, yMax),
    xMax: Math.max(xMin, xMax),
    yMax: Math.max(yMin, yMax),
  };
}

function clip({ xMin, yMin, xMax, yMax }: Box, width: number, height: number): Box {
  return {
    xMin: Math.max(xMin, 0),
    yMin: Math.max(yMin, 0),
    xMax: Math.min(xMax, width),
    yMax: Math.min(yMax, height),
  };
}

function reach(box: Box, inside: Box): number {
  return Math.max(
    inside.xMin - box.xMin,
    inside.yMin - box.yMin,
    box.xMax - inside.xMax,
    box.yMax - inside.yMax,
  );
}

/** The same for two objects of one class whose corners differ by less than a hundredth of a pixel. */
function twinKey({ classIndex, box, crowd }: { classIndex: number; box: Box; crowd: boolean }): string {
  return [
    classIndex,
    crowd,
    ...[box.xMin, box.yMin, box.xMax, box.yMax].map((edge) => Math.round(edge * 100)),
  ].join();
}

function withoutTwins(objects: readonly DatasetObject[]): DatasetObject[] {
  return [...new Map(objects.map((object) => [twinKey(object), object])).values()];
}

function shown({ xMin, yMin, xMax, yMax }: Box): string {
  return `(${[xMin, yMin, xMax, yMax].map((edge) => Number(edge.toFixed(2))).join(", ")})`;
}
