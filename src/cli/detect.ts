import { Option } from "commander";
import type { Detection } from "../detection/index.ts";
import { Detector } from "../detector/node.ts";
import { detectDefaults, type DetectAllOptions } from "../detector/options.ts";
import type { DetectedPicture } from "../detector/result.ts";
import { EfficientDetError } from "../errors.ts";
import { printableName } from "../files/index.ts";
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
      const { terminal, signal, stdin } = work;
      const { output = "detected", crops = output } = options;
      const pictures = await expandInputs(inputs, {
        recursive: options.recursive,
        exclude: [output, crops],
        stdin,
      });
      const failures = new Map<PictureInput, EfficientDetError>();
      const failed = (input: PictureInput, error: EfficientDetError): void => {
        failures.set(input, error);
        if (pictures.length > 1) terminal.error(error);
      };
      await using outputs = await pictureOutputs(pictures, options, failed);
      await using results = await resultsWriter(options, pictures);
      await using detector = await Detector.of(await modelOf(options, work), {
        threads: options.threads,
        device: options.device,
        offline: options.offline,
      });
      results.begin(detector.classNames);
      let done = 0;
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
        const input = pictures[done]!;
        if ("error" in result) {
          const error = new EfficientDetError(result.error.code, result.error.message, {
            hint: result.error.hint,
            exitCode: result.error.code === "E_MACHINE" ? 4 : 3,
          });
          if (terminal.json) terminal.show(toJsonLine(result));
          failed(input, error);
        } else {
          await results.write(result);
          const drawn = outputs.wanted ? await outputs.write(done, result) : undefined;
          if (pictures.length === 1) await outputs.finish();
          show(terminal, pictures, result, failures.has(input) ? undefined : drawn);
        }
        progress.update(++done, pictures.length);
      }
      await outputs.finish();
      await results.commit();
      progress.end();
      if (failures.size === 0) return;
      const [first] = failures.values();
      if (pictures.length === 1) throw first!; // the only picture's error is the verb's
      work.partlyFailed(failures.size === pictures.length ? first!.exitCode : 1);
      terminal.note(
        `${pictures.length - failures.size} of ${pictures.length} pictures done, ${failures.size} failed`,
      );
    }),
  );

function show(
  terminal: Terminal,
  pictures: readonly PictureInput[],
  result: DetectedPicture,
  drawn: string | undefined,
): void {
  if (terminal.json) return terminal.show(toJsonLine({ ...result, timings: { ...result.timings } }));
  const source = printableName(result.source);
  const place = drawn === undefined ? undefined : printableName(drawn);
  if (pictures.length > 1)
    return terminal.show(
      `${source}: ${summary(result.detections)}${place === undefined ? "" : ` → ${place}`}`,
    );
  const size = `${source}: ${result.width}×${result.height}, ${result.timings.totalMs.toFixed(0)} ms`;
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
  if (place !== undefined) terminal.show(`drawn: ${place}`);
}

/** `2 person, 1 bus`, most frequent first. */
function summary(detections: readonly Detection[]): string {
  if (detections.length === 0) return "nothing found";
  const counts = new Map<string, number>();
  for (const { label } of detections) counts.set(label, (counts.get(label) ?? 0) + 1);
  return [...counts]
    .sort((a, b) => b[1] - a[1])
    .map(([label, count]) => `${count} ${printableName(label)}`)
    .join(", ");
}
