import { escapeText } from "./charts.ts";
import { reportStyle } from "./report-style.ts";

/** A whole HTML page around its parts. */
export function page(title: string, parts: readonly string[]): string {
  return (
    `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">` +
    `<title>${escapeText(title)}</title><style>${reportStyle}</style></head>\n<body><main>\n${parts.filter((part) => part !== "").join("\n")}\n</main></body></html>\n`
  );
}

/** A number from 0 to 1 as percent with one decimal; a dash where it does not exist (−1). */
export function points(value: number): string {
  return value < 0 ? "–" : (value * 100).toFixed(1);
}

/** A table whose first column is text and whose others are numbers; cells are HTML already. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return (
    `<div class="scroll"><table><thead><tr>${head.map((cell) => `<th>${cell}</th>`).join("")}</tr></thead><tbody>` +
    `${rows.map((row) => `<tr>${row.map((cell) => `<td>${cell}</td>`).join("")}</tr>`).join("")}</tbody></table></div>`
  );
}

/** A part of the page under its headline. */
export function section(title: string, ...content: string[]): string {
  return `<section><h2>${escapeText(title)}</h2>${content.join("")}</section>`;
}
