import { writeFileAtomic } from "../files/index.ts";
import type { ModelConfig } from "../models/index.ts";
import type { Tensor } from "../tensor/index.ts";
import { formatModelMetadata, safetensorsChunks, type ModelClass } from "../weights/index.ts";
import { configMetadata, parameterShapes } from "../weights/known-models.ts";

/** What is said of trained weights. */
export interface DetectorAbout {
  readonly classes: readonly ModelClass[];
  /** Whether the network is other than its variant, so that the file has to describe it. */
  readonly own: boolean;
  readonly source: string;
  readonly licence?: string;
  readonly trained: Readonly<Record<string, unknown>>;
}

/** Writes weights ready for `detect`: safetensors with the interface's metadata. @throws {MachineError} if the machine refuses */
export async function writeDetector(
  file: string,
  weights: ReadonlyMap<string, Tensor>,
  network: ModelConfig,
  about: DetectorAbout,
): Promise<void> {
  const { classes, own, source, licence, trained } = about;
  const modelConfig = own ? { modelConfig: { ...network } } : {};
  const metadata = formatModelMetadata({
    ...configMetadata(network),
    ...modelConfig,
    classes,
    source,
    ...(licence === undefined ? {} : { licence }),
    trained,
    creator: "efficientdet",
  });
  // In the order of the network, so that the same weights are the same bytes.
  const ordered = parameterShapes(network).map(({ name }) => [name, weights.get(name)!] as const);
  await writeFileAtomic(file, safetensorsChunks(ordered, metadata));
}
