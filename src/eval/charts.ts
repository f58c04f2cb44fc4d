/** Text as it may stand in HTML and SVG, in content and in attributes. */
export function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** One line of a {@link lineChart}. */
export interface Series {
  readonly label: string;
  /** Both from 0 to 1. */
  readonly points: readonly (readonly [x: number, y: number])[];
  /** 1 to 4: the colour of the style sheet. */
  readonly colour: number;
  readonly dashed?: boolean;
}

/** A point that a {@link lineChart} marks and names. */
export interface Mark {
  readonly x: number;
  readonly y: number;
  readonly label: string;
}

/** Coordinates with one decimal: a tenth of a pixel is below what a screen shows. */
function short(value: number): string {
  return String(Math.round(value * 10) / 10);
}

/** Lines over a plane from 0 to 1 both ways, as an SVG element of `width` by `height`. */
export function lineChart(
  series: readonly Series[],
  options: {
    title: string;
    x: string;
    y: string;
    marks?: readonly Mark[];
    width?: number;
    height?: number;
    compact?: boolean;
  },
): string {
  const { title, x, y, marks = [], width = 420, height = 300, compact = false } = options;
  const frame = compact
    ? { left: 22, right: 8, top: 8, bottom: 18 }
    : { left: 44, right: 16, top: 14, bottom: 40 };
  const toX = (value: number): number => frame.left + value * (width - frame.left - frame.right);
  const toY = (value: number): number => height - frame.bottom - value * (height - frame.top - frame.bottom);
  const steps = compact ? [0, 0.5, 1] : [0, 0.2, 0.4, 0.6, 0.8, 1];
  const grid = steps
    .map(
      (step) =>
        `<path class="grid" d="M${short(toX(step))} ${short(toY(0))}V${short(toY(1))}M${short(toX(0))} ${short(toY(step))}H${short(toX(1))}"/>` +
        `<text class="tick" x="${short(toX(step))}" y="${short(toY(0) + 13)}" text-anchor="middle">${step}</text>` +
        `<text class="tick" x="${short(toX(0) - 5)}" y="${short(toY(step) + 3.5)}" text-anchor="end">${step}</text>`,
    )
    .join("");
  const lines = series
    .filter(({ points }) => points.length > 0)
    .map(
      ({ points, colour, dashed }) =>
        `<path class="line c${colour}${dashed ? " dashed" : ""}" d="M${points.map(([a, b]) => `${short(toX(a))} ${short(toY(b))}`).join("L")}"/>`,
    )
    .join("");
  const dots = marks
    .map(({ x: a, y: b, label }) => {
      const leftwards = a > 0.6;
      return (
        `<circle class="mark" cx="${short(toX(a))}" cy="${short(toY(b))}" r="${compact ? 3 : 4.5}"/>` +
        (compact
          ? ""
          : `<text class="note" x="${short(toX(a) + (leftwards ? -9 : 9))}" y="${short(toY(b) - 8)}" text-anchor="${leftwards ? "end" : "start"}">${escapeText(label)}</text>`)
      );
    })
    .join("");
  const axes = compact
    ? ""
    : `<text class="axis" x="${short(toX(0.5))}" y="${height - 8}" text-anchor="middle">${escapeText(x)}</text>` +
      `<text class="axis" transform="translate(12 ${short(toY(0.5))}) rotate(-90)" text-anchor="middle">${escapeText(y)}</text>`;
  return (
    `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeText(title)}"><title>${escapeText(title)}</title>` +
    `${grid}${lines}${dots}${axes}</svg>`
  );
}

/** The names of the lines of a chart, in their colours. */
export function legend(series: readonly Pick<Series, "label" | "colour" | "dashed">[]): string {
  const items = series.map(
    ({ label, colour, dashed }) =>
      `<li><svg viewBox="0 0 24 8" class="key"><path class="line c${colour}${dashed ? " dashed" : ""}" d="M1 4H23"/></svg>${escapeText(label)}</li>`,
  );
  return `<ul class="legend">${items.join("")}</ul>`;
}

/** One bar of {@link bars}; `text` stands beside it. */
export interface Bar {
  readonly label: string;
  /** −1 (does not exist) draws none. */
  readonly value: number;
  readonly text: string;
}

/** Bars lying one below the other, each with its name and value. */
export function bars(
  items: readonly Bar[],
  title: string,
  most = Math.max(...items.map(({ value }) => value), 1e-9),
): string {
  const [width, row, left, right] = [560, 26, 190, 150];
  const rows = items
    .map(({ label, value, text }, i) => {
      const length = Math.max(0, (value / most) * (width - left - right));
      const y = i * row;
      return (
        `<text class="axis" x="${left - 10}" y="${y + 17}" text-anchor="end">${escapeText(label)}</text>` +
        `<rect class="bar" x="${left}" y="${y + 5}" width="${short(Math.max(length, value > 0 ? 1 : 0))}" height="${row - 10}" rx="2"/>` +
        `<text class="tick" x="${short(left + length + 8)}" y="${y + 17}">${escapeText(text)}</text>`
      );
    })
    .join("");
  return `<svg viewBox="0 0 ${width} ${items.length * row + 4}" role="img" aria-label="${escapeText(title)}"><title>${escapeText(title)}</title>${rows}</svg>`;
}

/** A bar within a table cell, 0 to 1; nothing for −1. */
export function cellBar(value: number): string {
  if (value < 0) return "";
  return `<svg viewBox="0 0 100 10" class="cell" preserveAspectRatio="none" aria-hidden="true"><rect class="trough" width="100" height="10"/><rect class="bar" width="${short(value * 100)}" height="10"/></svg>`;
}

/**
 * Counts in a square of cells, darker for more; `shade` gives each its share from 0 to 1.
 *
 * @param names of rows and columns, the same for both
 */
export function heatmap(
  names: readonly string[],
  counts: readonly (readonly number[])[],
  shade: (row: number, column: number) => number,
  title: string,
): string {
  const cell = names.length > 16 ? 22 : 34;
  const left = Math.min(170, 14 + Math.max(...names.map((name) => name.length)) * 7);
  const top = left;
  const size = cell * names.length;
  const cells = counts
    .flatMap((row, r) =>
      row.map((count, c) => {
        if (count === 0) return "";
        const strength = Math.max(0.06, shade(r, c));
        const [x, y] = [left + c * cell, top + r * cell];
        return (
          `<g><title>${escapeText(`${names[r]} taken for ${names[c]}: ${count}`)}</title>` +
          `<rect class="${r === c ? "good" : "bad"}" x="${x}" y="${y}" width="${cell}" height="${cell}" fill-opacity="${strength.toFixed(2)}"/>` +
          `<text class="count${strength > 0.55 ? " strong" : ""}" x="${x + cell / 2}" y="${y + cell / 2 + 3.5}" text-anchor="middle">${count > 9999 ? `${Math.round(count / 1000)}k` : count}</text></g>`
        );
      }),
    )
    .join("");
  const labels = names
    .map(
      (name, i) =>
        `<text class="tick" x="${left - 6}" y="${top + i * cell + cell / 2 + 3.5}" text-anchor="end">${escapeText(name)}</text>` +
        `<text class="tick" transform="translate(${left + i * cell + cell / 2 + 3.5} ${top - 6}) rotate(-60)">${escapeText(name)}</text>`,
    )
    .join("");
  const lines = Array.from(
    { length: names.length + 1 },
    (_, i) => `M${left} ${top + i * cell}h${size}M${left + i * cell} ${top}v${size}`,
  ).join("");
  const width = left + size + 60;
  return (
    `<svg viewBox="0 0 ${width} ${top + size + 6}" style="max-width:${width}px" role="img" aria-label="${escapeText(title)}"><title>${escapeText(title)}</title>` +
    `<path class="grid" d="${lines}"/>${cells}${labels}</svg>`
  );
}
