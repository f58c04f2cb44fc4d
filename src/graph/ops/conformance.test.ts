import { describe, expect, it } from "vitest";
import { toOnnx } from "../../onnx/index.ts";
import { loadOrtNode, nodeRuntime } from "../../runtime/node.ts";
import { openSession } from "../../runtime/onnxruntime.ts";
import type { Tensor } from "../../tensor/index.ts";
import { interpret } from "../interpreter.ts";
import { input, type Graph } from "../ir.ts";
import { applyAll, typeText, type Op } from "../op.ts";
import { toNumbers } from "./broadcast.ts";
import { caseTensors, conformanceCases, type ConformanceCase } from "./conformance-cases.ts";
import { operations } from "./table.ts";

function graphOf(op: Op, { inputs, attributes }: ConformanceCase): Graph {
  const values = inputs.map(({ dtype, shape }, i) => input(`input_${i}`, dtype, shape));
  return {
    inputs: values,
    outputs: Object.fromEntries(applyAll(op, values, attributes).map((value, i) => [`output_${i}`, value])),
  };
}

function expectClose(actual: Tensor, expected: Tensor, tolerance: number): void {
  expect(typeText(actual)).toBe(typeText(expected));
  const [a, b] = [toNumbers(actual), toNumbers(expected)];
  let worst = 0;
  for (let i = 0; i < b.length; i++)
    if (a[i] !== b[i]) worst = Math.max(worst, Math.abs(a[i]! - b[i]!) / (1 + Math.abs(b[i]!)));
  expect(worst).toBeLessThanOrEqual(tolerance);
}

const title = ({ inputs, attributes }: ConformanceCase): string =>
  `${inputs.map(typeText).join(" ")} ${JSON.stringify(attributes)}`;

it("covers every operation, and nothing that is none", () => {
  expect(Object.keys(conformanceCases).sort()).toEqual([...operations.keys()].sort());
});

describe.each([...operations])("%s", (name, op) => {
  const cases = conformanceCases[name] ?? [];
  it.each(cases.map((one, i) => [title(one), one, i] as const))(
    "is the same in ONNX Runtime, in both dialects and an opset that moved attributes to inputs: %s",
    async (_, one, i) => {
      const tensors = caseTensors(one.inputs, i);
      const graph = graphOf(op, one);
      const feeds = Object.fromEntries(tensors.map((tensor, k) => [`input_${k}`, tensor]));
      const expected = interpret(graph, new Map(Object.entries(feeds)));
      for (const [output, value] of Object.entries(graph.outputs)) {
        expect(expected[output]!.dtype).toBe(value.dtype);
        value.shape.forEach(
          (dim, axis) => typeof dim === "number" && expect(expected[output]!.shape[axis]).toBe(dim),
        );
      }
      if (one.notInEngine !== undefined) return;
      const ort = await loadOrtNode();
      for (const session of [
        await openSession(ort, toOnnx(graph, { dialect: "onnx" }).model, { threads: 1 }),
        await openSession(ort, toOnnx(graph, { dialect: "onnx", opset: 21 }).model, { threads: 1 }),
        await nodeRuntime.compile(graph, { threads: 1 }),
        await nodeRuntime.compile(graph, { threads: 1, optimise: false }),
      ]) {
        const actual = await session.run(feeds);
        await session.dispose();
        for (const [output, tensor] of Object.entries(expected))
          expectClose(actual[output]!, tensor, one.tolerance ?? 1e-5);
      }
    },
  );
});
