import { describe, expect, it } from "vitest";
import type { Tensor } from "../tensor/index.ts";
import { initialWeights } from "./initialise.ts";
import { modelConfig } from "./config.ts";

const deviation = ({ data }: Tensor): number =>
  Math.sqrt((data as Float32Array).reduce((sum, x) => sum + x * x, 0) / data.length);

describe("initial weights", () => {
  const config = modelConfig("d0", { classes: 3 });
  const weights = initialWeights(config, 1);
  it("give every class a probability of 1 in 100", () => {
    expect(weights.get("class_net.predict.conv_pw.bias")!.data[5]).toBeCloseTo(-4.59511985, 6);
    expect(weights.get("box_net.predict.conv_pw.bias")!.data[5]).toBe(0);
  });
  it.each([
    ["backbone.blocks.5.0.conv_pw.weight", Math.sqrt(2 / 672)],
    ["backbone.blocks.5.0.conv_dw.weight", Math.sqrt(2 / 25)],
    ["fpn.cell.0.fnode.0.after_combine.conv.conv_dw.weight", Math.sqrt(6 / (9 * 64 + 9) / 3)], // limit 0.101
    ["class_net.conv_rep.0.conv_dw.weight", Math.sqrt(1 / (9 * 64))], // 0.0417
    ["class_net.conv_rep.0.conv_pw.weight", Math.sqrt(1 / 64)],
  ])("have the deviation of spec A6: %s", (name, expected) => {
    expect(deviation(weights.get(name)!) / expected).toBeCloseTo(1, 1);
  });
  it("keep head kernels within two deviations", () => {
    const data = weights.get("class_net.conv_rep.1.conv_pw.weight")!.data as Float32Array;
    expect(Math.max(...data.map(Math.abs))).toBeLessThanOrEqual((2 * Math.sqrt(1 / 64)) / 0.8796 + 1e-6);
  });
  it("are the same for the same seed, and for one name in models of other classes", () => {
    const other = initialWeights(modelConfig("d0", { classes: 7 }), 1);
    expect([...other.get("backbone.conv_stem.weight")!.data]).toEqual([
      ...weights.get("backbone.conv_stem.weight")!.data,
    ]);
    expect([...initialWeights(config, 2).get("backbone.conv_stem.weight")!.data]).not.toEqual([
      ...weights.get("backbone.conv_stem.weight")!.data,
    ]);
  });
  it("start batch normalisations and fusions neutral", () => {
    expect([...new Set<unknown>(weights.get("backbone.bn1.weight")!.data)]).toEqual([1]);
    expect([...new Set<unknown>(weights.get("backbone.bn1.running_var")!.data)]).toEqual([1]);
    expect([...weights.get("fpn.cell.0.fnode.4.combine.edge_weights")!.data]).toEqual([1, 1, 1]);
  });
});
