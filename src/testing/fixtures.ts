import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { NamedBytes } from "../weights/checkpoint.ts";
import type { KnownModel } from "../weights/recognise-model.ts";
import { tinyParameters } from "./tiny-detector.ts";

/** The path of a file of `test/fixtures`. */
export function fixturePath(relative: string): string {
  return fileURLToPath(new URL(`../../test/fixtures/${relative}`, import.meta.url));
}

/** A file of `test/fixtures/weights`: written by the original libraries, see `tools/golden/weights`. */
export function weightFixture(name: string): NamedBytes {
  return { name, bytes: readFileSync(fixturePath(`weights/${name}`)) };
}

/** The two tiny networks that the fixtures hold, as models that weights may belong to. */
export const tinyModels: readonly KnownModel[] = [
  { name: "tiny", parameters: (classes) => tinyParameters({ classes, squeeze: true }) },
  { name: "tiny-lite", parameters: (classes) => tinyParameters({ classes, squeeze: false }) },
];
