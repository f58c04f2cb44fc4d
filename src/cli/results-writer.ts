import path from "node:path";
import type { DetectedPicture } from "../detector/result.ts";
import { UsageError } from "../errors.ts";
import { fittingName, openAtomic, uniqueNames, writeFileAtomic } from "../files/index.ts";
import {
  cocoImageIds,
  csvHeader,
  toCocoResults,
  toCsvLines,
  toJsonLine,
  toVocXml,
  toYoloText,
  type PictureInput,
  type PictureResult,
} from "../image/index.ts";
import type { ModelClass } from "../weights/index.ts";

/** Writes results as they come; the file appears when all are there. */
export interface ResultsWriter extends AsyncDisposable {
  begin(classes: readonly ModelClass[]): void;
  write(result: DetectedPicture): Promise<void>;
  commit(): Promise<void>;
}

const nothing: ResultsWriter = {
  begin: () => undefined,
  write: async () => undefined,
  commit: async () => undefined,
  [Symbol.asyncDispose]: async () => undefined,
};

/**
 * The writer that `--results` asks for.
 *
 * @throws {UsageError} for an ending that stands for no format
 * @throws {MachineError} if the file cannot be opened
 */
export async function resultsWriter(
  options: { results?: string; resultsFormat?: "yolo" | "voc" },
  pictures: readonly PictureInput[],
): Promise<ResultsWriter> {
  const { results, resultsFormat } = options;
  if (results === undefined) {
    if (resultsFormat !== undefined)
      throw new UsageError("--results-format needs --results", "name the folder with --results DIR");
    return nothing;
  }
  if (resultsFormat !== undefined) return folderWriter(results, resultsFormat);
  const ending = path.extname(results).toLowerCase();
  if (ending === ".jsonl") return fileWriter(results, { line: (result) => `${toJsonLine(result)}\n` });
  if (ending === ".csv") return fileWriter(results, { head: csvHeader, line: toCsvLines });
  if (ending === ".json") return cocoWriter(results, pictures);
  throw new UsageError(
    `--results ${results} names no known format`,
    "end it in .jsonl, .csv or .json, or add --results-format yolo or voc for a folder",
  );
}

async function fileWriter(
  file: string,
  form: { head?: string; line: (result: PictureResult) => string; tail?: string },
): Promise<ResultsWriter> {
  const writer = await openAtomic(file);
  if (form.head) await writer.write(form.head);
  return {
    begin: () => undefined,
    write: async (result) => {
      const text = form.line(plain(result));
      if (text !== "") await writer.write(text);
    },
    commit: async () => {
      if (form.tail) await writer.write(form.tail);
      await writer.commit();
    },
    [Symbol.asyncDispose]: () => writer.abort(),
  };
}

function cocoWriter(file: string, pictures: readonly PictureInput[]): Promise<ResultsWriter> {
  const sources = pictures.map(({ source }) => source);
  const ids = new Map(cocoImageIds(sources).map((id, i) => [sources[i]!, id]));
  let first = true;
  const line = (result: PictureResult): string =>
    toCocoResults(result, ids.get(result.source)!)
      .map((entry) => {
        const comma = first ? "" : ",\n";
        first = false;
        return comma + JSON.stringify(entry);
      })
      .join("");
  return fileWriter(file, { head: "[\n", line, tail: "\n]\n" });
}

function folderWriter(folder: string, format: "yolo" | "voc"): ResultsWriter {
  const names = uniqueNames();
  let ids: readonly number[] = [];
  return {
    ...nothing,
    begin: (classes) => void (ids = classes.map(({ id }) => id)),
    write: async (result) => {
      const name = path.parse(result.source === "-" ? "stdin" : result.source).name;
      const stem = fittingName(name, ".txt".length);
      if (format === "voc")
        await writeFileAtomic(path.join(folder, names(`${stem}.xml`)), toVocXml(plain(result)));
      else await writeFileAtomic(path.join(folder, names(`${stem}.txt`)), toYoloText(plain(result), ids));
    },
  };
}

function plain({ source, width, height, detections, timings }: DetectedPicture): PictureResult {
  return { source, width, height, detections, timings: { ...timings } };
}
