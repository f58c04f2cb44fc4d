import { describe, expect, it } from "vitest";
import {
  buildModel,
  countModel,
  featureNetworks,
  fusions,
  modelConfig,
  outputNumbers,
  type FeatureNetworkName,
} from "./index.ts";

const text = (name: FeatureNetworkName, levels = { min: 3, max: 7 }): string =>
  featureNetworks[name]
    .nodes(levels)
    .map((node, i) => `${levels.max - levels.min + 1 + i}:${node.level}[${node.inputs.join(",")}]`)
    .join(" ");

describe("node lists", () => {
  // automl `fpn_configs_test.py` and the definitions of the papers named in each network's `source`.
  it.each<[FeatureNetworkName, string]>([
    ["fpn", "5:7[4] 6:6[3,5] 7:5[2,6] 8:4[1,7] 9:3[0,8]"],
    [
      "panet",
      "5:7[4] 6:6[3,5] 7:5[2,6] 8:4[1,7] 9:3[0,8] 10:3[9] 11:4[8,10] 12:5[7,11] 13:6[6,12] 14:7[5,13]",
    ],
    ["simplified-panet", "5:6[3,4] 6:5[2,5] 7:4[1,6] 8:3[0,7] 9:4[7,8] 10:5[6,9] 11:6[5,10] 12:7[4,11]"],
    ["bifpn", "5:6[3,4] 6:5[2,5] 7:4[1,6] 8:3[0,7] 9:4[1,7,8] 10:5[2,6,9] 11:6[3,5,10] 12:7[4,11]"],
    ["nas-fpn", "5:4[1,3] 6:4[1,5] 7:3[0,6] 8:4[6,7] 9:5[7,8,2] 10:7[6,9,4] 11:6[9,10]"],
    [
      "qufpn",
      "5:6[3,4] 6:5[2,5] 7:4[1,6] 8:3[0,7] 9:4[1,7,8] 10:5[2,6,9] 11:6[3,5,10] 12:7[4,11] 13:4[1,0] 14:5[2,13] 15:6[3,14] " +
        "16:7[4,15] 17:6[3,15,16] 18:5[2,14,17] 19:4[1,13,18] 20:3[0,19] 21:7[12,16] 22:6[11,17] 23:5[10,18] 24:4[9,19] 25:3[8,20]",
    ],
  ])("%s is the published one", (name, list) => {
    expect(text(name)).toBe(list);
  });

  it("BiFPN of other levels follows the same rule", () => {
    expect(text("bifpn", { min: 2, max: 7 })).toBe(
      "6:6[4,5] 7:5[3,6] 8:4[2,7] 9:3[1,8] 10:2[0,9] 11:3[1,9,10] 12:4[2,8,11] 13:5[3,7,12] 14:6[4,6,13] 15:7[5,14]",
    );
    expect(text("bifpn", { min: 3, max: 8 })).toBe(
      "6:7[4,5] 7:6[3,6] 8:5[2,7] 9:4[1,8] 10:3[0,9] 11:4[1,9,10] 12:5[2,8,11] 13:6[3,7,12] 14:7[4,6,13] 15:8[5,14]",
    );
  });

  it.each<[FeatureNetworkName, number[]]>([
    ["fpn", [9, 8, 7, 6, 5]],
    ["panet", [10, 11, 12, 13, 14]],
    ["bifpn", [8, 9, 10, 11, 12]],
    ["qufpn", [25, 24, 23, 22, 21]],
    ["nas-fpn", [7, 8, 9, 11, 10]],
    ["fully-connected", [10, 11, 12, 13, 14]],
  ])("%s gives out the last node of each level", (name, outputs) => {
    expect(outputNumbers(featureNetworks[name].nodes({ min: 3, max: 7 }), { min: 3, max: 7 })).toEqual(
      outputs,
    );
  });
});

describe("sizes", () => {
  // Parameters without and with fusion weights, and multiply-adds (billions), counted independently from the node lists
  // by a script in another language; effdet 0.4.1 built with each list has the same number of parameters.
  it.each<[FeatureNetworkName, number, number, number, number, number, number]>([
    ["fpn", 124_416, 124_440, 0.105, 979_840, 979_888, 2.972],
    ["panet", 197_376, 197_424, 0.181, 1_805_440, 1_805_536, 5.683],
    ["simplified-panet", 168_192, 168_240, 0.124, 1_475_200, 1_475_296, 3.64],
    ["bifpn", 196_224, 196_281, 0.136, 1_559_360, 1_559_474, 3.756],
    ["qufpn", 447_488, 447_632, 0.354, 3_890_560, 3_890_848, 10.271],
    ["fully-connected", 320_512, 320_662, 0.274, 2_174_720, 2_175_020, 6.534],
    ["nas-fpn", 160_960, 160_960, 0.141, 1_332_320, 1_332_320, 4.058],
  ])(
    "%s has the counts of D0 and D3",
    (featureNetwork, d0, d0Weights, d0Billions, d3, d3Weights, d3Billions) => {
      const features = (name: string, fusion: "sum" | "fast") =>
        countModel(buildModel(modelConfig(name, { featureNetwork, fusion }))).features;
      expect([features("d0", "sum").parameters, features("d0", "fast").parameters]).toEqual([d0, d0Weights]);
      expect([features("d3", "sum").parameters, features("d3", "fast").parameters]).toEqual([d3, d3Weights]);
      expect(features("d0", "sum").multiplyAdds / 1e9).toBeCloseTo(d0Billions, 3);
      expect(features("d3", "sum").multiplyAdds / 1e9).toBeCloseTo(d3Billions, 3);
    },
  );

  // Paper table 5, relative to ten top-down FPN cells. Five cells at D3's width fit best (docs/networks.md).
  // 0.04, since the paper's profiler counts element operations too: the fully connected network's sums are its last 0.032.
  it.each<[FeatureNetworkName, number, number, number]>([
    ["panet", 5, 1.0, 1.0],
    ["nas-fpn", 5, 0.71, 0.72],
    ["fully-connected", 5, 1.24, 1.21],
    ["bifpn", 5, 0.88, 0.67],
  ])(
    "%s costs what paper table 5 says, relative to repeated FPN, within 0.04",
    (featureNetwork, cells, parameters, multiplyAdds) => {
      const features = (name: FeatureNetworkName, count: number) =>
        countModel(buildModel(modelConfig("d3", { featureNetwork: name, fusion: "sum", cells: count })))
          .features;
      const base = features("fpn", 10);
      const own = features(featureNetwork, cells);
      expect(Math.abs(own.parameters / base.parameters - parameters)).toBeLessThan(0.04);
      expect(Math.abs(own.multiplyAdds / base.multiplyAdds - multiplyAdds)).toBeLessThan(0.04);
    },
  );
});

describe("every feature network with every fusion", () => {
  it.each(Object.keys(featureNetworks) as FeatureNetworkName[])(
    "%s is built by its name",
    (featureNetwork) => {
      for (const fusion of fusions) {
        const { graph } = buildModel(modelConfig("lite0", { featureNetwork, fusion, imageSize: 128 }));
        expect(graph.outputs[featureNetwork === "top" ? "class/5" : "class/7"]).toBeDefined();
      }
    },
  );
});
