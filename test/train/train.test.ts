import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openModel } from "../../src/detector/open-node.ts";
import { InterruptedError } from "../../src/errors.ts";
import { train, type EpochEvent, type TrainConfigInput, type TrainEvent } from "../../src/train/index.ts";
import { readSafetensors } from "../../src/weights/index.ts";
import { toyData, toyRun } from "./toy-data.ts";

const folder = mkdtempSync(path.join(tmpdir(), "train-"));
const at = (...names: string[]): string => path.join(folder, ...names);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let data: string;
let whole: Map<string, string>;
beforeAll(async () => {
  data = await toyData(at("toys"), 10);
  await train(run("whole"));
  whole = contents("whole");
});
const run = (output: string, more: Partial<TrainConfigInput> = {}): TrainConfigInput => ({
  ...toyRun(data, at(output)),
  ...more,
});

/** What a run left behind, as far as it does not speak of time: files by name, the checkpoint's tensors apart. */
function contents(output: string): Map<string, string> {
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
  const files = ["best.safetensors", "last.safetensors"].map(
    (name) => [name, hex(readFileSync(at(output, name)))] as const,
  );
  const state = readSafetensors(readFileSync(at(output, "checkpoint", "state.safetensors")));
  const tensors = [...state.tensors].map(
    ([name, lazy]) => [name, hex(new Uint8Array((lazy.read().data as Float32Array).slice().buffer))] as const,
  );
  const { seconds: _, ...progress } = JSON.parse(state.metadata.progress!) as Record<string, unknown>;
  const metrics = readFileSync(at(output, "metrics.jsonl"), "utf8").replace(
    /,"(imagesPerSecond|seconds)":[^,}]+/g,
    "",
  );
  return new Map([...files, ...tensors, ["progress", JSON.stringify(progress)], ["metrics", metrics]]);
}

/** Names of what differs. */
const different = (a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): string[] =>
  [...new Set([...a.keys(), ...b.keys()])].filter((name) => a.get(name) !== b.get(name));

/** Trains until an event of this kind was told `times` times, then aborts. */
async function stopAt(
  config: Parameters<typeof train>[0],
  kind: TrainEvent["kind"],
  times: number,
): Promise<unknown> {
  const abort = new AbortController();
  let seen = 0;
  return train(config, {
    signal: abort.signal,
    onEvent: (event) => event.kind === kind && ++seen === times && abort.abort(),
  }).catch((error: unknown) => error);
}

describe("training", { timeout: 60_000 }, () => {
  it("leaves weights for detect, everything decided, and the metrics of each step and epoch", async () => {
    expect(readdirSync(at("whole")).sort()).toEqual([
      "best.safetensors",
      "checkpoint",
      "config.yaml",
      "last.safetensors",
      "metrics.jsonl",
      "report.html",
      "samples",
    ]);
    const model = await openModel(at("whole", "best.safetensors"));
    expect(model.classes).toEqual([
      { id: 1, name: "square" },
      { id: 2, name: "wide" },
    ]);
    expect(model.config).toMatchObject({
      name: "lite0",
      imageSize: [64, 64],
      width: 16,
      cells: 1,
      classes: 2,
    });
    const lines = readFileSync(at("whole", "metrics.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.map(({ kind }) => kind)).toEqual([
      "step",
      "step",
      "step",
      "step",
      "epoch",
      "step",
      "step",
      "step",
      "step",
      "epoch",
    ]);
    expect(lines[0]).toMatchObject({
      step: 1,
      epoch: 0.25,
      loss: expect.any(Number),
      classLoss: expect.any(Number),
      boxLoss: expect.any(Number),
      learningRate: expect.any(Number),
      imagesPerSecond: expect.any(Number),
    });
    expect(lines[9]).toMatchObject({
      epoch: 2,
      AP: expect.any(Number),
      perClass: { square: { AP: expect.any(Number) } },
    });
    expect(readFileSync(at("whole", "config.yaml"), "utf8")).toMatch(/^learningRate: [\d.]+$/m);
  });

  it("goes on after an interruption bit for bit as if there had been none", async () => {
    const error = await stopAt(run("stopped"), "step", 2);
    expect(error).toBeInstanceOf(InterruptedError);
    expect(error).toMatchObject({
      exitCode: 130,
      message: expect.stringContaining("after step 2 of 8"),
      hint: expect.stringContaining("--resume"),
    });
    expect(await stopAt({ resume: at("stopped"), workers: 1 }, "step", 4)).toBeInstanceOf(InterruptedError);
    await train({ resume: at("stopped") });
    expect(different(contents("stopped"), whole)).toEqual([]);
  });

  it("repeats an evaluation that was interrupted", async () => {
    expect(await stopAt(run("evaluating"), "progress", 5)).toBeInstanceOf(InterruptedError);
    await train({ resume: at("evaluating") });
    expect(different(contents("evaluating"), whole)).toEqual([]);
  });

  it("takes steps again that came after the checkpoint of a killed run", async () => {
    await stopAt(run("killed"), "step", 2);
    // As a process leaves it that is killed in the middle of a line.
    const log = readFileSync(at("killed", "metrics.jsonl"), "utf8");
    writeFileSync(
      at("killed", "metrics.jsonl"),
      `${log}{"kind":"step","step":3,"epoch":0.75,"loss":9}\n{"kind":"st`,
    );
    await train({ resume: at("killed") });
    expect(different(contents("killed"), whole)).toEqual([]);
  });

  it("learns from features of a frozen backbone, and goes on after an interruption as if there had been none", async () => {
    const quick: Partial<TrainConfigInput> = {
      recipe: "quick",
      epochs: 2,
      batchSize: 2,
      quick: { scales: [1, 1.3] },
    };
    const options = { cacheDir: at("cache") };
    await train(run("quick", quick), options);
    const abort = new AbortController();
    const stopping = train(run("quick-stopped", quick), {
      ...options,
      signal: abort.signal,
      onEvent: (event) => event.kind === "step" && event.step === 3 && abort.abort(),
    });
    await expect(stopping).rejects.toBeInstanceOf(InterruptedError);
    await train({ resume: at("quick-stopped") }, options);
    expect(different(contents("quick-stopped"), contents("quick"))).toEqual([]);
    const names = (name: string): string[] =>
      [...readSafetensors(readFileSync(at(name, "last.safetensors"))).tensors.keys()].sort();
    expect(names("quick")).toEqual(names("whole"));
    await train(run("after-quick", { weights: at("quick", "best.safetensors"), epochs: 1 }));
  });

  it("stops at a loss that is no number, names the pictures and keeps the last good state", async () => {
    const error = await train(
      run("diverged", { learningRate: 1e30, optimizer: "sgd", scheduleSettings: { warmUpEpochs: 0 } }),
    ).catch((e: unknown) => e);
    expect(error).toMatchObject({
      code: "E_DIVERGED",
      message: expect.stringMatching(/toy-\d\.png/),
      hint: expect.stringContaining("learning-rate"),
    });
    const { tensors } = readSafetensors(readFileSync(at("diverged", "last.safetensors")));
    for (const [name, lazy] of tensors)
      expect((lazy.read().data as Float32Array).every(Number.isFinite), name).toBe(true);
  });

  it("stops early without a better AP", async () => {
    const epochs: EpochEvent[] = [];
    const still = { learningRate: 1e-9, batchNorm: "frozen" } as const;
    const result = await train(run("patient", { epochs: 9, patience: 2, ...still }), {
      onEvent: (event) => event.kind === "epoch" && epochs.push(event),
    });
    expect(result).toMatchObject({ stopped: "patience", epochs: 3, best: { epoch: 1 } });
    expect(epochs.map(({ best }) => best)).toEqual([true, false, false]);
  });

  it("refuses a folder with a run in it, a resumed run with other settings, and other data", async () => {
    await expect(train(run("whole"))).rejects.toMatchObject({
      code: "E_USAGE",
      hint: expect.stringContaining("--resume"),
    });
    await expect(train({ resume: at("whole"), epochs: 3 } as never)).rejects.toThrow(
      "epochs cannot be changed",
    );
    await expect(train({ resume: at("whole"), data: await toyData(at("others"), 9) })).rejects.toThrow(
      "not those that the run learnt from",
    );
    await expect(train({ resume: at("nowhere") })).rejects.toThrow("holds no run to resume");
  });

  it.each<[Partial<TrainConfigInput>, string, string]>([
    [{ data: "nowhere" }, "E_DATA", "nowhere does not exist"],
    [{ model: "lite9" }, "E_USAGE", "there is no model lite9"],
    [{ weights: "lite0-everday" }, "E_USAGE", "there are no weights lite0-everday"],
    [{ model: "d0", weights: "imagenet" }, "E_USAGE", "the package has no ImageNet backbone for d0"],
    [{ freeze: "bakbone" }, "E_USAGE", "freeze bakbone fits no part of the network"],
    [{ freeze: "." }, "E_USAGE", "freeze . leaves nothing to learn"],
    [{ recipe: "quick", freeze: "none" }, "E_USAGE", "the recipe quick freezes the backbone"],
    [{ network: { fusion: "fsat" } }, "E_USAGE", "there is no fusion fsat"],
  ])("refuses %j", async (more, code, message) => {
    await expect(train(run("refused", more))).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
    });
    expect(existsSync(at("refused"))).toBe(false);
  });
});
