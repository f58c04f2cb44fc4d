import { cellBar, escapeText, legend } from "../eval/charts.ts";
import { page, points, section, table } from "../eval/html-page.ts";
import { curveChart, type Curve } from "./curves.ts";
import type { EpochLine, MetricsLine, StepLine } from "./metrics-log-node.ts";
import type { RunPlan } from "./plan.ts";

/** Drawn predictions on one picture over time. */
export interface SampleRow {
  readonly name: string;
  /** What stands above each picture, such as `labels` or `epoch 3`, and its `data:` address. */
  readonly pictures: readonly { readonly caption: string; readonly address: string }[];
}

/** What a run's page is made of. */
export interface TrainingReport {
  readonly plan: RunPlan;
  readonly metrics: readonly MetricsLine[];
  readonly samples: readonly SampleRow[];
}

/** A run as one self-contained HTML page: how far it is, curves, classes, and predictions on the same pictures over time. */
export function trainingHtml({ plan, metrics, samples }: TrainingReport): string {
  const steps = metrics.filter((line): line is StepLine => line.kind === "step");
  const epochs = metrics.filter((line): line is EpochLine => line.kind === "epoch");
  const best = epochs.findLast((line) => line.best);
  const title = `${plan.config.model} on ${plan.data.split(/[/\\]/).at(-1)}`;
  return page(title, [
    `<h1>${escapeText(title)}</h1><p class="soft">${escapeText(subtitle(plan))}</p>`,
    tiles(plan, steps, epochs, best),
    section("Curves", curves(plan, steps, epochs)),
    best ? section(`Classes, after epoch ${best.epoch} (the best)`, classTable(plan, best)) : "",
    samples.length > 0
      ? section(
          "The same pictures over time",
          `<p>What the labels say, then what the network finds with a score of 0.3 or more.</p>`,
          ...samples.map(sampleRow),
        )
      : "",
    section(
      "Settings",
      `<details><summary>everything that was decided (config.yaml)</summary><pre>${escapeText(JSON.stringify(plan.config, null, 2))}</pre></details>`,
    ),
    sampleStyle,
  ]);
}

const sampleStyle =
  "<style>.strip{display:flex;gap:.6rem;overflow-x:auto;padding:.3rem 0 1rem}.strip figure{flex:0 0 auto}.strip img{display:block;height:11rem;border-radius:.3rem}pre{overflow-x:auto;font-size:.8rem}</style>";

function subtitle({ config, trainPictures, valPictures, picturesPerStep }: RunPlan): string {
  return `${config.recipe} from ${config.weights} at ${config.imageSize.join("×")}; ${trainPictures} pictures to train, ${valPictures} to validate; ${picturesPerStep} pictures a step, ${config.optimizer}, learning rate ${config.learningRate}, seed ${config.seed}`;
}

function tiles(
  plan: RunPlan,
  steps: readonly StepLine[],
  epochs: readonly EpochLine[],
  best: EpochLine | undefined,
): string {
  const last = epochs.at(-1);
  const speed = steps.map(({ imagesPerSecond }) => imagesPerSecond).sort((a, b) => a - b)[
    Math.floor(steps.length / 2)
  ];
  const shown: [string, string][] = [
    [best ? points(best.AP) : "–", `best AP${best ? `, epoch ${best.epoch}` : ""}`],
    [best ? points(best.AP50) : "–", "its AP50"],
    [`${last?.epoch ?? 0}/${plan.config.epochs}`, "epochs"],
    [last ? last.loss.toFixed(3) : "–", "loss of the last"],
    [speed === undefined ? "–" : String(speed), "images/s, median"],
    [last ? minutes(last.seconds) : "–", "of training"],
  ];
  return `<div class="tiles">${shown.map(([value, name], i) => `<div class="tile${i === 0 ? " main" : ""}"><b>${escapeText(value)}</b><span>${escapeText(name)}</span></div>`).join("")}</div>`;
}

function minutes(seconds: number): string {
  return seconds < 120 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

function curves(plan: RunPlan, steps: readonly StepLine[], epochs: readonly EpochLine[]): string {
  const along = (pick: (line: StepLine) => number): Curve["points"] =>
    steps.map((line) => [line.epoch, pick(line)]);
  const loss: Curve[] = [
    { label: "loss of each step", colour: 4, points: along((line) => line.loss) },
    { label: "mean of each epoch", colour: 1, points: epochs.map((line) => [line.epoch, line.loss]) },
    { label: "its class part", colour: 2, dashed: true, points: along((line) => line.classLoss) },
    {
      label: `its box part (×${plan.config.loss.boxWeight})`,
      colour: 3,
      dashed: true,
      points: along((line) => line.boxLoss * plan.config.loss.boxWeight),
    },
  ];
  const precision: Curve[] = [
    { label: "AP", colour: 1, points: epochs.map((line) => [line.epoch, Math.max(0, line.AP) * 100]) },
    { label: "AP50", colour: 2, points: epochs.map((line) => [line.epoch, Math.max(0, line.AP50) * 100]) },
    { label: "AP75", colour: 3, points: epochs.map((line) => [line.epoch, Math.max(0, line.AP75) * 100]) },
  ];
  const rate: Curve[] = [{ label: "learning rate", colour: 1, points: along((line) => line.learningRate) }];
  const figure = (lines: readonly Curve[], title: string, y: string, top?: number): string =>
    `<figure>${curveChart(lines, { title, x: "epoch", y, ...(top === undefined ? {} : { top }) })}${legend(lines)}</figure>`;
  return `<div class="charts">${figure(precision, "Precision on the validation pictures", "percent", 100)}${figure(loss, "Loss", "loss")}${figure(rate, "Learning rate", "rate")}</div>`;
}

function classTable(plan: RunPlan, { perClass }: EpochLine): string {
  return table(
    ["class", "objects to train", "AP", "AP50", ""],
    plan.classes.map(({ name, objects }) => {
      const own = perClass[name];
      return [
        escapeText(name),
        String(objects),
        points(own?.AP ?? -1),
        points(own?.AP50 ?? -1),
        cellBar(own?.AP50 ?? -1),
      ];
    }),
  ).replaceAll("<td><svg", '<td class="wide"><svg');
}

function sampleRow({ name, pictures }: SampleRow): string {
  const figures = pictures.map(
    ({ caption, address }) =>
      `<figure><img src="${escapeText(address)}" alt="${escapeText(`${name}, ${caption}`)}"><figcaption>${escapeText(caption)}</figcaption></figure>`,
  );
  return `<div class="picture"><h3>${escapeText(name)}</h3><div class="strip">${figures.join("")}</div></div>`;
}
