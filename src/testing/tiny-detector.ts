import type { ParameterShape } from "../weights/recognise-model.ts";
import { bifpn } from "../models/index.ts";

/** A network of EfficientDet's form that is small enough for a file in the repository. */
export interface TinyForm {
  readonly classes: number;
  /** Squeeze-and-excitation in the blocks, and weighted sums: a D model; without, a Lite one. */
  readonly squeeze: boolean;
}

const stem = 4;
const stageChannels = [2, 3, 4, 5, 6, 7, 9];
/** All different from the levels' channels, so that every level is resampled. */
const width = 8;
const levels = 5;
const expansion = 2;

/** All parameters and running statistics of the tiny network, under effdet's names, in effdet's order. */
export function tinyParameters({ classes, squeeze }: TinyForm): ParameterShape[] {
  const list: ParameterShape[] = [];
  const add = (name: string, ...shape: number[]) => void list.push({ name, shape });
  const norm = (name: string, channels: number) => {
    for (const part of ["weight", "bias", "running_mean", "running_var"]) add(`${name}.${part}`, channels);
  };
  const separable = (name: string, output: number) => {
    add(`${name}.conv_dw.weight`, width, 1, 3, 3);
    add(`${name}.conv_pw.weight`, output, width, 1, 1);
    add(`${name}.conv_pw.bias`, output);
  };
  const resample = (name: string, input: number) => {
    add(`${name}.conv.conv.weight`, width, input, 1, 1);
    add(`${name}.conv.conv.bias`, width);
    norm(`${name}.conv.bn`, width);
  };

  add("backbone.conv_stem.weight", stem, 3, 3, 3);
  norm("backbone.bn1", stem);
  let input = stem;
  for (const [stage, channels] of stageChannels.entries())
    // The second stage has two blocks, so that stages and blocks are told apart.
    for (let index = 0; index < (stage === 1 ? 2 : 1); index++) {
      const block = `backbone.blocks.${stage}.${index}`;
      const inner = stage === 0 ? input : input * expansion;
      const kernel = stage === 2 ? 5 : 3;
      if (stage > 0) {
        add(`${block}.conv_pw.weight`, inner, input, 1, 1);
        norm(`${block}.bn1`, inner);
      }
      add(`${block}.conv_dw.weight`, inner, 1, kernel, kernel);
      norm(`${block}.bn${stage === 0 ? 1 : 2}`, inner);
      if (squeeze) {
        add(`${block}.se.conv_reduce.weight`, 1, inner, 1, 1);
        add(`${block}.se.conv_reduce.bias`, 1);
        add(`${block}.se.conv_expand.weight`, inner, 1, 1, 1);
        add(`${block}.se.conv_expand.bias`, inner);
      }
      add(`${block}.${stage === 0 ? "conv_pw" : "conv_pwl"}.weight`, channels, inner, 1, 1);
      norm(`${block}.bn${stage === 0 ? 2 : 3}`, channels);
      input = channels;
    }
  resample("fpn.resample.3", input);
  const taps = [stageChannels[2]!, stageChannels[4]!, stageChannels[6]!];
  for (const [index, { inputs }] of bifpn({ min: 0, max: levels - 1 }).entries()) {
    const node = `fpn.cell.0.fnode.${index}`;
    if (squeeze) add(`${node}.combine.edge_weights`, inputs.length);
    for (const offset of inputs)
      if (offset < taps.length) resample(`${node}.combine.resample.${offset}`, taps[offset]!);
    separable(`${node}.after_combine.conv`, width);
    norm(`${node}.after_combine.conv.bn`, width);
  }
  for (const [net, output] of [["class_net", 9 * classes] as const, ["box_net", 9 * 4] as const]) {
    separable(`${net}.conv_rep.0`, width);
    for (let level = 0; level < levels; level++) norm(`${net}.bn_rep.0.${level}.bn`, width);
    separable(`${net}.predict`, output);
  }
  return list;
}
