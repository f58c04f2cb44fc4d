import { escapeText } from "./charts.ts";
import type { Comparison, Difference } from "./comparison.ts";
import { page, points, section, table } from "./html-page.ts";
import { summaryNames } from "./result.ts";

/** The comparison as a page of its own, in the manner of reports. */
export function comparisonHtml(
  comparison: Comparison,
  names: readonly [a: string, b: string] = ["A", "B"],
): string {
  const title = `${names[0]} against ${names[1]}`;
  return page(title, [
    `<h1>${escapeText(title)}</h1>`,
    `<p class="soft">A: ${escapeText(names[0])}; B: ${escapeText(names[1])}</p>`,
    comparisonSection(comparison),
  ]);
}

/** The comparison as a part of a page. */
export function comparisonSection({
  a,
  b,
  AP,
  AP50,
  perClass,
  samples,
  confidence,
  images,
  verdict,
}: Comparison): string {
  const row = (name: string, difference: Difference): string[] => [
    escapeText(name),
    points(difference.a),
    points(difference.b),
    signed(difference.difference),
    `${signed(difference.interval[0])} to ${signed(difference.interval[1])}`,
    difference.real ? `<b class="yes">yes</b>` : `<span class="no">not shown</span>`,
  ];
  const head = ["", "A", "B", "B − A", `${(confidence * 100).toFixed(0)} % interval`, "real?"];
  return section(
    "Is B better than A?",
    `<p><b>${escapeText(verdict)}</b></p>`,
    `<p class="soft">Paired bootstrap: both evaluated on ${samples} drawings of ${images} pictures with replacement.</p>`,
    forest([{ name: "AP", ...AP }, { name: "AP50", ...AP50 }, ...perClass.slice(0, 20)]),
    table(head, [row("AP", AP), row("AP50", AP50), ...perClass.map((item) => row(item.name, item))]),
    `<details><summary>All twelve numbers</summary>${table(
      ["", "A", "B", "B − A"],
      summaryNames.map((name) => [
        name,
        points(a[name]),
        points(b[name]),
        a[name] < 0 ? "–" : signed(b[name] - a[name]),
      ]),
    )}</details>`,
  );
}

function signed(value: number): string {
  return `${value > 0 ? "+" : value < 0 ? "−" : ""}${Math.abs(value * 100).toFixed(2)}`;
}

/** Differences with their intervals around a line at zero. */
function forest(items: readonly (Difference & { readonly name: string })[]): string {
  const reach = Math.max(
    0.01,
    ...items.flatMap(({ interval, difference }) => [...interval, difference].map(Math.abs)),
  );
  const [width, row, left] = [640, 24, 170];
  const toX = (value: number): string => (left + ((value / reach + 1) / 2) * (width - left - 20)).toFixed(1);
  const rows = items.map(({ name, difference, interval, real }, i) => {
    const y = i * row + 14;
    const colour = real ? (difference > 0 ? "c3" : "c2") : "c4";
    return (
      `<text class="axis" x="${left - 10}" y="${y + 4}" text-anchor="end">${escapeText(name)}</text>` +
      `<path class="line ${colour}" d="M${toX(interval[0])} ${y}H${toX(interval[1])}"/>` +
      `<circle class="line ${colour}" cx="${toX(difference)}" cy="${y}" r="3.5"/>`
    );
  });
  const height = items.length * row + 24;
  return (
    `<div style="max-width:46rem"><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="Differences with intervals">` +
    `<path class="grid" d="M${toX(0)} 0V${height - 18}"/>${rows.join("")}` +
    [-reach, 0, reach]
      .map(
        (value) =>
          `<text class="tick" x="${toX(value)}" y="${height - 4}" text-anchor="middle">${signed(value)}</text>`,
      )
      .join("") +
    `</svg></div>`
  );
}
