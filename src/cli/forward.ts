import { readFile } from "node:fs/promises";
import { decodePicture } from "../image/index.ts";
import { InterruptedError, UsageError, WeightsError } from "../errors.ts";
import { writeFileAtomic } from "../files/index.ts";
import { forInference, type Graph } from "../graph/index.ts";
import { buildModel, efficientDet, namedOutputs, Parameters, type ModelConfig } from "../models/index.ts";
import { input, letterbox } from "../graph/index.ts";
import { nodeRuntime } from "../runtime/node.ts";
import { tensor, type Tensor } from "../tensor/index.ts";
import { readSafetensors, safetensorsChunks } from "../weights/index.ts";
import { modelOf, withModelOptions, type ModelOptions } from "./model-options.ts";
import { table } from "./terminal.ts";
import { action, verb } from "./verb.ts";

interface Options extends ModelOptions {
  readonly to: string;
  readonly features?: boolean;
}

/** `efficientdet forward`: the network's raw outputs, for checks against other implementations. */
export const forward = withModelOptions(
  verb("forward", "Write the network's raw outputs for one picture or tensor"),
)
  .argument(
    "<input>",
    "a picture, or .safetensors with `image`: uint8 [H, W, 3], or float32 [N, 3, H, W] already normalised",
  )
  .requiredOption("--to <file>", "the .safetensors to write: class/3 …, box/3 …")
  .option("--features", "also backbone/3 … and pyramid/3 …")
  .action(
    action<Options>(async ([source], options, work) => {
      const model = await modelOf(options, work);
      const image = await imageTensor(source!);
      const graph =
        image.dtype === "uint8"
          ? fromPicture(model.config, options.features)
          : fromTensor(model.config, image, options.features);
      const session = await nodeRuntime.compile(forInference(graph, model.weights), options);
      const outputs = Object.entries(await session.run({ image }));
      await session.dispose();
      if (work.signal.aborted) throw new InterruptedError();
      await writeFileAtomic(
        options.to,
        safetensorsChunks(outputs, { model: model.config.name, source: source! }),
      );
      if (work.terminal.json)
        work.terminal.showJson({
          file: options.to,
          outputs: outputs.map(([name, { shape }]) => ({ name, shape })),
        });
      else
        work.terminal.show(
          table(
            ["output", "shape"],
            outputs.map(([name, { shape }]) => [name, shape.join(" × ")]),
          ),
        );
    }),
  );

function fromPicture(config: ModelConfig, features = false): Graph {
  const picture = input("image", "uint8", ["height", "width", 3]);
  const [height, width] = config.imageSize;
  const { input: network } = letterbox(picture, { height, width, mean: config.mean, std: config.std });
  return {
    inputs: [picture],
    outputs: namedOutputs(efficientDet(network, config, new Parameters()), config, features),
  };
}

/** The network at the tensor's own size: any is possible. */
function fromTensor(config: ModelConfig, { shape }: Tensor, features = false): Graph {
  return buildModel({ ...config, imageSize: [shape[2]!, shape[3]!] }, { batch: shape[0], features }).graph;
}

async function imageTensor(source: string): Promise<Tensor> {
  if (!source.endsWith(".safetensors")) {
    const { data, width, height } = await decodePicture(source);
    return tensor("uint8", [height, width, 3], data);
  }
  const image = readSafetensors(await readFile(source), source).tensors.get("image");
  if (!image)
    throw new WeightsError(
      `there is no tensor image (${source})`,
      "name it image: uint8 [H, W, 3] or float32 [N, 3, H, W]",
    );
  const fits =
    (image.dtype === "uint8" && image.shape.length === 3 && image.shape[2] === 3) ||
    (image.dtype === "float32" && image.shape.length === 4 && image.shape[1] === 3);
  if (!fits)
    throw new UsageError(
      `image is ${image.dtype} [${image.shape.join(", ")}] (${source})`,
      "give uint8 [H, W, 3], or float32 [N, 3, H, W] already normalised",
    );
  return image.read();
}
