import { describe, expect, it } from "vitest";
import { fuzzCommandLines, fuzzConfigurations, fuzzPictures } from "./fuzz.ts";

// 10,000 cases of a new seed each day, which fast-check prints with a failing case.
const seed = Math.floor(Date.now() / 86_400_000);

describe("whatever is thrown at it, an error of ours or a right result", () => {
  it.each([
    ["5,000 pictures", () => fuzzPictures(5000, seed)],
    ["2,500 command lines", () => fuzzCommandLines(2500, seed)],
    ["2,500 configuration files", () => fuzzConfigurations(2500, seed)],
  ])("%s", async (_, run) => {
    await expect(run()).resolves.toBeUndefined();
  });
});
