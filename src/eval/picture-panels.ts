import type { Box } from "../detection/boxes.ts";
import { escapeText } from "./charts.ts";
import type { JudgedImage } from "./hardest-images.ts";

/**
 * A picture twice: with its labelled objects, and beside it with the detections.
 *
 * @param dataUrl of the picture; without it the boxes stand on an empty ground
 */
export function picturePanels(judged: JudgedImage, dataUrl?: string): string {
  const { image, objects, detections, missed, wrong } = judged;
  const all = [...objects, ...detections].map(({ box }) => box);
  const width = image.width ?? Math.max(1, ...all.map(({ xMax }) => xMax));
  const height = image.height ?? Math.max(1, ...all.map(({ yMax }) => yMax));
  const panel = (caption: string, boxes: string): string =>
    `<figure><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeText(caption)}">` +
    (dataUrl === undefined
      ? `<rect class="ground" width="${width}" height="${height}"/>`
      : `<image href="${escapeText(dataUrl)}" width="${width}" height="${height}" preserveAspectRatio="none"/>`) +
    `${boxes}</svg><figcaption>${escapeText(caption)}</figcaption></figure>`;
  const truth = objects.map(({ box, label, state }) => outlined(box, label, state, width));
  // Weak detections first, so that the strong ones lie on top.
  const found = detections
    .toReversed()
    .map(({ box, label, score, state, error }) =>
      outlined(box, `${label} ${score.toFixed(2)}${error === undefined ? "" : ` (${error})`}`, state, width),
    );
  const name = image.file_name ?? String(image.id);
  return (
    `<article class="picture"><h3>${escapeText(name)} <small>${missed} missed, ${wrong} wrong</small></h3><div class="panels">` +
    panel(`Ground truth: ${objects.length} objects`, truth.join("")) +
    panel(`Detections: ${detections.length}`, found.join("")) +
    `</div></article>`
  );
}

function outlined({ xMin, yMin, xMax, yMax }: Box, label: string, state: string, width: number): string {
  const size = width / 36;
  const below = yMin < size * 1.3;
  const y = below ? Math.max(yMin, 0) + size : yMin - size * 0.3;
  const at = (value: number): string => value.toFixed(1);
  // Near the right border a label runs to the left, or the border would cut it off.
  const leftwards = xMin > width * 0.7;
  const x = leftwards ? Math.min(xMax, width) - size * 0.2 : Math.max(xMin, 0) + size * 0.2;
  return (
    `<rect class="box ${state}" x="${at(xMin)}" y="${at(yMin)}" width="${at(Math.max(0, xMax - xMin))}" height="${at(Math.max(0, yMax - yMin))}" stroke-width="${at(width / 220)}"/>` +
    `<text class="box-label ${state}" x="${at(x)}" y="${at(y)}" text-anchor="${leftwards ? "end" : "start"}" font-size="${at(size)}" stroke-width="${at(size / 5)}">${escapeText(label)}</text>`
  );
}
