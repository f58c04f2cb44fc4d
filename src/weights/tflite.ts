import { WeightsError } from "../errors.ts";
import type { Shape, Tensor } from "../tensor/index.ts";
import { float32, tensor } from "../tensor/index.ts";
import type { Refuse } from "./byte-reader.ts";
import { refuser } from "./byte-reader.ts";
import type { Checkpoint, EmaChoice, LazyTensor } from "./checkpoint.ts";
import { held } from "./checkpoint.ts";
import { permuted } from "./permute.ts";
import { printable } from "./printable.ts";
import type { TfliteModel, TfliteOperation, TfliteTensor } from "./tflite-model.ts";
import { readTfliteModel } from "./tflite-model.ts";
import type { HeadOperations, SeparablePair } from "./tflite-structure.ts";
import { findDetector } from "./tflite-structure.ts";

/** Kernels: output, height, width, input to output, input, height, width. */
const kernelOrder = [0, 3, 1, 2];
/** 1, height, width, channels to channels, 1, height, width. */
const depthwiseOrder = [3, 0, 1, 2];

/** Batch normalisation divides by the root of the variance plus this, so 1 less it is the identity. */
const normEpsilon = 0.001;

/** How far the levels' kernels of a head may be from multiples of one kernel: int8 rounding stays under 2 %. */
const maxHeadResidual = 0.05;

/**
 * The weights of an EfficientDet-Lite in a TFLite file, under effdet's names and in PyTorch's layout: float32, float16
 * or 8-bit, with or without the detection post-processing.
 *
 * TFLite has batch normalisation folded into the convolutions, so each comes back as the identity with the folded
 * bias (weight 1, running mean 0, running variance 1 − 0.001). The heads' convolutions are shared by all levels but
 * their normalisation is not: what folding made five kernels of becomes one kernel, and one factor per level and
 * channel. 8-bit weights are dequantised as the interpreter does.
 *
 * @param source the file's name, for messages
 * @param ema `yes` is refused: these files hold one set of weights
 * @throws {WeightsError} if the file is damaged or holds no EfficientDet-Lite
 */
export function readTflite(bytes: Uint8Array, source = "model.tflite", ema: EmaChoice = "auto"): Checkpoint {
  if (ema === "yes")
    throw new WeightsError(
      `a TFLite file has one set of weights, no moving average beside it (${source})`,
      "leave out --ema yes",
    );
  const refuse = refuser("a TFLite model", source);
  const model = readTfliteModel(bytes, refuse);
  const parts = new PartReader(model, refuse);
  const detector = findDetector(model, refuse);
  const { tensors } = parts;

  parts.normalized("backbone.conv_stem", "backbone.bn1", detector.stem, kernelOrder);
  for (const [stage, blocks] of detector.stages.entries())
    for (const [index, { expand, depthwise, pointwise }] of blocks.entries()) {
      const block = `backbone.blocks.${stage}.${index}`;
      if (expand === undefined) {
        parts.normalized(`${block}.conv_dw`, `${block}.bn1`, depthwise, depthwiseOrder);
        parts.normalized(`${block}.conv_pw`, `${block}.bn2`, pointwise, kernelOrder);
      } else {
        parts.normalized(`${block}.conv_pw`, `${block}.bn1`, expand, kernelOrder);
        parts.normalized(`${block}.conv_dw`, `${block}.bn2`, depthwise, depthwiseOrder);
        parts.normalized(`${block}.conv_pwl`, `${block}.bn3`, pointwise, kernelOrder);
      }
    }
  parts.resampled("fpn.resample.3", detector.levelSix);
  for (const [cell, nodes] of detector.cells.entries())
    for (const [index, node] of nodes.entries()) {
      const prefix = `fpn.cell.${cell}.fnode.${index}`;
      for (const [input, conv] of node.resample) parts.resampled(`${prefix}.combine.resample.${input}`, conv);
      const after = `${prefix}.after_combine.conv`;
      parts.depthwise(`${after}.conv_dw`, node);
      parts.normalized(`${after}.conv_pw`, `${after}.bn`, node.pointwise, kernelOrder);
      parts.zeroBias(`${after}.conv_pw`, node.pointwise);
    }
  parts.head("class_net", detector.classNet);
  parts.head("box_net", detector.boxNet);
  return { format: parts.format(detector.stem), source, tensors, metadata: describe(model, refuse) };
}

class PartReader {
  readonly tensors = new Map<string, LazyTensor>();
  readonly #model: TfliteModel;
  readonly #refuse: Refuse;
  /** Constants that a conversion of format lies before. */
  readonly #source = new Map<number, number>();

  constructor(model: TfliteModel, refuse: Refuse) {
    this.#model = model;
    this.#refuse = refuse;
    for (const { kind, inputs, outputs } of model.operations)
      if (kind === "same" && inputs[0] !== undefined && outputs[0] !== undefined)
        this.#source.set(outputs[0], this.#source.get(inputs[0]) ?? inputs[0]);
  }

  format(stem: TfliteOperation): string {
    return `tflite-${this.#constant(stem.inputs[1]).type}`;
  }

  #constant(index = -1): TfliteTensor & { constant: () => Tensor<"float32"> } {
    const found = this.#model.tensors[this.#source.get(index) ?? index];
    if (found?.constant === undefined)
      return this.#refuse(`a weight is computed, not stored: ${printable(found?.name ?? "none")}`);
    return found as TfliteTensor & { constant: () => Tensor<"float32"> };
  }

  /** A convolution's kernel in PyTorch's layout. */
  #kernel(operation: TfliteOperation, order: readonly number[]): LazyTensor {
    const { shape, constant, name } = this.#constant(operation.inputs[1]);
    if (shape.length !== 4 || (order === depthwiseOrder && shape[0] !== 1))
      this.#refuse(`kernel ${printable(name)} has shape [${printable(shape.join(", "))}]`);
    return {
      dtype: "float32",
      shape: order.map((axis) => shape[axis]!),
      read: () => permuted(constant(), order),
    };
  }

  #bias(operation: TfliteOperation, channels: number): LazyTensor {
    const index = operation.inputs[2] ?? -1;
    if (index === -1) return filled([channels], 0);
    const { shape, constant, name } = this.#constant(index);
    if (shape.length !== 1 || shape[0] !== channels)
      this.#refuse(
        `bias ${printable(name)} has shape [${printable(shape.join(", "))}] for ${channels} channels`,
      );
    return { dtype: "float32", shape, read: constant };
  }

  /** A convolution with the normalisation that was folded into it. */
  normalized(conv: string, norm: string, operation: TfliteOperation, order: readonly number[]): void {
    const kernel = this.#kernel(operation, order);
    const channels = kernel.shape[0]!;
    this.tensors.set(`${conv}.weight`, kernel);
    this.#norm(norm, filled([channels], 1), this.#bias(operation, channels));
  }

  #norm(prefix: string, weight: LazyTensor, bias: LazyTensor): void {
    this.tensors.set(`${prefix}.weight`, weight);
    this.tensors.set(`${prefix}.bias`, bias);
    this.tensors.set(`${prefix}.running_mean`, filled(weight.shape, 0));
    this.tensors.set(`${prefix}.running_var`, filled(weight.shape, 1 - normEpsilon));
  }

  /** A bias that effdet has before a normalisation, where folding left nothing of it. */
  zeroBias(conv: string, operation: TfliteOperation): void {
    this.tensors.set(`${conv}.bias`, filled([this.#kernel(operation, kernelOrder).shape[0]!], 0));
  }

  resampled(prefix: string, operation: TfliteOperation): void {
    this.normalized(`${prefix}.conv.conv`, `${prefix}.conv.bn`, operation, kernelOrder);
    this.zeroBias(`${prefix}.conv.conv`, operation);
  }

  /** A depthwise kernel without normalisation, so without bias. */
  depthwise(name: string, { depthwise }: SeparablePair): void {
    const kernel = this.#kernel(depthwise, depthwiseOrder);
    this.tensors.set(`${name}.weight`, kernel);
    if (
      this.#bias(depthwise, kernel.shape[0]!)
        .read()
        .data.some((value) => value !== 0)
    )
      this.#refuse(`${name} has a bias, which no EfficientDet has there`);
  }

  head(prefix: string, levels: readonly HeadOperations[]): void {
    const [first] = levels;
    if (first === undefined || levels.some((chain) => chain.length !== first.length))
      return this.#refuse(`${prefix} is not equally deep on all levels`);
    for (const [layer, pair] of first.entries()) {
      const last = layer === first.length - 1;
      const conv = last ? `${prefix}.predict` : `${prefix}.conv_rep.${layer}`;
      this.depthwise(`${conv}.conv_dw`, pair);
      if (last) {
        const kernel = this.#kernel(pair.pointwise, kernelOrder);
        this.tensors.set(`${conv}.conv_pw.weight`, kernel);
        this.tensors.set(`${conv}.conv_pw.bias`, this.#bias(pair.pointwise, kernel.shape[0]!));
        continue;
      }
      this.zeroBias(`${conv}.conv_pw`, pair.pointwise);
      const kernels = levels.map((chain) => this.#kernel(chain[layer]!.pointwise, kernelOrder));
      const { shape } = kernels[0]!;
      if (kernels.some((kernel) => String(kernel.shape) !== String(shape)))
        this.#refuse(`${conv} differs in shape between the levels`);
      const { kernel, factors } = this.#shared(
        conv,
        kernels.map((each) => each.read() as Tensor<"float32">),
      );
      this.tensors.set(`${conv}.conv_pw.weight`, held(kernel));
      for (const [level, factor] of factors.entries())
        this.#norm(
          `${prefix}.bn_rep.${layer}.${level}.bn`,
          held(float32(factor)),
          this.#bias(levels[level]![layer]!.pointwise, shape[0]!),
        );
    }
  }

  /** One kernel and, for each level and output channel, the factor that gives that level's kernel. */
  #shared(
    name: string,
    kernels: readonly Tensor<"float32">[],
  ): { kernel: Tensor<"float32">; factors: Float32Array[] } {
    const [{ shape, data }] = kernels as [Tensor<"float32">];
    const channels = shape[0]!;
    const size = channels === 0 ? 0 : data.length / channels;
    const kernel = new Float32Array(data.length);
    const factors = kernels.map(() => new Float32Array(channels).fill(1));
    for (let channel = 0; channel < channels; channel++) {
      const rows = kernels.map((each) => each.data.subarray(channel * size, (channel + 1) * size));
      // The largest row has the least rounding, and a level whose factor is nearly zero cannot lead.
      const norms = rows.map((row) => dot(row, row));
      const lead = norms.indexOf(Math.max(...norms));
      if (lead < 0 || norms[lead] === 0) continue;
      kernel.set(rows[lead]!, channel * size);
      for (const [level, row] of rows.entries()) {
        const factor = dot(row, rows[lead]!) / norms[lead]!;
        factors[level]![channel] = factor;
        const residual = norms[level]! - factor * factor * norms[lead]!;
        if (residual > maxHeadResidual ** 2 * norms[level]! + 1e-12 * norms[lead]!)
          this.#refuse(
            `${name} has kernels on different levels that are no multiples of one`,
            "the model was trained with separate heads, which EfficientDet has not",
          );
      }
    }
    return { kernel: tensor("float32", shape, kernel), factors };
  }
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function filled(shape: Shape, value: number): LazyTensor {
  return {
    dtype: "float32",
    shape,
    read: () => tensor("float32", shape, new Float32Array(shape[0]!).fill(value)),
  };
}

/** The picture's size and, where the file has its own post-processing, the anchors. */
function describe(model: TfliteModel, refuse: Refuse): Record<string, string> {
  const [, height = 0, width = 0] = model.tensors[model.inputs[0] ?? -1]?.shape ?? [];
  if (height <= 0 || width <= 0) return {};
  const size = { image_size: JSON.stringify(height === width ? height : [height, width]) };
  const postprocess = model.operations.find(({ kind }) => kind === "postprocess");
  const anchors = model.tensors[postprocess?.inputs[2] ?? -1];
  if (anchors?.constant === undefined || anchors.shape[1] !== 4 || anchors.shape[0]! < 9) return size;
  // Rows are centre y, centre x, height, width as parts of the picture; the first nine belong to the first place of
  // level 3, whose stride is 8 where the picture's sides are multiples of 128.
  const { data } = anchors.constant();
  const stride = data[0]! * height * 2;
  const sides = [0, 1, 2].map(
    (aspect) => [data[aspect * 4 + 3]! * width, data[aspect * 4 + 2]! * height] as const,
  );
  const [base] = sides[0]!;
  if (!(stride > 0) || !(base > 0)) return refuse("the anchors of the post-processing are no boxes");
  const round = (value: number) => Number(value.toPrecision(6));
  return {
    ...size,
    anchor_scale: JSON.stringify(round(base / stride)),
    aspect_ratios: JSON.stringify(sides.map(([w, h]) => [round(w / base), round(h / base)])),
  };
}
