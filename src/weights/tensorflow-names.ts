import type { DType, Tensor } from "../tensor/index.ts";
import { elementCount, tensor } from "../tensor/index.ts";
import type { LazyTensor, PassedOver } from "./checkpoint.ts";
import { permutedLazily } from "./permute.ts";
import { printable } from "./printable.ts";

/** What TensorFlow calls the parts of a batch normalisation, and what PyTorch does. */
const normParts: Readonly<Record<string, string>> = {
  gamma: "weight",
  beta: "bias",
  moving_mean: "running_mean",
  moving_variance: "running_var",
};

/** Kernels turned from TensorFlow's layout into PyTorch's: height, width, in, out to out, in, height, width. */
const kernelOrder = [3, 2, 0, 1];
/** Height, width, channels, 1 to channels, 1, height, width. */
const depthwiseOrder = [2, 3, 0, 1];

/** Where a TensorFlow variable goes: a whole tensor, or one element of a vector of fusion weights. */
interface Target {
  readonly name: string;
  readonly order?: readonly number[];
  readonly edge?: number;
}

/** A block of the backbone by its number: its stage, its place there, and whether it has an expansion. */
interface BlockPlace {
  readonly stage: number;
  readonly index: number;
  readonly expands: boolean;
}

/**
 * The tensors of a model of google/automl under effdet's names and in PyTorch's layout. Scalars of fusion weights
 * (`WSM`, `WSM_1` …) become one vector. Names that belong to no part of an EfficientDet are passed over.
 *
 * @param variables by the official name, the same in TF1 and TF2, without `:0`
 * @see the names in automl's `efficientdet_keras.py`, which its `test_model_variables` pins
 */
export function fromTensorflowNames(variables: ReadonlyMap<string, LazyTensor>): {
  tensors: Map<string, LazyTensor>;
  passedOver: PassedOver[];
} {
  const places = placeBlocks(variables);
  const minLevel = lowestLevel(variables.keys());
  const tensors = new Map<string, LazyTensor>();
  const edges = new Map<string, LazyTensor[]>();
  const passedOver: PassedOver[] = [];
  for (const [name, variable] of variables) {
    const target = targetOf(name, places, minLevel);
    const fits = target?.order === undefined || variable.shape.length === 4;
    if (target === undefined || !fits)
      passedOver.push({
        name: printable(name),
        shape: variable.shape,
        reason: fits ? "no part of an EfficientDet" : "not a kernel of four dimensions",
      });
    else if (target.edge !== undefined) {
      const list = edges.get(target.name) ?? [];
      list[target.edge] = variable;
      edges.set(target.name, list);
    } else
      tensors.set(
        target.name,
        target.order === undefined ? variable : permutedLazily(variable, target.order),
      );
  }
  for (const [name, list] of edges) {
    // A gap means that one of the scalars is missing; the vector then counts as missing too.
    if (Array.from(list).every((item) => item !== undefined && elementCount(item.shape) === 1))
      tensors.set(name, vectorOf(list));
  }
  return { tensors, passedOver };
}

function vectorOf(scalars: readonly LazyTensor[]): LazyTensor {
  const dtype: DType = "float32";
  const shape = [scalars.length];
  return {
    dtype,
    shape,
    read: (): Tensor =>
      tensor(
        dtype,
        shape,
        Float32Array.from(scalars, (item) => Number(item.read().data[0])),
      ),
  };
}

const blockPattern = /(?:^|\/)efficientnet-[^/]+\/blocks_(\d{1,3})\/(.+)\/([^/]+)$/;

/**
 * TensorFlow numbers blocks through; PyTorch has stages. A stage ends where the number of channels that a block gives
 * out changes, in every member of the family.
 */
function placeBlocks(variables: ReadonlyMap<string, LazyTensor>): ReadonlyMap<number, BlockPlace> {
  const outputs = new Map<number, number>();
  const expanding = new Set<number>();
  for (const [name, { shape }] of variables) {
    const [, number, part, leaf] = blockPattern.exec(name) ?? [];
    if (leaf !== "kernel" || shape.length !== 4 || (part !== "conv2d" && part !== "conv2d_1")) continue;
    const block = Number(number);
    if (part === "conv2d_1") expanding.add(block);
    if (part === "conv2d_1" || !outputs.has(block)) outputs.set(block, shape[3]!);
  }
  const places = new Map<number, BlockPlace>();
  let previous: number | undefined;
  let stage = -1;
  let index = 0;
  for (const block of [...outputs.keys()].sort((a, b) => a - b)) {
    const channels = outputs.get(block)!;
    if (channels === previous) index++;
    else [stage, index, previous] = [stage + 1, 0, channels];
    places.set(block, { stage, index, expands: expanding.has(block) });
  }
  return places;
}

function lowestLevel(names: Iterable<string>): number {
  let lowest = Infinity;
  for (const name of names) {
    const level = /(?:^|\/)(?:class|box)-\d+-bn-(\d+)\//.exec(name)?.[1];
    if (level !== undefined) lowest = Math.min(lowest, Number(level));
  }
  return Number.isFinite(lowest) ? lowest : 3;
}

/** Names are matched from any folder on, since Keras files put the layer's name before them. */
function targetOf(
  name: string,
  places: ReadonlyMap<number, BlockPlace>,
  minLevel: number,
): Target | undefined {
  return (
    stemTarget(name) ??
    blockTarget(name, places) ??
    resampleTarget(name, minLevel) ??
    nodeTarget(name) ??
    headTarget(name, minLevel)
  );
}

function stemTarget(name: string): Target | undefined {
  const [, part, leaf] =
    /(?:^|\/)efficientnet-[^/]+\/stem\/(conv2d|tpu_batch_normalization)\/([^/]+)$/.exec(name) ?? [];
  if (part === "conv2d")
    return leaf === "kernel" ? { name: "backbone.conv_stem.weight", order: kernelOrder } : undefined;
  return part === undefined ? undefined : normTarget("backbone.bn1", leaf);
}

function blockTarget(name: string, places: ReadonlyMap<number, BlockPlace>): Target | undefined {
  const [, number, part, leaf] = blockPattern.exec(name) ?? [];
  const place = places.get(Number(number));
  if (part === undefined || place === undefined) return undefined;
  const block = `backbone.blocks.${place.stage}.${place.index}`;
  const norm = /^(?:tpu_)?batch_normalization(?:_(\d))?$/.exec(part);
  if (norm) return normTarget(`${block}.bn${Number(norm[1] ?? 0) + 1}`, leaf);
  switch (part) {
    case "depthwise_conv2d":
      return leaf === "depthwise_kernel"
        ? { name: `${block}.conv_dw.weight`, order: depthwiseOrder }
        : undefined;
    case "conv2d":
      return leaf === "kernel" ? { name: `${block}.conv_pw.weight`, order: kernelOrder } : undefined;
    case "conv2d_1":
      return leaf === "kernel" && place.expands
        ? { name: `${block}.conv_pwl.weight`, order: kernelOrder }
        : undefined;
    case "se/conv2d":
      return convTarget(`${block}.se.conv_reduce`, leaf);
    case "se/conv2d_1":
      return convTarget(`${block}.se.conv_expand`, leaf);
    default:
      return undefined;
  }
}

function resampleTarget(name: string, minLevel: number): Target | undefined {
  const [, level, part, leaf] = /(?:^|\/)resample_p(\d{1,2})\/(conv2d|bn)\/([^/]+)$/.exec(name) ?? [];
  if (part === undefined) return undefined;
  return sampledTarget(`fpn.resample.${Number(level) - minLevel}`, part, leaf);
}

function nodeTarget(name: string): Target | undefined {
  const [, cell, node, rest] = /(?:^|\/)fpn_cells\/cell_(\d{1,3})\/fnode(\d{1,3})\/(.+)$/.exec(name) ?? [];
  if (rest === undefined) return undefined;
  const prefix = `fpn.cell.${Number(cell)}.fnode.${Number(node)}`;
  const edge = /^WSM(?:_(\d{1,2}))?$/.exec(rest);
  if (edge) return { name: `${prefix}.combine.edge_weights`, edge: Number(edge[1] ?? 0) };
  const [, input, part, leaf] = /^resample_\d+_(\d{1,3})_\d+\/(conv2d|bn)\/([^/]+)$/.exec(rest) ?? [];
  if (part !== undefined) return sampledTarget(`${prefix}.combine.resample.${Number(input)}`, part, leaf);
  const [, after, afterLeaf] = /^op_after_combine\d+\/(conv|bn)\/([^/]+)$/.exec(rest) ?? [];
  if (after === "bn") return normTarget(`${prefix}.after_combine.conv.bn`, afterLeaf);
  return after === "conv" ? separableTarget(`${prefix}.after_combine.conv`, afterLeaf) : undefined;
}

function headTarget(name: string, minLevel: number): Target | undefined {
  const [, head, layer, level, leaf] =
    /(?:^|\/)(class|box)_net\/(?:class|box)-(predict|\d{1,2})(?:-bn-(\d{1,2}))?\/([^/]+)$/.exec(name) ?? [];
  if (layer === undefined) return undefined;
  if (level !== undefined)
    return normTarget(`${head}_net.bn_rep.${layer}.${Number(level) - minLevel}.bn`, leaf);
  return separableTarget(`${head}_net.${layer === "predict" ? "predict" : `conv_rep.${layer}`}`, leaf);
}

function normTarget(prefix: string, leaf: string | undefined): Target | undefined {
  const part = leaf === undefined || !Object.hasOwn(normParts, leaf) ? undefined : normParts[leaf];
  return part === undefined ? undefined : { name: `${prefix}.${part}` };
}

function convTarget(prefix: string, leaf: string | undefined): Target | undefined {
  if (leaf === "kernel") return { name: `${prefix}.weight`, order: kernelOrder };
  return leaf === "bias" ? { name: `${prefix}.bias` } : undefined;
}

function sampledTarget(prefix: string, part: string, leaf: string | undefined): Target | undefined {
  return part === "bn" ? normTarget(`${prefix}.conv.bn`, leaf) : convTarget(`${prefix}.conv.conv`, leaf);
}

function separableTarget(prefix: string, leaf: string | undefined): Target | undefined {
  switch (leaf) {
    case "depthwise_kernel":
      return { name: `${prefix}.conv_dw.weight`, order: depthwiseOrder };
    case "pointwise_kernel":
      return { name: `${prefix}.conv_pw.weight`, order: kernelOrder };
    case "bias":
      return { name: `${prefix}.conv_pw.bias` };
    default:
      return undefined;
  }
}
