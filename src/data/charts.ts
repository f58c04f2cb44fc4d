import type { Histogram } from "./histogram.ts";

/** Text that is safe inside HTML and SVG, in elements and in quoted attributes. */
export function escapeHtml(text: string): string {
  const marks: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
  };
  return text.replace(/[&<>"']/g, (mark) => marks[mark]!);
}

/** A number with at most three digits that tell something, thousands apart. */
export function shortNumber(value: number): string {
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "–";
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return Number(value.toPrecision(3)).toLocaleString("en", { maximumFractionDigits: 4 });
}

/** A share as a percentage. */
export function percent(share: number): string {
  return Number.isNaN(share) ? "–" : `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
}

/** One bar of {@link barChart}. */
export interface Bar {
  readonly label: string;
  readonly value: number;
  /** What stands behind the bar; default the value. */
  readonly note?: string;
}

/** Horizontal bars, one line each, as an SVG that takes its colours from the page (`--ink`, `--muted`, `--accent`). */
export function barChart(bars: readonly Bar[], title: string): string {
  const row = 22;
  const [labelWidth, barWidth, width] = [150, 250, 640];
  const largest = Math.max(1, ...bars.map(({ value }) => value));
  const lines = bars.map(({ label, value, note }, at) => {
    const y = at * row;
    const length = (value / largest) * barWidth;
    const short = label.length > 22 ? `${label.slice(0, 21)}…` : label;
    return (
      `<text x="${labelWidth - 8}" y="${y + 15}" text-anchor="end">${escapeHtml(short)}</text>` +
      `<rect x="${labelWidth}" y="${y + 4}" width="${Math.max(value > 0 ? 1 : 0, length).toFixed(1)}" height="14" rx="2"><title>${escapeHtml(`${label}: ${note ?? shortNumber(value)}`)}</title></rect>` +
      `<text class="muted" x="${labelWidth + length + 6}" y="${y + 15}">${escapeHtml(note ?? shortNumber(value))}</text>`
    );
  });
  const height = Math.max(1, bars.length) * row + 4;
  return `<svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(title)}">${lines.join("")}</svg>`;
}

/**
 * Vertical bars of a histogram, with the edges below and the counts above.
 *
 * @param options.highlight bins whose lower edge passes this are drawn in the accent colour, the others muted
 */
export function histogramChart(
  { edges, counts }: Histogram,
  title: string,
  options: { readonly highlight?: (lower: number) => boolean } = {},
): string {
  const { highlight = () => true } = options;
  const [width, height, bottom, top] = [640, 190, 24, 18];
  const step = width / Math.max(1, counts.length);
  const largest = Math.max(1, ...counts);
  const bars = counts.map((count, at) => {
    const tall = (count / largest) * (height - bottom - top);
    const x = at * step;
    const range = `${shortNumber(edges[at]!)} – ${shortNumber(edges[at + 1]!)}`;
    return (
      `<rect ${highlight(edges[at]!) ? "" : 'class="faint" '}x="${(x + 2).toFixed(1)}" y="${(height - bottom - tall).toFixed(1)}" width="${(step - 4).toFixed(1)}" height="${tall.toFixed(1)}" rx="2"><title>${range}: ${shortNumber(count)}</title></rect>` +
      (count > 0
        ? `<text class="muted" x="${(x + step / 2).toFixed(1)}" y="${(height - bottom - tall - 4).toFixed(1)}" text-anchor="middle">${shortNumber(count)}</text>`
        : "") +
      `<text class="muted" x="${(x + 1).toFixed(1)}" y="${height - 8}">${shortNumber(edges[at]!)}</text>`
    );
  });
  return `<svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(title)}"><line x1="0" x2="${width}" y1="${height - bottom}" y2="${height - bottom}"/>${bars.join("")}</svg>`;
}
