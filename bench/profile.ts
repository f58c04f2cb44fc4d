/**
 * Where a run's time goes: reads profiles that ONNX Runtime wrote, takes the shortest time of each node over the runs, and
 * adds up by kind. Nodes of ours are named after the operation of our graph that they are part of.
 *
 *     npx tsx --conditions=source bench/profile.ts FILE [--by operator|operation|both] [--top 25] [--nodes TEXT]
 *
 * `--nodes` lists the longest single nodes whose name has TEXT in it, with the shapes they work on.
 *
 * A profile of the training step comes from `bench/training-step-worker.ts MODEL BATCH SIZE MODE THREADS PREFIX` (fed with
 * lines `step`, then `end`), one of a network from `bench/inference.ts --profile PREFIX`.
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { table } from "../src/cli/terminal.ts";

interface Event {
  readonly cat: string;
  readonly name: string;
  readonly dur: number;
  readonly args?: {
    readonly op_name?: string;
    readonly input_type_shape?: readonly Readonly<Record<string, readonly number[]>>[];
    readonly output_type_shape?: readonly Readonly<Record<string, readonly number[]>>[];
    readonly output_size?: string;
    readonly activation_size?: string;
  };
}

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    by: { type: "string", default: "both" },
    top: { type: "string", default: "25" },
    nodes: { type: "string" },
  },
});

const events = (JSON.parse(readFileSync(positionals[0]!, "utf8")) as Event[]).filter(
  ({ cat, name }) => cat === "Node" && name.endsWith("_kernel_time"),
);
const shortest = new Map<string, Event>();
for (const event of events)
  if (event.dur < (shortest.get(event.name)?.dur ?? Infinity)) shortest.set(event.name, event);

const all = [...shortest.values()];
const total = all.reduce((sum, { dur }) => sum + dur, 0);
if (options.nodes !== undefined) {
  const text = options.nodes;
  const chosen = all.filter(({ name }) => name.includes(text)).sort((a, b) => b.dur - a.dur);
  const shapes = (list: Required<Event>["args"]["input_type_shape"] = []): string =>
    list.map((one) => `[${Object.values(one)[0]!.join()}]`).join(" ");
  const rows = chosen
    .slice(0, Number(options.top))
    .map(({ name, dur, args }) => [
      name.replace("_kernel_time", ""),
      (dur / 1000).toFixed(2),
      `${shapes(args?.input_type_shape)} → ${shapes(args?.output_type_shape)}`,
    ]);
  process.stdout.write(`${table(["node", "ms", "shapes"], rows)}\n`);
} else {
  const kinds = new Map<string, { count: number; ms: number; bytes: number }>();
  for (const { name, dur, args } of all) {
    const operator = args?.op_name ?? "?";
    const operation = name.includes("/") ? name.slice(0, name.indexOf("/")) : "-";
    const kind =
      options.by === "operator"
        ? operator
        : options.by === "operation"
          ? operation
          : `${operation} ${operator}`;
    const entry = kinds.get(kind) ?? { count: 0, ms: 0, bytes: 0 };
    kinds.set(kind, {
      count: entry.count + 1,
      ms: entry.ms + dur / 1000,
      bytes: entry.bytes + Number(args?.output_size ?? 0) + Number(args?.activation_size ?? 0),
    });
  }
  const rows = [...kinds]
    .sort((a, b) => b[1].ms - a[1].ms)
    .slice(0, Number(options.top))
    .map(([kind, { count, ms, bytes }]) => [
      kind,
      String(count),
      ms.toFixed(1),
      `${((ms * 1000 * 100) / total).toFixed(1)} %`,
      (bytes / 1e6).toFixed(0),
      (bytes / 1e6 / ms).toFixed(1),
    ]);
  process.stdout.write(
    `${all.length} nodes, ${(total / 1000).toFixed(1)} ms\n` +
      `${table(["kind", "nodes", "ms", "share", "MB in and out", "GB/s"], rows)}\n`,
  );
}
