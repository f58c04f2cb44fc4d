import { readdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { MachineError, WeightsError } from "../errors.ts";
import { fileTrouble, readOrdinaryFile, writeFileAtomic } from "../files/index.ts";
import type { EmaChoice, NamedBytes } from "./checkpoint.ts";
import type { Conversion, ConvertOptions } from "./convert.ts";
import { convertCheckpoint } from "./convert.ts";
import { printable } from "./printable.ts";
import { readCheckpoint } from "./read-checkpoint.ts";

/**
 * The files of a checkpoint, with their contents: the one file named, or for TensorFlow (named by its `.index` file, its
 * prefix such as `model.ckpt-1234`, one of its data files, or its folder) the index and its data files.
 *
 * @throws {WeightsError} if there is no such file
 */
export async function readWeightFiles(file: string): Promise<NamedBytes[]> {
  const found = await locate(file);
  const names = found.endsWith(".index") ? [found, ...(await dataFiles(found))] : [found];
  const files: NamedBytes[] = [];
  for (const name of names) files.push({ name, bytes: await readWhole(name) });
  return files;
}

async function locate(file: string): Promise<string> {
  const prefix = /^(.*)\.data-\d+-of-\d+$/.exec(file)?.[1];
  if (prefix !== undefined) return `${prefix}.index`;
  const kind = await kindOf(file);
  if (kind === "folder") return locateInFolder(file);
  if (kind === "file") return file;
  if ((await kindOf(`${file}.index`)) === "file") return `${file}.index`;
  throw new WeightsError(`there is no weight file ${printable(file, 300)}`, "check the path");
}

async function kindOf(file: string): Promise<"file" | "folder" | "none"> {
  try {
    return (await stat(file)).isDirectory() ? "folder" : "file";
  } catch {
    return "none";
  }
}

/** The newest checkpoint of a folder, as TensorFlow's own `checkpoint` file says it, or the only one. */
async function locateInFolder(folder: string): Promise<string> {
  const names = await readdir(folder);
  if (names.includes("checkpoint")) {
    const text = (await readFile(path.join(folder, "checkpoint"), "utf8")).slice(0, 10_000);
    const named = /^model_checkpoint_path:\s*"([^"\n]+)"/m.exec(text)?.[1];
    // The path in it may be that of another machine: only its last part counts.
    const index = named === undefined ? undefined : `${path.basename(named)}.index`;
    if (index !== undefined && names.includes(index)) return path.join(folder, index);
  }
  const indexes = names.filter((name) => name.endsWith(".index"));
  if (indexes.length === 1) return path.join(folder, indexes[0]!);
  throw new WeightsError(
    `the folder holds ${indexes.length === 0 ? "no checkpoint" : `${indexes.length} checkpoints`} (${folder})`,
    indexes.length === 0 ? "name a weight file" : `name one of ${indexes.slice(0, 5).join(", ")}`,
  );
}

async function dataFiles(index: string): Promise<string[]> {
  const folder = path.dirname(index);
  const stem = path.basename(index).replace(/\.index$/, "");
  const names = await readdir(folder);
  return names
    .filter((name) => name.startsWith(`${stem}.data-`))
    .sort()
    .map((name) => path.join(folder, name));
}

async function readWhole(file: string): Promise<Uint8Array> {
  try {
    return await readOrdinaryFile(file);
  } catch (error) {
    const { code = "unknown reason" } = error as NodeJS.ErrnoException;
    if (code === "ENOMEM" || code === "ERR_FS_FILE_TOO_LARGE")
      throw new MachineError(`there is not enough memory to read ${printable(file, 300)}`, undefined, error);
    throw new WeightsError(
      `${printable(file, 300)} cannot be read: ${fileTrouble(error)}`,
      "check the path and its rights",
      error,
    );
  }
}

/**
 * All that `efficientdet convert FROM --to FILE` does: reads any checkpoint, writes safetensors.
 *
 * @returns what was recognised and loaded
 * @throws {WeightsError} if the checkpoint cannot be used; {@link MachineError} if the file cannot be written
 */
export async function convertFile(
  from: string,
  to: string,
  { ema, ...options }: ConvertOptions & { readonly ema?: EmaChoice },
): Promise<Conversion> {
  const checkpoint = readCheckpoint(await readWeightFiles(from), { source: from, ema });
  const conversion = convertCheckpoint(checkpoint, options);
  await writeFileAtomic(to, conversion.chunks());
  return conversion;
}
