import { escapeText, type Series } from "../eval/charts.ts";

/** One line of a {@link curveChart}: any numbers along any numbers. */
export interface Curve extends Omit<Series, "points"> {
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** Points of a line that are drawn at most. */
const mostPoints = 400;

/**
 * Lines over plain axes from 0 (or the least value) to a round number, as an SVG element.
 *
 * @param options.top the highest value of the upright axis; default: a round number above all values
 */
export function curveChart(
  curves: readonly Curve[],
  options: { readonly title: string; readonly x: string; readonly y: string; readonly top?: number },
): string {
  const { title, x, y } = options;
  const [width, height] = [460, 260];
  const frame = { left: 52, right: 14, top: 12, bottom: 38 };
  const all = curves.flatMap(({ points }) => points);
  const right = Math.max(1, ...all.map(([at]) => at));
  const stepY = roundStep((options.top ?? Math.max(1e-9, ...all.map(([, value]) => value))) / 4);
  const top = options.top ?? Math.ceil(Math.max(1e-9, ...all.map(([, value]) => value)) / stepY) * stepY;
  const stepX = Math.max(1, roundStep(right / 6));
  const toX = (value: number): string =>
    (frame.left + (value / right) * (width - frame.left - frame.right)).toFixed(1);
  const toY = (value: number): string =>
    (height - frame.bottom - (Math.min(value, top) / top) * (height - frame.top - frame.bottom)).toFixed(1);
  const grid = ticks(top, stepY).map(
    (value) => `<path class="grid" d="M${toX(0)} ${toY(value)}H${toX(right)}"/><text class="tick" x="${frame.left - 6}" y="${Number(toY(value)) + 3.5}" text-anchor="end">${label(value)}</text>`,
  ); // prettier-ignore
  const marks = ticks(right, stepX).map(
    (value) =>
      `<text class="tick" x="${toX(value)}" y="${height - frame.bottom + 14}" text-anchor="middle">${label(value)}</text>`,
  );
  const lines = curves
    .filter(({ points }) => points.length > 0)
    .map(({ points, colour, dashed }) => `<path class="line c${colour}${dashed ? " dashed" : ""}" d="M${thinned(points).map(([a, b]) => `${toX(a)} ${toY(b)}`).join("L")}${points.length === 1 ? dot : ""}"/>`); // prettier-ignore
  const axes =
    `<text class="axis" x="${width / 2}" y="${height - 6}" text-anchor="middle">${escapeText(x)}</text>` +
    `<text class="axis" transform="translate(12 ${height / 2}) rotate(-90)" text-anchor="middle">${escapeText(y)}</text>`;
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeText(title)}"><title>${escapeText(title)}</title>${grid.join("")}${marks.join("")}${lines.join("")}${axes}</svg>`;
}

/** What makes a line of one point seen: the rest of its element's attributes. */
const dot = `h.01" stroke-linecap="round" style="stroke-width:5`;

/** 1, 2 or 5 times a power of ten, not below `value`. */
function roundStep(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * (value / power <= 1 ? 1 : value / power <= 2 ? 2 : value / power <= 5 ? 5 : 10);
}

function ticks(last: number, step: number): number[] {
  return Array.from({ length: Math.floor(last / step + 1e-9) + 1 }, (_, i) => i * step);
}

function label(value: number): string {
  return value !== 0 && Math.abs(value) < 1e-3
    ? value.toExponential(0)
    : String(Number(value.toPrecision(3)));
}

/** Fewer points for the same look: means of neighbours. */
function thinned(points: Curve["points"]): Curve["points"] {
  if (points.length <= mostPoints) return points;
  const size = points.length / mostPoints;
  return Array.from({ length: mostPoints }, (_, i) => {
    const own = points.slice(Math.floor(i * size), Math.floor((i + 1) * size));
    const mean = (axis: 0 | 1): number => own.reduce((sum, point) => sum + point[axis], 0) / own.length;
    return [mean(0), mean(1)] as const;
  });
}
