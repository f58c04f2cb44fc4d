import { describe, expect, it } from "vitest";
import { nodeRuntime } from "../../runtime/node.ts";
import { Random } from "../../tensor/random.ts";
import { elementCount, float32, type Tensor } from "../../tensor/index.ts";
import {
  add,
  constant,
  conv2d,
  graphNodes,
  input,
  interpret,
  maxPool2d,
  mul,
  reduceMean,
  relu6,
  resizeNearest,
  sigmoid,
  swish,
  type Graph,
  type Value,
} from "../index.ts";
import { blockLayout } from "./block-layout.ts";

const random = new Random(7);
const normal = (shape: readonly number[]): Tensor =>
  float32(
    Float32Array.from({ length: elementCount(shape) }, () => random.normal()),
    shape,
  );
const weights = (...shape: number[]): Value => constant(normal(shape));

/** Everything the family does to a map: stem, depthwise, gate, residual, clipping, pooling, repeating, odd channels. */
function network(n: number, size: number): Graph {
  const image = input("image", "float32", [n, 3, size, size]);
  const stem = swish(conv2d(image, weights(24, 3, 3, 3), weights(24), { stride: 2 }));
  const depthwise = swish(conv2d(stem, weights(24, 1, 5, 5), undefined, { groups: 24 }));
  const gate = sigmoid(conv2d(reduceMean(depthwise, [2, 3]), weights(24, 24, 1, 1), weights(24)));
  const projected = conv2d(mul(depthwise, gate), weights(24, 24, 1, 1), weights(24));
  const residual = add(stem, projected);
  const narrow = relu6(conv2d(residual, weights(20, 24, 1, 1), weights(20)));
  const pooled = maxPool2d(narrow, { kernel: 3, stride: 2 });
  const back = resizeNearest(pooled, narrow.shape[2] as number, narrow.shape[3] as number);
  const merged = add(mul(narrow, constant(float32([0.3], [1]))), mul(back, constant(float32([0.7], [1]))));
  return {
    inputs: [image],
    outputs: {
      logits: conv2d(merged, weights(10, 20, 3, 3), weights(10)),
      pooled,
      means: reduceMean(merged, [2, 3]),
    },
  };
}

const differences = (a: Record<string, Tensor>, b: Record<string, Tensor>): number =>
  Math.max(
    ...Object.keys(a).map((name) => {
      expect(b[name]!.shape).toEqual(a[name]!.shape);
      return Math.max(
        0,
        ...Array.from(a[name]!.data as Float32Array, (value, i) =>
          Math.abs(value - (b[name]!.data as Float32Array)[i]!),
        ),
      );
    }),
  );

describe("the blocked layout", () => {
  it.each([
    [8, 1, 16],
    [8, 2, 14],
    [8, 1, 13],
    [16, 1, 16],
    [16, 3, 10],
  ])("in blocks of %i changes nothing but the order of sums: %i pictures of %i pixels", (block, n, size) => {
    const graph = network(n, size);
    const image = normal([n, 3, size, size]);
    const feeds = new Map([["image", image]]);
    // Values reach some hundreds here; float32 sums in another order differ in the sixth digit.
    expect(differences(interpret(graph, feeds), interpret(blockLayout(graph, block), feeds))).toBeLessThan(
      2e-3,
    );
  });

  it("is what ONNX Runtime computes on this machine", async () => {
    const graph = network(1, 32);
    const image = normal([1, 3, 32, 32]);
    const session = await nodeRuntime.compile(graph);
    expect(
      differences(interpret(graph, new Map([["image", image]])), await session.run({ image })),
    ).toBeLessThan(2e-3);
    await session.dispose();
  });

  it("leaves blocks only for outputs", () => {
    const count = (name: string): number =>
      graphNodes(blockLayout(network(1, 32), 8)).filter(({ op }) => op.name === name).length;
    expect(count("reorderInput")).toBe(0);
    expect(count("reorderOutput")).toBeLessThanOrEqual(3);
    expect(count("blockedConv")).toBe(5);
  });

  it("moves a gate into the filter after it, and sums and clipping into the convolution before them", () => {
    const nodes = graphNodes(blockLayout(network(1, 32), 8));
    expect(nodes.filter(({ op }) => op.name === "scaledFilter")).toHaveLength(1);
    expect(nodes.filter(({ op, inputs }) => op.name === "blockedConv" && inputs.length === 4)).toHaveLength(
      1,
    );
    expect(nodes.filter(({ attributes }) => attributes.activation === "relu6")).toHaveLength(1);
    expect(nodes.some(({ op }) => op.name === "relu6")).toBe(false);
  });

  it("leaves a graph without convolutions alone", () => {
    const x = input("x", "float32", [1, 8, 4, 4]);
    const graph = { inputs: [x], outputs: { y: swish(x) } };
    expect(graphNodes(blockLayout(graph, 8))).toEqual(graphNodes(graph));
  });
});
