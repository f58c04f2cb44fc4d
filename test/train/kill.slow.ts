import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { writeFileSync } from "node:fs";
import { train } from "../../src/train/index.ts";
import { toyData, toyRun } from "./toy-data.ts";

const folder = mkdtempSync(path.join(tmpdir(), "kill-"));
const at = (...names: string[]): string => path.join(folder, ...names);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

/** Starts a run that saves after every step, and kills it as soon as `due` says so, or sends another signal. */
async function startAndKill(
  output: string,
  due: () => boolean,
  signal: NodeJS.Signals,
): Promise<{ code: number | null; stderr: string }> {
  writeFileSync(at("run.yaml"), stringify({ ...toyRun(at("toys"), output), epochs: 3, saveMinutes: 1e-9 }));
  const resume = existsSync(path.join(output, "checkpoint"));
  const args = resume ? ["--resume", output] : ["--config", at("run.yaml")];
  const child = spawn(process.execPath, [
    "--import",
    import.meta.resolve("tsx"),
    "--conditions=source",
    main,
    "train",
    ...args,
  ]);
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  while (child.exitCode === null && !due()) await setTimeout(1);
  child.kill(signal);
  return { code: await ended, stderr };
}

const steps = (output: string): number =>
  existsSync(path.join(output, "metrics.jsonl"))
    ? readFileSync(path.join(output, "metrics.jsonl"), "utf8").split('"kind":"step"').length - 1
    : 0;
const writing = (output: string): boolean =>
  existsSync(path.join(output, "checkpoint")) &&
  readdirSync(path.join(output, "checkpoint")).some((name) => name.endsWith(".part"));

describe("a run that is killed", { timeout: 300_000 }, () => {
  let whole: string;
  beforeAll(async () => {
    await toyData(at("toys"), 10);
    whole = at("whole");
    await train({ ...toyRun(at("toys"), whole), epochs: 3 });
  });

  it("goes on to the same weights, whether it was training or writing a checkpoint", async () => {
    const output = at("killed");
    await startAndKill(output, () => steps(output) >= 3, "SIGKILL");
    for (const least of [5, 7, 9])
      await startAndKill(output, () => steps(output) >= least && writing(output), "SIGKILL");
    expect(steps(output)).toBeGreaterThanOrEqual(9);
    await train({ resume: output });
    const same = ["best.safetensors", "last.safetensors"].map((name) =>
      readFileSync(path.join(output, name)).equals(readFileSync(path.join(whole, name))),
    );
    expect(same).toEqual([true, true]);
    expect(readdirSync(path.join(output, "checkpoint"))).toEqual(["state.safetensors"]);
  });

  it.skipIf(process.platform === "win32")("saves at Ctrl-C and says how to go on", async () => {
    const output = at("interrupted");
    const { code, stderr } = await startAndKill(output, () => steps(output) >= 2, "SIGINT");
    expect(code).toBe(130);
    expect(stderr).toMatch(
      /stopped after step \d+ of 12; everything is saved in .*: go on with: efficientdet train --resume /,
    );
    await train({ resume: output });
    expect(
      readFileSync(path.join(output, "last.safetensors")).equals(
        readFileSync(path.join(whole, "last.safetensors")),
      ),
    ).toBe(true);
  });
});
