import { describe, expect, it } from "vitest";
import { fuzzCommandLines, fuzzConfigurations, fuzzPictures } from "./fuzz.ts";

describe("whatever is thrown at it, an error of ours or a right result", () => {
  it.each([
    ["300 pictures", () => fuzzPictures(300, 1)],
    ["200 command lines", () => fuzzCommandLines(200, 2)],
    ["200 configuration files", () => fuzzConfigurations(200, 3)],
  ])("%s", async (_, run) => {
    await expect(run()).resolves.toBeUndefined();
  });
});
