import { WeightsError } from "../errors.ts";
import type { DType, Shape, Tensor } from "../tensor/index.ts";
import { elementCount, halfToFloat32, tensor } from "../tensor/index.ts";
import type { Checkpoint, LazyTensor, PassedOver } from "./checkpoint.ts";
import { printable } from "./printable.ts";
import type { ParameterShape } from "./recognise-model.ts";

/** What was loaded from a file and what was not; names of the model's tensors, or of the file's. */
export interface LoadReport {
  readonly format: string;
  readonly model: string;
  /** Of the file. */
  readonly classes: number;
  /** Whether moving averages of the weights were loaded; false where the file has one set of weights. */
  readonly ema: boolean;
  /** How many tensors of the model were loaded. */
  readonly loaded: number;
  /** Of the file, not needed: counters, training state. */
  readonly skipped: readonly PassedOver[];
  /** Of the model, in the file too but of another shape: they keep fresh values. */
  readonly reinitialised: readonly PassedOver[];
  /** Of the model, not in the file. */
  readonly missing: readonly PassedOver[];
  /** Of the file, unknown to the model. */
  readonly unexpected: readonly PassedOver[];
}

/** Tensors of a model out of a file, float32, checked for being finite when read; and the report. */
export interface LoadedWeights {
  /** In the order of the model's parameters, those of `reinitialised` and most of `missing` left out. */
  readonly tensors: ReadonlyMap<string, LazyTensor>;
  readonly report: LoadReport;
}

const classPredictor = /^class_net\.predict\.conv_pw\.(?:weight|bias)$/;
/** Biases that a batch normalisation follows: models without them are those with zeros. */
const redundantBias =
  /^fpn\..*\.conv\.conv\.bias$|\.after_combine\.conv\.conv_pw\.bias$|_net\.conv_rep\.\d+\.conv_pw\.bias$/;
const zeroReason = "the file has no such bias; it is zero, as a batch normalisation follows";

/**
 * The tensors of a checkpoint that fit a model, as the model's names and shapes ask for them. With another number of
 * classes everything but the class predictor is kept, and the report says so.
 *
 * @param parameters all parameters and running statistics of the model
 * @param about the model's name and the file's number of classes, for the report
 */
export function loadWeights(
  checkpoint: Checkpoint,
  parameters: readonly ParameterShape[],
  about: { readonly model: string; readonly classes: number },
): LoadedWeights {
  const { source, format, ema = false } = checkpoint;
  const tensors = new Map<string, LazyTensor>();
  const [reinitialised, missing]: [PassedOver[], PassedOver[]] = [[], []];
  const [skipped, unexpected]: [PassedOver[], PassedOver[]] = [[...(checkpoint.passedOver ?? [])], []];
  let loaded = 0;
  const wanted = new Set<string>();
  for (const { name, shape } of parameters) {
    wanted.add(name);
    const found = checkpoint.tensors.get(name);
    if (found === undefined) {
      if (name.endsWith(".num_batches_tracked")) continue;
      const zero = redundantBias.test(name);
      missing.push({ name, shape, reason: zero ? zeroReason : "not in the file" });
      if (zero) tensors.set(name, zeroTensor(shape));
    } else if (sameShape(found.shape, shape)) {
      tensors.set(name, asFiniteFloat32(name, found, source));
      loaded++;
    } else {
      const reason = classPredictor.test(name)
        ? `the file has ${about.classes} classes, so this is [${found.shape.join(", ")}] in it: to be trained anew`
        : `it is [${found.shape.join(", ")}] in the file`;
      reinitialised.push({ name, shape, reason });
    }
  }
  for (const [name, { shape }] of checkpoint.tensors) {
    if (wanted.has(name)) continue;
    const own = { name: printable(name), shape };
    if (name.endsWith(".num_batches_tracked"))
      skipped.push({ ...own, reason: "a counter that nothing here reads" });
    else if (name.startsWith("anchors.")) skipped.push({ ...own, reason: "anchors are computed" });
    else unexpected.push({ ...own, reason: "the model has no such tensor" });
  }
  return {
    tensors,
    report: {
      format,
      model: about.model,
      classes: about.classes,
      ema,
      loaded,
      skipped,
      reinitialised,
      missing,
      unexpected,
    },
  };
}

/**
 * Refuses weights that would leave a part of the model untrained without anybody having asked for it.
 *
 * @param newClasses whether a fresh class predictor is wanted (training on other classes)
 * @throws {WeightsError} naming the first tensor that is missing or of another shape
 */
export function requireWhole(
  { report }: LoadedWeights,
  source: string,
  { newClasses = false }: { readonly newClasses?: boolean } = {},
): void {
  const [lost] = report.missing.filter(({ reason }) => reason !== zeroReason);
  if (lost !== undefined)
    throw new WeightsError(
      `${lost.name} [${lost.shape.join(", ")}] of ${report.model} is not among the weights, ` +
        `${report.missing.length} tensors are missing (${source})`,
      "the file belongs to another model, or holds only a part of one; pass --model for the right one",
    );
  const [changed] = report.reinitialised.filter(({ name }) => !newClasses || !classPredictor.test(name));
  if (changed !== undefined)
    throw new WeightsError(
      `${changed.name} of ${report.model} is to be [${changed.shape.join(", ")}]: ${changed.reason} (${source})`,
      classPredictor.test(changed.name)
        ? `everything else fits: train the new classes, or use the file's ${report.classes} classes`
        : "the file belongs to another model; pass --model for the right one",
    );
}

function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

function zeroTensor(shape: Shape): LazyTensor {
  return {
    dtype: "float32",
    shape,
    read: () => tensor("float32", shape, new Float32Array(elementCount(shape))),
  };
}

/** The tensor as float32 (counters stay int64), read when asked for; a value that is no number is refused then. */
function asFiniteFloat32(name: string, lazy: LazyTensor, source: string): LazyTensor {
  if (lazy.dtype === "int64" && name.endsWith(".num_batches_tracked")) return lazy;
  const dtype: DType = "float32";
  return {
    dtype,
    shape: lazy.shape,
    read: () => {
      const result = toFloat32(lazy.read());
      const at = firstNonFinite(result.data);
      if (at >= 0)
        throw new WeightsError(
          `${name} holds ${result.data[at]} at element ${at} (${source})`,
          "the training that wrote it diverged: take an earlier checkpoint",
        );
      return result;
    },
  };
}

/**
 * Refuses a checkpoint that holds a value that is no number, whatever else is wrong with it.
 *
 * @throws {WeightsError} naming the first such tensor
 */
export function requireFinite({ tensors, source }: Checkpoint): void {
  for (const [name, lazy] of tensors)
    if (lazy.dtype === "float32" || lazy.dtype === "float16" || lazy.dtype === "float64")
      asFiniteFloat32(printable(name), lazy, source).read();
}

function firstNonFinite(data: Float32Array): number {
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i]!)) return i;
  return -1;
}

/** The values as float32; the same tensor where they are that already. */
export function toFloat32(source: Tensor): Tensor<"float32"> {
  if (source.dtype === "float32") return source as Tensor<"float32">;
  if (source.dtype === "float16")
    return tensor("float32", source.shape, halfToFloat32(source.data as Uint16Array));
  return tensor("float32", source.shape, Float32Array.from(source.data as ArrayLike<number>, Number));
}
