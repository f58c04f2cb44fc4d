import type { Bar, Series } from "./charts.ts";
import { bars, cellBar, escapeText, heatmap, legend, lineChart } from "./charts.ts";
import type { CocoImage } from "./coco-format.ts";
import type { Comparison } from "./comparison.ts";
import { comparisonSection } from "./comparison-html.ts";
import type { ConfusionMatrix } from "./confusion.ts";
import { errorKindNames } from "./error-kinds.ts";
import { page, points, section, table } from "./html-page.ts";
import { picturePanels } from "./picture-panels.ts";
import type { EvaluationReport } from "./report.ts";
import { summaryNames } from "./result.ts";
import type { ScoreCurve } from "./score-curves.ts";

/** What a page takes besides the report itself. */
export interface ReportPageOptions {
  /** Gives a picture as a `data:` URL, or undefined where it cannot; without it, boxes are drawn on an empty ground. */
  readonly picture?: (image: CocoImage) => Promise<string | undefined> | string | undefined;
  /** A comparison to show first. */
  readonly comparison?: Comparison;
  /** A line at the end, such as what was run and when. */
  readonly footer?: string;
}

/**
 * The report as one HTML file that needs nothing else: charts are SVG, there are no scripts, and it follows the
 * reader's light or dark setting.
 */
export async function reportHtml(report: EvaluationReport, options: ReportPageOptions = {}): Promise<string> {
  const pictures: string[] = [];
  // One after the other: a page's pictures at once would be a burst of memory.
  for (const judged of report.worst)
    pictures.push(picturePanels(judged, (await options.picture?.(judged.image)) ?? undefined));
  return page(report.title, [
    `<h1>${escapeText(report.title)}</h1>`,
    `<p class="soft">${count(report.images, "picture")}, ${count(report.boxes, "object")}, ${count(report.detections, "detection")}; metric: ${escapeText(report.summary.metric)}</p>`,
    alarms(report),
    tiles(report),
    options.comparison === undefined ? "" : comparisonSection(options.comparison),
    section(
      "What to do first",
      `<ol class="findings">${report.findings.map((text) => `<li>${escapeText(text)}</li>`).join("")}</ol>`,
    ),
    errorSection(report),
    curveSection(report),
    classSection(report),
    breakdownSection(report),
    confusionSection(report.confusion),
    calibrationSection(report),
    pictureSection(report, pictures),
    options.footer === undefined ? "" : `<p class="soft">${escapeText(options.footer)}</p>`,
  ]);
}

function count(number: number, noun: string): string {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

function alarms({ problems, warnings }: EvaluationReport): string {
  return [
    ...problems.map(({ message, hint }) => `${message}: ${hint}.`),
    ...warnings.map((text) => `${text}.`),
  ]
    .map((text) => `<p class="alarm">${escapeText(text)}</p>`)
    .join("");
}

const meanings: Readonly<Record<(typeof summaryNames)[number], string>> = {
  AP: "mean over IoU thresholds",
  AP50: "at IoU 0.5",
  AP75: "at IoU 0.75",
  APs: "small objects",
  APm: "medium objects",
  APl: "large objects",
  AR1: "recall, 1 a picture",
  AR10: "recall, 10 a picture",
  AR100: "recall, all",
  ARs: "recall, small",
  ARm: "recall, medium",
  ARl: "recall, large",
};

function tiles({ summary }: EvaluationReport): string {
  const shown = summaryNames.filter((name) => summary[name] >= 0 || name === "AP");
  return `<div class="tiles">${shown
    .map(
      (name) =>
        `<div class="tile${name === "AP" ? " main" : ""}"><b>${points(summary[name])}</b><span>${name}: ${meanings[name]}</span></div>`,
    )
    .join("")}</div>`;
}

const kindMeanings: Readonly<Record<string, string>> = {
  class: "right place, wrong class",
  localisation: "right class, loose box",
  both: "wrong class and loose box",
  duplicate: "found twice",
  background: "nothing there",
  missed: "not found",
};

function errorSection({ errors, reportIou }: EvaluationReport): string {
  const items = errorKindNames.map((kind): Bar => ({
    label: kindMeanings[kind]!,
    value: errors.kinds[kind].cost,
    text: `${points(errors.kinds[kind].cost)} (${count(errors.kinds[kind].count, "case")})`,
  }));
  return section(
    "What the errors cost",
    `<p>Points of AP at IoU ${reportIou} that repairing all errors of a kind would add (TIDE; the kinds overlap, so they do not add up to what is missing). ` +
      `All wrong detections together cost ${points(Math.max(0, errors.falsePositiveCost))} points, all objects not found ${points(Math.max(0, errors.falseNegativeCost))}.</p>`,
    `<div style="max-width:44rem">${bars(items, "AP lost to each kind of error")}</div>`,
  );
}

function pointsOf(
  { points }: ScoreCurve,
  x: "score" | "recall",
  y: "f1" | "precision" | "recall",
): [number, number][] {
  return points.map((point) => [Math.min(1, Math.max(0, point[x])), point[y]]);
}

function curveSection({ overall, reportIou }: EvaluationReport): string {
  const { best } = overall;
  const byScore: Series[] = [
    { label: "F1", points: pointsOf(overall, "score", "f1"), colour: 1 },
    { label: "precision", points: pointsOf(overall, "score", "precision"), colour: 3, dashed: true },
    { label: "recall", points: pointsOf(overall, "score", "recall"), colour: 2, dashed: true },
  ];
  const marks = (x: "score" | "recall", y: "f1" | "precision") =>
    best === undefined
      ? []
      : [
          {
            x: Math.min(1, best[x]),
            y: best[y],
            label: `score ${best.score.toFixed(2)}: F1 ${best.f1.toFixed(2)}`,
          },
        ];
  return section(
    "Choosing a score threshold",
    `<p>All classes together, at IoU ${reportIou}. The mark is the threshold of the best F1.</p><div class="charts"><figure>`,
    lineChart([{ label: "all classes", points: pointsOf(overall, "recall", "precision"), colour: 1 }], {
      title: "Precision over recall",
      x: "recall",
      y: "precision",
      marks: marks("recall", "precision"),
    }),
    `</figure><figure>`,
    lineChart(byScore, {
      title: "F1, precision and recall by score threshold",
      x: "score threshold",
      y: "",
      marks: marks("score", "f1"),
    }),
    `${legend(byScore)}</figure></div>`,
  );
}

function classSection({ summary, curves }: EvaluationReport): string {
  const order = summary.perClass
    .map((item, k) => ({ ...item, curve: curves[k]! }))
    .filter(({ boxes, curve }) => boxes > 0 || curve.points.length > 0)
    .sort((a, b) => b.AP - a.AP);
  const rows = order.map(({ name, AP, AP50, AR100, boxes, images, curve: { best } }) => [
    escapeText(name),
    cellBar(AP),
    points(AP),
    points(AP50),
    points(AR100),
    best?.score.toFixed(2) ?? "–",
    best === undefined ? "–" : points(best.precision),
    best === undefined ? "–" : points(best.recall),
    String(boxes),
    String(images),
  ]);
  const small = order
    .filter(({ curve }) => curve.points.length > 0)
    .map(
      ({ name, AP50, curve }) =>
        `<figure>${lineChart(
          [
            { label: name, points: pointsOf(curve, "recall", "precision"), colour: 1 },
            { label: "F1", points: pointsOf(curve, "score", "f1"), colour: 2, dashed: true },
          ],
          {
            title: `Precision over recall: ${name}`,
            x: "",
            y: "",
            width: 170,
            height: 120,
            compact: true,
            marks: curve.best ? [{ x: curve.best.recall, y: curve.best.precision, label: "" }] : [],
          },
        )}` + `<figcaption><b>${escapeText(name)}</b> AP50 ${points(AP50)}</figcaption></figure>`,
    );
  const key = legend([
    { label: "precision over recall", colour: 1 },
    { label: "F1 over score threshold", colour: 2, dashed: true },
  ]);
  return section(
    "Classes",
    table(
      [
        "class",
        "",
        "AP",
        "AP50",
        "AR",
        "best threshold",
        "precision there",
        "recall there",
        "objects",
        "pictures",
      ],
      rows,
    ),
    `<details${order.length <= 24 ? " open" : ""}><summary>Curves of every class</summary>${key}<div class="small-charts">${small.join("")}</div></details>`,
  );
}

function breakdownSection({ breakdowns, summary }: EvaluationReport): string {
  const content = breakdowns.map(({ title, parts }) => {
    const existing = parts.filter(({ boxes }) => boxes > 0);
    const classes = summary.perClass
      .map(({ name, boxes }, k) => ({ name, boxes, k }))
      .filter(({ boxes }) => boxes > 0);
    return (
      `<h3>${escapeText(title)}</h3>` +
      table(
        ["", "", "AP", "AP50", "AR", "objects"],
        existing.map(({ name, AP, AP50, AR100, boxes }) => [
          escapeText(name),
          cellBar(AP),
          points(AP),
          points(AP50),
          points(AR100),
          String(boxes),
        ]),
      ) +
      `<details><summary>AP of every class</summary>${table(
        ["class", ...existing.map(({ name }) => escapeText(name))],
        classes.map(({ name, k }) => [
          escapeText(name),
          ...existing.map(({ perClassAP }) => points(perClassAP[k]!)),
        ]),
      )}</details>`
    );
  });
  return section("Which objects", ...content);
}

const MOST_MATRIX_CLASSES = 30;

function confusionSection({ names, counts, scoreThreshold, iouThreshold }: ConfusionMatrix): string {
  const K = names.length;
  const all = [...names, "background"];
  const pairs = counts
    .flatMap((row, r) => row.map((count, c) => ({ r, c, count })))
    .filter(({ r, c, count }) => r !== c && count > 0)
    .sort((a, b) => b.count - a.count);
  const mixed = pairs.filter(({ r, c }) => r < K && c < K).slice(0, 12);
  // Of many classes, those with most mistakes.
  const mistakes = names.map(
    (_, k) =>
      counts[k]!.reduce((a, b) => a + b, 0) -
      counts[k]![k]! +
      counts.reduce((sum, row) => sum + row[k]!, 0) -
      counts[k]![k]!,
  );
  const shown = [...names.keys()]
    .sort((a, b) => mistakes[b]! - mistakes[a]!)
    .slice(0, MOST_MATRIX_CLASSES)
    .sort((a, b) => a - b)
    .concat(K);
  const picked = shown.map((r) => shown.map((c) => counts[r]![c]!));
  const sums = shown.map((r) => counts[r]!.reduce((a, b) => a + b, 0));
  return section(
    "What is taken for what",
    `<p>Detections with a score of at least ${scoreThreshold.toFixed(2)}, at IoU ${iouThreshold}. Rows: what it is; columns: what it was taken for. ` +
      `The last column holds objects that were missed, the last row detections with nothing (left) behind them. Shades are shares of the row.` +
      `${K > MOST_MATRIX_CLASSES ? ` Of ${K} classes the ${MOST_MATRIX_CLASSES} with most mistakes are shown.` : ""}</p>`,
    heatmap(
      shown.map((k) => all[k]!),
      picked,
      (r, c) => picked[r]![c]! / Math.max(1, sums[r]!),
      "Confusion matrix",
    ),
    mixed.length === 0
      ? ""
      : `<h3>Most frequent mix-ups</h3>${table(
          ["is", "taken for", "times"],
          mixed.map(({ r, c, count }) => [escapeText(all[r]!), escapeText(all[c]!), String(count)]),
        )}`,
  );
}

function calibrationSection({
  calibration: { bins, expectedError, iouThreshold },
}: EvaluationReport): string {
  const existing = bins.filter(({ detections }) => detections > 0);
  const series: Series[] = [
    {
      label: "these scores",
      points: existing.map(({ meanScore, precision }) => [Math.min(1, Math.max(0, meanScore)), precision]),
      colour: 1,
    },
    {
      label: "scores that are probabilities",
      points: [
        [0, 0],
        [1, 1],
      ],
      colour: 4,
      dashed: true,
    },
  ];
  return section(
    "Are scores probabilities?",
    `<p>Share of detections that are right (IoU ${iouThreshold}) by score. Below the dashed line scores promise too much. Mean distance: ${points(expectedError)} points.</p>`,
    `<div class="charts"><figure>${lineChart(series, { title: "Calibration", x: "mean score", y: "share that is right" })}${legend(series)}</figure>`,
    table(
      ["score", "detections", "mean score", "right"],
      existing.map(({ from, to, detections, meanScore, precision }) => [
        `${from.toFixed(1)} to ${to.toFixed(1)}`,
        String(detections),
        points(meanScore),
        points(precision),
      ]),
    ),
    `</div>`,
  );
}

function pictureSection({ worst, scoreThreshold }: EvaluationReport, pictures: readonly string[]): string {
  if (worst.length === 0) return "";
  return section(
    "Where most went wrong",
    `<p>The ${worst.length} pictures with most objects missed and wrong detections, at a score of at least ${scoreThreshold.toFixed(2)}. ` +
      `Green: found or right; red, dashed: missed; orange: wrong, with the kind of error; grey: neither (crowd, ignored).</p>`,
    ...pictures,
  );
}
