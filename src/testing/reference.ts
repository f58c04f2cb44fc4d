import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync } from "node:zlib";

/**
 * The folder of reference data (golden numbers, checkpoints, labelled pictures) that lies outside the repository;
 * `EFFICIENTDET_DATA` names it. Tests that read it are skipped, with this reason, where it is missing.
 */
export const dataFolder: string | undefined = (() => {
  const folder = process.env.EFFICIENTDET_DATA;
  return folder !== undefined && existsSync(folder) ? path.resolve(folder) : undefined;
})();

/** For `describe.skipIf(...)`: true where the reference folder, or `relative` in it, is missing. */
export function referenceMissing(relative = "."): boolean {
  return (
    dataFolder === undefined ||
    !(existsSync(path.join(dataFolder, relative)) || existsSync(path.join(dataFolder, `${relative}.gz`)))
  );
}

/** The path of a file or folder in the reference folder. */
export function referencePath(relative: string): string {
  if (dataFolder === undefined) throw new Error("set EFFICIENTDET_DATA to the reference data");
  return path.join(dataFolder, relative);
}

/** The bytes of a reference file, unpacked where it lies there as `NAME.gz`. */
export function referenceBytes(relative: string): Uint8Array {
  const file = referencePath(relative);
  return existsSync(file) ? readFileSync(file) : gunzipSync(readFileSync(`${file}.gz`));
}

/** A parsed JSON file of the reference folder. */
export function referenceJson<T>(relative: string): T {
  return JSON.parse(Buffer.from(referenceBytes(relative)).toString("utf8")) as T;
}
