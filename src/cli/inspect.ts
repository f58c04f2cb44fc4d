import { Option } from "commander";
import {
  drawSamples,
  formatProblem,
  inspectDataset,
  readDataset,
  renderInspection,
  type DatasetFormat,
  type InspectionReport,
} from "../data/index.ts";
import { InterruptedError } from "../errors.ts";
import { writeFileAtomic } from "../files/index.ts";
import { headLevels, modelConfig } from "../models/index.ts";
import { table, type Terminal } from "./terminal.ts";
import { action, configurable, imageSize, verb, wholeNumber } from "./verb.ts";

interface Options {
  readonly data: string;
  readonly format?: DatasetFormat;
  readonly split?: string;
  readonly report?: string;
  readonly strict?: boolean;
  readonly model?: string;
  readonly imageSize?: [number, number];
  readonly samples: number;
  readonly decode: boolean;
}

/** Problems that are listed on a terminal before the rest is only counted. */
const listed = 30;

/** `efficientdet inspect --data DATA`: what is in labelled pictures, and what is wrong with them. */
export const inspect = configurable(
  verb("inspect", "Look labelled pictures over: what they hold, and every problem with file and line"),
)
  .requiredOption("--data <data>", "a folder in COCO, Pascal VOC, YOLO or CSV form, or an annotation file")
  .addOption(
    new Option("--format <format>", "of the data (default: found out)").choices([
      "coco",
      "voc",
      "yolo",
      "csv",
    ]),
  )
  .option("--split <name>", "the part to look at (default: all)")
  .option("--report <file>", "write one self-contained HTML page with charts and drawn samples")
  .option("--strict", "problems are fatal: exit code 1")
  .option("--model <name>", "also how this model's anchors cover the objects")
  .option("--image-size <size>", "the model's input, N or HxW (default: its own)", imageSize)
  .option("--samples <n>", "pictures to draw in the report", wholeNumber(0, 1000), 24)
  .option("--no-decode", "do not decode the pictures: quicker, but broken ones are not found")
  .action(
    action<Options>(async (_, options, { terminal, signal, partlyFailed }) => {
      const { format, split, decode } = options;
      const dataset = await readDataset(options.data, { format, split });
      const config =
        options.model === undefined && options.report === undefined
          ? undefined
          : modelConfig(options.model ?? "lite0", { imageSize: options.imageSize });
      const anchors = config && {
        ...config,
        levels: { min: headLevels(config)[0]!, max: headLevels(config).at(-1)! },
      };
      const progress = terminal.progress("pictures");
      const report = await inspectDataset(dataset, {
        anchors,
        decode,
        onProgress: (done, total) => {
          if (signal.aborted) throw new InterruptedError();
          progress.update(done, total);
        },
      });
      progress.end();
      if (options.report !== undefined) {
        await writeFileAtomic(
          options.report,
          renderInspection(report, await drawSamples(dataset, anchors!, { count: options.samples })),
        );
        terminal.note(`report: ${options.report}`);
      }
      if (terminal.json) terminal.showJson(report);
      else show(report, terminal);
      if (options.strict && report.problems.length > 0) {
        partlyFailed();
        terminal.warn(`--strict: ${report.problems.length} problems`);
      }
    }),
  );

function show(report: InspectionReport, terminal: Terminal): void {
  const { format, root, pictures, objects, withoutObjects, sizes } = report;
  terminal.show(
    `${root}: ${format}, ${pictures} pictures, ${objects} objects, ${withoutObjects.length} pictures without`,
  );
  terminal.show(
    table(
      ["class", "id", "objects", "pictures", "difficult", "crowds"],
      report.classes.map((c) => [c.name, c.id, c.objects, c.pictures, c.difficult, c.crowds]),
    ),
  );
  terminal.show(
    `small (below 32² px) ${sizes.small}, medium ${sizes.medium}, large (above 96²) ${sizes.large}`,
  );
  for (const note of report.notes) terminal.show(note);
  for (const group of report.duplicates) terminal.show(`the same picture: ${group.join(", ")}`);
  if (report.problems.length === 0) return terminal.show("no problems");
  terminal.show(`${report.problems.length} problems:`);
  for (const problem of report.problems.slice(0, listed)) terminal.show(`  ${formatProblem(problem)}`);
  if (report.problems.length > listed)
    terminal.show(`  … and ${report.problems.length - listed} more; --json or --report list all`);
}
