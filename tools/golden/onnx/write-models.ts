/**
 * Writes exported models into a folder, for `check_models.py`: `npx tsx --conditions=source write-models.ts FOLDER`.
 * Their weights are the test rule's, so nothing is needed beside the repository.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { forInference, nameOf, graphParameters, type Graph } from "../../../src/graph/index.ts";
import { buildModel, modelConfig, pictureToBoxes, pictureToMaps } from "../../../src/models/index.ts";
import { toOnnx } from "../../../src/onnx/index.ts";
import { ruleTensor, type RuleVariant } from "../../../src/testing/rule.ts";

const folder = process.argv[2]!;
mkdirSync(folder, { recursive: true });

function bound(graph: Graph, variant: RuleVariant): Graph {
  const weights = graphParameters(graph).map(
    (p) => [nameOf(p)!, ruleTensor(nameOf(p)!, p.shape as number[], variant)] as const,
  );
  return forInference(graph, new Map(weights));
}

for (const variant of ["lite0", "d0"] as const) {
  const config = modelConfig(variant, { classes: 3 });
  const defaults = { scoreThreshold: 0.3, iouThreshold: 0.5, maxDetections: 100 };
  const graphs = {
    network: bound(buildModel(config).graph, variant),
    batch: bound(buildModel(config, { batch: "N", features: true }).graph, variant),
    unbound: buildModel(config, { batch: 2 }).graph,
    maps: bound(pictureToMaps(config, 2), variant),
    boxes: bound(pictureToBoxes(config, [7, 8, 9], defaults), variant),
  };
  for (const [name, graph] of Object.entries(graphs))
    for (const opset of [17, 21])
      for (const storage of ["float32", "float16"] as const) {
        if (storage === "float16" && (opset !== 17 || name === "unbound")) continue;
        const { model } = toOnnx(graph, { dialect: "onnx", opset, storage, metadata: { variant } });
        writeFileSync(path.join(folder, `${variant}-${name}-opset${opset}-${storage}.onnx`), model);
      }
}
