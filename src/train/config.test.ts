import { describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { defaultLearningRate, readTrainConfig, recipes, withSetting } from "./config.ts";

describe("a training configuration", () => {
  it("needs nothing but data, and is whole then", () => {
    const config = readTrainConfig({ data: "cells" });
    expect(config).toMatchObject({
      recipe: "fine-tune",
      batchNorm: "batch",
      patience: 0,
      loss: { gamma: 1.5 },
    });
    expect(config.augmentation).toMatchObject({ horizontalFlip: 0.5, scaleJitter: { min: 0.8, max: 1.25 } });
  });

  it.each(Object.keys(recipes))("reads back what it wrote with the recipe %s", (recipe) => {
    const config = readTrainConfig({ data: "cells", recipe, val: 0.1, loss: { iouLoss: "giou" } });
    expect(readTrainConfig(parse(stringify(config)))).toEqual(config);
  });

  it("puts what is given before the recipe, and that before the defaults", () => {
    expect(readTrainConfig({ data: "cells", recipe: "paper" })).toMatchObject({
      epochs: 300,
      optimizer: "sgd",
      freeze: "none",
      augmentation: { scaleJitter: { min: 0.1, max: 2 } },
    });
    expect(
      readTrainConfig({ data: "cells", recipe: "paper", epochs: 3, augmentation: { colour: { hue: 0.1 } } }),
    ).toMatchObject({
      epochs: 3,
      augmentation: { colour: { hue: 0.1, probability: 0 }, scaleJitter: { min: 0.1, max: 2 } },
    });
  });

  it.each([
    [{ data: "d", epoch: 3 }, "there is no setting epoch (x.yaml)", "did you mean epochs?"],
    [{ data: "d", loss: { gama: 3 } }, "there is no setting loss.gama (x.yaml)", "did you mean gamma?"],
    [
      { data: "d", augmentation: { mosaic: { probabilty: 1 } } },
      "there is no setting augmentation.mosaic.probabilty (x.yaml)",
      "did you mean probability?",
    ],
    [
      { data: "d", network: { widht: 1 } },
      "there is no setting network.widht (x.yaml)",
      "did you mean width?",
    ],
    [{ epochs: 3 }, "data is missing: no pictures to learn from (x.yaml)", "--data"],
    [{ data: "d", epochs: 0 }, "epochs: ", "docs/training.md"],
    [{ data: "d", freeze: "(" }, "freeze: ", "regular expression"],
    [{ data: "d", val: 1.5 }, "val: ", "docs/training.md"],
    [["d"], "holds no settings", "data"],
  ])("refuses %j", (input, message, hint) => {
    expect(() => readTrainConfig(input, "x.yaml")).toThrow(
      expect.objectContaining({
        code: "E_CONFIG",
        message: expect.stringContaining(message),
        hint: expect.stringContaining(hint),
      }),
    );
  });

  it("takes single settings by their path", () => {
    expect(withSetting({ data: "d", loss: { gamma: 2 } }, ["loss", "delta"], 0.2)).toEqual({
      data: "d",
      loss: { gamma: 2, delta: 0.2 },
    });
    expect(() => withSetting({ data: "d" }, ["data", "x"], 1)).toThrow('data is "d" and has no x');
  });

  it("scales the learning rate with the batch: SGD in proportion, AdamW by the root", () => {
    expect(defaultLearningRate("sgd", 64)).toBe(0.08);
    expect(defaultLearningRate("sgd", 8)).toBe(0.01);
    expect(defaultLearningRate("sgd", 8, { trained: true })).toBe(0.0025);
    expect(defaultLearningRate("adamw", 16, { batchNorm: "frozen" })).toBe(0.00424);
    expect(defaultLearningRate("adamw", 16)).toBe(2 * defaultLearningRate("adamw", 4));
  });
});
