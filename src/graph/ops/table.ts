import type { Op } from "../op.ts";
import * as convolution from "./convolution.ts";
import * as elementwise from "./elementwise.ts";
import * as letterbox from "./letterbox.ts";
import * as movement from "./movement.ts";
import * as normalisation from "./normalisation.ts";
import * as pooling from "./pooling.ts";
import * as reduction from "./reduction.ts";
import * as selection from "./selection.ts";

/** Every operation, by name. The set is closed: what is not here does not exist, and tests run over all of it. */
export const operations: ReadonlyMap<string, Op> = new Map(
  [convolution, elementwise, letterbox, movement, normalisation, pooling, reduction, selection]
    .flatMap((file) => Object.values(file).filter(isOp))
    .map((op) => [op.name, op]),
);

function isOp(value: unknown): value is Op {
  return typeof value === "object" && value !== null && "infer" in value && "emit" in value;
}
