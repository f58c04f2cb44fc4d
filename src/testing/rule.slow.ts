import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { bytesOf } from "../weights/little-endian.ts";
import { referenceJson, referenceMissing } from "./reference.ts";
import { ruleTensor, ruleVariants } from "./rule.ts";

describe.skipIf(referenceMissing("reference/state-dicts.json"))("the rule", () => {
  it.each(ruleVariants)("fills all of %s with the published bits", (variant) => {
    const { variants } = referenceJson<{
      variants: Record<string, { sha256: string; shapes: Record<string, number[]> }>;
    }>("reference/state-dicts.json");
    const hash = createHash("sha256");
    for (const [name, shape] of Object.entries(variants[variant]!.shapes))
      hash.update(bytesOf(ruleTensor(name, shape, variant)));
    expect(hash.digest("hex")).toBe(variants[variant]!.sha256);
  });
});
