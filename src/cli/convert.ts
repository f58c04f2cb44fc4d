import { Option } from "commander";
import { knownModels } from "../weights/known-models.ts";
import { convertFile } from "../weights/files-node.ts";
import type { EmaChoice, LoadReport } from "../weights/index.ts";
import { readClassNames } from "./model-options.ts";
import type { Terminal } from "./terminal.ts";
import { action, verb } from "./verb.ts";

interface Options {
  readonly to: string;
  readonly model?: string;
  readonly dtype: "float32" | "float16";
  readonly classNames?: string;
  readonly ema: EmaChoice;
}

/** `efficientdet convert CHECKPOINT --to FILE.safetensors`. */
export const convert = verb(
  "convert",
  "Turn a weight file of any format into safetensors, with a report of what was loaded",
)
  .argument(
    "<checkpoint>",
    ".pth, .h5, TensorFlow checkpoint (its .index or folder), .tflite or .safetensors",
  )
  .requiredOption("--to <file>", "the .safetensors to write")
  .option("--model <name>", "the variant (default: recognised)")
  .addOption(
    new Option("--dtype <type>", "how the weights are stored")
      .choices(["float32", "float16"])
      .default("float32"),
  )
  .option("--class-names <file>", "names of the classes: one a line, or JSON")
  .addOption(
    new Option("--ema <choice>", "the moving average of a training checkpoint, or the plain weights")
      .choices(["auto", "yes", "no"])
      .default("auto"),
  )
  .action(
    action<Options>(async ([from], options, { terminal }) => {
      const { model, dtype, ema } = options;
      const classes = options.classNames === undefined ? undefined : await readClassNames(options.classNames);
      const { report } = await convertFile(from!, options.to, {
        models: knownModels,
        model,
        dtype,
        ema,
        classes,
      });
      if (terminal.json) terminal.showJson(report);
      else show(report, from!, options.to, terminal);
    }),
  );

const listed = 20;

function show(report: LoadReport, from: string, to: string, terminal: Terminal): void {
  const average =
    report.ema === undefined
      ? ""
      : report.ema
        ? ", moving average"
        : ", plain weights, not their moving average";
  terminal.show(`${from}: ${report.format}, ${report.model}, ${report.classes} classes${average}`);
  terminal.show(`loaded ${report.loaded} tensors → ${to}`);
  for (const kind of ["reinitialised", "missing", "unexpected", "skipped"] as const) {
    const entries = report[kind];
    if (entries.length === 0) continue;
    terminal.show(`${kind}: ${entries.length}`);
    for (const { name, shape, reason } of entries.slice(0, listed))
      terminal.show(`  ${name} [${shape?.join(", ") ?? ""}]${reason ? `: ${reason}` : ""}`);
    if (entries.length > listed) terminal.show(`  … and ${entries.length - listed} more; --json lists all`);
  }
}
