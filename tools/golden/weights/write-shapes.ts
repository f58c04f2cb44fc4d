/** Writes the names and shapes of the tiny networks for the Python scripts beside this file. Run with tsx. */
import { writeFileSync } from "node:fs";
import { tinyParameters } from "../../../src/testing/tiny-detector.ts";

const shapes = (squeeze: boolean) =>
  Object.fromEntries(tinyParameters({ classes: 2, squeeze }).map(({ name, shape }) => [name, shape]));
writeFileSync(
  new URL("../../../test/fixtures/weights/tiny-shapes.json", import.meta.url),
  `${JSON.stringify({ tiny: shapes(true), "tiny-lite": shapes(false) })}\n`,
);
