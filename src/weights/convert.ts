import { UsageError, WeightsError } from "../errors.ts";
import { float32ToHalf, tensor } from "../tensor/index.ts";
import type { Checkpoint, LazyTensor } from "./checkpoint.ts";
import type { LoadedWeights, LoadReport } from "./load-weights.ts";
import { loadWeights, requireFinite, requireWhole, toFloat32 } from "./load-weights.ts";
import type { ModelClass, ModelMetadata } from "./model-metadata.ts";
import { formatModelMetadata, parseModelMetadata } from "./model-metadata.ts";
import { printable } from "./printable.ts";
import type { KnownModel, RecognisedModel } from "./recognise-model.ts";
import { countClasses, knownModel, recogniseModel } from "./recognise-model.ts";
import { safetensorsChunks } from "./safetensors.ts";

/** Options of {@link convertCheckpoint}. */
export interface ConvertOptions {
  /** The models that the weights may belong to. */
  readonly models: readonly KnownModel[];
  /** The model's name; recognised by its tensors where it is left out. */
  readonly model?: string;
  /** Element type of the file written. Default `float32`. */
  readonly dtype?: "float32" | "float16";
  /** Ids and names of the classes, in the order of the outputs; else those of the file, if it has any. */
  readonly classes?: readonly ModelClass[];
  /** What is known of the file beyond its contents (of a registry, say): goes before what is assumed. */
  readonly about?: ModelMetadata;
}

/** A checkpoint turned into safetensors of the interface's form. */
export interface Conversion {
  readonly report: LoadReport;
  readonly recognised: RecognisedModel;
  readonly metadata: ModelMetadata;
  readonly weights: LoadedWeights;
  /** The file, piece by piece; only one tensor is in memory at a time beside the original's bytes. */
  chunks(): Generator<Uint8Array, void, undefined>;
}

const imagenet = { mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375] } as const;

/**
 * What a file of this format is taken to be made for where it does not say: automl's rules for TensorFlow's formats,
 * effdet's for PyTorch's.
 */
function assumedMetadata(format: string, model: string): ModelMetadata {
  const automl = /^(?:keras|tensorflow|tflite)/.test(format);
  const lite = model.startsWith("lite");
  const pair = automl ? ([Math.SQRT2, Math.SQRT1_2] as const) : ([1.4, 0.7] as const);
  const triple = (value: number) => [value, value, value] as const;
  return {
    ...(lite ? { mean: triple(automl ? 127 : 127.5), std: triple(automl ? 128 : 127.5) } : imagenet),
    aspectRatios: [
      [1, 1],
      [pair[0], pair[1]],
      [pair[1], pair[0]],
    ],
  };
}

/**
 * What `efficientdet convert` does, apart from reading and writing files: the model recognised (or taken as named),
 * every tensor matched, the metadata filled in, and the new file in pieces.
 *
 * @throws {WeightsError} if the weights belong to no model, or are not whole
 * @throws {UsageError} if the model is unknown, or the class names are not as many as the classes
 */
export function convertCheckpoint(checkpoint: Checkpoint, options: ConvertOptions): Conversion {
  try {
    return converted(checkpoint, options);
  } catch (error) {
    // A part of a model whose training diverged: that is the thing to know.
    if (error instanceof WeightsError) requireFinite(checkpoint);
    throw error;
  }
}

function converted(checkpoint: Checkpoint, options: ConvertOptions): Conversion {
  const { source, format } = checkpoint;
  const stated = parseModelMetadata(checkpoint.metadata, source);
  const shapes = new Map([...checkpoint.tensors].map(([name, { shape }]) => [name, shape]));
  const recognised: RecognisedModel =
    options.model === undefined
      ? recogniseModel(shapes, options.models, source, [options.about?.model, stated.model, fileName(source)])
      : { model: options.model, alternatives: [], classes: countClasses(shapes, source) };
  const model = knownModel(recognised.model, options.models);
  const weights = loadWeights(checkpoint, model.parameters(recognised.classes), {
    model: model.name,
    classes: recognised.classes,
  });
  requireWhole(weights, source);
  const classes = options.classes ?? stated.classes ?? options.about?.classes;
  if (classes !== undefined && classes.length !== recognised.classes)
    throw new UsageError(
      `${classes.length} class names are given for ${recognised.classes} classes (${source})`,
      "give one name for each class output, in their order",
    );
  const metadata: ModelMetadata = {
    ...model.defaults,
    ...assumedMetadata(format, model.name),
    source: fileName(source),
    ...options.about,
    ...stated,
    formatVersion: undefined,
    model: model.name,
    classes,
  };
  const { dtype = "float32" } = options;
  return {
    report: weights.report,
    recognised,
    metadata,
    weights,
    chunks: () =>
      safetensorsChunks(
        [...weights.tensors].map(([name, lazy]) => [
          name,
          dtype === "float16" ? asHalf(name, lazy, source) : lazy,
        ]),
        formatModelMetadata(metadata),
      ),
  };
}

function fileName(source: string): string {
  return source.split(/[/\\]/).at(-1) ?? source;
}

function asHalf(name: string, lazy: LazyTensor, source: string): LazyTensor {
  const dtype = "float16";
  return {
    dtype,
    shape: lazy.shape,
    read: () => {
      const { shape, data } = toFloat32(lazy.read());
      const half = float32ToHalf(data);
      const at = half.findIndex((bits) => (bits & 0x7c00) === 0x7c00);
      if (at >= 0)
        throw new WeightsError(
          `${name} holds ${data[at]} at element ${at}, too large for float16 (${source})`,
          "write float32 instead",
        );
      return tensor(dtype, shape, half);
    },
  };
}

/**
 * Class names out of a text file: JSON (names, or objects of `id` and `name`), or one name a line, numbered from 1; a
 * line may begin with its own id (`17 cat`, `17: cat`), if all do. Empty lines are passed over.
 *
 * @throws {UsageError} if there are none or they cannot be read
 */
export function parseClassNames(text: string, source = "class names"): ModelClass[] {
  if (/^\s*[[{]/.test(text)) {
    const classes = parseModelMetadata({ classes: text }).classes;
    if (classes !== undefined && classes.length > 0) return [...classes];
    throw new UsageError(
      `the class names cannot be read: ${printable(text.trim())} (${source})`,
      'write ["cat", "dog"]',
    );
  }
  const lines = text.split(/\r?\n/).flatMap((line) => (line.trim() === "" ? [] : [line.trim()]));
  if (lines.length === 0)
    throw new UsageError(`there are no class names (${source})`, "write one name a line");
  const numbered = lines.map((line) => /^(\d{1,9})(?:\s*[:,]\s*|\s+)(\S.*)$/.exec(line));
  return numbered.every((match) => match !== null)
    ? numbered.map((match) => ({ id: Number(match[1]), name: match[2]! }))
    : lines.map((name, index) => ({ id: index + 1, name }));
}
