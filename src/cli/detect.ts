import { Option } from "commander";
import type { Detection } from "../detection/index.ts";
import { Detector } from "../detector/node.ts";
import { detectDefaults, type DetectAllOptions } from "../detector/options.ts";
import type { DetectedPicture } from "../detector/result.ts";
import { EfficientDetError } from "../errors.ts";
import { expandInputs, toJsonLine, type PictureInput } from "../image/index.ts";
import { pictureOutputs } from "./detect-outputs.ts";
import { resultsWriter } from "./results-writer.ts";
import { modelOf, withModelOptions, type ModelOptions } from "./model-options.ts";
import { table, type Terminal } from "./terminal.ts";
import { action, configurable, list, numberWithin, verb, wholeNumber } from "./verb.ts";

export interface DetectVerbOptions extends ModelOptions {
  readonly scoreThreshold: number;
  readonly iouThreshold: number;
  readonly maxDetections: number;
  readonly nms: "hard" | "soft" | "diou";
  readonly nmsScope: "class" | "global";
  readonly classes?: string[];
  readonly output?: string;
  readonly draw: boolean;
  readonly crops?: string;
  readonly results?: string;
  readonly resultsFormat?: "yolo" | "voc";
  readonly batchSize: number;
  readonly recursive?: boolean;
}

/** `efficientdet detect INPUT...`: pictures in, boxes out. */
export const detect = configurable(
  withModelOptions(verb("detect", "Find objects in pictures, and draw them")),
)
  .argument("<inputs...>", "picture files, folders, http(s) URLs, or - for standard input")
  .option(
    "--score-threshold <0–1>",
    "least score of a detection",
    numberWithin(0, 1),
    detectDefaults.scoreThreshold,
  )
  .option(
    "--iou-threshold <0–1>",
    "overlap above which the weaker of two boxes goes",
    numberWithin(0, 1),
    detectDefaults.iouThreshold,
  )
  .option(
    "--max-detections <n>",
    "most detections of a picture",
    wholeNumber(1, 100_000),
    detectDefaults.maxDetections,
  )
  .addOption(
    new Option("--nms <kind>", "how overlapping boxes are thinned out")
      .choices(["hard", "soft", "diou"])
      .default(detectDefaults.nms),
  )
  .addOption(
    new Option("--nms-scope <scope>", "whether boxes compete within their class or all together")
      .choices(["class", "global"])
      .default(detectDefaults.nmsScope),
  )
  .option("--classes <names>", "keep only these, such as person,car", list)
  .option(
    "--output <path>",
    "the drawn picture, or a folder for several (default: NAME.detected.jpg beside the input, or detected/)",
  )
  .option("--no-draw", "do not write pictures")
  .option("--crops <dir>", "folder for every detection cut out, NAME-INDEX-LABEL.jpg")
  .option("--results <path>", "write results: .jsonl, .csv, .json (COCO), or a folder with --results-format")
  .addOption(new Option("--results-format <format>", "files of a results folder").choices(["yolo", "voc"]))
  .option(
    "--batch-size <n>",
    "pictures that go through the network together",
    wholeNumber(1, 1024),
    detectDefaults.batchSize,
  )
  .option("--recursive", "look into folders within folders")
  .action(
    action<DetectVerbOptions>(async (inputs, options, work) => {
      const { terminal, signal } = work;
      const pictures = await expandInputs(inputs, {
        recursive: options.recursive,
        exclude: [options.output ?? "detected"],
      });
      const outputs = pictureOutputs(pictures, options);
      await using results = await resultsWriter(options, pictures);
      await using detector = await Detector.of(await modelOf(options, work), {
        threads: options.threads,
        device: options.device,
        offline: options.offline,
      });
      results.begin(detector.classNames);
      const tally = { done: 0, failed: [] as EfficientDetError[] };
      const progress = terminal.progress("pictures");
      const settings: DetectAllOptions = {
        scoreThreshold: options.scoreThreshold,
        iouThreshold: options.iouThreshold,
        maxDetections: options.maxDetections,
        nms: options.nms,
        nmsScope: options.nmsScope,
        classes: options.classes,
        batchSize: options.batchSize,
        keepPictures: outputs.wanted,
        signal,
      };
      for await (const result of detector.detectAll(pictures, settings)) {
        const input = pictures[tally.done++]!;
        if ("error" in result) {
          const error = new EfficientDetError(result.error.code, result.error.message, {
            hint: result.error.hint,
            exitCode: result.error.code === "E_MACHINE" ? 4 : 3,
          });
          tally.failed.push(error);
          if (terminal.json) terminal.show(toJsonLine(result));
          if (pictures.length > 1) terminal.error(error);
        } else {
          await results.write(result);
          const drawn = await outputs.write(input, result);
          show(terminal, pictures, result, drawn);
        }
        progress.update(tally.done, pictures.length);
      }
      await outputs.finish();
      await results.commit();
      progress.end();
      conclude(pictures, tally.failed);
      if (tally.failed.length > 0)
        terminal.note(
          `${pictures.length - tally.failed.length} of ${pictures.length} pictures done, ${tally.failed.length} failed`,
        );
    }),
  );

/** The only picture failed: its error is the verb's. Some of several: exit code 1. All: that of the first. */
function conclude(pictures: readonly PictureInput[], failed: readonly EfficientDetError[]): void {
  if (failed.length === 0) return;
  if (pictures.length === 1) throw failed[0]!;
  process.exitCode = failed.length === pictures.length ? failed[0]!.exitCode : 1;
}

function show(
  terminal: Terminal,
  pictures: readonly PictureInput[],
  result: DetectedPicture,
  drawn: string | undefined,
): void {
  if (terminal.json) return terminal.show(toJsonLine({ ...result, timings: { ...result.timings } }));
  if (pictures.length > 1)
    return terminal.show(
      `${result.source}: ${summary(result.detections)}${drawn === undefined ? "" : ` → ${drawn}`}`,
    );
  const size = `${result.source}: ${result.width}×${result.height}, ${result.timings.totalMs.toFixed(0)} ms`;
  terminal.show(size);
  if (result.detections.length === 0) terminal.show("nothing found");
  else
    terminal.show(
      table(
        ["object", "score", "xMin", "yMin", "xMax", "yMax"],
        result.detections.map(({ label, score, box }) => [
          label,
          score.toFixed(2),
          ...[box.xMin, box.yMin, box.xMax, box.yMax].map((edge) => edge.toFixed(0)),
        ]),
      ),
    );
  if (drawn !== undefined) terminal.show(`drawn: ${drawn}`);
}

/** `2 person, 1 bus`, most frequent first. */
function summary(detections: readonly Detection[]): string {
  if (detections.length === 0) return "nothing found";
  const counts = new Map<string, number>();
  for (const { label } of detections) counts.set(label, (counts.get(label) ?? 0) + 1);
  return [...counts]
    .sort((a, b) => b[1] - a[1])
    .map(([label, count]) => `${count} ${label}`)
    .join(", ");
}
