import { describe, expect, it } from "vitest";
import { nodeRuntime } from "../../runtime/node.ts";
import { elementCount, float32, type Tensor } from "../../tensor/index.ts";
import { Random } from "../../tensor/random.ts";
import {
  add, beforeQuantisation, constant, constantOf, conv2d, graphNodes, input, interpret, maxPool2d, mul, quantiseGraph, relu6, resizeNearest, swish, valuesToObserve,
  type Graph, type ObservedValue, type Value,
} from "../index.ts"; // prettier-ignore

const random = new Random(3);
const normal = (shape: readonly number[], scale = 1): Tensor =>
  float32(
    Float32Array.from({ length: elementCount(shape) }, () => random.normal() * scale),
    shape,
  );
const weights = (...shape: number[]): Value => constant(normal(shape, 0.5));

/** Stem, depthwise, residual sum, clipping, swish, pooling and fusion by weights. */
function network(): Graph {
  const image = input("image", "float32", [1, 3, 16, 16]);
  const stem = relu6(conv2d(image, weights(16, 3, 3, 3), weights(16), { stride: 2 }));
  const depthwise = swish(conv2d(stem, weights(16, 1, 3, 3), weights(16), { groups: 16 }));
  const residual = add(stem, conv2d(depthwise, weights(16, 16, 1, 1), weights(16)));
  const down = maxPool2d(residual, { kernel: 3, stride: 2 });
  const fused = add(mul(residual, 0.7), mul(resizeNearest(down, 8, 8), 0.3));
  return { inputs: [image], outputs: { out: conv2d(fused, weights(8, 16, 1, 1), weights(8)) } };
}

/** What a value takes on, seen by the interpreter. */
function observe(graph: Graph, image: Tensor): Map<Value, ObservedValue> {
  const values = valuesToObserve(graph);
  const seen = interpret(
    { inputs: graph.inputs, outputs: Object.fromEntries(values.map((value, i) => [String(i), value])) },
    new Map([["image", image]]),
  );
  return new Map(
    values.map((value, i) => {
      const data = seen[String(i)]!.data as Float32Array;
      const channels = value.shape[1] as number;
      const means = new Float32Array(channels);
      data.forEach(
        (x, at) => (means[Math.floor((at * channels) / data.length)]! += (x * channels) / data.length),
      );
      return [value, { low: Math.min(...data), high: Math.max(...data), means }];
    }),
  );
}

const deviation = (values: ArrayLike<number>): number => {
  const list = Array.from(values);
  const mean = list.reduce((a, b) => a + b) / list.length;
  return Math.sqrt(list.reduce((sum, x) => sum + (x - mean) ** 2, 0) / list.length);
};

describe("a graph in eight bits", () => {
  const graph = beforeQuantisation(network());
  const image = normal([1, 3, 16, 16]);
  const whole = quantiseGraph(graph, observe(graph, image));

  it("computes every convolution of bytes by bytes, with kernels of 7 bits but where they are depthwise", () => {
    const convolutions = graphNodes(whole).filter(({ op }) => op.name === "conv2d");
    expect(convolutions).toHaveLength(4);
    for (const { inputs, attributes } of convolutions) {
      const [x, kernel, bias] = inputs.map(({ source }) =>
        source.kind === "node" ? source.node : undefined,
      );
      expect([x, kernel, bias].map((node) => node?.inputs[0]!.dtype)).toEqual(["uint8", "int8", "int32"]);
      const most = Math.max(...Array.from(constantOf(kernel!.inputs[0]!)!.data as Int8Array, Math.abs));
      expect(most).toBe(attributes.groups === 16 ? 127 : 64);
    }
  });

  it("is near the float one: within a twentieth of a deviation, after six roundings", () => {
    const exact = interpret(graph, new Map([["image", image]])).out!.data as Float32Array;
    const rounded = interpret(whole, new Map([["image", image]])).out!.data as Float32Array;
    const error = exact.map((x, i) => x - rounded[i]!);
    expect(deviation(error) / deviation(exact)).toBeLessThan(0.05);
    expect(deviation(error)).toBeGreaterThan(0);
  });

  it("is the same in ONNX Runtime, but for roundings that fall on the other side", async () => {
    const expected = interpret(whole, new Map([["image", image]])).out!.data as Float32Array;
    const session = await nodeRuntime.compile(whole, { threads: 1 });
    const { out } = await session.run({ image });
    await session.dispose();
    const error = expected.map((x, i) => x - (out!.data as Float32Array)[i]!);
    expect(deviation(error) / deviation(expected)).toBeLessThan(0.02);
  });

  it("leaves what it is told to in float32", () => {
    const some = quantiseGraph(graph, observe(graph, image), { keepFloat: () => true });
    expect(graphNodes(some).some(({ op }) => op.name === "quantise")).toBe(false);
  });

  it("says so when a value was not observed", () => {
    expect(() => quantiseGraph(graph, new Map())).toThrow("was not observed");
  });
});
