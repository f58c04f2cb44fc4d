import { describe, expect, it } from "vitest";
import { referenceJson, referenceMissing } from "../testing/reference.ts";
import { zeros } from "../tensor/index.ts";
import type { LazyTensor } from "./checkpoint.ts";
import { held } from "./checkpoint.ts";
import { fromTensorflowNames } from "./tensorflow-names.ts";

const empty = (shape: readonly number[]): LazyTensor => ({
  dtype: "float32",
  shape,
  read: () => zeros("float32", shape),
});

describe("TensorFlow names", () => {
  it("become effdet's, with kernels turned to output, input, height, width", () => {
    const kernel = {
      dtype: "float32",
      shape: [1, 1, 2, 3],
      data: Float32Array.of(0, 1, 2, 3, 4, 5),
    } as const;
    const { tensors } = fromTensorflowNames(
      new Map([["class_net/class-predict/pointwise_kernel", held(kernel)]]),
    );
    const turned = tensors.get("class_net.predict.conv_pw.weight")!;
    expect(turned.shape).toEqual([3, 2, 1, 1]);
    expect([...turned.read().data]).toEqual([0, 3, 1, 4, 2, 5]);
  });
  it("gather the scalars of a fusion in one vector, in the order of their numbers", () => {
    const scalar = (value: number) => held({ dtype: "float32", shape: [], data: Float32Array.of(value) });
    const prefix = "fpn_cells/cell_2/fnode4/WSM";
    const { tensors } = fromTensorflowNames(
      new Map([
        [`${prefix}_2`, scalar(3)],
        [prefix, scalar(1)],
        [`${prefix}_1`, scalar(2)],
      ]),
    );
    expect([...tensors.get("fpn.cell.2.fnode.4.combine.edge_weights")!.read().data]).toEqual([1, 2, 3]);
  });
  it("find stages where the channels of the blocks change", () => {
    const { tensors } = fromTensorflowNames(
      new Map([
        ["efficientnet-b0/blocks_0/conv2d/kernel", empty([1, 1, 32, 16])],
        ["efficientnet-b0/blocks_1/conv2d/kernel", empty([1, 1, 16, 96])],
        ["efficientnet-b0/blocks_1/conv2d_1/kernel", empty([1, 1, 96, 24])],
        ["efficientnet-b0/blocks_2/conv2d/kernel", empty([1, 1, 24, 144])],
        ["efficientnet-b0/blocks_2/conv2d_1/kernel", empty([1, 1, 144, 24])],
      ]),
    );
    expect([...tensors.keys()]).toEqual([
      "backbone.blocks.0.0.conv_pw.weight",
      "backbone.blocks.1.0.conv_pw.weight",
      "backbone.blocks.1.0.conv_pwl.weight",
      "backbone.blocks.1.1.conv_pw.weight",
      "backbone.blocks.1.1.conv_pwl.weight",
    ]);
  });
  it("that are no part of the model are passed over, with the reason", () => {
    const { tensors, passedOver } = fromTensorflowNames(new Map([["global_step", empty([])]]));
    expect(tensors.size).toBe(0);
    expect(passedOver).toEqual([{ name: "global_step", shape: [], reason: "no part of an EfficientDet" }]);
  });
});

interface VariableFile {
  variables: Record<string, Record<string, number[]>>;
}

describe.skipIf(referenceMissing("reference-tf/variables-all.json"))(
  "every variable of every variant",
  () => {
    const { variables } = referenceMissing("reference-tf/variables-all.json")
      ? { variables: {} }
      : referenceJson<VariableFile>("reference-tf/variables-all.json");
    it.each(Object.keys(variables))("of %s has effdet's name and shape", (variant) => {
      const { variants } = referenceJson<{ variants: Record<string, { shapes: Record<string, number[]> }> }>(
        "reference/state-dicts.json",
      );
      const source = new Map(
        Object.entries(variables[variant]!).map(([name, shape]) => [name, empty(shape)]),
      );
      const { tensors, passedOver } = fromTensorflowNames(source);
      expect(passedOver).toEqual([]);
      const shapes = Object.fromEntries([...tensors].map(([name, { shape }]) => [name, shape]));
      expect(shapes).toEqual(variants[variant]!.shapes);
    });
    it.each(["d0", "lite0"])("of %s goes where the reference says", (variant) => {
      const names = referenceJson<Record<string, [number[], string]>>(
        `reference-tf/variables-${variant}.json`,
      );
      const all = new Map(Object.entries(names).map(([name, [shape]]) => [name, empty(shape)]));
      const expected = new Set(Object.values(names).map(([, name]) => name));
      expect(new Set(fromTensorflowNames(all).tensors.keys())).toEqual(expected);
      // One at a time, with the blocks' kernels beside it to tell the stages by.
      const kernels = [...all].filter(([name]) =>
        /blocks_\d+\/conv2d(_1)?\/kernel$|-bn-3\/gamma$/.test(name),
      );
      for (const [name, [, target]] of Object.entries(names)) {
        if (/WSM_[12]$/.test(name)) continue;
        const { tensors } = fromTensorflowNames(new Map([...kernels, [name, all.get(name)!]]));
        expect([...tensors.keys()], name).toContain(target);
      }
    });
  },
);
