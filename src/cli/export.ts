import path from "node:path";
import { calibrationPictures } from "../detector/calibration-pictures.ts";
import { exportOnnx, exportOnnxInt8 } from "../detector/export.ts";
import { detectDefaults } from "../detector/options.ts";
import type { ReadyModel } from "../detector/ready-model.ts";
import { InterruptedError, UsageError } from "../errors.ts";
import { writeFileAtomic } from "../files/index.ts";
import type { OnnxModel } from "../onnx/index.ts";
import { nodeRuntime } from "../runtime/node.ts";
import { Option } from "commander";
import { modelOf, withModelOptions, type ModelOptions } from "./model-options.ts";
import { action, numberWithin, verb, wholeNumber, type Settings, type Work } from "./verb.ts";

interface Options extends ModelOptions {
  readonly to: string;
  readonly dtype: "float32" | "float16" | "int8";
  readonly calibration?: string;
  readonly calibrationPictures: number;
  readonly raw?: boolean;
  readonly opset: number;
  readonly scoreThreshold: number;
  readonly iouThreshold: number;
  readonly maxDetections: number;
}

/** `efficientdet export --to model.onnx`: one file that any ONNX Runtime runs. */
export const exportVerb = withModelOptions(
  verb("export", "Write the detector as one ONNX file: picture in, boxes out"),
)
  .requiredOption("--to <file>", "the file to write")
  .addOption(
    new Option(
      "--dtype <type>",
      "how the weights are stored; arithmetic is float32, with int8 that of eight bits",
    )
      .choices(["float32", "float16", "int8"])
      .default("float32"),
  )
  .option(
    "--calibration <dir>",
    "for int8: pictures such as the file will see, to find the ranges of its values by",
  )
  .option("--calibration-pictures <n>", "most of them that are looked at", wholeNumber(1, 100_000), 200)
  .option("--raw", "the network alone: normalised pictures [N, 3, H, W] in, level maps out")
  .option("--opset <n>", "ONNX opset", wholeNumber(17, 23), 17)
  .option(
    "--score-threshold <0–1>",
    "default of the input score_threshold",
    numberWithin(0, 1),
    detectDefaults.scoreThreshold,
  )
  .option(
    "--iou-threshold <0–1>",
    "default of the input iou_threshold",
    numberWithin(0, 1),
    detectDefaults.iouThreshold,
  )
  .option(
    "--max-detections <n>",
    "default of the input max_detections",
    wholeNumber(1, 100_000),
    detectDefaults.maxDetections,
  )
  .action(
    action<Options>(async (_, options, work) => {
      checkCalibration(options);
      const model = await modelOf(options, work);
      const { model: bytes, external } = await exported(model, options, work);
      if (work.signal.aborted) throw new InterruptedError();
      if (external)
        await writeFileAtomic(path.join(path.dirname(options.to), external.file), external.chunks);
      await writeFileAtomic(options.to, bytes);
      const result = {
        file: options.to,
        bytes: bytes.length,
        model: model.config.name,
        classes: model.classes.length,
        dtype: options.dtype,
        opset: options.opset,
      };
      if (work.terminal.json) work.terminal.showJson(result);
      else
        work.terminal.show(
          `${options.to}: ${model.config.name}, ${model.classes.length} classes, ${(bytes.length / 1e6).toFixed(1)} MB`,
        );
    }),
  );

function checkCalibration({ dtype, calibration }: Options): void {
  if (dtype === "int8" && calibration === undefined)
    throw new UsageError(
      "--dtype int8 needs pictures to find the ranges of values by",
      "give --calibration DIR, a folder of some hundred pictures such as the file will see",
    );
  if (dtype !== "int8" && calibration !== undefined)
    throw new UsageError(
      `--calibration goes with --dtype int8, not ${dtype}`,
      "leave it out, or give --dtype int8",
    );
}

async function exported(
  model: ReadyModel,
  options: Options & Settings,
  { terminal, signal }: Work,
): Promise<OnnxModel> {
  const { dtype, raw, opset, scoreThreshold, iouThreshold, maxDetections, threads } = options;
  const graphOptions = { raw, opset, scoreThreshold, iouThreshold, maxDetections };
  if (dtype !== "int8") return exportOnnx(model, { ...graphOptions, dtype });
  const progress = terminal.progress("calibration pictures");
  try {
    const pictures = calibrationPictures(options.calibration!, {
      count: options.calibrationPictures,
      signal,
      onPicture: (done, total) => progress.update(done, total),
      onProblem: (error) => terminal.warn(`${error.message}: left out`),
    });
    return await exportOnnxInt8(model, pictures, nodeRuntime, { ...graphOptions, threads });
  } finally {
    progress.end();
  }
}
