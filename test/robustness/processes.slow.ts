import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { referenceMissing, referencePath } from "../../src/testing/reference.ts";

const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const examples = fileURLToPath(new URL("../../examples/pictures/", import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), "processes-"));
const pictures = path.join(folder, "pictures");
const source = referenceMissing("coco-mini/images") ? examples : referencePath("coco-mini/images");
const quick = ["--image-size", "64", "--threads", "1"];

/** A folder of so many pictures, links to a few. */
function pictureFolder(name: string, count: number): string {
  const place = path.join(folder, name);
  mkdirSync(place);
  const files = readdirSync(source).filter((file) => file.endsWith(".jpg"));
  for (let i = 0; i < count; i++) symlinkSync(path.join(source, files[i % files.length]!), path.join(place, `${i}.jpg`));
  return place;
} // prettier-ignore

beforeAll(() => void pictureFolder("pictures", 200));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Run {
  readonly child: ChildProcess;
  readonly output: { stdout: string; stderr: string };
  /** The exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>;
  /** Waits for so many lines of results. */
  lines(count: number): Promise<void>;
}

function start(args: readonly string[], stdout: "pipe" | number = "pipe"): Run {
  const child = spawn(process.execPath, ["--import", import.meta.resolve("tsx"), "--conditions=source", main, ...args], {
    cwd: folder, env: { ...process.env, NO_COLOR: "1" }, stdio: ["ignore", stdout, "pipe"],
  }); // prettier-ignore
  const output = { stdout: "", stderr: "" };
  child.stdout?.on("data", (chunk: Buffer) => (output.stdout += chunk.toString()));
  child.stderr!.on("data", (chunk: Buffer) => (output.stderr += chunk.toString()));
  const ended = new Promise<number | string>((resolve) =>
    child.on("close", (code, signal) => resolve(signal ?? code!)),
  );
  let over = false;
  void ended.then(() => (over = true));
  const lines = async (count: number): Promise<void> => {
    while (output.stdout.split("\n").length <= count) {
      if (over) throw new Error(`ended early: ${output.stderr}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  return { child, output, ended, lines };
}

/** Unfinished files under a folder. */
function halves(place: string): string[] {
  return readdirSync(place, { recursive: true }).map(String).filter((name) => name.endsWith(".part")); // prettier-ignore
}

async function expectWhole(place: string): Promise<number> {
  const files = readdirSync(place).filter((name) => name.endsWith(".jpg"));
  for (const file of files) await sharp(path.join(place, file)).stats(); // throws for one that is cut short
  return files.length;
}

const posix = describe.skipIf(process.platform === "win32");

posix("a run that is ended in the middle of a folder", () => {
  it.each(["SIGINT", "SIGTERM"] as const)("by %s finishes its pictures, ends with 130 and leaves no halves", async (signal) => {
    const out = path.join(folder, signal);
    const run = start(["detect", pictures, ...quick, "--output", out, "--results", `${signal}.jsonl`]);
    await run.lines(20);
    run.child.kill(signal);
    expect(await run.ended).toBe(130);
    expect(run.output.stderr).toBe("finishing what is under way; Ctrl-C again stops at once\nerror: interrupted\n");
    expect(readdirSync(folder).includes(`${signal}.jsonl`)).toBe(false);
    expect(halves(folder)).toEqual([]);
    const drawn = await expectWhole(out);
    expect(drawn).toBeGreaterThanOrEqual(run.output.stdout.trimEnd().split("\n").length);
    expect(drawn).toBeLessThan(200);
  });

  it("by SIGINT stops a benchmark between its runs", async () => {
    const run = start(["benchmark", "--image-size", "64", "--threads", "1", "--runs", "100000"]);
    setTimeout(() => run.child.kill("SIGINT"), 4000);
    expect(await run.ended).toBe(130);
    expect(run.output.stderr).toContain("error: interrupted\n");
  });

  it("by a second SIGINT stops at once", async () => {
    const out = path.join(folder, "twice");
    const run = start(["detect", pictures, ...quick, "--output", out]);
    await run.lines(20);
    run.child.kill("SIGINT");
    setTimeout(() => run.child.kill("SIGINT"), 5);
    expect(await run.ended).toBe(130);
    await expectWhole(out);
  });

  it("by SIGKILL leaves whole files only; its leftovers go with the next run", async () => {
    const out = path.join(folder, "killed");
    const args = ["detect", pictures, ...quick, "--output", out, "--results", path.join(out, "all.jsonl")];
    const run = start(args);
    await run.lines(20);
    run.child.kill("SIGKILL");
    expect(await run.ended).toBe("SIGKILL");
    await expectWhole(out);
    expect(readdirSync(out)).not.toContain("all.jsonl");
    expect(halves(out).length).toBeGreaterThan(0); // the results, at least
    expect(await start(args).ended).toBe(0);
    expect(halves(out)).toEqual([]);
    expect(await expectWhole(out)).toBe(200);
    expect(readFileSync(path.join(out, "all.jsonl"), "utf8").trimEnd().split("\n")).toHaveLength(200);
  });

  it("by a reader that has enough ends quietly", async () => {
    const run = start(["detect", pictures, ...quick, "--no-draw"]);
    await run.lines(1);
    run.child.stdout!.destroy();
    expect([await run.ended, run.output.stderr]).toEqual([0, ""]);
  });

  it.skipIf(process.platform !== "linux")("by a full disk behind standard output ends with one line and 4", async () => {
    const run = start(["detect", pictures, ...quick, "--no-draw"], openSync("/dev/full", "w"));
    expect(await run.ended).toBe(4);
    expect(run.output.stderr).toBe("error: standard output cannot be written: the disk is full: make room, or write elsewhere\n");
  });
}); // prettier-ignore

describe("two runs at once", () => {
  it("on one folder and one output both end well, and every file is whole", async () => {
    const out = path.join(folder, "both");
    const args = ["detect", pictures, ...quick, "--output", out, "--results", path.join(out, "all.csv")];
    const runs = [start(args), start(args)];
    for (const run of runs) expect([await run.ended, run.output.stderr]).toEqual([0, ""]);
    expect(await expectWhole(out)).toBe(200);
    expect(halves(out)).toEqual([]);
    expect(readFileSync(path.join(out, "all.csv"), "utf8")).toMatch(/^source,.*\r\n/);
  });
});

describe("two runs with one empty cache", () => {
  it("fetch the weights once, and both detect with them", async () => {
    const weights = readFileSync(
      fileURLToPath(new URL("../../weights/lite0-everyday.safetensors", import.meta.url)),
    );
    let requests = 0;
    const server = createServer((_, response) => {
      requests++;
      response.write(weights.subarray(0, 1000));
      setTimeout(() => response.end(weights.subarray(1000)), 4000); // while the other one starts
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/w.safetensors`;
    const args = [
      "detect",
      path.join(pictures, "0.jpg"),
      ...quick,
      "--no-draw",
      "--weights",
      url,
      "--cache-dir",
      path.join(folder, "cache"),
    ];
    const runs = [start(args), start(args)];
    for (const run of runs) expect([await run.ended, run.output.stderr]).toEqual([0, ""]);
    server.close();
    expect(requests).toBe(1);
    expect(readdirSync(path.join(folder, "cache", "urls"))).toEqual([
      expect.stringMatching(/^[0-9a-f]{16}-w\.safetensors$/),
    ]);
  });
});

describe.skipIf(process.platform !== "linux")("a folder of 2,000 pictures", () => {
  it("is drawn in constant memory", async () => {
    const run = start(["detect", pictureFolder("many", 2000), ...quick, "--output", "many-out", "--quiet"]);
    const memory = (): number =>
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${run.child.pid}/status`, "utf8"))![1]) / 1024;
    await run.lines(400);
    const early = memory();
    await run.lines(1900);
    const late = memory();
    expect(await run.ended).toBe(0);
    process.stdout.write(
      `resident memory: ${early.toFixed(0)} MiB after 400, ${late.toFixed(0)} after 1,900\n`,
    );
    // A leak of one decoded picture (900 kB) in ten would be 135 MiB more.
    expect(late).toBeLessThan(early + 100);
  });
});
