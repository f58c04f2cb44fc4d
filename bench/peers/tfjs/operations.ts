import { constantOf, type ConvolutionAttributes, type Node, type PoolAttributes, type Value } from "../../../src/graph/index.ts"; // prettier-ignore
import type { FusedActivation, Padding, Pair, TensorFlow, TfTensor } from "./library.ts";

/** What one operation of ours is in TensorFlow.js: from maps `[N, h, w, C]` to one. */
export interface Step {
  /** Values that are computed; constants are part of `apply`. */
  readonly inputs: readonly Value[];
  readonly output: Value;
  readonly apply: (maps: readonly TfTensor[]) => TfTensor;
}

type Apply = Step["apply"];

/** Our activations that can be part of a convolution there. */
export const fusable: Readonly<Record<string, FusedActivation>> = { relu6: "relu6", sigmoid: "sigmoid" };

/** A convolution, with the activation after it if there is one. */
export function convolutionStep(node: Node, activation: Node | undefined, tf: TensorFlow): Step {
  const { stride, dilation, pads, groups } = node.attributes as unknown as ConvolutionAttributes;
  const [, kernel, bias] = node.inputs.map((value) => constantTensor(value, tf));
  const [outputs, each] = kernel!.shape as [number, number];
  const depthwise = groups > 1;
  if (depthwise && (groups !== outputs || each !== 1)) throw new Error(`no convolution in ${groups} groups`);
  const convolution = {
    filter: tf.transpose(kernel!, depthwise ? [2, 3, 0, 1] : [2, 3, 1, 0]), // [kh, kw, C, 1] or [kh, kw, C, O]
    bias,
    strides: stride as Pair,
    dilations: dilation as Pair,
    pad: padding(pads),
    activation: activation ? fusable[activation.op.name]! : "linear",
  } as const;
  return {
    inputs: [node.inputs[0]!],
    output: (activation ?? node).outputs[0]!,
    apply: depthwise
      ? ([x]) => tf.fused.depthwiseConv2d({ x: x!, ...convolution })
      : ([x]) => tf.fused.conv2d({ x: x!, ...convolution }),
  };
}

/** An operation that is no convolution; of constants it may read single numbers, which have no layout. */
export function plainStep(node: Node, tf: TensorFlow): Step {
  const apply = operation(node, tf);
  const numbers = node.inputs.map((value) => constantTensor(value, tf));
  if (numbers.some((number) => number && number.shape.some((size) => size !== 1)))
    throw new Error(`${node.op.name} reads a constant of many numbers`);
  return {
    inputs: node.inputs.filter((value) => constantOf(value) === undefined),
    output: node.outputs[0]!,
    apply: (maps) => {
      let next = 0;
      return apply(numbers.map((number) => number ?? maps[next++]!));
    },
  };
}

function operation(node: Node, tf: TensorFlow): Apply {
  switch (node.op.name) {
    case "add":
      return ([x, y]) => tf.add(x!, y!);
    case "mul":
      return ([x, y]) => tf.mul(x!, y!);
    case "relu6":
      return ([x]) => tf.relu6(x!);
    case "sigmoid":
      return ([x]) => tf.sigmoid(x!);
    case "swish":
      return ([x]) => {
        const gate = tf.sigmoid(x!);
        const y = tf.mul(x!, gate);
        gate.dispose();
        return y;
      };
    case "reduceMean":
      // Over a whole map its pooling is several times quicker than its mean, which first turns the axes round.
      if (String(node.attributes.axes) === "2,3")
        return ([x]) => tf.avgPool(x!, [x!.shape[1]!, x!.shape[2]!], [1, 1], "valid");
      break;
    case "maxPool2d": {
      const { kernel, stride, pads } = node.attributes as unknown as PoolAttributes;
      return ([x]) => tf.maxPool(x!, kernel, stride, padding(pads));
    }
    case "resizeNearest": {
      const { height, width } = node.attributes as { height: number; width: number };
      return ([x]) => tf.image.resizeNearestNeighbor(x!, [height, width]);
    }
  }
  throw new Error(`${node.op.name} ${JSON.stringify(node.attributes)} is not written for TensorFlow.js`);
}

function constantTensor(value: Value, tf: TensorFlow): TfTensor | undefined {
  const tensor = constantOf(value);
  return tensor && tf.tensor(tensor.data as Float32Array, tensor.shape);
}

/** Rows above, columns left, rows below, columns right, as pairs per axis of `[N, h, w, C]`. */
function padding([top, left, bottom, right]: readonly [number, number, number, number]): Padding {
  return [
    [0, 0],
    [top, bottom],
    [left, right],
    [0, 0],
  ];
}
