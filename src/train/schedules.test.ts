import { describe, expect, it } from "vitest";
import { averageDecay, scaledLearningRate, schedule } from "./schedules.ts";

describe("the cosine schedule", () => {
  it("falls from the end of the warm-up to the end of the run", () => {
    const rate = schedule({ kind: "cosine", learningRate: 1, warmUpFrom: 0, warmUpSteps: 10, steps: 50 });
    [0, 5, 10, 30, 50].forEach((step, i) => expect(rate(step)).toBeCloseTo([0, 0.5, 1, 0.5, 0][i]!, 8));
    for (let step = 11; step < 50; step++) expect(rate(step)).toBeLessThan(rate(step - 1));
  });
});

describe("automl's cosine schedule", () => {
  it("has the values of its test: 1e-3 after one of five steps of warm-up", () => {
    const rate = schedule({
      kind: "automl-cosine",
      learningRate: 1e-3,
      warmUpFrom: 1e-4,
      warmUpSteps: 1,
      steps: 5,
    });
    [1e-4, 8.5355e-4, 5e-4, 1.46447e-4, 0].forEach((expected, step) =>
      expect(rate(step)).toBeCloseTo(expected, 8),
    );
  });
  it("has the values of the paper's run: 300 epochs of 1875 steps at batch 64", () => {
    const rate = schedule({
      kind: "automl-cosine",
      learningRate: scaledLearningRate(0.08, 64),
      warmUpFrom: 0.008,
      warmUpSteps: 1875,
      steps: 562500,
    });
    const expected = {
      0: 0.008,
      937: 0.0439808,
      1874: 0.0799616,
      1875: 0.0799978,
      281250: 0.0397899,
      560625: 0,
      562499: 2.2e-6,
    };
    for (const [step, value] of Object.entries(expected)) expect(rate(Number(step))).toBeCloseTo(value, 6);
  });
});

describe("the other schedules", () => {
  it("step: falls to a tenth at two thirds and at five sixths", () => {
    const rate = schedule({ kind: "step", learningRate: 1, steps: 300 });
    expect([0, 199, 200, 249, 250].map(rate).map((x) => Number(x.toFixed(6)))).toEqual([
      1, 1, 0.1, 0.1, 0.01,
    ]);
  });
  it("polynomial: falls to 0 with a power of 0.9", () => {
    const rate = schedule({ kind: "polynomial", learningRate: 1, steps: 100 });
    expect([0, 50, 100].map(rate)).toEqual([1, 0.5 ** 0.9, 0]);
  });
  it("one-cycle: rises, then falls to the final share", () => {
    const rate = schedule({
      kind: "one-cycle",
      learningRate: 1,
      steps: 100,
      warmUpFrom: 0.04,
      finalShare: 0.001,
    });
    expect(rate(0)).toBeCloseTo(0.04);
    expect(rate(15)).toBeCloseTo(0.52);
    expect(rate(30)).toBeCloseTo(1);
    expect(rate(99)).toBeCloseTo(0.001);
    for (let step = 31; step < 100; step++) expect(rate(step)).toBeLessThan(rate(step - 1));
  });
  it("constant: stays, after its warm-up", () => {
    const rate = schedule({ kind: "constant", learningRate: 1, steps: 10, warmUpSteps: 4, warmUpFrom: 0 });
    expect([0, 1, 2, 3, 4, 9].map(rate)).toEqual([0, 0.25, 0.5, 0.75, 1, 1]);
  });
  it("is in proportion to the batch", () => {
    expect(scaledLearningRate(0.08, 128)).toBeCloseTo(0.16);
  });
});

describe("the decay of the moving average", () => {
  it("warms up", () => {
    const expected = {
      0: 0.1,
      1: 0.181818,
      10: 0.55,
      100: 0.918182,
      1000: 0.991089,
      10000: 0.999101,
      100000: 0.9998,
    };
    for (const [n, decay] of Object.entries(expected))
      expect(averageDecay(0.9998, Number(n))).toBeCloseTo(decay, 6);
  });
});
