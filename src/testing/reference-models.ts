import type { KnownModel } from "../weights/recognise-model.ts";
import { referenceJson } from "./reference.ts";

/** Every variant of the reference data's `state-dicts.json`, as models that weights may belong to. */
export function referenceModels(): KnownModel[] {
  const { variants } = referenceJson<{ variants: Record<string, { shapes: Record<string, number[]> }> }>(
    "reference/state-dicts.json",
  );
  return Object.entries(variants).map(([name, { shapes }]) => ({
    name,
    parameters: (classes) =>
      Object.entries(shapes).map(([parameter, shape]) => ({
        name: parameter,
        shape: parameter.startsWith("class_net.predict.conv_pw.") ? [9 * classes, ...shape.slice(1)] : shape,
      })),
  }));
}
