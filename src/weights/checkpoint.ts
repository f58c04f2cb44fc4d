import type { DType, Shape, Tensor } from "../tensor/index.ts";

/** A tensor of a file that is decoded when asked for, so that a large checkpoint is never in memory twice. */
export interface LazyTensor {
  /** Element type of what {@link LazyTensor.read} returns. */
  readonly dtype: DType;
  readonly shape: Shape;
  /**
   * The tensor. May share memory with the file's bytes: treat it as read-only.
   *
   * @throws {WeightsError} if the bytes cannot be decoded
   */
  read(): Tensor;
}

/** Something of a file that was passed over, and why. */
export interface PassedOver {
  readonly name: string;
  readonly shape: Shape;
  readonly reason: string;
}

/** A file by its name and contents. */
export interface NamedBytes {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Whether to take the moving average of the weights: where there is one, always (else refuse), or never. */
export type EmaChoice = "auto" | "yes" | "no";

/** What a weight file holds, whatever its format: tensors, and its metadata. */
export interface Checkpoint {
  /** The format, as a load report names it: `safetensors`, `pytorch`, `pytorch-legacy`, `keras-h5`, … */
  readonly format: string;
  /** The file's name, for messages. */
  readonly source: string;
  readonly tensors: ReadonlyMap<string, LazyTensor>;
  readonly metadata: Readonly<Record<string, string>>;
  /** True if the tensors are moving averages; missing where the file has only one set of weights. */
  readonly ema?: boolean;
  /** What else the file holds: optimiser state, counters, another set of weights. */
  readonly passedOver?: readonly PassedOver[];
}

/** A tensor already in memory, as a {@link LazyTensor}. */
export function held(tensor: Tensor): LazyTensor {
  return { dtype: tensor.dtype, shape: tensor.shape, read: () => tensor };
}
