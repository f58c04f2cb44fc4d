import { describe, expect, it } from "vitest";
import { graphNodes, nameOf, type Graph, type Value } from "../graph/index.ts";
import { featureNetworks, fusions, modelConfig, type ModelOverrides } from "../models/index.ts";
import { trainingGraph, type TrainingGraph } from "./training-graph.ts";

const build = (
  overrides: ModelOverrides,
  options: { parts?: number; frozen?: (name: string) => boolean; batchNorm?: "batch" | "frozen" } = {},
): TrainingGraph => {
  const config = modelConfig("d0", {
    imageSize: 128,
    classes: 2,
    width: 16,
    cells: 1,
    headRepeats: 1,
    ...overrides,
  });
  return trainingGraph(config, {
    pictures: 1,
    batchNorm: "batch",
    frozen: () => false,
    stochasticDepth: false,
    loss: {},
    ...options,
  });
};

/** Names of what is trained whose gradient does not depend on the pictures. */
function unreached({ graph, trained }: TrainingGraph): string[] {
  const images = graph.inputs[0]!;
  const seen = new Set<Value>([images]);
  for (const node of graphNodes(graph))
    if (node.inputs.some((value) => seen.has(value))) node.outputs.forEach((value) => seen.add(value));
  return trained.map((p) => nameOf(p)!).filter((name) => !seen.has(graph.outputs[`gradient/${name}`]!));
}

const count = (graph: Graph, name: string): number =>
  graphNodes(graph).filter(({ op }) => op.name === name).length;

describe("gradients reach every parameter", () => {
  it.each(Object.keys(featureNetworks))("of a model with the feature network %s", (featureNetwork) => {
    // The heads that see the top level alone see nothing of the levels above it.
    const unseen = (name: string): boolean => featureNetwork === "top" && name.startsWith("fpn.resample.3.");
    expect(
      unreached(build({ featureNetwork: featureNetwork as "bifpn" })).filter((name) => !unseen(name)),
    ).toEqual([]);
  });
  it.each(fusions)("of a model with the fusion %s", (fusion) => {
    expect(unreached(build({ fusion }))).toEqual([]);
  });
  it.each(["swish", "relu6", "relu", "hardSwish", "mish"] as const)(
    "of a model with the activation %s",
    (activation) => {
      expect(unreached(build({ activation }))).toEqual([]);
    },
  );
});

describe("what is frozen", () => {
  it("is not walked through on the way back", () => {
    const heads = build({}, { frozen: (name) => !/^(class|box)_net\./.test(name) });
    expect(heads.trained.every((p) => /^(class|box)_net\./.test(nameOf(p)!))).toBe(true);
    // On each of five levels two heads, of one separable convolution and one that predicts: four kernels each.
    expect(count(heads.graph, "conv2dKernelGradient")).toBe(5 * 2 * 4);
    expect(count(heads.graph, "swishGradient")).toBe(5 * 2);
  });
  it("leaves no batch normalisation where statistics are stored: it goes into the kernels", () => {
    const count = (graph: Graph, name: string): number =>
      graphNodes(graph).filter(({ op }) => op.name === name).length;
    const { graph, before } = build({}, { batchNorm: "frozen", parts: 2 });
    expect(count(graph, "batchNorm") + count(graph, "batchNormTraining")).toBe(0);
    expect(count(graph, "sqrt"), "scales are made once for all parts").toBe(0);
    expect(count(before!, "sqrt")).toBeGreaterThan(40);
  });
});
