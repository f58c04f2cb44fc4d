import { bifpn } from "../models/index.ts";
import type { Refuse } from "./byte-reader.ts";
import { printable } from "./printable.ts";
import type { TfliteModel, TfliteOperation } from "./tflite-model.ts";

/** A depthwise convolution and the 1×1 convolution after it. */
export interface SeparablePair {
  readonly depthwise: TfliteOperation;
  readonly pointwise: TfliteOperation;
}

/** An inverted residual block; `expand` is missing in the first stage. */
export interface BlockOperations extends SeparablePair {
  readonly expand?: TfliteOperation;
}

/** A node of a cell: the 1×1 convolutions of its inputs, by their offset, and what follows the sum. */
export interface NodeOperations extends SeparablePair {
  readonly resample: ReadonlyMap<number, TfliteOperation>;
}

/** A head at one level: its repeated layers, then the predictor. */
export type HeadOperations = readonly SeparablePair[];

/** Which operation of the graph is which part of EfficientDet. */
export interface DetectorOperations {
  readonly stem: TfliteOperation;
  readonly stages: readonly (readonly BlockOperations[])[];
  /** The 1×1 convolution before level 6. */
  readonly levelSix: TfliteOperation;
  readonly cells: readonly (readonly NodeOperations[])[];
  /** By level. */
  readonly classNet: readonly HeadOperations[];
  readonly boxNet: readonly HeadOperations[];
}

/** Levels 3 to 7, as in all Lite models. */
const levels = 5;
/** Stages whose outputs are levels 3, 4 and 5. */
const taps = [2, 4, 6];

/**
 * Finds EfficientDet in a graph by its connections alone; names of tensors decide only between class and box head where
 * both have as many outputs. Lite models only: other members keep operations that this does not know.
 */
export function findDetector(model: TfliteModel, refuse: Refuse): DetectorOperations {
  return new Finder(model, refuse).find();
}

class Finder {
  readonly #model: TfliteModel;
  readonly #refuse: Refuse;
  readonly #producer = new Map<number, TfliteOperation>();
  readonly #consumers = new Map<number, TfliteOperation[]>();
  /** Tensors that differ only in number format are one: the first of them. */
  readonly #first = new Map<number, number>();

  constructor(model: TfliteModel, refuse: Refuse) {
    this.#model = model;
    this.#refuse = refuse;
    // Operations come in order, so an input is always known before it is used.
    for (const operation of model.operations) {
      const [input] = operation.inputs;
      const [output] = operation.outputs;
      if (operation.kind === "same" && input !== undefined && output !== undefined) {
        this.#first.set(output, this.#resolve(input));
        continue;
      }
      for (const index of operation.outputs) this.#producer.set(index, operation);
      for (const index of operation.inputs) {
        const resolved = this.#resolve(index);
        const list = this.#consumers.get(resolved) ?? [];
        list.push(operation);
        this.#consumers.set(resolved, list);
      }
    }
  }

  #resolve(index: number): number {
    return this.#first.get(index) ?? index;
  }

  #consumersOf(index: number, kind: TfliteOperation["kind"]): TfliteOperation[] {
    return (this.#consumers.get(index) ?? []).filter(
      (operation) => operation.kind === kind && this.#resolve(operation.inputs[0] ?? -1) === index,
    );
  }

  #addsOf(index: number): TfliteOperation[] {
    return (this.#consumers.get(index) ?? []).filter(({ kind }) => kind === "add");
  }

  #output(operation: TfliteOperation): number {
    return operation.outputs[0] ?? this.#refuse("an operation gives out nothing");
  }

  #kernelShape(operation: TfliteOperation): readonly number[] {
    return this.#model.tensors[this.#resolve(operation.inputs[1] ?? -1)]?.shape ?? [];
  }

  /** What follows a tensor as depthwise and 1×1 convolution, or undefined. */
  #separableAfter(index: number): SeparablePair | undefined {
    const [depthwise] = this.#consumersOf(index, "depthwise");
    const [pointwise] = depthwise === undefined ? [] : this.#consumersOf(this.#output(depthwise), "conv");
    return depthwise && pointwise && { depthwise, pointwise };
  }

  find(): DetectorOperations {
    const stem = this.#model.operations.find(
      (operation) => operation.kind === "conv" && this.#kernelShape(operation)[3] === 3,
    );
    if (stem === undefined) return this.#refuseStructure("a first convolution of three channels");
    const { stages, outputs } = this.#findStages(this.#output(stem));
    if (stages.length !== 7) return this.#refuseStructure(`7 stages of blocks (${stages.length} were found)`);
    const features = taps.map((stage) => outputs[stage]!);
    const levelSix = this.#consumersOf(features[2]!, "conv").find(
      (conv) => this.#consumersOf(this.#output(conv), "pool").length > 0,
    );
    const [six] = levelSix === undefined ? [] : this.#consumersOf(this.#output(levelSix), "pool");
    const [seven] = six === undefined ? [] : this.#consumersOf(this.#output(six), "pool");
    if (levelSix === undefined || six === undefined || seven === undefined)
      return this.#refuseStructure("levels 6 and 7");
    features.push(this.#output(six), this.#output(seven));

    const cells: NodeOperations[][] = [];
    let current = features;
    for (let found = this.#findCell(current); found !== undefined; found = this.#findCell(current)) {
      cells.push(found.nodes);
      current = found.outputs;
      // A graph without circles has no more cells than operations; one with them could go on forever.
      if (cells.length > this.#model.operations.length) return this.#refuseStructure("an end");
    }
    if (cells.length === 0) return this.#refuseStructure("a BiFPN cell");
    const heads = current.map((feature) => this.#findHeads(feature));
    return {
      stem,
      stages,
      levelSix,
      cells,
      classNet: heads.map(({ classNet }) => classNet),
      boxNet: heads.map(({ boxNet }) => boxNet),
    };
  }

  #refuseStructure(missing: string): never {
    return this.#refuse(
      `the graph has not the structure of an EfficientDet-Lite: it lacks ${missing}`,
      "only EfficientDet-Lite models are read from TFLite; others from .pth, .h5 or checkpoints",
    );
  }

  #findStages(stem: number): { stages: BlockOperations[][]; outputs: number[] } {
    const stages: BlockOperations[][] = [];
    const outputs: number[] = [];
    let current = stem;
    let channels: number | undefined;
    for (let count = 0; count < this.#model.operations.length; count++) {
      const block = this.#blockAfter(current);
      if (block === undefined) break;
      let output = this.#output(block.pointwise);
      const residual = this.#addsOf(output).find((add) =>
        add.inputs.some((i) => this.#resolve(i) === current),
      );
      if (residual !== undefined) output = this.#output(residual);
      const own = this.#kernelShape(block.pointwise)[0];
      if (own === channels) stages.at(-1)!.push(block);
      else stages.push([block]);
      channels = own;
      outputs[stages.length - 1] = output;
      current = output;
    }
    return { stages, outputs };
  }

  #blockAfter(index: number): BlockOperations | undefined {
    const direct = this.#separableAfter(index);
    if (direct !== undefined) return direct;
    for (const expand of this.#consumersOf(index, "conv")) {
      const pair = this.#separableAfter(this.#output(expand));
      if (pair !== undefined) return { expand, ...pair };
    }
    return undefined;
  }

  /** The cell that takes these features: for each node, the sum whose terms come from the node's inputs. */
  #findCell(features: readonly number[]): { nodes: NodeOperations[]; outputs: number[] } | undefined {
    const known = [...features];
    const nodes: NodeOperations[] = [];
    const outputs = [...features];
    for (const { level, inputs } of bifpn({ min: 0, max: levels - 1 })) {
      const expected = inputs.map((input) => known[input]!);
      const node = this.#findNode(expected, inputs, new Set(known));
      if (node === undefined)
        return nodes.length === 0 ? undefined : this.#refuseStructure("a whole BiFPN cell");
      nodes.push(node);
      known.push(this.#output(node.pointwise));
      outputs[level] = known.at(-1)!;
    }
    return { nodes, outputs };
  }

  #findNode(
    expected: readonly number[],
    offsets: readonly number[],
    known: ReadonlySet<number>,
  ): NodeOperations | undefined {
    for (const add of this.#model.operations) {
      if (add.kind !== "add") continue;
      const pair = this.#separableAfter(this.#output(add));
      if (pair === undefined) continue;
      const terms = this.#terms(add, known);
      if (terms?.length !== expected.length) continue;
      const resample = new Map<number, TfliteOperation>();
      const matches = expected.every((feature, i) => {
        const term = terms.find(({ origin }) => origin === feature);
        if (term?.conv !== undefined) resample.set(offsets[i]!, term.conv);
        return term !== undefined;
      });
      if (matches) return { ...pair, resample };
    }
    return undefined;
  }

  /** The features that a sum, or a sum of sums, is of, each with the 1×1 convolution on the way; undefined if others. */
  #terms(
    add: TfliteOperation,
    known: ReadonlySet<number>,
  ): { origin: number; conv: TfliteOperation | undefined }[] | undefined {
    const terms: { origin: number; conv: TfliteOperation | undefined }[] = [];
    const open = add.inputs.map((index) => this.#resolve(index));
    for (let index = open.shift(); index !== undefined; index = open.shift()) {
      if (terms.length + open.length > 3) return undefined;
      const producer = this.#producer.get(index);
      if (producer?.kind === "add" && !known.has(index)) {
        open.unshift(...producer.inputs.map((input) => this.#resolve(input)));
        continue;
      }
      const term = this.#originOf(index, known);
      if (term === undefined) return undefined;
      terms.push(term);
    }
    return terms;
  }

  #originOf(
    start: number,
    known: ReadonlySet<number>,
  ): { origin: number; conv: TfliteOperation | undefined } | undefined {
    let index = start;
    let conv: TfliteOperation | undefined;
    // At most a pooling or resizing and a convolution lie between.
    for (let steps = 0; steps < 4; steps++) {
      if (known.has(index)) return { origin: index, conv };
      const producer = this.#producer.get(index);
      if (producer === undefined) return undefined;
      if (producer.kind === "conv") conv = producer;
      else if (producer.kind !== "pool" && producer.kind !== "resize") return undefined;
      index = this.#resolve(producer.inputs[0] ?? -1);
    }
    return undefined;
  }

  #findHeads(feature: number): { classNet: HeadOperations; boxNet: HeadOperations } {
    const chains = this.#consumersOf(feature, "depthwise").map((first) => this.#chainFrom(first));
    if (chains.length !== 2) return this.#refuseStructure("two heads on each level");
    const [a, b] = chains as [SeparablePair[], SeparablePair[]];
    return this.#isBox(a, b) ? { classNet: b, boxNet: a } : { classNet: a, boxNet: b };
  }

  #chainFrom(first: TfliteOperation): SeparablePair[] {
    const chain: SeparablePair[] = [];
    for (let depthwise: TfliteOperation | undefined = first; depthwise !== undefined;) {
      const [pointwise] = this.#consumersOf(this.#output(depthwise), "conv");
      if (pointwise === undefined || chain.length > 100)
        return this.#refuseStructure("a head's convolutions");
      chain.push({ depthwise, pointwise });
      [depthwise] = this.#consumersOf(this.#output(pointwise), "depthwise");
    }
    return chain;
  }

  /** Whether `a` is the box head and `b` the class head. */
  #isBox(a: readonly SeparablePair[], b: readonly SeparablePair[]): boolean {
    const describe = (chain: readonly SeparablePair[]) => {
      const { pointwise } = chain.at(-1)!;
      const names = [...pointwise.inputs, ...pointwise.outputs].map(
        (i) => this.#model.tensors[i]?.name ?? "",
      );
      return { channels: this.#kernelShape(pointwise)[0] ?? 0, box: names.some((name) => /box/i.test(name)) };
    };
    const [first, second] = [describe(a), describe(b)];
    if (first.box !== second.box) return first.box;
    // Nine anchors of four numbers each, as in all published models.
    if (first.channels !== second.channels) return first.channels === 36;
    return this.#refuse(
      `class and box head cannot be told apart: both give out ${printable(first.channels)} channels`,
      "convert the model from its .h5 or checkpoint instead",
    );
  }
}
