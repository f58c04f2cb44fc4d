import { describe, expect, it } from "vitest";
import { graphNodes, nameOf, staticShape } from "../graph/index.ts";
import { referenceJson, referenceMissing } from "../testing/reference.ts";
import {
  buildModel,
  countModel,
  countMultiplyAdds,
  countParameters,
  modelConfig,
  variants,
  type VariantName,
} from "./index.ts";

/** Trainable parameters (automl's own unit tests) and multiply-adds of convolutions, billions (spec A7). */
const published: Record<VariantName, [number, number]> = {
  d0: [3_880_067, 2.492],
  d1: [6_625_898, 6.003],
  d2: [8_097_039, 10.832],
  d3: [12_032_296, 24.569],
  d4: [20_723_675, 54.584],
  d5: [33_653_315, 134.134],
  d6: [51_871_782, 224.121],
  d7: [51_871_782, 322.732],
  d7x: [77_147_166, 407.628],
  lite0: [3_243_470, 0.974],
  lite1: [4_248_318, 1.967],
  lite2: [5_252_334, 3.371],
  lite3: [8_350_862, 7.48],
  lite3x: [9_280_862, 13.978],
  lite4: [15_130_894, 20.168],
};

describe.each(Object.entries(published))("%s", (name, [parameters, billions]) => {
  const model = buildModel(modelConfig(name));

  it("has the published number of parameters", () => {
    expect(countParameters(model.parameters)).toBe(parameters);
  });

  it("has the published multiply-adds within a thousandth", () => {
    expect(Math.abs(countMultiplyAdds(model.graph) / 1e9 / billions - 1)).toBeLessThan(1e-3);
  });

  it("gives logits and offsets of nine anchors for every level", () => {
    const { min, max } = model.config.levels;
    let [h, w] = model.config.imageSize as [number, number];
    for (let level = 1; level <= max; level++) {
      [h, w] = [Math.ceil(h / 2), Math.ceil(w / 2)];
      if (level < min) continue;
      expect(model.graph.outputs[`class/${level}`]!.shape).toEqual([1, 810, h, w]);
      expect(model.graph.outputs[`box/${level}`]!.shape).toEqual([1, 36, h, w]);
    }
  });

  it.skipIf(referenceMissing("reference/state-dicts.json"))(
    "has effdet's names and shapes, every one",
    () => {
      const { variants: dicts } = referenceJson<{
        variants: Record<string, { shapes: Record<string, number[]> }>;
      }>("reference/state-dicts.json");
      const expected = Object.entries(dicts[name]!.shapes).filter(
        ([key]) => !key.endsWith("num_batches_tracked"),
      );
      const own = new Map(model.parameters.map((p) => [nameOf(p)!, staticShape(p)]));
      expect(Object.fromEntries(own)).toEqual(Object.fromEntries(expected));
    },
  );
});

describe("the family", () => {
  it("splits its parameters into backbone, feature network and heads as published", () => {
    const parts = (name: string) => {
      const { backbone, features, heads } = countModel(buildModel(modelConfig(name)));
      return [backbone.parameters, features.parameters, heads.parameters];
    };
    expect(parts("d0")).toEqual([3_595_388, 196_281, 88_398]);
    expect(parts("d7x")).toEqual([62_143_440, 13_112_064, 1_891_662]);
    expect(parts("lite0")).toEqual([2_958_848, 196_224, 88_398]);
  });

  it.each([
    [80, 3_874_217],
    [20, 3_839_117],
    [1, 3_828_002],
  ])("takes any number of classes: D0 with %i has %i parameters", (classes, parameters) => {
    expect(countParameters(buildModel(modelConfig("d0", { classes })).parameters)).toBe(parameters);
  });

  it("takes any image size, square or not, a multiple of 128 or not", () => {
    const p3 = (imageSize: [number, number]) =>
      buildModel(modelConfig("d0", { imageSize })).graph.outputs["class/3"]!.shape;
    expect(p3([499, 333])).toEqual([1, 810, 63, 42]);
    expect(p3([511, 513])).toEqual([1, 810, 64, 65]);
    expect(p3([896, 1600])).toEqual([1, 810, 112, 200]);
  });

  it("takes levels from P2 and up to P8", () => {
    const model = buildModel(modelConfig("d0", { levels: { min: 2, max: 8 } }));
    expect(Object.keys(model.graph.outputs).filter((key) => key.startsWith("class/"))).toEqual(
      [2, 3, 4, 5, 6, 7, 8].map((level) => `class/${level}`),
    );
    expect(model.graph.outputs["class/2"]!.shape).toEqual([1, 810, 128, 128]);
  });

  it("shares the heads' convolutions among levels, but not their batch normalisation", () => {
    const names = buildModel(modelConfig("d0")).parameters.map((p) => nameOf(p)!);
    expect(names.filter((name) => name.startsWith("class_net.conv_rep.0.conv_pw.weight"))).toHaveLength(1);
    expect(names.filter((name) => /^class_net\.bn_rep\.0\.\d\.bn\.weight$/.test(name))).toHaveLength(5);
  });

  it("pads as TensorFlow's SAME does: an even input has its odd row below and right", () => {
    const stem = graphNodes(buildModel(modelConfig("d0")).graph)[0]!;
    expect(stem.attributes.pads).toEqual([0, 0, 1, 1]);
  });

  it("names what it does not know, with the nearest it does", () => {
    expect(() => modelConfig("d9")).toThrow(/no model d9/);
    expect(() => modelConfig("d0", { featureNetwork: "bifpm" as "bifpn" })).toThrow(
      /no feature network bifpm/,
    );
    expect(() => modelConfig("d0", { classes: 0 })).toThrow(/classes 0 is not possible/);
  });
});

it("has one row for each variant that is tested here", () => {
  expect(Object.keys(published)).toEqual(Object.keys(variants));
});
