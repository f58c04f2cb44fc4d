import type { Tensor } from "../tensor/index.ts";

/** A convolution with the batch normalisation after it, as one kernel and bias in double precision. */
export interface FoldedConvolution {
  readonly name: string;
  readonly kernel: Float64Array;
  readonly bias: Float64Array;
}

/**
 * Every convolution of a state dict that a batch normalisation follows, folded with it: equal for weights that are
 * the same function though not the same numbers (TFLite has them folded).
 */
export function foldedConvolutions(
  names: Iterable<string>,
  get: (name: string) => Tensor,
  epsilon = 1e-3,
): FoldedConvolution[] {
  const all = new Set(names);
  const read = (name: string) => get(name).data as Float32Array;
  return [...all]
    .filter((name) => name.endsWith(".running_var"))
    .map((name) => {
      const norm = name.slice(0, -".running_var".length);
      const conv = convolutionBefore(norm, all);
      const [weight, gamma, beta] = [read(`${conv}.weight`), read(`${norm}.weight`), read(`${norm}.bias`)];
      const [mean, variance] = [read(`${norm}.running_mean`), read(name)];
      const own = all.has(`${conv}.bias`) ? read(`${conv}.bias`) : new Float32Array(gamma.length);
      const size = weight.length / gamma.length;
      const scale = Float64Array.from(gamma, (g, channel) => g / Math.sqrt(variance[channel]! + epsilon));
      return {
        name: norm,
        kernel: Float64Array.from(weight, (w, i) => w * scale[Math.floor(i / size)]!),
        bias: Float64Array.from(beta, (b, channel) => b + (own[channel]! - mean[channel]!) * scale[channel]!),
      };
    });
}

function convolutionBefore(norm: string, all: ReadonlySet<string>): string {
  if (norm === "backbone.bn1") return "backbone.conv_stem";
  const block = /^(backbone\.blocks\..*)\.bn(\d)$/.exec(norm);
  if (block) {
    const order = all.has(`${block[1]}.conv_pwl.weight`)
      ? ["conv_pw", "conv_dw", "conv_pwl"]
      : ["conv_dw", "conv_pw"];
    return `${block[1]}.${order[Number(block[2]) - 1]}`;
  }
  const head = /^(.*_net)\.bn_rep\.(\d)\.\d\.bn$/.exec(norm);
  if (head) return `${head[1]}.conv_rep.${head[2]}.conv_pw`;
  return norm.replace(/\.bn$/, norm.includes("after_combine") ? ".conv_pw" : ".conv");
}
