import { describe, expect, it } from "vitest";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { referenceJson, referenceMissing } from "../../src/testing/reference.ts";
import { allowedError, zooErrors, type ZooCase } from "./zoo-case.ts";

// The others are in the slow tier (zoo.slow.ts).
const quick = [
  "d0-128x128",
  "d0-256x384",
  "lite0-128x128",
  "lite0-200x312",
  "lite0-128x128-effdet-normalisation",
];

describe.skipIf(referenceMissing("reference/zoo.json"))(
  "outputs equal the reference's (effdet, PyTorch)",
  () => {
    it.each(quick)("%s", async (name) => {
      const { cases } = referenceJson<{ cases: Record<string, ZooCase> }>("reference/zoo.json");
      for (const [key, error] of Object.entries(await zooErrors(cases[name]!, nodeRuntime)))
        expect(error, key).toBeLessThan(allowedError);
    });
  },
);
