import type { Comparison } from "./comparison.ts";
import type { EvaluationSummary } from "./result.ts";
import { summaryNames } from "./result.ts";

const shown = (value: number): string => (value < 0 ? "-1" : value.toFixed(3));

/**
 * A result as lines for a terminal: the numbers that exist, then the classes, the best first.
 *
 * @param classes how many to list; the rest is counted
 */
export function evaluationText(evaluation: EvaluationSummary, classes = Infinity): string {
  const names = summaryNames.filter((name) => evaluation[name] > -1 || name === "AP");
  const head = names.map((name) => `${name.padEnd(6)}${shown(evaluation[name])}`);
  const existing = evaluation.perClass.filter(({ boxes }) => boxes > 0).sort((a, b) => b.AP - a.AP);
  const rows = existing
    .slice(0, classes)
    .map(({ name, AP, AP50, AR100, boxes, images }) => [
      name,
      shown(AP),
      shown(AP50),
      shown(AR100),
      String(boxes),
      String(images),
    ]);
  const rest = existing.length - rows.length;
  return [
    `metric ${evaluation.metric}`,
    ...head,
    "",
    ...aligned([["class", "AP", "AP50", "AR100", "boxes", "images"], ...rows]),
    ...(rest > 0 ? [`and ${rest} more`] : []),
  ].join("\n");
}

/** A comparison as lines for a terminal: the verdict, the twelve numbers, the classes that differ most. */
export function comparisonText(comparison: Comparison, classes = 10): string {
  const { a, b, perClass, verdict } = comparison;
  const signed = (value: number): string => `${value < 0 ? "-" : "+"}${Math.abs(value).toFixed(3)}`;
  const interval = ([low, high]: readonly [number, number]): string => `${signed(low)} to ${signed(high)}`;
  return [
    verdict,
    "",
    ...aligned([
      ["", "A", "B", "B - A"],
      ...summaryNames
        .filter((name) => a[name] > -1)
        .map((name) => [name, shown(a[name]), shown(b[name]), signed(b[name] - a[name])]),
    ]),
    "",
    ...aligned([
      ["class", "A", "B", "B - A", "interval", "real"],
      ...perClass
        .slice(0, classes)
        .map((item) => [
          item.name,
          shown(item.a),
          shown(item.b),
          signed(item.difference),
          interval(item.interval),
          item.real ? "yes" : "no",
        ]),
    ]),
  ].join("\n");
}

/** Columns padded to their widest cell: the first to the left, the others to the right. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)))
      .join("  "),
  );
}
