import type { Box } from "../detection/index.ts";

/** A label to be placed: the box that it belongs to, outer edge of its line, and the label's own size, in pixels. */
export interface LabelRequest {
  readonly box: Box;
  readonly width: number;
  readonly height: number;
}

/** Top left corner of a placed label, whole pixels; `attached`: which edge of its box it sits on. */
export interface LabelPlace {
  readonly x: number;
  readonly y: number;
  readonly attached: "above" | "insideTop" | "below" | "insideBottom" | "side";
}

/**
 * Places for labels, so that each touches its box, lies wholly in the picture and covers no other label: earlier
 * requests choose first. On top of the box's upper edge, flush left, if nothing speaks against it; else along that edge,
 * just inside, below, inside the lower edge, or down the left side, wherever the least of all boxes is hidden.
 *
 * @param picture width and height
 * @param inset width of the boxes' lines: how far inside an inner label starts
 * @returns one for each request, in order; undefined where there is no room, so that label is left out
 */
export function placeLabels(
  requests: readonly LabelRequest[],
  picture: { readonly width: number; readonly height: number },
  inset: number,
): (LabelPlace | undefined)[] {
  const taken: Box[] = [];
  return requests.map(({ box, width, height }) => {
    if (width > picture.width || height > picture.height) return undefined;
    let best: { place: LabelPlace; area: Box; cost: number } | undefined;
    for (const { x, y, attached, reluctance } of candidates(box, width, height, inset)) {
      if (best !== undefined && reluctance >= best.cost) continue;
      const left = Math.round(Math.min(Math.max(x, 0), picture.width - width));
      const top = Math.round(y);
      if (top < 0 || top + height > picture.height) continue;
      const area = { xMin: left, yMin: top, xMax: left + width, yMax: top + height };
      if (taken.some((other) => meet(area, other))) continue;
      const cost = requests.reduce((sum, request) => sum + hidden(request.box, area), reluctance);
      if (best === undefined || cost < best.cost) best = { place: { x: left, y: top, attached }, area, cost };
    }
    if (best !== undefined) taken.push(best.area);
    return best?.place;
  });
}

/** In the order of preference; `reluctance` is in shares of a box hidden. */
function* candidates(
  box: Box,
  width: number,
  height: number,
  inset: number,
): Generator<LabelPlace & { readonly reluctance: number }> {
  const rows = [
    ["above", box.yMin - height, 0, 0],
    ["insideTop", box.yMin + inset, inset, 0.1],
    ["below", box.yMax, 0, 0.15],
    ["insideBottom", box.yMax - inset - height, inset, 0.2],
  ] as const;
  for (const [attached, y, indent, base] of rows) {
    let reluctance = base;
    for (const x of steps(box.xMin + indent, box.xMax - indent - width, height / 2)) {
      yield { x, y, attached, reluctance };
      reluctance += 0.01;
    }
    // A box narrower than its label: flush right is a choice too.
    if (box.xMax - box.xMin < width) yield { x: box.xMax - indent - width, y, attached, reluctance };
  }
  for (const y of steps(box.yMin + inset, box.yMax - inset - height, height / 2))
    yield { x: box.xMin + inset, y, attached: "side", reluctance: 0.3 };
}

/** The share of a box that a label hides. */
function hidden(box: Box, label: Box): number {
  const width = Math.min(box.xMax, label.xMax) - Math.max(box.xMin, label.xMin);
  const height = Math.min(box.yMax, label.yMax) - Math.max(box.yMin, label.yMin);
  if (!(width > 0 && height > 0)) return 0;
  return (width * height) / ((box.xMax - box.xMin) * (box.yMax - box.yMin));
}

/** From `start` to `end` in steps of at most `step`; only the start if the end does not lie beyond it. */
function* steps(start: number, end: number, step: number): Generator<number> {
  yield start;
  const count = Math.min(32, Math.ceil((end - start) / step));
  for (let i = 1; i <= count; i++) yield start + ((end - start) * i) / count;
}

/** Whether two boxes share area, or all but touch (a pixel stays between labels). */
function meet(a: Box, b: Box): boolean {
  return a.xMin < b.xMax + 1 && b.xMin < a.xMax + 1 && a.yMin < b.yMax + 1 && b.yMin < a.yMax + 1;
}
