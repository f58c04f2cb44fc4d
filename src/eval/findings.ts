import type { ErrorKind } from "./error-kinds.ts";
import { errorKindNames } from "./error-kinds.ts";
import type { EvaluationReport } from "./report.ts";

const percent = (value: number): string => `${(value * 100).toFixed(1)}`;

const advice: Readonly<Record<ErrorKind, string>> = {
  class: "objects are found but named wrongly: more or cleaner labels of the classes that are confused",
  localisation:
    "boxes sit loosely: check how tightly the labels are drawn, and try a larger input or a longer training",
  both: "detections near an object with neither the right class nor a good box",
  duplicate:
    "objects are reported twice: a lower IoU threshold of the non-maximum suppression would remove the copies",
  background:
    "detections where nothing is labelled: look for objects that the labels forgot, or add pictures without objects",
  missed:
    "objects that no detection came near: look at their size and class below, and at the score threshold of the results",
};

/** What the numbers of a report amount to, the most rewarding first; each a sentence that can be acted on. */
export function findings(report: Omit<EvaluationReport, "findings">): string[] {
  const { errors, overall, breakdowns, confusion, calibration, summary, scoreThreshold } = report;
  if (report.boxes === 0)
    return ["The ground truth holds no objects that count: there is nothing to measure."];
  if (report.detections === 0) return ["There are no detections: every object counts as missed."];
  const found: string[] = [];
  const costs = errorKindNames
    .map((kind) => ({ kind, ...errors.kinds[kind] }))
    .filter(({ cost }) => cost > 0.005)
    .sort((a, b) => b.cost - a.cost);
  for (const { kind, count, cost } of costs.slice(0, 2))
    found.push(
      `${kind === "both" ? "Class-and-box" : kind[0]!.toUpperCase() + kind.slice(1)} errors cost most: repairing all ${count} would add ` +
        `${percent(cost)} points of AP${(report.reportIou * 100).toFixed(0)} (${advice[kind]}).`,
    );
  if (found.length > 1) found[1] = found[1]!.replace("cost most", "come next");
  const sizes =
    breakdowns.find(({ by }) => by === "size")?.parts.filter(({ AP, boxes }) => AP >= 0 && boxes >= 10) ?? [];
  const weakest = sizes.toSorted((a, b) => a.AP - b.AP)[0];
  const strongest = sizes.toSorted((a, b) => b.AP - a.AP)[0];
  if (weakest && strongest && strongest.AP - weakest.AP > 0.1)
    found.push(
      `The ${weakest.boxes} ${weakest.name} objects do worst: AP ${percent(weakest.AP)} against ${percent(strongest.AP)} for ${strongest.name} ones` +
        `${weakest.name === "small" ? " (a larger input size helps these)" : ""}.`,
    );
  const K = confusion.names.length;
  let pair: { row: number; column: number; count: number } | undefined;
  for (let row = 0; row < K; row++)
    for (let column = 0; column < K; column++)
      if (row !== column && confusion.counts[row]![column]! > (pair?.count ?? 2))
        pair = { row, column, count: confusion.counts[row]![column]! };
  if (pair)
    found.push(
      `${confusion.names[pair.row]} is taken for ${confusion.names[pair.column]} most often (${pair.count} times at a score of at least ${scoreThreshold.toFixed(2)}).`,
    );
  const low = summary.perClass
    .filter(({ AP, boxes }) => AP >= 0 && boxes >= 5)
    .toSorted((a, b) => a.AP - b.AP)[0];
  if (low && summary.AP > 0 && low.AP < summary.AP * 0.6)
    found.push(
      `The weakest class is ${low.name}: AP ${percent(low.AP)} on ${low.boxes} objects, against ${percent(summary.AP)} on average.`,
    );
  if (overall.best)
    found.push(
      `For use, a score threshold of ${overall.best.score.toFixed(2)} gives the best F1: of the detections ${percent(overall.best.precision)} % are right, ` +
        `and ${percent(overall.best.recall)} % of the objects are found. The best threshold of each class is in its table.`,
    );
  if (calibration.expectedError > 0.1) {
    const bins = calibration.bins.filter(({ detections }) => detections > 0);
    const excess = bins.reduce(
      (sum, { detections, meanScore, precision }) => sum + detections * (meanScore - precision),
      0,
    );
    found.push(
      `Scores are not probabilities: on average they are ${percent(calibration.expectedError)} points ${excess > 0 ? "too high" : "too low"}; do not read 0.7 as "right seven times in ten".`,
    );
  }
  return found;
}
