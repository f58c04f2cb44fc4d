import path from "node:path";
import { exportOnnx } from "../detector/export.ts";
import { writeFileAtomic } from "../files/index.ts";
import { Option } from "commander";
import { modelOf, withModelOptions, type ModelOptions } from "./model-options.ts";
import { action, verb, wholeNumber } from "./verb.ts";

interface Options extends ModelOptions {
  readonly to: string;
  readonly dtype: "float32" | "float16";
  readonly raw?: boolean;
  readonly opset: number;
}

/** `efficientdet export --to model.onnx`: one file that any ONNX Runtime runs. */
export const exportVerb = withModelOptions(verb("export", "Write the detector as one ONNX file: picture in, boxes out"))
  .requiredOption("--to <file>", "the file to write")
  .addOption(new Option("--dtype <type>", "how the weights are stored; arithmetic is float32").choices(["float32", "float16"]).default("float32"))
  .option("--raw", "the network alone: normalised pictures [N, 3, H, W] in, level maps out")
  .option("--opset <n>", "ONNX opset", wholeNumber(17, 23), 17)
  .action(
    action<Options>(async (_, options, work) => {
      const model = await modelOf(options, work);
      const { model: bytes, external } = exportOnnx(model, { ...options, externalData: undefined });
      if (external) await writeFileAtomic(path.join(path.dirname(options.to), external.file), external.chunks);
      await writeFileAtomic(options.to, bytes);
      const result = { file: options.to, bytes: bytes.length, model: model.config.name, classes: model.classes.length, dtype: options.dtype, opset: options.opset };
      if (work.terminal.json) work.terminal.showJson(result);
      else work.terminal.show(`${options.to}: ${model.config.name}, ${model.classes.length} classes, ${(bytes.length / 1e6).toFixed(1)} MB`);
    }),
  );
