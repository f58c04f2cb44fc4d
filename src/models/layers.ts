import {
  conv2d,
  hardSwish,
  mish,
  mul,
  reduceMean,
  relu,
  relu6,
  sigmoid,
  swish,
  type Value,
} from "../graph/index.ts";
import type { Parameters } from "./parameters.ts";

/** Activations by name (automl `utils.activation_fn`). */
export const activations = { swish, relu6, relu, hardSwish, mish } as const;
export type ActivationName = keyof typeof activations;

/** A dense convolution without bias, SAME padding; `p` holds `weight`. */
export function convolution(
  x: Value,
  channels: number,
  kernel: number,
  stride: number,
  p: Parameters,
): Value {
  return conv2d(x, p.get("weight", [channels, x.shape[1] as number, kernel, kernel]), undefined, { stride });
}

/** A 1×1 convolution with bias; `p` holds `weight` and `bias`. */
export function pointwise(x: Value, channels: number, p: Parameters): Value {
  return conv2d(x, p.get("weight", [channels, x.shape[1] as number, 1, 1]), p.get("bias", [channels]));
}

/** A depthwise convolution without bias, SAME padding; `p` holds `weight`. */
export function depthwise(x: Value, kernel: number, stride: number, p: Parameters): Value {
  const channels = x.shape[1] as number;
  return conv2d(x, p.get("weight", [channels, 1, kernel, kernel]), undefined, { stride, groups: channels });
}

/** A separable 3×3 convolution: depthwise without bias, then pointwise with one (`conv_dw`, `conv_pw`). */
export function separable(x: Value, channels: number, p: Parameters): Value {
  return pointwise(depthwise(x, 3, 1, p.in("conv_dw")), channels, p.in("conv_pw"));
}

/** A 1×1 convolution with (redundant, but published) bias and batch normalisation; no activation (`conv`, `bn`). */
export function projection(x: Value, channels: number, p: Parameters): Value {
  return p.mode.batchNorm(pointwise(x, channels, p.in("conv")), p.in("bn"));
}

/** Squeeze and excite (Hu et al. 2018): channels weighed by a gate on their means, through `reduced` channels. */
export function squeezeExcite(x: Value, reduced: number, activation: ActivationName, p: Parameters): Value {
  const mean = reduceMean(x, [2, 3]);
  const hidden = activations[activation](pointwise(mean, reduced, p.in("conv_reduce")));
  return mul(x, sigmoid(pointwise(hidden, x.shape[1] as number, p.in("conv_expand"))));
}
