import { UsageError } from "../errors.ts";
import { neg, reduceMax, reduceMean, type Graph, type ObservedValue, type Value } from "../graph/index.ts";
import type { Runtime, RuntimeOptions } from "../runtime/session.ts";
import type { Tensor } from "../tensor/index.ts";

/**
 * Runs a graph with fixed weights and watches some of its maps `[N, C, h, w]`: the least and the greatest number of
 * each, and the mean of each of its channels.
 *
 * Plain ends, because ranges that leave outliers out lose more at them than their finer steps gain
 * (docs/detection.md, "Eight bits").
 *
 * @param feeds the graph's inputs, picture by picture
 * @throws {UsageError} if there is no picture
 */
export async function observeValues(
  graph: Graph,
  values: readonly Value[],
  feeds: AsyncIterable<Readonly<Record<string, Tensor>>>,
  runtime: Runtime,
  options: RuntimeOptions = {},
): Promise<Map<Value, ObservedValue>> {
  const outputs = Object.fromEntries(
    values.flatMap((value, i) => [
      [`greatest/${i}`, reduceMax(value, [0, 1, 2, 3])],
      [`least/${i}`, reduceMax(neg(value), [0, 1, 2, 3])], // of the opposite sign
      [`means/${i}`, reduceMean(value, [0, 2, 3])],
    ]),
  );
  const session = await runtime.compile({ inputs: graph.inputs, outputs }, options);
  const seen = values.map(({ shape }) => ({ low: 0, high: 0, means: new Float32Array(shape[1] as number) }));
  let pictures = 0;
  try {
    for await (const feed of feeds) {
      const results = await session.run(feed);
      const numbers = (name: string): Float32Array => results[name]!.data as Float32Array;
      pictures++;
      seen.forEach((one, i) => {
        one.low = Math.min(one.low, -numbers(`least/${i}`)[0]!);
        one.high = Math.max(one.high, numbers(`greatest/${i}`)[0]!);
        numbers(`means/${i}`).forEach((mean, c) => (one.means[c]! += (mean - one.means[c]!) / pictures));
      });
    }
  } finally {
    await session.dispose();
  }
  if (pictures === 0) throw new UsageError("there is no picture to calibrate with", "give at least one");
  return new Map(values.map((value, i) => [value, seen[i]!]));
}
