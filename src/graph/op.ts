import { ShapeError } from "../errors.ts";
import type { Tensor } from "../tensor/index.ts";
import type { Node, Type, Value } from "./ir.ts";

/** What an operation is told beside its inputs: fixed when the graph is built. */
export type Attributes = Readonly<Record<string, AttributeValue | undefined>>;
export type AttributeValue = number | string | boolean | readonly number[];

/**
 * An operation is one record. Whoever adds one writes this record, one line in the table (`ops/table.ts`) and one
 * line of test data (`ops/conformance-cases.ts`); the compiler and the tests name every other place that misses it.
 */
export interface Op<A extends Attributes = Attributes> {
  readonly name: string;
  /** Types of the outputs. Throws {@link ShapeError} through {@link mismatch} where the inputs do not fit. */
  infer(inputs: readonly Type[], attributes: A): Type | readonly Type[];
  /** The outputs, computed slowly and plainly: what every engine is held against. `types` are the inferred ones, of these inputs. */
  evaluate(inputs: readonly Tensor[], attributes: A, types: readonly Type[]): Tensor | readonly Tensor[];
  /** Writes the operation as ONNX nodes; returns the names of its outputs. */
  emit(context: EmitContext<A>): string | readonly string[];
  /**
   * Cotangents of the inputs. `"none"`: the output does not depend smoothly on any input, so nothing flows back;
   * `"unsupported"`: it does, but nobody has needed it, and asking is an error.
   */
  readonly gradient: GradientRule<A> | "none" | "unsupported";
  readonly properties: OpProperties;
}

/** What passes ask of an operation, instead of its name. */
export interface OpProperties {
  /** Every output element depends only on the elements at its own (broadcast) place. */
  readonly elementwise?: boolean;
  /** Output `f(x)` with `f` monotone rising: it commutes with max-pooling and with moving elements about. */
  readonly monotone?: boolean;
  /** Only moves elements about. */
  readonly movesData?: boolean;
  /** Multiply-adds of one application, as the literature counts them (convolutions and matrix products). */
  multiplyAdds?(node: Node): number;
}

/**
 * What a gradient rule sees. A cotangent has the rank of its output, and may have size 1 where the output has more,
 * if it is the same for all of them (`cotangents.ts`).
 */
export interface GradientContext<A extends Attributes = Attributes> {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  /** Of the first output, for operations of one. */
  readonly cotangent: Value;
  /** `undefined` where nothing depends on an output. */
  readonly cotangents: readonly (Value | undefined)[];
  readonly attributes: A;
  /** Whether the cotangent of input `i` is wanted: rules skip dear work for those that are not. */
  wants(i: number): boolean;
}

/** One cotangent for each input, as above; `undefined` (or missing at the end) where there is none. */
export type GradientRule<A extends Attributes = Attributes> = (
  context: GradientContext<A>,
) => readonly (Value | undefined)[];

/** What an operation's `emit` writes with. */
export interface EmitContext<A extends Attributes = Attributes> {
  readonly inputs: readonly string[];
  readonly types: readonly Type[];
  readonly outputs: readonly Type[];
  readonly attributes: A;
  /** `onnx`: standard operators only. `onnxruntime`: its contributed ones too, where they are faster. */
  readonly dialect: Dialect;
  readonly opset: number;
  /** Channels that the engine's own layout of features keeps together (`ops/blocked.ts`); 0 where it may not be used. */
  readonly channelBlock: number;
  /** Adds an ONNX node and returns the name of its (first) output. */
  node(operator: string, inputs: readonly string[], attributes?: OnnxAttributes, domain?: string): string;
  /** The same for an operator of several outputs. */
  nodes(
    operator: string,
    inputs: readonly string[],
    outputs: number,
    attributes?: OnnxAttributes,
    domain?: string,
  ): string[];
  /** The name of a tensor that is part of the model; equal small ones are shared. */
  constant(tensor: Tensor): string;
}

export type Dialect = "onnx" | "onnxruntime";
export type OnnxAttributes = Readonly<Record<string, OnnxAttribute | undefined>>;
export type OnnxAttribute =
  | { int: number }
  | { float: number }
  | { ints: readonly number[] }
  | { floats: readonly number[] }
  | { text: string };

/** An operation from its parts; rules that are missing are compile errors. */
export function defineOp<A extends Attributes = {}>(name: string, record: Omit<Op<A>, "name">): Op<A> {
  return { name, ...record };
}

/** Applies an operation: its nodes' values, in order. */
export function applyAll<A extends Attributes>(op: Op<A>, inputs: readonly Value[], attributes: A): Value[] {
  const types = [op.infer(inputs, attributes)].flat() as Type[];
  const outputs: Value[] = [];
  const node: Node = { op: op as Op, inputs, attributes, outputs };
  types.forEach(({ dtype, shape }, output) =>
    outputs.push({ dtype, shape, source: { kind: "node", node, output } }),
  );
  return outputs;
}

/** Applies an operation of one output. */
export function apply<A extends Attributes>(op: Op<A>, inputs: readonly Value[], attributes: A): Value {
  return applyAll(op, inputs, attributes)[0]!;
}

/** The error of an operation whose inputs do not fit: names it, what it got, and what it wants. */
export function mismatch(op: string, inputs: readonly Type[], wanted: string): ShapeError {
  return new ShapeError(`${op} got ${inputs.map(typeText).join(" and ")}, but ${wanted}`);
}

/** `float32[1, 3, 512, 512]`. */
export function typeText(type: Type): string {
  return `${type.dtype}[${type.shape.join(", ")}]`;
}
