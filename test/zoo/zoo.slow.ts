import { describe, expect, it } from "vitest";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { referenceJson, referenceMissing } from "../../src/testing/reference.ts";
import { allowedError, zooErrors, type ZooCase } from "./zoo-case.ts";

describe.skipIf(referenceMissing("reference/zoo.json"))(
  "outputs of every variant equal the reference's (effdet, PyTorch)",
  () => {
    const { cases } = referenceMissing("reference/zoo.json")
      ? { cases: {} }
      : referenceJson<{ cases: Record<string, ZooCase> }>("reference/zoo.json");
    it.each(Object.keys(cases))("%s", async (name) => {
      for (const [key, error] of Object.entries(await zooErrors(cases[name]!, nodeRuntime)))
        expect(error, key).toBeLessThan(allowedError);
    });
  },
);
