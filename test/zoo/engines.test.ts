import { describe, expect, it } from "vitest";
import { forInference, nameOf, staticShape } from "../../src/graph/index.ts";
import { buildModel, modelConfig } from "../../src/models/index.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { webRuntime } from "../../src/runtime/web.ts";
import { ruleTensor } from "../../src/testing/rule.ts";
import { ruleInput } from "./zoo-case.ts";

describe("onnxruntime-web (WebAssembly) and onnxruntime-node", () => {
  it("give the same D0 logits to 1e-4", async () => {
    const config = modelConfig("d0", { imageSize: 128 });
    const model = buildModel(config);
    const weights = new Map(
      model.parameters.map((p) => [nameOf(p)!, ruleTensor(nameOf(p)!, staticShape(p), "d0")]),
    );
    const graph = forInference(model.graph, weights);
    const image = ruleInput({
      variant: "d0",
      size: [128, 128],
      classes: 90,
      mean: config.mean,
      std: config.std,
      tensors: {},
    });
    const outputs = [];
    for (const runtime of [nodeRuntime, webRuntime]) {
      const session = await runtime.compile(graph, { threads: 1 });
      outputs.push(await session.run({ image }));
      await session.dispose();
    }
    const [node, web] = outputs as [(typeof outputs)[0], (typeof outputs)[0]];
    for (const level of [3, 4, 5, 6, 7]) {
      const [a, b] = [node[`class/${level}`]!, web[`class/${level}`]!];
      expect(b.shape).toEqual(a.shape);
      const difference = (a.data as Float32Array).reduce(
        (most, v, i) => Math.max(most, Math.abs(v - (b.data as Float32Array)[i]!)),
        0,
      );
      expect(difference).toBeLessThan(1e-4);
    }
  });
});
