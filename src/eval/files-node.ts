import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { createGunzip } from "node:zlib";
import { DataError, EfficientDetError } from "../errors.ts";
import { writeFileAtomic } from "../files/index.ts";
import type { CocoResult, DetectionColumns, GroundTruthColumns } from "./coco-format.ts";
import { GroundTruthReader, ResultsReader } from "./coco-reader.ts";
import { resultsJson } from "./coco-writer.ts";
import { checkInputs } from "./input-checks.ts";

const CHUNK_BYTES = 1 << 20;

/**
 * Reads a COCO ground-truth file (also gzipped), piece by piece: memory is that of its boxes.
 *
 * @throws {DataError} if the file is missing or is no ground truth
 */
export function readGroundTruth(file: string): Promise<GroundTruthColumns> {
  return read(file, new GroundTruthReader(file));
}

/**
 * Reads a COCO results file (also gzipped), piece by piece.
 *
 * @throws {DataError} if the file is missing or is no list of detections
 */
export function readResults(file: string): Promise<DetectionColumns> {
  return read(file, new ResultsReader(file));
}

/**
 * Reads both files and looks whether they belong together.
 *
 * @returns both as columns, and sentences about what is odd but not fatal
 * @throws {DataError} if a file cannot be used, or the pair has a mistake that would make the numbers meaningless
 */
export async function readEvaluationFiles(
  groundTruthFile: string,
  resultsFile: string,
): Promise<{ groundTruth: GroundTruthColumns; detections: DetectionColumns; warnings: string[] }> {
  const groundTruth = await readGroundTruth(groundTruthFile);
  const detections = await readResults(resultsFile);
  const problems = checkInputs(groundTruth, detections);
  const fatal = problems.find(({ severity }) => severity === "fatal");
  if (fatal !== undefined) {
    const file =
      fatal.message.includes("ground truth") && !fatal.message.includes("detections")
        ? groundTruthFile
        : resultsFile;
    throw new DataError(`${fatal.message} (${file})`, fatal.hint);
  }
  return { groundTruth, detections, warnings: problems.map(({ message, hint }) => `${message}: ${hint}`) };
}

/** Writes detections as a COCO results file, first under a temporary name. @throws {MachineError} if it cannot */
export function writeResults(file: string, results: Iterable<CocoResult>): Promise<void> {
  return writeFileAtomic(file, resultsJson(results));
}

async function read<T>(file: string, reader: { push(chunk: Uint8Array): void; finish(): T }): Promise<T> {
  try {
    const packed = await isGzip(file);
    const stream = createReadStream(file, { highWaterMark: CHUNK_BYTES });
    const source = packed ? stream.pipe(createGunzip({ chunkSize: CHUNK_BYTES })) : stream;
    // `pipe` passes no errors on: a stream that fails would otherwise leave the unpacking waiting.
    if (packed) stream.once("error", (cause) => source.destroy(cause));
    for await (const chunk of source) reader.push(chunk as Uint8Array);
    return reader.finish();
  } catch (cause) {
    if (cause instanceof EfficientDetError) throw cause;
    throw new DataError(
      `cannot read ${file} (${(cause as Error).message})`,
      "check the path and the file",
      cause,
    );
  }
}

async function isGzip(file: string): Promise<boolean> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(new Uint8Array(2), 0, 2, 0);
    return bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b;
  } finally {
    await handle.close();
  }
}
