import { forInference, nameOf, staticShape } from "../../src/graph/index.ts";
import { buildModel, modelConfig, type Model } from "../../src/models/index.ts";
import type { Runtime } from "../../src/runtime/session.ts";
import { float32, type Tensor } from "../../src/tensor/index.ts";
import { rulePicture, ruleTensor, type RuleVariant } from "../../src/testing/rule.ts";

/** One forward pass of the reference (effdet 0.4.1 in float64), sampled. */
export interface ZooCase {
  readonly variant: RuleVariant;
  readonly size: readonly [number, number];
  readonly classes: number;
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
  readonly tensors: Readonly<
    Record<
      string,
      {
        shape: readonly number[];
        std: number;
        at: readonly [number, number, number][];
        values: readonly number[];
      }
    >
  >;
}

/** The largest error of float32 that the reference allows, in standard deviations of a tensor: ten times PyTorch's own. */
export const allowedError = 1e-3;

/** A model with the weights that the rule makes. */
export function ruleModel(zooCase: ZooCase): { model: Model; weights: Map<string, Tensor> } {
  const { variant, size, classes, mean, std } = zooCase;
  const model = buildModel(modelConfig(variant, { imageSize: size, classes, mean, std }), { features: true });
  const weights = new Map(
    model.parameters.map((p) => [nameOf(p)!, ruleTensor(nameOf(p)!, staticShape(p), variant)]),
  );
  return { model, weights };
}

/** The rule's picture, normalised, `[1, 3, H, W]`. */
export function ruleInput({ size: [height, width], mean, std }: ZooCase): Tensor {
  const pixels = rulePicture(height, width);
  const area = height * width;
  const data = new Float32Array(3 * area);
  for (let i = 0; i < area; i++)
    for (let c = 0; c < 3; c++) data[c * area + i] = (pixels[i * 3 + c]! - mean[c]!) / std[c]!;
  return float32(data, [1, 3, height, width]);
}

/** Runs a case; for every tensor of the reference, its largest error in standard deviations, or what is wrong with its shape. */
export async function zooErrors(
  zooCase: ZooCase,
  runtime: Runtime,
): Promise<Record<string, number | string>> {
  const { model, weights } = ruleModel(zooCase);
  const session = await runtime.compile(forInference(model.graph, weights));
  try {
    const outputs = await session.run({ image: ruleInput(zooCase) });
    return Object.fromEntries(
      Object.entries(zooCase.tensors).map(([key, expected]) => {
        const output = outputs[key.replace("bifpn.P", "pyramid/").replace(".P", "/")]!;
        if (output.shape.join() !== expected.shape.join())
          return [key, `shape [${output.shape.join()}], not [${expected.shape.join()}]`];
        const [, , h, w] = expected.shape as [number, number, number, number];
        const errors = expected.at.map(([c, y, x], i) =>
          Math.abs((output.data as Float32Array)[(c * h + y) * w + x]! - expected.values[i]!),
        );
        return [key, Math.max(...errors) / expected.std];
      }),
    );
  } finally {
    await session.dispose();
  }
}
