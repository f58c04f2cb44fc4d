import { describe, expect, it } from "vitest";
import { toOnnx } from "../../onnx/index.ts";
import { loadOrtNode, nodeRuntime } from "../../runtime/node.ts";
import { openSession } from "../../runtime/onnxruntime.ts";
import { elementCount, tensor, type Tensor } from "../../tensor/index.ts";
import { Random } from "../../tensor/random.ts";
import { gradients } from "../autodiff.ts";
import { interpret } from "../interpreter.ts";
import { constant, input, type Graph, type Value } from "../ir.ts";
import { applyAll, typeText, type Op } from "../op.ts";
import { toNumbers } from "./broadcast.ts";
import { caseTensors, conformanceCases, type ConformanceCase } from "./conformance-cases.ts";
import { mul, scalar } from "./elementwise.ts";
import { add, groupNorm, reduceSum, reshape, rewrite, transposedConv2d } from "../index.ts";
import { operations } from "./table.ts";

const doubled = (source: Tensor): Tensor =>
  source.dtype === "float32"
    ? tensor("float64", source.shape, Float64Array.from(source.data as Float32Array))
    : source;
const isFloat = ({ dtype }: { dtype: string }): boolean => dtype.startsWith("float");

/** The outputs weighed by random numbers and added up: one number whose gradient sees them all. */
function loss(outputs: readonly Value[], sizes: readonly Tensor[], random: Random): Value {
  return outputs.reduce((sum, output, i) => {
    if (!isFloat(output)) return sum;
    const { shape } = sizes[i]!;
    const weights = tensor(
      "float64",
      shape,
      Float64Array.from({ length: elementCount(shape) }, () => random.normal()),
    );
    const weighed = mul(reshape(output, shape), { ...constant(weights), dtype: "float32" });
    return add(
      sum,
      reshape(
        reduceSum(
          weighed,
          shape.map((_, axis) => axis),
        ),
        [],
      ),
    );
  }, scalar(0));
}

/** Compares gradients with central differences along random directions, in float64 by the interpreter. */
function checkByDifferences(
  inputs: readonly Value[],
  tensors: readonly Tensor[],
  total: Value,
  by: readonly number[],
): Graph {
  const wanted = gradients(
    total,
    by.map((i) => inputs[i]!),
  );
  const graph: Graph = {
    inputs,
    outputs: Object.fromEntries(wanted.map((value, i) => [`gradient_${by[i]}`, value])),
  };
  const feeds = new Map(tensors.map((t, i) => [`input_${i}`, doubled(t)]));
  const slopes = interpret(graph, feeds);
  const at = (moved: Map<string, Tensor>): number =>
    Number(interpret({ inputs, outputs: { total } }, moved).total!.data[0]);
  const random = new Random(77);
  const step = 1e-5;
  for (const i of by) {
    const source = feeds.get(`input_${i}`)!;
    const slope = slopes[`gradient_${i}`]!;
    expect(slope.shape).toEqual(source.shape);
    for (let trial = 0; trial < Math.min(3, source.data.length); trial++) {
      const direction = Float64Array.from({ length: source.data.length }, () => random.normal());
      const moved = (sign: number): Map<string, Tensor> =>
        new Map([
          ...feeds,
          [
            `input_${i}`,
            tensor(
              "float64",
              source.shape,
              Float64Array.from(source.data as Float64Array, (x, k) => x + sign * step * direction[k]!),
            ),
          ],
        ]);
      const measured = (at(moved(1)) - at(moved(-1))) / (2 * step);
      const computed = direction.reduce((sum, d, k) => sum + d * Number(slope.data[k]), 0);
      expect(Math.abs(computed - measured) / (1 + Math.abs(measured))).toBeLessThan(1e-6);
    }
  }
  return graph;
}

function build(op: Op, { inputs, attributes }: ConformanceCase, seed: number) {
  const values = inputs.map(({ dtype, shape }, i) => input(`input_${i}`, dtype, shape));
  const tensors = caseTensors(inputs, seed);
  const outputs = applyAll(op, values, attributes);
  const results = interpret(
    { inputs: values, outputs: Object.fromEntries(outputs.map((v, i) => [String(i), v])) },
    new Map(tensors.map((t, i) => [`input_${i}`, t])),
  );
  return { values, tensors, outputs, results: outputs.map((_, i) => results[String(i)]!) };
}

const title = ({ inputs, attributes }: ConformanceCase): string =>
  `${inputs.map(typeText).join(" ")} ${JSON.stringify(attributes)}`;
const smooth = [...operations].filter(([, op]) => typeof op.gradient === "function");

describe.each(smooth)("the gradient of %s", (name, op) => {
  const cases = conformanceCases[name]!.filter(
    ({ inputs, noGradientCheck }) => inputs.some(isFloat) && !noGradientCheck,
  );
  it.each(cases.map((one, i) => [title(one), one, i] as const))(
    "is that of finite differences, and the same in ONNX Runtime: %s",
    async (_, one, i) => {
      const { values, tensors, outputs, results } = build(op, one, i);
      // The statistics of batch normalisation flow into running averages, through which nothing is learnt.
      const seen = name === "batchNormTraining" ? outputs.slice(0, 1) : outputs;
      if (!seen.some(isFloat)) return;
      const by = values.flatMap((value, k) => (isFloat(value) ? [k] : []));
      const total = loss(seen, results, new Random(i + 1));
      const graph = checkByDifferences(values, tensors, total, by);

      if (one.inputs[0]!.shape[0] === 0) return; // nobody learns from no pictures
      const feeds = Object.fromEntries(tensors.map((t, k) => [`input_${k}`, t]));
      const single = rounded(graph);
      const expected = interpret(single, new Map(Object.entries(feeds)));
      const ort = await loadOrtNode();
      for (const session of [
        await openSession(ort, toOnnx(single, { dialect: "onnx" }).model, { threads: 1 }),
        await nodeRuntime.compile(single, { threads: 1 }),
      ]) {
        const actual = await session.run(feeds);
        await session.dispose();
        for (const [key, wanted] of Object.entries(expected)) {
          expect(typeText(actual[key]!)).toBe(typeText(wanted));
          const [a, b] = [toNumbers(actual[key]!), toNumbers(wanted)];
          for (let k = 0; k < b.length; k++)
            expect(Math.abs(a[k]! - b[k]!) / (1 + Math.abs(b[k]!))).toBeLessThan(one.tolerance ?? 2e-4);
        }
      }
    },
  );
});

/** The graph with float64 constants in float32, as engines take it. */
function rounded(graph: Graph): Graph {
  return rewrite(
    graph,
    () => undefined,
    (value) => {
      const { source } = value;
      if (source.kind !== "constant" || source.tensor.dtype !== "float64") return value;
      return constant(
        tensor("float32", source.tensor.shape, Float32Array.from(source.tensor.data as Float64Array)),
      );
    },
  );
}

describe("gradients", () => {
  const x = input("input_0", "float32", [2, 3]);
  it("add up where a value is read twice", () => {
    const [g] = gradients(reshape(reduceSum(add(mul(x, x), x), [0, 1]), []), [x]);
    const fed = new Map([["input_0", tensor("float32", [2, 3], Float32Array.of(1, 2, 3, 4, 5, 6))]]);
    expect([...interpret({ inputs: [x], outputs: { g: g! } }, fed).g!.data]).toEqual([3, 5, 7, 9, 11, 13]);
  });
  it("are zero for what the loss does not depend on", () => {
    const other = input("input_1", "float32", [2]);
    const [g] = gradients(reshape(reduceSum(x, [0, 1]), []), [other]);
    expect([...interpret({ inputs: [], outputs: { g: g! } }, new Map()).g!.data]).toEqual([0, 0]);
  });
  it("are asked of one number", () => {
    expect(() => gradients(x, [x])).toThrow("a gradient is of one number, not of [2, 3]");
  });
  it("flow through group normalisation and transposed convolution", () => {
    const random = new Random(3);
    const shapes = [[2, 4, 3, 2], [4], [4], [4, 2, 3, 3]];
    const inputs = shapes.map((shape, i) => input(`input_${i}`, "float32", shape));
    const tensors = shapes.map((shape) =>
      tensor(
        "float32",
        shape,
        Float32Array.from({ length: elementCount(shape) }, () => random.normal()),
      ),
    );
    const [map, gamma, beta, kernel] = inputs as [Value, Value, Value, Value];
    const y = transposedConv2d(groupNorm(map, gamma, beta, 2), kernel, { stride: 2 });
    expect(y.shape).toEqual([2, 2, 6, 4]);
    checkByDifferences(inputs, tensors, loss([y], [{ shape: y.shape } as Tensor], random), [0, 1, 2, 3]);
  });
});
