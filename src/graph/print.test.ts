import { expect, it } from "vitest";
import { int64 } from "../tensor/index.ts";
import {
  add,
  constant,
  conv2d,
  input,
  maxPool2d,
  mul,
  parameter,
  printGraph,
  swish,
  topK,
  type Graph,
} from "./index.ts";

it("prints a graph as text: sources, then one line a node, then outputs", () => {
  const image = input("image", "float32", ["N", 3, 8, 8]);
  const x = swish(
    conv2d(image, parameter("stem.weight", [4, 3, 3, 3]), parameter("stem.bias", [4]), { stride: 2 }),
  );
  const best = topK(mul(maxPool2d(x, { kernel: 3, stride: 2 }), 0.5), constant(int64([2])), "k");
  const graph: Graph = {
    inputs: [image],
    outputs: { features: x, best: best.values, twice: add(x, x), again: x },
  };
  expect(printGraph(graph)).toMatchInlineSnapshot(`
    "input image: float32[N, 3, 8, 8]
    parameter stem.weight: float32[4, 3, 3, 3]
    parameter stem.bias: float32[4]
    %0: float32[N, 4, 4, 4] = conv2d(image, stem.weight, stem.bias) stride=[2, 2] dilation=[1, 1] pads=[0, 0, 1, 1] groups=1
    %1: float32[N, 4, 4, 4] = swish(%0)
    %2: float32[N, 4, 2, 2] = maxPool2d(%1) kernel=[3, 3] stride=[2, 2] pads=[0, 0, 1, 1]
    %3: float32[N, 4, 2, 2] = mul(%2, 0.5)
    %4.0: float32[N, 4, 2, k], %4.1: int64[N, 4, 2, k] = topK(%3, 2) size=k
    %5: float32[N, 4, 4, 4] = add(%1, %1)
    output features = %1
    output best = %4.0
    output twice = %5
    output again = %1"
  `);
});

it("prints a large constant once, by number", () => {
  const table = constant(int64([1, 2, 3]));
  expect(printGraph({ inputs: [], outputs: { a: add(table, table), b: table } })).toMatchInlineSnapshot(`
    "constant #0: int64[3]
    %0: int64[3] = add(#0, #0)
    output a = %0
    output b = #0"
  `);
});
