import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { efficientdet } from "../../src/testing/command-line.ts";
import { toyData, toyRun } from "./toy-data.ts";

const folder = mkdtempSync(path.join(tmpdir(), "train-verb-"));
const at = (name: string): string => path.join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(async () => {
  const { output: _, ...config } = toyRun(await toyData(at("toys"), 5), "");
  writeFileSync(at("toys.yaml"), stringify({ ...config, epochs: 1 }));
});

describe.concurrent("efficientdet train", { timeout: 60_000 }, () => {
  it("trains by a file, --set and flags, the later before the earlier, and names the weights on stdout", async () => {
    const run = [
      "train",
      "--config",
      at("toys.yaml"),
      "--set",
      "network.width=8",
      "epochs=3",
      "--epochs",
      "2",
      "--output",
      at("run"),
    ];
    const { code, stdout, stderr } = await efficientdet(run, { cwd: folder });
    expect({ code, errors: stderr.match(/error.*/g) }).toEqual({ code: 0, errors: null });
    expect(stdout).toMatch(/^best: AP [\d.]+ after epoch [12]; .*best\.safetensors\n$/);
    expect(stderr).toMatch(/4 pictures to train \(8 objects\), 1 to validate; 2 classes: square, wide/);
    expect(stderr).toMatch(/^epoch 2\/2 {2}loss/m);
    expect(readFileSync(at("run/config.yaml"), "utf8")).toMatch(/width: 8\n[^]*epochs: 2\n/);
    expect(readFileSync(at("run/report.html"), "utf8")).toContain("data:image/jpeg;base64,");
  });

  it("says with --dry-run what it would do and how long it would take, and writes nothing", async () => {
    const { code, stdout } = await efficientdet([
      "train",
      "--config",
      at("toys.yaml"),
      "--dry-run",
      "--output",
      at("dry"),
      "--json",
      "--quiet",
    ]);
    expect(code).toBe(0);
    const plan = JSON.parse(stdout) as Record<string, unknown>;
    expect(plan).toMatchObject({
      plan: { trainPictures: 4, valPictures: 1, steps: 2, picturesPerStep: 2 },
      stepSeconds: expect.any(Number),
      totalSeconds: expect.any(Number),
    });
    expect(plan.memoryBytes).toBeGreaterThan(1e8);
    expect(existsSync(at("dry"))).toBe(false);
  });

  it.each([
    [["--data", "toys", "--epoch", "3"], 2, /unknown option '--epoch': Did you mean --epochs\?/],
    [
      ["--data", "toys", "--set", "loss.gama=2"],
      3,
      /there is no setting loss\.gama \(--set\): did you mean gamma\?/,
    ],
    [["--data", "toys", "--weights", "imagnet"], 2, /there are no weights imagnet: did you mean imagenet\?/],
    [["--resume", "toys", "--set", "epochs=3"], 2, /--resume goes on with a run's own settings/],
  ])("refuses %j", async (args, code, message) => {
    const outcome = await efficientdet(["train", ...args], { cwd: folder });
    expect(outcome).toMatchObject({ code, stdout: "", stderr: expect.stringMatching(message) });
  });
});
