import type { Detection } from "../detection/index.ts";
import type { Rgb } from "./palette.ts";
import { classColours, inkOn } from "./palette.ts";
import { capHeight, singleLine, textContours, textWidth } from "./font.ts";
import type { LabelPlace } from "./label-placement.ts";
import { placeLabels } from "./label-placement.ts";
import type { Picture } from "./picture.ts";
import { blend, fillContours, fillRectangle, roundedRectangle, strokeRectangle } from "./raster.ts";

/** How {@link drawOnto} draws; sizes follow the picture's where they are not given. */
export interface DrawOptions {
  /** Whether to write names and scores; default true. */
  readonly labels?: boolean;
  /** Whether to write scores; default true. */
  readonly scores?: boolean;
  /** Width of the boxes' lines, in pixels. */
  readonly lineWidth?: number;
  /** Size of the text, in pixels. */
  readonly fontSize?: number;
  /** Colours by class id, before the palette's. */
  readonly colours?: ReadonlyMap<number, Rgb>;
}

/** A word already drawn, for what the built-in font cannot write: how much of each pixel it covers, 0 to 255. */
export interface TextMask {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** Line and text sizes that suit a picture, in whole pixels: on a larger picture all grows, but slower. */
export function drawingSizes(
  { width, height }: { readonly width: number; readonly height: number },
  options: DrawOptions = {},
): { lineWidth: number; fontSize: number } {
  const side = Math.sqrt(width * height);
  return {
    lineWidth: Math.max(1, Math.round(options.lineWidth ?? Math.max(1.5, 0.115 * side ** 0.51))),
    fontSize: Math.max(6, Math.round(options.fontSize ?? Math.max(11, 0.2 * side ** 0.665))),
  };
}

/**
 * Draws boxes, names and scores onto a picture, in place. Every class of the picture has a colour of its own (up to
 * ten), text is dark or white by contrast, labels stay in the picture and never cover each other: where there is no
 * room, the label of the lower score is left out.
 *
 * @param masks words that the built-in font cannot write, by label, drawn at the font size of {@link drawingSizes}
 */
export function drawOnto(
  picture: Picture,
  detections: readonly Detection[],
  options: DrawOptions = {},
  masks: ReadonlyMap<string, TextMask> = new Map(),
): void {
  const { lineWidth, fontSize } = drawingSizes(picture, options);
  const colours = new Map([
    ...classColours(detections.map(({ classId }) => classId)),
    ...(options.colours ?? []),
  ]);
  const visible = detections
    .map((detection) => ({ ...detection, frame: frameOf(detection.box, picture, lineWidth) }))
    .filter(({ frame }) => frame !== undefined) as (Detection & { frame: Frame })[];
  const area = ({ frame }: { frame: Frame }) => (frame.xMax - frame.xMin) * (frame.yMax - frame.yMin);
  // Small boxes over large ones.
  for (const detection of [...visible].sort((a, b) => area(b) - area(a)))
    drawFrame(picture, detection.frame, colours.get(detection.classId)!, lineWidth);
  if (options.labels === false) return;

  const byScore = [...visible].sort((a, b) => (b.score || 0) - (a.score || 0));
  const tags = byScore.map((detection) => {
    const { xMin, yMin, xMax, yMax } = detection.frame;
    const small = Math.min(xMax - xMin, yMax - yMin) < 2.5 * fontSize && !masks.has(detection.label);
    return tagOf(detection, options, small ? Math.max(9, 0.8 * fontSize) : fontSize, picture.width, masks);
  });
  const places = placeLabels(
    tags.map((tag, i) => ({ box: byScore[i]!.frame, width: tag.width, height: tag.height })),
    picture,
    lineWidth,
  );
  // The best last, on top.
  for (let i = tags.length - 1; i >= 0; i--)
    if (places[i] !== undefined) drawTag(picture, tags[i]!, places[i]!, colours.get(byScore[i]!.classId)!);
}

/** Outer edge of a box's line, whole pixels, inside the picture. */
interface Frame {
  readonly xMin: number;
  readonly yMin: number;
  readonly xMax: number;
  readonly yMax: number;
}

/** The line runs along the box, half of it outside, but never leaves the picture; undefined for a box that does. */
function frameOf(
  { xMin, yMin, xMax, yMax }: Detection["box"],
  picture: Picture,
  lineWidth: number,
): Frame | undefined {
  const half = lineWidth / 2;
  const frame = {
    xMin: Math.max(0, Math.round(xMin - half)),
    yMin: Math.max(0, Math.round(yMin - half)),
    xMax: Math.min(picture.width, Math.round(xMax + half)),
    yMax: Math.min(picture.height, Math.round(yMax + half)),
  };
  return frame.xMax > frame.xMin && frame.yMax > frame.yMin ? frame : undefined;
}

/**
 * A line in the class's colour between two thin dark ones, which hold it apart from any background. Thinner around
 * small boxes, so that it does not hide what they hold.
 */
function drawFrame(picture: Picture, frame: Frame, colour: Rgb, widest: number): void {
  const shorter = Math.min(frame.xMax - frame.xMin, frame.yMax - frame.yMin);
  const lineWidth = Math.max(1, Math.min(widest, Math.round(shorter / 14)));
  const edge = Math.max(1, Math.round(lineWidth / 4));
  const ring = (outset: number, thickness: number, ink: Rgb, opacity: number) => {
    const grown = {
      left: frame.xMin - outset,
      top: frame.yMin - outset,
      right: frame.xMax + outset,
      bottom: frame.yMax + outset,
    };
    strokeRectangle(picture, grown, thickness, 2 * lineWidth + outset, ink, opacity);
  };
  ring(edge, lineWidth + 2 * edge, [0, 0, 0], 0.35);
  ring(0, lineWidth, colour, 1);
}

/** What a label says, and its size in whole pixels. */
interface Tag {
  readonly fontSize: number;
  readonly name: string | TextMask;
  readonly nameWidth: number;
  readonly score: string;
  readonly width: number;
  readonly height: number;
}

/** Space left and right of the text, and between name and score, in ems. */
const padding = 0.42;
const gap = 0.32;
/** Height of a label, in ems. */
const tagHeight = 1.5;

function tagOf(
  { label, score }: Detection,
  options: DrawOptions,
  fontSize: number,
  pictureWidth: number,
  masks: ReadonlyMap<string, TextMask>,
): Tag {
  const scoreText = options.scores === false ? "" : percent(score);
  const space = singleLine(label) === "" ? 0 : gap * fontSize;
  const scoreWidth = scoreText === "" ? 0 : textWidth(scoreText, fontSize) + space;
  const room = Math.min(pictureWidth, 24 * fontSize) - 2 * padding * fontSize - scoreWidth;
  const mask = masks.get(label);
  const name = mask !== undefined && mask.width <= room ? mask : shortened(singleLine(label), fontSize, room);
  const nameWidth = typeof name === "string" ? textWidth(name, fontSize) : name.width;
  const width = Math.ceil(nameWidth + scoreWidth + 2 * padding * fontSize);
  return { fontSize, name, nameWidth, score: scoreText, width, height: Math.round(tagHeight * fontSize) };
}

function drawTag(picture: Picture, tag: Tag, place: LabelPlace, colour: Rgb): void {
  const { fontSize } = tag;
  const { x, y, attached } = place;
  const [right, bottom] = [x + tag.width, y + tag.height];
  const radius = fontSize * 0.28;
  const shade = Math.max(1, Math.round(fontSize / 16));
  if (attached !== "above")
    fillContours(
      picture,
      [roundedRectangle(x - shade, y - shade, right + shade, bottom + shade, radius)],
      [0, 0, 0],
      0.3,
    );
  fillContours(picture, [roundedRectangle(x, y, right, bottom, radius)], colour);
  // The corner that sits on the box's line is square.
  if (attached === "above")
    fillRectangle(picture, x, Math.floor(bottom - radius), x + Math.ceil(radius), bottom, colour);
  const ink = inkOn(colour);
  const baseline = Math.round(y + (tag.height + capHeight * fontSize) / 2);
  const left = x + padding * fontSize;
  if (typeof tag.name === "string")
    for (const contours of textContours(tag.name, fontSize, left, baseline))
      fillContours(picture, contours, ink);
  else drawMask(picture, tag.name, Math.round(left), Math.round(y + (tag.height - tag.name.height) / 2), ink);
  const scoreLeft = x + tag.width - padding * fontSize - textWidth(tag.score, fontSize);
  for (const contours of textContours(tag.score, fontSize, scoreLeft, baseline))
    fillContours(picture, contours, ink, 0.88);
}

function drawMask(picture: Picture, mask: TextMask, left: number, top: number, ink: Rgb): void {
  for (let row = Math.max(0, -top); row < mask.height && top + row < picture.height; row++)
    for (let column = Math.max(0, -left); column < mask.width && left + column < picture.width; column++) {
      const share = mask.data[row * mask.width + column]! / 255;
      if (share > 0) blend(picture.data, ((top + row) * picture.width + left + column) * 3, ink, share);
    }
}

/** A score as people read it: "93%"; never "100%" for less than certainty. */
function percent(score: number): string {
  if (!(score >= 0 && score <= 1)) return "";
  return `${score < 1 ? Math.min(99, Math.round(score * 100)) : 100}%`;
}

/** As much of a text as fits, ending in "…" if not all does. */
function shortened(text: string, fontSize: number, room: number): string {
  if (textWidth(text, fontSize) <= room) return text;
  const characters = [...text].slice(0, 200);
  while (characters.length > 1 && textWidth(`${characters.join("")}…`, fontSize) > room) characters.pop();
  return `${characters.join("").trimEnd()}…`;
}
