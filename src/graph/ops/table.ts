import type { Op } from "../op.ts";
import * as activationGradients from "./activation-gradients.ts";
import * as batchStatistics from "./batch-statistics.ts";
import * as channelBlocks from "./channel-blocks.ts";
import * as convolutionGradients from "./convolution-gradients.ts";
import * as convolution from "./convolution.ts";
import * as elementwise from "./elementwise.ts";
import * as focal from "./focal.ts";
import * as letterbox from "./letterbox.ts";
import * as movement from "./movement.ts";
import * as normalisation from "./normalisation.ts";
import * as poolingGradients from "./pooling-gradients.ts";
import * as pooling from "./pooling.ts";
import * as quantisation from "./quantisation.ts";
import * as reduction from "./reduction.ts";
import * as resize from "./resize.ts";
import * as selection from "./selection.ts";

const files = [
  activationGradients, batchStatistics, channelBlocks, convolution, convolutionGradients, elementwise, focal, letterbox, movement, normalisation, pooling,
  poolingGradients, quantisation, reduction, resize, selection,
]; // prettier-ignore

/** Every operation, by name. The set is closed: what is not here does not exist, and tests run over all of it. */
export const operations: ReadonlyMap<string, Op> = new Map(
  files.flatMap((file) => Object.values(file).filter(isOp)).map((op) => [op.name, op]),
);

function isOp(value: unknown): value is Op {
  return typeof value === "object" && value !== null && "infer" in value && "emit" in value;
}
