import { full, sumOf, zerosOf } from "./cotangents.ts";
import { nodesOf, type Value } from "./ir.ts";
import { scalar } from "./ops/elementwise.ts";
import { reshape } from "./ops/movement.ts";

/**
 * The gradients of a number by other values, as values of the same graph (reverse mode: one sweep backward over the
 * nodes, each by its operation's rule). Only what lies between `wrt` and the loss is walked, so what is frozen costs
 * nothing.
 *
 * @param loss float, of one element
 * @returns one for each of `wrt`, of its shape; zeros where the loss does not depend on it
 * @throws {TypeError} if the loss has more than one element, or an operation has no gradient
 */
export function gradients(loss: Value, wrt: readonly Value[]): Value[] {
  if (loss.shape.some((dim) => dim !== 1))
    throw new TypeError(`a gradient is of one number, not of [${loss.shape.join(", ")}]`);
  const one = loss.shape.length === 0 ? scalar(1) : reshape(scalar(1), loss.shape);
  return pullBack([{ value: loss, cotangent: one }], wrt);
}

/**
 * What cotangents of some values are as cotangents of others that they depend on: the sum over the values of
 * `cotangent · d value / d wrt`.
 *
 * @returns one for each of `wrt`, of its shape; zeros where nothing depends on it
 * @throws {TypeError} if an operation has no gradient
 */
export function pullBack(
  from: readonly { readonly value: Value; readonly cotangent: Value }[],
  wrt: readonly Value[],
): Value[] {
  const nodes = nodesOf(from.map(({ value }) => value));
  const moving = new Set<Value>(wrt);
  for (const node of nodes)
    if (node.op.gradient !== "none" && node.inputs.some((value) => moving.has(value)))
      for (const output of node.outputs) if (output.dtype.startsWith("float")) moving.add(output);

  const contributions = new Map<Value, Value[]>();
  const contribute = (value: Value, cotangent: Value): void => {
    const known = contributions.get(value);
    if (known) known.push(cotangent);
    else contributions.set(value, [cotangent]);
  };
  const total = (value: Value): Value | undefined => {
    const parts = contributions.get(value);
    if (!parts) return undefined;
    if (parts.length > 1) parts.splice(0, parts.length, sumOf(parts));
    return parts[0]!;
  };

  for (const { value, cotangent } of from) contribute(value, cotangent);
  for (const { op, inputs, outputs, attributes } of nodes.toReversed()) {
    if (!outputs.some((value) => moving.has(value) && contributions.has(value))) continue;
    if (op.gradient === "none") continue;
    if (op.gradient === "unsupported") throw new TypeError(`the gradient of ${op.name} is not known`);
    const cotangents = outputs.map(total);
    const wants = (i: number): boolean => moving.has(inputs[i]!);
    op.gradient({ inputs, outputs, cotangent: cotangents[0]!, cotangents, attributes, wants }).forEach(
      (cotangent, i) => {
        if (cotangent && wants(i)) contribute(inputs[i]!, cotangent);
      },
    );
  }
  return wrt.map((value) => {
    const gradient = total(value);
    return gradient ? full(gradient, value.shape) : zerosOf(value.shape);
  });
}
