import path from "node:path";
import type { Box } from "../detection/index.ts";
import type { CoverageReport } from "./anchor-coverage.ts";
import { barChart, escapeHtml, histogramChart, percent, shortNumber } from "./charts.ts";
import type { InspectionReport } from "./inspect.ts";
import type { InspectionSample } from "./inspection-samples.ts";
import { formatProblem } from "./problems.ts";

/** Lines of a list that are shown before the rest is only counted. */
const listed = 200;

/**
 * An inspection as one HTML page that needs nothing beside it: no scripts, no addresses, pictures inside. It follows the
 * reader's choice of light or dark.
 *
 * @param samples see `drawSamples`; may be empty
 */
export function renderInspection(
  report: InspectionReport,
  samples: readonly InspectionSample[] = [],
): string {
  const name = path.basename(report.root);
  const sections = [
    summary(report),
    section("Classes", classTable(report)),
    report.coverage === undefined ? "" : coverageSection(report.coverage, report),
    section(
      "Objects",
      `<div class="pair">` +
        figure(
          "Root of the box area, pixels of the original",
          histogramChart(report.objectSides, "sides of objects"),
        ) +
        figure(
          "Root of the box area, as a share of the picture's",
          histogramChart(report.relativeSides, "relative sides"),
        ) +
        figure("Width over height", histogramChart(report.aspectRatios, "aspect ratios of objects")) +
        figure("Objects in a picture", histogramChart(report.objectsPerPicture, "objects in a picture")) +
        "</div>",
    ),
    section("Pictures", figure("Sizes of pictures", sizeChart(report)) + lists(report)),
    section(`Problems: ${shortNumber(report.problems.length)}`, problemList(report)),
    samples.length === 0
      ? ""
      : section("Samples", legend() + `<div class="samples">${samples.map(drawSample).join("")}</div>`),
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${escapeHtml(name)}: inspection</title>
<style>${style}</style>
</head>
<body>
<h1>${escapeHtml(name)}</h1>
<p class="muted">${escapeHtml(report.root)} · ${report.format}${report.split === "all" ? "" : ` · ${escapeHtml(report.split)}`}</p>
${sections.join("\n")}
</body>
</html>
`;
}

function section(title: string, body: string): string {
  return `<section><h2>${escapeHtml(title)}</h2>${body}</section>`;
}

function figure(caption: string, chart: string): string {
  return `<figure><figcaption>${escapeHtml(caption)}</figcaption>${chart}</figure>`;
}

function summary(report: InspectionReport): string {
  const { coverage, sizes, objects } = report;
  const used = report.classes.filter((entry) => entry.objects > 0).length;
  const facts: [value: string, what: string][] = [
    [shortNumber(report.pictures), "pictures"],
    [shortNumber(objects), "objects"],
    [
      used === report.classes.length ? String(used) : `${used} of ${report.classes.length}`,
      "classes with objects",
    ],
    [shortNumber(report.withoutObjects.length), "pictures without objects"],
    [shortNumber(report.problems.length), "problems"],
    [shortNumber(report.duplicates.length + report.lookAlikes.length), "groups of duplicates"],
    [
      [sizes.small, sizes.medium, sizes.large].map((count) => percent(count / objects)).join(" · "),
      "small · medium · large",
    ],
    ...(coverage === undefined
      ? []
      : [[percent(coverage.coverage.covered), "of objects covered by anchors"] as [string, string]]),
  ];
  const tiles = facts.map(
    ([value, what]) => `<div class="tile"><b>${escapeHtml(value)}</b><span>${escapeHtml(what)}</span></div>`,
  );
  const advice = adviceOf(report).map((sentence) => `<li>${escapeHtml(sentence)}</li>`);
  return `<div class="tiles">${tiles.join("")}</div>${advice.length === 0 ? "" : `<ul class="advice">${advice.join("")}</ul>`}`;
}

/** What a person should know before training, in sentences. */
export function adviceOf(report: InspectionReport): string[] {
  const advice = [...report.notes];
  const empty = report.classes.filter(({ objects }) => objects === 0);
  if (empty.length > 0 && empty.length < report.classes.length)
    advice.push(
      `No object of ${count(empty.length, "class", "classes")}: ${shorten(empty.map(({ name }) => name))}.`,
    );
  const rare = report.classes.filter(({ objects }) => objects > 0 && objects < 10);
  if (rare.length > 0)
    advice.push(
      `Fewer than ten objects of ${count(rare.length, "class", "classes")}: ${shorten(rare.map(({ name }) => name))}. Expect little of them.`,
    );
  if (report.grey > 0)
    advice.push(`${count(report.grey, "picture is", "pictures are")} grey; they are read as RGB.`);
  if (report.turned > 0)
    advice.push(
      `${count(report.turned, "picture is", "pictures are")} turned by EXIF orientation; boxes are taken to be in the upright picture.`,
    );
  if (report.duplicates.length + report.lookAlikes.length > 0)
    advice.push(
      `${count(report.duplicates.length + report.lookAlikes.length, "group", "groups")} of pictures are the same: keep one of each, or all of a group on one side of the split, or validation flatters.`,
    );
  const { coverage } = report;
  if (coverage === undefined || report.objects === 0) return advice;
  const [height, width] = coverage.anchors.imageSize;
  if (coverage.coverage.tiny > 0.1)
    advice.push(
      `At ${width}×${height} ${percent(coverage.coverage.tiny)} of the objects are narrower than 8 pixels: a larger --image-size will find more of them.`,
    );
  const { suggestion } = coverage;
  if (suggestion.coverage.covered > coverage.coverage.covered + 0.03)
    advice.push(
      `Anchors with the aspect ratios ${suggestion.aspectRatios.join(", ")} and the scale ${suggestion.anchorScale} would cover ${percent(suggestion.coverage.covered)} of the objects instead of ${percent(coverage.coverage.covered)}. Changed anchors cannot use a detector's pretrained heads.`,
    );
  return advice;
}

function classTable({ classes, coverage }: InspectionReport): string {
  const order = classes.map((entry, index) => ({ ...entry, index })).filter(({ objects }) => objects > 0);
  order.sort((a, b) => b.objects - a.objects);
  const bars = order.slice(0, 60).map(({ name, objects, pictures, difficult, crowds, index }) => {
    const share = coverage?.perClass[index] ?? NaN;
    const extra = [
      `${shortNumber(objects)} in ${shortNumber(pictures)}`,
      ...(difficult > 0 ? [`${shortNumber(difficult)} difficult`] : []),
      ...(crowds > 0 ? [`${shortNumber(crowds)} crowds`] : []),
      ...(Number.isNaN(share) ? [] : [`${percent(share)} covered`]),
    ];
    return { label: name, value: objects, note: extra.join(" · ") };
  });
  const rest = order.length > 60 ? `<p class="muted">and ${order.length - 60} more classes</p>` : "";
  return figure("Objects, and pictures that show them", barChart(bars, "objects of each class")) + rest;
}

function coverageSection(report: CoverageReport, { objects }: InspectionReport): string {
  if (objects === 0) return "";
  const { coverage, bestIou, sizes, suggestion, anchors, sides } = report;
  const [height, width] = anchors.imageSize;
  const ratios = (anchors.aspectRatios ?? [1, 2, 0.5]).map((ratio) =>
    typeof ratio === "number" ? String(ratio) : ratio.join("/"),
  );
  const row = (what: string, { covered, meanIou, tiny }: typeof coverage, marked = false) =>
    `<tr${marked ? ' class="marked"' : ""}><td>${escapeHtml(what)}</td><td>${percent(covered)}</td><td>${meanIou.toFixed(3)}</td><td>${percent(tiny)}</td></tr>`;
  const head =
    "<thead><tr><th></th><th>covered (IoU ≥ 0.5)</th><th>mean best IoU</th><th>narrower than 8 px</th></tr></thead>";
  const same = (size: readonly [number, number]) => size[0] === height && size[1] === width;
  return section(
    `Anchors at ${width}×${height}`,
    `<p>Sides of objects at this size: ${sides.map((side) => shortNumber(Math.round(side))).join(", ")} pixels (5th, 50th and 95th percentile). An object that no anchor overlaps by half gets its best anchor all the same, and learns worse.</p>` +
      figure(
        "Best IoU of each object with an anchor",
        histogramChart(bestIou, "best IoU", { highlight: (lower) => lower >= 0.5 - 1e-9 }),
      ) +
      `<table>${head}<tbody>${sizes.map((size) => row(`${size.imageSize[1]}×${size.imageSize[0]}`, size, same(size.imageSize))).join("")}</tbody></table>` +
      `<table>${head}<tbody>${row(`these: scale ${[anchors.anchorScale ?? 4].flat().join(", ")}, ratios ${ratios.join(", ")}`, coverage, true)}${row(`suggested: scale ${suggestion.anchorScale}, ratios ${suggestion.aspectRatios.join(", ")}`, suggestion.coverage)}</tbody></table>`,
  );
}

function sizeChart({ pictureSizes }: InspectionReport): string {
  const shown = pictureSizes
    .slice(0, 12)
    .map(({ width, height, pictures }) => ({ label: `${width}×${height}`, value: pictures }));
  const rest = pictureSizes.slice(12).reduce((sum, { pictures }) => sum + pictures, 0);
  return barChart(rest > 0 ? [...shown, { label: "other sizes", value: rest }] : shown, "sizes of pictures");
}

function lists({ withoutObjects, duplicates, lookAlikes, root }: InspectionReport): string {
  const relative = (group: readonly string[]) => group.map((file) => path.relative(root, file)).join("  =  ");
  return [
    details("Pictures without objects", withoutObjects.map(String)),
    details("Groups of files with the same content", duplicates.map(relative)),
    details("Groups of pictures that look the same", lookAlikes.map(relative)),
  ].join("");
}

function problemList({ problems, root }: InspectionReport): string {
  if (problems.length === 0) return "<p>None.</p>";
  return details(
    "Every problem, and what was done",
    problems.map((problem) => formatProblem(problem, root)),
    true,
  );
}

function details(title: string, lines: readonly string[], open = false): string {
  if (lines.length === 0) return "";
  const more =
    lines.length > listed ? `<li class="muted">and ${shortNumber(lines.length - listed)} more</li>` : "";
  const items = lines.slice(0, listed).map((line) => `<li>${escapeHtml(line)}</li>`);
  return `<details${open ? " open" : ""}><summary>${escapeHtml(title)}: ${shortNumber(lines.length)}</summary><ul class="lines">${items.join("")}${more}</ul></details>`;
}

function legend(): string {
  return `<p class="muted">As the network sees them. Solid: labelled objects. Thin: the anchors that learn them.</p>`;
}

function drawSample({ name, width, height, address, objects, anchors }: InspectionSample): string {
  const colour = (index: number) => `hsl(${Math.round((index * 137.508 + 20) % 360)} 90% 55%)`;
  const rectangle = ({ xMin, yMin, xMax, yMax }: Box, attributes: string) =>
    `<rect x="${xMin.toFixed(1)}" y="${yMin.toFixed(1)}" width="${(xMax - xMin).toFixed(1)}" height="${(yMax - yMin).toFixed(1)}" ${attributes}/>`;
  const unit = Math.max(width, height) / 320;
  const thin = anchors.map(({ object, box }) =>
    rectangle(
      box,
      `class="anchor" stroke="${colour(objects[object]!.classIndex)}" stroke-width="${(0.5 * unit).toFixed(2)}"`,
    ),
  );
  const solid = objects.map(({ classIndex, label, box }) => {
    const text = `<text x="${(box.xMin + 2 * unit).toFixed(1)}" y="${(box.yMin + 9 * unit).toFixed(1)}" font-size="${(8 * unit).toFixed(1)}" class="label" fill="${colour(classIndex)}">${escapeHtml(label)}</text>`;
    return (
      rectangle(
        box,
        `class="object" stroke="${colour(classIndex)}" stroke-width="${(1.6 * unit).toFixed(2)}"`,
      ) + text
    );
  });
  const alone = objects.filter((_, at) => !anchors.some(({ object }) => object === at)).length;
  const caption = `${name} · ${count(objects.length, "object", "objects")}, ${count(anchors.length, "anchor", "anchors")}${alone > 0 ? ` · ${alone} without an anchor` : ""}`;
  return `<figure><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(caption)}"><image href="${address}" width="${width}" height="${height}" preserveAspectRatio="none"/>${thin.join("")}${solid.join("")}</svg><figcaption>${escapeHtml(caption)}</figcaption></figure>`;
}

function count(number: number, one: string, many: string): string {
  return `${shortNumber(number)} ${number === 1 ? one : many}`;
}

function shorten(names: readonly string[]): string {
  return names.length <= 12
    ? names.join(", ")
    : `${names.slice(0, 12).join(", ")} and ${names.length - 12} more`;
}

const style = `
:root { color-scheme: light dark; --page: #fbfbfa; --card: #ffffff; --ink: #1c1c1a; --muted: #6b6b66; --line: #e2e2dd; --accent: #2f6fb3; --faint: #b9b9b2; }
@media (prefers-color-scheme: dark) { :root { --page: #17181a; --card: #202225; --ink: #ececea; --muted: #a2a29c; --line: #35373b; --accent: #6aa9e9; --faint: #5b5d62; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 24px 20px 64px; max-width: 1120px; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 26px; margin: 0; } h2 { font-size: 19px; margin: 0 0 12px; } p { margin: 6px 0 12px; }
.muted { color: var(--muted); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 18px 20px; margin: 18px 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(190px, 1fr)); gap: 10px; margin: 18px 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px 14px; }
.tile b { display: block; font-size: 20px; } .tile span { color: var(--muted); font-size: 13px; }
.advice { background: var(--card); border-left: 4px solid var(--accent); border-radius: 6px; padding: 10px 14px 10px 32px; margin: 0; }
figure { margin: 0 0 18px; } figcaption { color: var(--muted); font-size: 13px; margin-bottom: 4px; overflow-wrap: anywhere; }
.chart { width: 100%; max-width: 760px; height: auto; font-size: 12px; }
.chart text { fill: var(--ink); } .chart text.muted { fill: var(--muted); } .chart rect { fill: var(--accent); } .chart rect.faint { fill: var(--faint); } .chart line { stroke: var(--line); }
table { border-collapse: collapse; margin: 0 0 16px; font-variant-numeric: tabular-nums; } th, td { text-align: right; padding: 4px 12px; border-bottom: 1px solid var(--line); font-weight: normal; } th { color: var(--muted); font-size: 13px; } th:first-child, td:first-child { text-align: left; padding-left: 0; } tr.marked td { font-weight: 600; }
details { margin: 8px 0; } summary { cursor: pointer; } .lines { font: 12px/1.5 ui-monospace, monospace; padding-left: 18px; overflow-wrap: anywhere; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(400px, 1fr)); gap: 4px 28px; }
.samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 14px; }
.samples svg { width: 100%; height: auto; display: block; border-radius: 6px; } .samples figure { margin: 0; } .samples figcaption { margin-top: 4px; }
.object, .anchor { fill: none; } .anchor { opacity: .45; } .label { font-family: system-ui, sans-serif; font-weight: 600; paint-order: stroke; stroke: #000a; stroke-width: 2px; }
`;
