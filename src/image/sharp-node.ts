import type { default as Sharp } from "sharp";
import { MachineError } from "../errors.ts";

/**
 * The picture library, loaded when first needed: verbs that touch no picture start without it.
 *
 * @throws {MachineError} if its binary is missing on this platform
 */
export async function loadSharp(): Promise<typeof Sharp> {
  try {
    return (await import("sharp")).default;
  } catch (cause) {
    throw new MachineError(
      `the picture library sharp cannot be loaded on ${process.platform}-${process.arch}`,
      "install again with optional dependencies: npm install --include=optional sharp",
      cause,
    );
  }
}
