import { describe, expect, it } from "vitest";
import { buildModel, modelConfig } from "../../models/index.ts";
import { ruleTensor } from "../../testing/rule.ts";
import {
  elementCount,
  float32,
  float32ToHalf,
  halfToFloat32,
  tensor,
  type Tensor,
} from "../../tensor/index.ts";
import { Random } from "../../tensor/random.ts";
import {
  add, batchNorm, batchNormOp, batchNormTraining, bindParameters, constant, conv2d, foldBatchNorm, foldConstants, foldFrozenBatchNorm, forInference, fuseActivations,
  gradients, graphNodes, hoist, input, interpret, mul, nameOf, parameter, printGraph, reduceSum, relu, relu6, rewrite, sub, topK, type Graph, type Value,
} from "../index.ts"; // prettier-ignore

const random = new Random(5);
const noise = (...shape: number[]): Tensor =>
  float32(
    Float32Array.from({ length: elementCount(shape) }, () => random.normal()),
    shape,
  );
const counted = (graph: Graph): string[] => graphNodes(graph).map(({ op }) => op.name);

function expectClose(actual: Tensor, expected: Tensor, tolerance: number): void {
  expect(actual.shape).toEqual(expected.shape);
  actual.data.forEach((value, i) =>
    expect(Math.abs(Number(value) - Number(expected.data[i]!))).toBeLessThan(tolerance),
  );
}

const image = input("image", "float32", [2, 3, 6, 6]);
const norm = (x: Value, name: string): Value => {
  const vector = (part: string): Value =>
    parameter(`${name}.${part}`, [x.shape[1] as number], !part.startsWith("running"));
  return batchNorm(x, vector("weight"), vector("bias"), vector("running_mean"), vector("running_var"));
};
const weights = new Map<string, Tensor>([
  ["conv.weight", noise(4, 3, 3, 3)],
  ["conv.bias", noise(4)],
  ["bn.weight", noise(4)],
  ["bn.bias", noise(4)],
  ["bn.running_mean", noise(4)],
  ["bn.running_var", float32([0.5, 1, 2, 0.1])],
]);
const convolved = (bias: boolean): Value =>
  conv2d(image, parameter("conv.weight", [4, 3, 3, 3]), bias ? parameter("conv.bias", [4]) : undefined, {
    stride: 2,
  });
const feeds = new Map([...weights, ["image", noise(2, 3, 6, 6)]]);

describe("binding parameters", () => {
  const graph: Graph = { inputs: [image], outputs: { y: relu(norm(convolved(true), "bn")) } };
  it("keeps the outputs and leaves no parameter", () => {
    const bound = bindParameters(graph, weights);
    expectClose(
      interpret(bound, new Map([["image", feeds.get("image")!]])).y!,
      interpret(graph, feeds).y!,
      1e-12,
    );
  });
  it("widens half precision", () => {
    const half = tensor("float16", [4], float32ToHalf(weights.get("conv.bias")!.data as Float32Array));
    const bound = bindParameters(graph, new Map([...weights, ["conv.bias", half]]));
    const widened = new Map([...feeds, ["conv.bias", float32(halfToFloat32(half.data))]]);
    expectClose(interpret(bound, feeds).y!, interpret(graph, widened).y!, 1e-12);
  });
  it("names the weight that is missing", () => {
    expect(() => bindParameters(graph, new Map())).toThrow(
      "the weights have no conv.weight, float32[4, 3, 3, 3]",
    );
  });
  it("names the weight of another shape, and both shapes", () => {
    const wrong = new Map([...weights, ["bn.bias", noise(3)]]);
    expect(() => bindParameters(graph, wrong)).toThrow(
      "bn.bias is float32[3] in the weights, but float32[4] in the model",
    );
  });
});

describe("folding batch normalisation", () => {
  it.each([true, false])("keeps the outputs (convolution with a bias: %s) and leaves one node", (bias) => {
    const graph: Graph = { inputs: [image], outputs: { y: norm(convolved(bias), "bn") } };
    const folded = foldBatchNorm(bindParameters(graph, weights));
    expect(counted(folded)).toEqual(["conv2d"]);
    expectClose(interpret(folded, feeds).y!, interpret(graph, feeds).y!, 1e-5);
  });
  it("leaves a convolution alone that something else reads too", () => {
    const x = convolved(false);
    const graph: Graph = { inputs: [image], outputs: { y: add(norm(x, "bn"), x) } };
    const folded = foldBatchNorm(bindParameters(graph, weights));
    expect(counted(folded)).toContain("batchNorm");
    expectClose(interpret(folded, feeds).y!, interpret(graph, feeds).y!, 1e-5);
  });
  it("leaves it alone where the convolution is an output itself", () => {
    const x = convolved(false);
    const folded = foldBatchNorm(
      bindParameters({ inputs: [image], outputs: { x, y: norm(x, "bn") } }, weights),
    );
    expect(counted(folded)).toEqual(["conv2d", "batchNorm"]);
  });
  it("does nothing while parameters are unbound", () => {
    const graph: Graph = { inputs: [image], outputs: { y: norm(convolved(false), "bn") } };
    expect(printGraph(foldBatchNorm(graph))).toBe(printGraph(graph));
  });
});

describe("folding frozen batch normalisation", () => {
  it.each([true, false])(
    "keeps the outputs while weights are values (convolution with a bias: %s)",
    (bias) => {
      const graph: Graph = { inputs: [image], outputs: { y: norm(convolved(bias), "bn") } };
      const folded = foldFrozenBatchNorm(graph);
      expect(counted(folded)).not.toContain("batchNorm");
      expectClose(interpret(folded, feeds).y!, interpret(graph, feeds).y!, 1e-5);
    },
  );
  it("leaves a convolution alone that something else reads too", () => {
    const x = convolved(false);
    expect(
      counted(foldFrozenBatchNorm({ inputs: [image], outputs: { y: add(norm(x, "bn"), x) } })),
    ).toContain("batchNorm");
  });
});

describe("fusing activations", () => {
  const gamma = parameter("bn.weight", [4]);
  const beta = parameter("bn.bias", [4]);
  it.each([
    ["relu", relu],
    ["relu6", relu6],
  ] as const)(
    "makes %s part of the normalisation: outputs, statistics and gradients stay",
    (_, activation) => {
      const { y, mean, variance } = batchNormTraining(convolved(true), gamma, beta);
      const graph: Graph = { inputs: [image], outputs: { y: activation(y), mean, variance } };
      const fused = fuseActivations(graph);
      expect(counted(fused)).toEqual(["conv2d", "batchNormTraining"]);
      const withGradients = ({ inputs, outputs }: Graph): Graph => {
        const [dGamma, dImage] = gradients(reduceSum(mul(outputs.y!, outputs.y!), [0, 1, 2, 3]), [
          gamma,
          image,
        ]);
        return { inputs, outputs: { ...outputs, dGamma: dGamma!, dImage: dImage! } };
      };
      const [expected, found] = [graph, fused].map((g) => interpret(withGradients(g), feeds));
      for (const name of ["y", "mean", "variance", "dGamma", "dImage"]) expectClose(found![name]!, expected![name]!, 1e-5); // prettier-ignore
    },
  );
  it("leaves an activation alone where the normalised map is read too", () => {
    const { y } = batchNormTraining(convolved(true), gamma, beta);
    expect(counted(fuseActivations({ inputs: [image], outputs: { y: add(relu6(y), y) } }))).toContain(
      "relu6",
    );
  });
});

describe("hoisting", () => {
  const scaled = mul(parameter("conv.weight", [4, 3, 3, 3]), 2);
  const graph: Graph = {
    inputs: [image],
    outputs: { y: add(conv2d(image, scaled), conv2d(relu(image), scaled)), w: scaled },
  };
  it("computes once what depends on no input, and the rest from that", () => {
    const { before, after, values } = hoist(graph);
    expect(counted(before)).toEqual(["mul"]);
    expect(counted(after).sort()).toEqual(["add", "conv2d", "conv2d", "relu"]);
    expect(values.map(({ read }) => nameOf(read))).toEqual(["hoisted/0"]);
    const made = interpret(before, feeds);
    expectClose(
      interpret(after, new Map([...feeds, ...Object.entries(made)])).y!,
      interpret(graph, feeds).y!,
      1e-12,
    );
  });
  it("leaves parameters that are read as they are", () => {
    expect(hoist({ inputs: [image], outputs: { y: convolved(true) } }).values).toEqual([]);
  });
});

describe("folding constants", () => {
  it("computes what depends on constants alone, and keeps the rest", () => {
    const weight = mul(sub(constant(float32([3, 5])), 1), 0.5);
    const x = input("x", "float32", [2]);
    const folded = foldConstants({ inputs: [x], outputs: { y: add(x, weight), weight } });
    expect(counted(folded)).toEqual(["add"]);
    expect([...interpret(folded, new Map([["x", float32([1, 1])]])).y!.data]).toEqual([2, 3]);
    expect(folded.outputs.weight!.source.kind).toBe("constant");
  });
  it("folds nodes of several outputs", () => {
    const { values, indices } = topK(
      constant(float32([1, 9, 4])),
      constant({ dtype: "int64", shape: [1], data: BigInt64Array.of(2n) }),
      "k",
    );
    const folded = foldConstants({ inputs: [], outputs: { values, indices } });
    expect(counted(folded)).toEqual([]);
  });
});

describe("rewriting", () => {
  it("gives back the same values where nothing is replaced", () => {
    const y = relu(image);
    expect(rewrite({ inputs: [image], outputs: { y } }, () => undefined).outputs.y).toBe(y);
  });
  it("offers every parameter once, however often it is read", () => {
    const w = parameter("w", [1]);
    const offered: string[] = [];
    rewrite(
      { inputs: [], outputs: { y: add(mul(w, w), w) } },
      () => undefined,
      (value) => {
        if (nameOf(value) === "w") offered.push("w");
        return value;
      },
    );
    expect(offered).toEqual(["w"]);
  });
});

describe.each(["d0", "lite0"] as const)("the inference graph of %s", (name) => {
  const model = buildModel(modelConfig(name, { imageSize: 64, classes: 2 }));
  const named = new Map(
    model.parameters.map((p) => [nameOf(p)!, ruleTensor(nameOf(p)!, p.shape as number[], name)]),
  );
  const graph = forInference(model.graph, named);
  it("has no batch normalisation left", () => {
    expect(graphNodes(graph).filter(({ op }) => op === (batchNormOp as unknown))).toEqual([]);
  });
  it("has no node left that depends on constants alone", () => {
    expect(
      graphNodes(graph).filter(({ inputs }) => inputs.every((value) => value.source.kind === "constant")),
    ).toEqual([]);
  });
});
