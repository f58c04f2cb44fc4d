/**
 * What a training step could not be faster than on this machine: its multiply-adds at the rate of a large matrix product, and
 * its memory passes at the speed of maps that fit the cache, if each operation of the graph read its inputs and wrote its
 * outputs once.
 *
 *     npx tsx --conditions=source bench/training-floor.ts [--threads 2] [--cases d0:4:256,lite0:8:320] [--modes batch,frozen,fine-tune]
 *
 * Compare with bench/training-step.ts on the same machine.
 */
import { parseArgs } from "node:util";
import { table } from "../src/cli/terminal.ts";
import { graphNodes, input, matMul, mul, type Graph, type Value } from "../src/graph/index.ts";
import { modelConfig, type VariantName } from "../src/models/index.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { elementCount, float32 } from "../src/tensor/index.ts";
import { trainingGraph } from "../src/train/training-graph.ts";
import { machine, spread } from "./timing.ts";

const { values: options } = parseArgs({
  options: {
    threads: { type: "string", default: "2" },
    cases: { type: "string", default: "d0:4:256,lite0:8:320" },
    modes: { type: "string", default: "batch,frozen,fine-tune" },
  },
});
const threads = Number(options.threads);

// Many in one run, so that it is they that are timed.
const often = (op: (a: Value, b: Value) => Value, times: number): ((a: Value, b: Value) => Value) => {
  return (a, b) => Array.from({ length: times }).reduce<Value>((c) => op(c, b), a);
};
const side = 1024;
const flops = (2 * side ** 3 * 8) / (await milliseconds(often(matMul, 8), [side, side])) / 1e6;
const elements = 2 ** 20;
const pass = (await milliseconds(often(mul, 32), [1024, elements / 1024])) / 32;
const bytesPerMs = (3 * 4 * elements) / pass;
process.stdout.write(
  `${machine()}, ${threads} threads: a product of ${side}² matrices at ${flops.toFixed(0)} GFLOP/s, ` +
    `two arrays of ${((4 * elements) / 2 ** 20).toFixed(0)} MiB multiplied at ${(bytesPerMs / 1e6).toFixed(1)} GB/s\n\n`,
);

const lines: string[][] = [];
for (const one of options.cases.split(","))
  for (const mode of options.modes.split(",")) {
    const [name, batch, size] = one.split(":") as [VariantName, string, string];
    const { graph } = trainingGraph(modelConfig(name, { classes: 3, imageSize: Number(size) }), {
      pictures: Number(batch),
      batchNorm: mode === "frozen" ? "frozen" : "batch",
      frozen: (parameter) =>
        mode === "fine-tune" && /^backbone\.(conv_stem|bn1|blocks\.[01])\./.test(parameter),
      stochasticDepth: true,
      loss: {},
    });
    const { multiplyAdds, bytes } = work(graph);
    const arithmetic = (2 * multiplyAdds) / flops / 1e6;
    const memory = bytes / bytesPerMs;
    lines.push([
      `${name}, ${batch} of ${size}², ${mode}`,
      (multiplyAdds / 1e9).toFixed(1),
      arithmetic.toFixed(0),
      (bytes / 1e9).toFixed(2),
      memory.toFixed(0),
      (arithmetic + memory).toFixed(0),
    ]);
  }
process.stdout.write(
  `${table(["step", "10⁹ multiply-adds", "ms", "GB of passes", "ms", "floor ms"], lines)}\n`,
);

/** Multiply-adds of convolutions and products; bytes of all other operations that pass over more than a vector. */
function work(graph: Graph): { multiplyAdds: number; bytes: number } {
  let [multiplyAdds, bytes] = [0, 0];
  // What has a size that is only known when it runs is a list of anchors, and small.
  const size = ({ shape }: Value): number =>
    shape.every((dim) => typeof dim === "number") ? 4 * elementCount(shape as number[]) : 0;
  for (const node of graphNodes(graph)) {
    const own = node.op.properties.multiplyAdds?.(node);
    if (own !== undefined) multiplyAdds += own;
    else if (!/reshape|expand/i.test(node.op.name))
      bytes += [...node.inputs, ...node.outputs].reduce((sum, value) => sum + size(value), 0);
  }
  return { multiplyAdds, bytes };
}

async function milliseconds(op: (a: Value, b: Value) => Value, shape: readonly number[]): Promise<number> {
  const [a, b] = [input("a", "float32", shape), input("b", "float32", shape)];
  const session = await nodeRuntime.compile({ inputs: [a, b], outputs: { c: op(a, b) } }, { threads });
  const data = float32(new Float32Array(elementCount(shape)).fill(1 / 1024), shape);
  const into = { c: float32(new Float32Array(elementCount(shape)), shape) };
  const times: number[] = [];
  for (let i = 0; i < 40; i++) {
    const start = performance.now();
    await session.run({ a: data, b: data }, into);
    times.push(performance.now() - start);
  }
  await session.dispose();
  return spread(times).low;
}
