import path from "node:path";
import { exportOnnx } from "../detector/export.ts";
import { detectDefaults } from "../detector/options.ts";
import { writeFileAtomic } from "../files/index.ts";
import { Option } from "commander";
import { modelOf, withModelOptions, type ModelOptions } from "./model-options.ts";
import { action, numberWithin, verb, wholeNumber } from "./verb.ts";

interface Options extends ModelOptions {
  readonly to: string;
  readonly dtype: "float32" | "float16";
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
    new Option("--dtype <type>", "how the weights are stored; arithmetic is float32")
      .choices(["float32", "float16"])
      .default("float32"),
  )
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
      const model = await modelOf(options, work);
      const { model: bytes, external } = exportOnnx(model, { ...options, externalData: undefined });
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
