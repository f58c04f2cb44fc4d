import { Option } from "commander";
import path from "node:path";
import sharp from "sharp";
import { readDataset, toGroundTruth, type DatasetFormat } from "../data/index.ts";
import { detectData } from "../detector/detect-data.ts";
import { Detector } from "../detector/node.ts";
import { UsageError } from "../errors.ts";
import {
  compare, comparisonHtml, comparisonText, evaluate, evaluationReport, evaluationSummary, evaluationText, metrics, reportHtml,
  type CocoImage, type Detections, type EvaluateOptions, type GroundTruth, type Metric,
} from "../eval/index.ts"; // prettier-ignore
import { readEvaluationFiles, writeResults } from "../eval/files-node.ts";
import { writeFileAtomic } from "../files/index.ts";
import { modelOf, withModelOptions, type ModelOptions } from "./model-options.ts";
import {
  action,
  configurable,
  list,
  numberWithin,
  verb,
  wholeNumber,
  type Settings,
  type Work,
} from "./verb.ts";

interface Options extends ModelOptions {
  readonly data?: string;
  readonly format?: DatasetFormat;
  readonly split?: string;
  readonly groundTruth?: string;
  readonly detections?: string;
  readonly images?: string;
  readonly metric: Metric;
  readonly iouThresholds?: string[];
  readonly maxDetections: number;
  readonly useIgnore?: boolean;
  readonly scoreThreshold: number;
  readonly iouThreshold: number;
  readonly nms: "hard" | "soft" | "diou";
  readonly batchSize: number;
  readonly report?: string;
  readonly saveDetections?: string;
  readonly compare?: string[];
}

/** `efficientdet eval`: how good a detector is, on labelled pictures or by result files. */
export const evalVerb = configurable(
  withModelOptions(verb("eval", "Say how good a detector is: COCO and other metrics, and what is wrong")),
)
  .option(
    "--data <data>",
    "labelled pictures: a folder in COCO, Pascal VOC, YOLO or CSV form, or an annotation file",
  )
  .addOption(
    new Option("--format <format>", "of the data (default: found out)").choices([
      "coco",
      "voc",
      "yolo",
      "csv",
    ]),
  )
  .option("--split <name>", "the part of the data to evaluate on (default: val where there is one, else all)")
  .option("--ground-truth <file>", "a COCO ground-truth file, with --detections or --compare")
  .option("--detections <file>", "a COCO results file")
  .option("--images <dir>", "folder of the ground truth's pictures, to show them in the report")
  .option("--compare <files...>", "two COCO results files: says whether the second is really better")
  .addOption(new Option("--metric <name>", "how it is judged").choices([...metrics]).default("coco"))
  .option("--iou-thresholds <list>", "overlaps from which an object counts as found, such as 0.5,0.75", list)
  .option("--max-detections <n>", "detections of a picture that count", wholeNumber(1, 10_000), 100)
  .option(
    "--use-ignore",
    "objects marked `ignore` need not be found (default: with --data where there are some)",
  )
  .option("--score-threshold <0–1>", "of the model's detections", numberWithin(0, 1), 0.001)
  .option("--iou-threshold <0–1>", "of the model's suppression", numberWithin(0, 1), 0.5)
  .addOption(new Option("--nms <kind>", "of the model").choices(["hard", "soft", "diou"]).default("hard"))
  .option("--batch-size <n>", "pictures that go through the network together", wholeNumber(1, 1024), 1)
  .option("--report <file>", "write one self-contained HTML page: what is wrong, and where")
  .option("--save-detections <file>", "write the model's detections as COCO results")
  .action(
    action<Options>(async (_, options, work) => {
      if (options.compare) return compareFiles(options, work);
      const input =
        options.data === undefined ? await fromFiles(options, work) : await fromModel(options, work);
      await show(input, options, work);
    }),
  );

interface Input {
  readonly title: string;
  readonly groundTruth: GroundTruth;
  readonly detections: Detections;
  readonly useIgnore: boolean | undefined;
  /** Where a picture of the ground truth lies, if that is known. */
  readonly fileOf: (image: CocoImage) => string | undefined;
}

async function fromFiles(options: Options, { terminal }: Work): Promise<Input> {
  const { groundTruth: truth, detections: found } = options;
  if (truth === undefined || found === undefined)
    throw new UsageError(
      "there is nothing to evaluate",
      "give --data with a model, or --ground-truth and --detections",
    );
  const { groundTruth, detections, warnings } = await readEvaluationFiles(truth, found);
  warnings.forEach((warning) => terminal.warn(warning));
  return {
    title: path.basename(found),
    groundTruth,
    detections,
    useIgnore: options.useIgnore,
    fileOf: ({ file_name: name }) =>
      options.images === undefined || name === undefined
        ? undefined
        : path.join(options.images, path.basename(name)),
  };
}

async function fromModel(options: Options & Settings, work: Work): Promise<Input> {
  const { terminal, signal } = work;
  if (options.groundTruth !== undefined || options.detections !== undefined)
    throw new UsageError(
      "--data goes with a model, --ground-truth with --detections",
      "leave one of them out",
    );
  const dataset = await partOf(options);
  dataset.notes.forEach((note) => terminal.note(note));
  if (dataset.problems.length > 0)
    terminal.warn(
      `${dataset.problems.length} problems in the data; efficientdet inspect --data ${options.data} lists them`,
    );
  await using detector = await Detector.of(await modelOf(options, work), {
    threads: options.threads,
    device: options.device,
  });
  const progress = terminal.progress("pictures");
  const { scoreThreshold, iouThreshold, maxDetections, nms, batchSize } = options;
  const { results, failed, notes } = await detectData(
    detector,
    dataset,
    { scoreThreshold, iouThreshold, maxDetections, nms, batchSize, signal },
    (done, total) => progress.update(done, total),
  );
  progress.end();
  notes.forEach((note) => terminal.note(note));
  for (const { file, message } of failed)
    terminal.warn(`${message} (${file}): counted as without detections`);
  if (failed.length > 0) work.partlyFailed();
  if (options.saveDetections !== undefined) await writeResults(options.saveDetections, results);
  const ignored = dataset.images.some(({ objects }) => objects.some(({ ignore }) => ignore));
  if (ignored && options.useIgnore === undefined)
    terminal.note("objects marked difficult or ignore are left out");
  return {
    title: `${detector.model.name} on ${path.basename(dataset.root)}`,
    groundTruth: toGroundTruth(dataset),
    detections: results,
    useIgnore: options.useIgnore ?? (ignored ? true : undefined),
    fileOf: ({ file_name: name }) => name,
  };
}

/** The part to evaluate on: the one named, else `val` where the data has one. */
async function partOf({ data, format, split }: Options) {
  if (split !== undefined) return readDataset(data!, { format, split });
  const whole = await readDataset(data!, { format });
  try {
    return await readDataset(data!, { format, split: "val" });
  } catch {
    return whole;
  }
}

async function show(
  { title, groundTruth, detections, useIgnore, fileOf }: Input,
  options: Options,
  { terminal }: Work,
): Promise<void> {
  const settings: EvaluateOptions = {
    metric: options.metric,
    iouThresholds: options.iouThresholds?.map(Number),
    ...(options.maxDetections === 100 ? {} : { maxDetections: options.maxDetections }),
    useIgnore,
  };
  const defined = Object.fromEntries(
    Object.entries(settings).filter(([, value]) => value !== undefined),
  ) as EvaluateOptions;
  const evaluation = evaluate(groundTruth, detections, defined);
  if (terminal.json) terminal.showJson(evaluationSummary(evaluation));
  else terminal.show(evaluationText(evaluation));
  if (options.report !== undefined) {
    const report = evaluationReport(groundTruth, detections, { ...defined, title });
    await writeFileAtomic(
      options.report,
      await reportHtml(report, { picture: (image) => dataUrl(fileOf(image)) }),
    );
    terminal.note(`report: ${options.report}`);
  }
}

/** A picture for a page: its longer side at most 640 px; nothing where it cannot be read. */
async function dataUrl(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  try {
    const bytes = await sharp(file)
      .rotate()
      .resize(640, 640, { fit: "inside", withoutEnlargement: true })
      .jpeg({ quality: 80 })
      .toBuffer();
    return `data:image/jpeg;base64,${bytes.toString("base64")}`;
  } catch {
    return undefined;
  }
}

async function compareFiles(options: Options, { terminal }: Work): Promise<void> {
  const [a, b, more] = options.compare!;
  if (a === undefined || b === undefined || more !== undefined)
    throw new UsageError("--compare takes two files", "give --compare A.json B.json");
  if (options.groundTruth === undefined)
    throw new UsageError("--compare needs the ground truth", "give --ground-truth FILE");
  const { groundTruth, detections, warnings } = await readEvaluationFiles(options.groundTruth, a);
  const other = await readEvaluationFiles(options.groundTruth, b);
  [...warnings, ...other.warnings].forEach((warning) => terminal.warn(warning));
  const comparison = compare(groundTruth, detections, other.detections, { useIgnore: options.useIgnore });
  if (terminal.json) terminal.showJson(comparison);
  else terminal.show(comparisonText(comparison));
  if (options.report !== undefined)
    await writeFileAtomic(options.report, comparisonHtml(comparison, [path.basename(a), path.basename(b)]));
}
