import { describe, it } from "vitest";
import { fuzz, fuzzTargets } from "../testing/weight-fuzz.ts";

describe("damaged files are refused with an error of ours, or read", () => {
  it.each(fuzzTargets.map((target) => [target.name, target] as const))("%s, 10,000 cases", (_, target) => {
    fuzz(target, 10_000, Number(process.env.EFFICIENTDET_FUZZ_SEED ?? Date.now()) | 0);
  });
});
