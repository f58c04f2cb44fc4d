import { fromBinary } from "@bufbuild/protobuf";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";
import {
  add,
  constant,
  conv2d,
  input,
  interpret,
  mul,
  parameter,
  relu,
  reshape,
  type Graph,
} from "../graph/index.ts";
import { loadOrtNode } from "../runtime/node.ts";
import { openSession } from "../runtime/onnxruntime.ts";
import { float32, float32ToHalf, halfToFloat32, int64, type Tensor } from "../tensor/index.ts";
import { Random } from "../tensor/random.ts";
import { ModelProtoSchema, type ModelProto } from "./generated/onnx_pb.ts";
import { toOnnx, type OnnxOptions } from "./index.ts";

const random = new Random(9);
const noise = (count: number, ...shape: number[]): Tensor =>
  float32(
    Float32Array.from({ length: count }, () => random.normal()),
    shape,
  );
const x = input("x", "float32", [1, 2, 4, 4]);
const xs = noise(32, 1, 2, 4, 4);
const kernel = noise(54, 3, 2, 3, 3);

const parsed = (graph: Graph, options?: OnnxOptions): ModelProto =>
  fromBinary(ModelProtoSchema, toOnnx(graph, options).model);
const names = (list: readonly { readonly name: string }[]): string[] => list.map(({ name }) => name);

async function run(model: Uint8Array, feeds: Record<string, Tensor>): Promise<Record<string, Tensor>> {
  const session = await openSession(await loadOrtNode(), model, { threads: 1 });
  const outputs = await session.run(feeds);
  await session.dispose();
  return outputs;
}

describe("a graph as ONNX", () => {
  it("has one initialiser for a tensor that several nodes read, and for equal small ones", () => {
    const shared = constant(kernel);
    const y = add(conv2d(x, shared), conv2d(relu(x), shared));
    const graph = parsed({
      inputs: [x],
      outputs: { y: mul(add(y, 2), 2), z: conv2d(x, constant(kernel)) },
    }).graph!;
    expect(graph.initializer.map(({ dims }) => dims.map(Number))).toEqual([[3, 2, 3, 3], []]);
  });
  it("takes parameters that are not bound as inputs, by their names and shapes", async () => {
    const graph: Graph = {
      inputs: [x],
      outputs: { y: conv2d(x, parameter("w", [3, 2, 3, 3]), parameter("b", [3])) },
    };
    expect(names(parsed(graph).graph!.input)).toEqual(["x", "w", "b"]);
    const feeds = { x: xs, w: kernel, b: float32([1, 2, 3]) };
    const expected = interpret(graph, new Map(Object.entries(feeds))).y!;
    const { y } = await run(toOnnx(graph).model, feeds);
    y!.data.forEach((value, i) => expect(value).toBeCloseTo(Number(expected.data[i]), 4));
  });
  it("takes an input's fallback where it is not fed", async () => {
    const factor = input("factor", "float32", [], float32([3], []));
    const graph: Graph = { inputs: [x, factor], outputs: { y: mul(x, factor) } };
    const { input: inputs, initializer } = parsed(graph).graph!;
    expect([names(inputs), names(initializer)]).toEqual([["x", "factor"], ["factor"]]);
    // ONNX Runtime's JavaScript packages do not see inputs that have an initialiser, so they cannot feed another value.
    expect((await run(toOnnx(graph).model, { x: xs })).y!.data[5]).toBeCloseTo(3 * Number(xs.data[5]), 6);
  });
  it("gives one value under two output names, and an input or constant as an output", async () => {
    const y = relu(x);
    const outputs = await run(
      toOnnx({ inputs: [x], outputs: { y, again: y, same: x, five: constant(int64([5])) } }).model,
      { x: xs },
    );
    expect(outputs.again!.data).toEqual(outputs.y!.data);
    expect(outputs.same!.data).toEqual(xs.data);
    expect(outputs.five!.data).toEqual(BigInt64Array.of(5n));
  });
  it("names sizes that are known at run time", () => {
    const many = input("many", "float32", ["n", 2]);
    const model = parsed({ inputs: [many], outputs: { y: relu(many) } }).graph!;
    const dims = [...model.input, ...model.output].map(({ type }) =>
      type!.value.case === "tensorType" ? type!.value.value.shape!.dim.map(({ value }) => value.value) : [],
    );
    expect(dims).toEqual([
      ["n", 2n],
      ["n", 2n],
    ]);
  });
  it("carries metadata, and imports only the domains it uses", () => {
    const model = parsed(
      { inputs: [x], outputs: { y: relu(x) } },
      { dialect: "onnxruntime", metadata: { labels: "a,b" } },
    );
    expect(model.metadataProps.map(({ key, value }) => [key, value])).toEqual([["labels", "a,b"]]);
    expect(model.opsetImport.map(({ domain, version }) => [domain, version])).toEqual([["", 17n]]);
  });
  it("runs a graph whose inputs and outputs bear the names that nodes would get", async () => {
    const odd = input("Relu_0", "float32", [2]);
    const { Relu_1: y } = await run(toOnnx({ inputs: [odd], outputs: { Relu_1: relu(relu(odd)) } }).model, {
      Relu_0: float32([-1, 2]),
    });
    expect([...y!.data]).toEqual([0, 2]);
  });
});

describe("constants in half precision", () => {
  const graph: Graph = {
    inputs: [x],
    outputs: { y: add(conv2d(x, constant(kernel)), constant(float32([0.1], []))) },
  };
  it("are widened when the model is loaded; small ones stay as they are", async () => {
    const { model } = toOnnx(graph, { storage: "float16" });
    expect(model.length).toBeLessThan(toOnnx(graph).model.length);
    const rounded = float32(halfToFloat32(float32ToHalf(kernel.data as Float32Array)), kernel.shape);
    const expected = interpret(
      { inputs: [x], outputs: { y: add(conv2d(x, constant(rounded)), constant(float32([0.1], []))) } },
      new Map([["x", xs]]),
    ).y!;
    const { y } = await run(model, { x: xs });
    y!.data.forEach((value, i) => expect(value).toBeCloseTo(Number(expected.data[i]), 5));
  });
  it("may be outputs", async () => {
    const { w } = await run(
      toOnnx({ inputs: [], outputs: { w: constant(kernel) } }, { storage: "float16" }).model,
      {},
    );
    expect(w!.data.length).toBe(54);
  });
  it("do not touch an input's fallback of many elements", async () => {
    const offsets = input("offsets", "float32", [32], float32(Array.from({ length: 32 }, (_, i) => i / 3)));
    const graph: Graph = { inputs: [offsets], outputs: { y: relu(offsets) } };
    expect(parsed(graph, { storage: "float16" }).graph!.node.map(({ opType }) => opType)).toEqual(["Relu"]);
    expect((await run(toOnnx(graph, { storage: "float16" }).model, {})).y!.data[3]).toBeCloseTo(1, 6);
  });
});

describe("constants in a file beside the model", () => {
  it.each(["float32", "float16"] as const)(
    "are found by whoever loads the model from there (%s)",
    async (storage) => {
      const graph: Graph = {
        inputs: [x],
        outputs: { y: reshape(conv2d(x, constant(kernel), constant(float32([1, 2, 3]))), [48]) },
      };
      const { model, external } = toOnnx(graph, {
        storage,
        externalData: { file: "weights.bin", minimumBytes: 64 },
      });
      expect(external!.chunks.length).toBe(1);
      const folder = mkdtempSync(path.join(tmpdir(), "onnx-"));
      try {
        writeFileSync(path.join(folder, "model.onnx"), model);
        writeFileSync(path.join(folder, external!.file), Buffer.concat(external!.chunks));
        const ort = await import("onnxruntime-node");
        const session = await ort.InferenceSession.create(path.join(folder, "model.onnx"));
        const { y } = await session.run({
          x: new ort.Tensor("float32", xs.data as Float32Array, [...xs.shape]),
        });
        const expected = interpret(graph, new Map([["x", xs]])).y!;
        const tolerance = storage === "float16" ? 2 : 4;
        expected.data.forEach((value, i) =>
          expect(Number((y!.data as Float32Array)[i])).toBeCloseTo(Number(value), tolerance),
        );
        await session.release();
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  );
});
