import { describe, it } from "vitest";
import { fuzz, fuzzTargets } from "../testing/weight-fuzz.ts";

describe("damaged files are refused with an error of ours, or read", () => {
  it.each(fuzzTargets.map((target) => [target.name, target] as const))("%s, 200 cases", (_, target) => {
    fuzz(target, 200, 1);
  });
});
