import { totalmem } from "node:os";
import { describe, expect, it } from "vitest";
import type { Lanes } from "../../src/detector/lane.ts";
import { planLanes } from "../../src/detector/lane-plan.ts";
import { LaneUse } from "../../src/detector/lane-use.ts";
import type { ReadyModel } from "../../src/detector/ready-model.ts";
import { modelConfig } from "../../src/models/index.ts";
import { zeros } from "../../src/tensor/index.ts";

/** A model of so many parameters. */
const model = (imageSize: number, parameters: number): ReadyModel => ({
  config: modelConfig("lite0", { imageSize }),
  classes: [],
  weights: new Map([["weight", zeros("float16", [parameters])]]),
  source: "",
});
const small = model(128, 1000);

describe("the plan of lanes", () => {
  it("has a lane for each thread", () => {
    expect(planLanes(small, { threads: 2 })).toEqual({ lanes: 2, threads: 1 });
    expect(planLanes(small, { threads: 7, device: "cpu" })).toEqual({ lanes: 7, threads: 1 });
  });

  it("has none for one thread, another device, or a run that is profiled", () => {
    expect(planLanes(small, { threads: 1 })).toBeUndefined();
    expect(planLanes(small, { threads: 4, device: "cuda" })).toBeUndefined();
    expect(planLanes(small, { threads: 4, profile: "here" })).toBeUndefined();
  });

  it("keeps to a quarter of the memory: fewer lanes share the threads, one is none", () => {
    const side = (share: number): number => Math.floor(Math.sqrt((totalmem() * share) / 700) / 128) * 128;
    const third = planLanes(model(side(1 / 13), 1000), { threads: 8 });
    if (third) expect(third).toEqual({ lanes: 3, threads: 2 }); // a container may allow less than the machine has
    expect(planLanes(model(side(1 / 7), 1000), { threads: 8 })).toBeUndefined();
  });
});

describe("the use of lanes", () => {
  const given = {} as Lanes;
  /** After so many pictures of so many milliseconds, 10 into a row. */
  const use = (pictures: number, each: number, row: object): boolean => {
    const lanes = new LaneUse(() => given);
    for (let i = 0; i < pictures; i++) lanes.took(1, each);
    return lanes.at(10, row) === given;
  };

  it("begins where a list is work for more than three seconds", () => {
    expect(use(10, 20, Array(200))).toBe(true);
    expect(use(10, 20, Array(100))).toBe(false);
    expect(use(10, 500, new Set(Array(100).keys()))).toBe(true);
    expect(use(3, 500, Array(100))).toBe(false); // the first pictures take longer
  });

  it("begins where the detector has worked for more than three seconds, and not for few pictures", () => {
    expect(use(200, 20, Array(40))).toBe(true);
    expect(use(200, 20, Array(31))).toBe(false);
    const unknown = new LaneUse(() => given);
    unknown.took(200, 4000);
    expect([unknown.at(31, {}), unknown.at(32, {})]).toEqual([undefined, given]);
  });
});
