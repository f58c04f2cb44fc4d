import type { Command } from "commander";
import { DataError } from "../errors.ts";
import { fileTrouble, readOrdinaryFile } from "../files/index.ts";
import { parseClassNames, type ModelClass } from "../weights/index.ts";
import { openModel } from "../detector/open-node.ts";
import type { ReadyModel } from "../detector/ready-model.ts";
import type { Settings, Work } from "./verb.ts";
import { imageSize } from "./verb.ts";

/** The options by which verbs choose a model. */
export interface ModelOptions {
  readonly model?: string;
  readonly weights?: string;
  readonly classNames?: string;
  readonly imageSize?: [number, number];
}

/** The classes in a text file: one name a line, or JSON. @throws {DataError} if it cannot be read */
export async function readClassNames(file: string): Promise<ModelClass[]> {
  let text: string;
  try {
    text = Buffer.from(await readOrdinaryFile(file, 2 ** 24)).toString("utf8");
  } catch (cause) {
    throw new DataError(
      `the class names cannot be read: ${fileTrouble(cause)} (${file})`,
      "check the path",
      cause,
    );
  }
  return parseClassNames(text, file);
}

/** Adds `--model`, `--weights`, `--class-names` and `--image-size`. */
export function withModelOptions(command: Command): Command {
  return command
    .option(
      "--model <name>",
      "a ready detector, or with --weights the variant they belong to (default: lite0-everyday)",
    )
    .option("--weights <file>", "a weight file of any format, or its URL")
    .option("--class-names <file>", "names of the classes, one a line, where the weights have none")
    .option("--image-size <size>", "network input, N or HxW (default: the model's)", imageSize);
}

/** The model that the options name, with progress where it is downloaded. */
export async function modelOf(
  options: ModelOptions & Settings,
  { terminal, signal }: Work,
): Promise<ReadyModel> {
  const progress = terminal.progress("downloading, MB");
  try {
    return await openModel(
      {
        model: options.model,
        weights: options.weights,
        classNames: options.classNames === undefined ? undefined : await readClassNames(options.classNames),
        imageSize: options.imageSize,
      },
      {
        cacheDir: options.cacheDir,
        offline: options.offline,
        signal,
        onProgress: (received, total) =>
          progress.update(
            Math.round(received / 1e5) / 10,
            total === undefined ? undefined : Math.round(total / 1e5) / 10,
          ),
      },
    );
  } finally {
    progress.end();
  }
}
