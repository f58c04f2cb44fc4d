import type { Box, Detection } from "../detection/index.ts";

/** What was found in one picture, as results tell it. */
export interface PictureResult {
  /** The path, the URL, or "-". */
  readonly source: string;
  readonly width: number;
  readonly height: number;
  readonly detections: readonly Detection[];
  readonly timings?: Readonly<Record<string, number>>;
}

/** A picture that failed. */
export interface PictureFailure {
  readonly source: string;
  readonly error: { readonly code: string; readonly message: string };
}

/** Score to four decimals, edges to hundredths of a pixel: what results are written with. */
function rounded({ label, classId, score, box }: Detection): Detection {
  const { xMin, yMin, xMax, yMax } = box;
  const edges = { xMin: round(xMin, 2), yMin: round(yMin, 2), xMax: round(xMax, 2), yMax: round(yMax, 2) };
  return { label, classId, score: round(score, 4), box: edges };
}

/**
 * One line of JSON, without its end: `{ source, width, height, detections: [{ label, classId, score, box }], timings }`,
 * or `{ source, error }`.
 */
export function toJsonLine(result: PictureResult | PictureFailure): string {
  if ("error" in result) {
    const { code, message } = result.error;
    return JSON.stringify({ source: result.source, error: { code, message } });
  }
  const { source, width, height, detections, timings } = result;
  const times =
    timings && Object.fromEntries(Object.entries(timings).map(([name, ms]) => [name, round(ms, 1)]));
  return JSON.stringify({ source, width, height, detections: detections.map(rounded), timings: times });
}

/** First line of a CSV file of results, with its end. */
export const csvHeader = "source,width,height,label,classId,score,xMin,yMin,xMax,yMax\r\n";

/** Lines of CSV (RFC 4180), one for each detection, with their ends; a picture without any gives none. */
export function toCsvLines({ source, width, height, detections }: PictureResult): string {
  return detections
    .map(rounded)
    .map(({ label, classId, score, box: { xMin, yMin, xMax, yMax } }) =>
      [source, width, height, label, classId, score, xMin, yMin, xMax, yMax].map(csvField).join(","),
    )
    .map((line) => `${line}\r\n`)
    .join("");
}

function csvField(value: string | number): string {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** One entry of a COCO results file. */
export interface CocoResult {
  readonly image_id: number;
  readonly category_id: number;
  /** x, y, width, height. */
  readonly bbox: readonly [number, number, number, number];
  readonly score: number;
  /** Ours: COCO's readers pass it over. */
  readonly file_name: string;
}

/**
 * COCO results of one picture, for `JSON.stringify` of them all in one array.
 *
 * @param imageId see {@link cocoImageIds}
 */
export function toCocoResults({ source, detections }: PictureResult, imageId: number): CocoResult[] {
  return detections.map(({ classId, score, box: { xMin, yMin, xMax, yMax } }) => ({
    image_id: imageId,
    category_id: classId,
    bbox: [round(xMin, 2), round(yMin, 2), round(xMax - xMin, 2), round(yMax - yMin, 2)] as const,
    score: round(score, 4),
    file_name: baseName(source),
  }));
}

/**
 * Ids of pictures for COCO results: the number at the end of each name if all have one and none twice
 * (`000000000086.jpg`, `COCO_val2014_000000000139.jpg`), else 1, 2, 3, … in order.
 */
export function cocoImageIds(sources: readonly string[]): number[] {
  const numbers = sources.map((source) => Number(/(\d+)\.[a-z]+$/i.exec(baseName(source))?.[1] ?? NaN));
  const usable = numbers.every(Number.isSafeInteger) && new Set(numbers).size === numbers.length;
  return usable ? numbers : sources.map((_, index) => index + 1);
}

/**
 * The text of a YOLO label file: a line for each detection, `class xCentre yCentre width height score`, in shares of the
 * picture. Empty for none.
 *
 * @param classIds the class ids in order: the index in this list is YOLO's class
 */
export function toYoloText(
  { width, height, detections }: PictureResult,
  classIds: readonly number[],
): string {
  const indices = new Map(classIds.map((classId, index) => [classId, index]));
  return detections
    .map(({ classId, score, box }) => {
      const { xMin, yMin, xMax, yMax } = within(box, width, height);
      const shares = [
        (xMin + xMax) / 2 / width,
        (yMin + yMax) / 2 / height,
        (xMax - xMin) / width,
        (yMax - yMin) / height,
      ];
      return `${indices.get(classId) ?? classId} ${shares.map((share) => share.toFixed(6)).join(" ")} ${score.toFixed(4)}\n`;
    })
    .join("");
}

/**
 * A Pascal VOC annotation file. Its pixels count from 1 and both ends belong to the box; `score` in an object is ours.
 */
export function toVocXml({ source, width, height, detections }: PictureResult): string {
  const objects = detections.map(({ label, score, box }) => {
    const { xMin, yMin, xMax, yMax } = within(box, width, height);
    const left = Math.min(Math.round(xMin) + 1, width);
    const top = Math.min(Math.round(yMin) + 1, height);
    return `  <object>
    <name>${escapeXml(label)}</name>
    <pose>Unspecified</pose>
    <truncated>0</truncated>
    <difficult>0</difficult>
    <score>${round(score, 4)}</score>
    <bndbox>
      <xmin>${left}</xmin>
      <ymin>${top}</ymin>
      <xmax>${Math.max(left, Math.round(xMax))}</xmax>
      <ymax>${Math.max(top, Math.round(yMax))}</ymax>
    </bndbox>
  </object>
`;
  });
  return `<annotation>
  <filename>${escapeXml(baseName(source))}</filename>
  <size>
    <width>${width}</width>
    <height>${height}</height>
    <depth>3</depth>
  </size>
  <segmented>0</segmented>
${objects.join("")}</annotation>
`;
}

function within({ xMin, yMin, xMax, yMax }: Box, width: number, height: number): Box {
  const clamp = (value: number, size: number) => Math.min(Math.max(value, 0), size);
  return {
    xMin: clamp(xMin, width),
    yMin: clamp(yMin, height),
    xMax: clamp(xMax, width),
    yMax: clamp(yMax, height),
  };
}

/** Markup escaped; control characters, which XML 1.0 cannot hold, left out. */
function escapeXml(text: string): string {
  const names: Record<string, string> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&apos;",
  };
  return text
    .replace(/[&<>"']/g, (character) => names[character]!)
    .replace(/[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu, "");
}

function baseName(source: string): string {
  return source.split(/[/\\]/).findLast((part) => part !== "") ?? source;
}

function round(value: number, decimals: number): number {
  return Math.round(value * 10 ** decimals) / 10 ** decimals;
}
