import type { EmaChoice, Checkpoint, LazyTensor } from "./checkpoint.ts";
import { WeightsError } from "../errors.ts";
import { refuser } from "./byte-reader.ts";
import { readHdf5 } from "./hdf5.ts";
import { fromTensorflowNames } from "./tensorflow-names.ts";

/**
 * The weights of a Keras `.h5` file of google/automl's EfficientDet, under effdet's names and in PyTorch's layout.
 *
 * @param source the file's name, for messages
 * @param ema `yes` is refused: these files hold one set of weights (automl publishes the moving average)
 * @throws {WeightsError} if the file is damaged or holds no EfficientDet
 */
export function readKeras(bytes: Uint8Array, source = "weights.h5", ema: EmaChoice = "auto"): Checkpoint {
  if (ema === "yes")
    throw new WeightsError(
      `a Keras file has one set of weights, no moving average beside it (${source})`,
      "leave out --ema yes",
    );
  const datasets = readHdf5(bytes, refuser("a Keras .h5 file", source));
  const variables = new Map<string, LazyTensor>();
  for (const [path, dataset] of datasets) variables.set(path.replace(/:0$/, ""), dataset);
  const { tensors, passedOver } = fromTensorflowNames(variables);
  return { format: "keras-h5", source, tensors, metadata: {}, passedOver };
}
