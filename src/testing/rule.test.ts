import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { bytesOf } from "../weights/little-endian.ts";
import { referenceJson, referenceMissing } from "./reference.ts";
import type { RuleVariant } from "./rule.ts";
import { draws, fnv1a, rulePicture, ruleTensor, sampleIndices, u24, u4, u8 } from "./rule.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** Vectors from `rule.json` of the reference data. */
describe("the rule", () => {
  it("hashes names as FNV-1a over UTF-8", () => {
    expect(["", "a", "picture", "größe"].map(fnv1a)).toEqual([2166136261, 3826002220, 825217929, 3443061914]);
  });
  it("draws mulberry32's numbers", () => {
    const next = draws("picture");
    expect([next(), next(), next(), next()]).toEqual([1442972705, 3240946702, 573564660, 2822679479]);
  });
  it("fills a kernel with the published bits", () => {
    const { data } = ruleTensor("backbone.conv_stem.weight", [32, 3, 3, 3], "d0");
    expect([...data].slice(0, 4)).toEqual([
      -0.10821533203125, 0.39678955078125, -0.32464599609375, 0.39678955078125,
    ]);
    expect(sha256(new Uint8Array(data.buffer))).toBe(
      "a6625548e91abc28a063778265332734a89ed8c1105abffedc4224748b280196",
    );
  });
  it("gives counters as a zero int64 scalar", () => {
    expect(ruleTensor("backbone.bn1.num_batches_tracked", [], "d0")).toEqual({
      dtype: "int64",
      shape: [],
      data: new BigInt64Array(1),
    });
  });
  it("seeds another set of weights with a prefix", () => {
    const [a, b] = ["", "ema:"].map((prefix) => ruleTensor("backbone.bn1.weight", [4], "d0", prefix).data);
    expect(a).not.toEqual(b);
  });
  it("samples the first, the last, then drawn places", () => {
    expect(sampleIndices("x", 1000, 8)).toEqual([0, 999, 620, 371, 915, 319, 945, 782]);
  });
});

interface RuleFile {
  draws: Record<string, number[]>;
  numbers: { u8: number[]; u4: number[]; u24: number[] };
  tensors: {
    name: string;
    shape: number[];
    variant: RuleVariant;
    first4: number[];
    sha256: string;
    salt?: string;
  }[];
  pictures: { arguments: Parameters<typeof rulePicture>; sha256: string }[];
}

describe.skipIf(referenceMissing("reference/rule.json"))("the rule against the reference data", () => {
  it("has every tensor, picture and number of rule.json", () => {
    const file = referenceJson<RuleFile>("reference/rule.json");
    for (const [name, values] of Object.entries(file.draws)) {
      const next = draws(name);
      expect(values.map(() => next())).toEqual(values);
    }
    for (const [form, convert] of Object.entries({ u8, u4, u24 })) {
      const next = draws("picture");
      const expected = file.numbers[form as "u8"];
      expect(expected.map(() => convert(next()))).toEqual(expected);
    }
    for (const { name, shape, variant, salt, first4, sha256: hash } of file.tensors) {
      const tensor = ruleTensor(name, shape, variant, salt);
      if (tensor.dtype !== "int64") expect([...tensor.data].slice(0, 4), name).toEqual(first4);
      if (hash) expect(sha256(bytesOf(tensor)), name).toBe(hash);
    }
    for (const { arguments: values, sha256: hash } of file.pictures)
      expect(sha256(rulePicture(...values)), String(values)).toBe(hash);
  });

  it.each(["d0", "lite0"] as const)("fills all of %s with the published bits", (variant) => {
    const { variants } = referenceJson<{
      variants: Record<string, { sha256: string; shapes: Record<string, number[]> }>;
    }>("reference/state-dicts.json");
    const hash = createHash("sha256");
    for (const [name, shape] of Object.entries(variants[variant]!.shapes))
      hash.update(bytesOf(ruleTensor(name, shape, variant)));
    expect(hash.digest("hex")).toBe(variants[variant]!.sha256);
  });
});
