import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { readSafetensors, writeSafetensors } from "../../src/weights/index.ts";
import { referenceMissing, referencePath } from "../../src/testing/reference.ts";
import { efficientdetInProcess } from "../../src/testing/in-process.ts";

const picture = fileURLToPath(new URL("../../examples/pictures/biplane.jpg", import.meta.url));
const ready = fileURLToPath(new URL("../../weights/lite0-everyday.safetensors", import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), "bad-usage-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function detect(...args: string[]) {
  return efficientdetInProcess(["detect", picture, "--no-draw", ...args], { cwd: folder });
}

describe("a configuration file", () => {
  const laughs = "abcdefg".split("").map((name, i, all) =>
    `${name}: &${name} [${Array(10).fill(i === 0 ? "x" : `*${all[i - 1]}`).join(", ")}]`); // prettier-ignore
  it.each([
    ["nothing", "", "the configuration holds no settings (c.yaml)"],
    ["a list", "[1, 2]", "the configuration holds no settings (c.yaml)"],
    ["a misspelt key", "scoreTreshold: 0.5", "there is no setting scoreTreshold (c.yaml): did you mean scoreThreshold?"],
    ["the name of a prototype", "__proto__: 1", "there is no setting __proto__ (c.yaml)"],
    ["a word for a number", "scoreThreshold: abc", "scoreThreshold: Give a number from 0 to 1. (c.yaml)"],
    ["null", "scoreThreshold: null", "scoreThreshold: it holds what is neither text nor a number (c.yaml)"],
    ["an object", "classes: {a: 1}", "classes: it holds what is neither text nor a number (c.yaml)"],
    ["a list in itself", "classes: &a [*a]", "classes: it holds what is neither text nor a number (c.yaml)"],
    ["an empty list", "classes: []", "classes: Give one or more, separated by commas. (c.yaml)"],
    ["a word for a switch that a flag overrides", "draw: maybe", "draw: maybe is neither true nor false (c.yaml)"],
    ["a billion laughs", laughs.join("\n"), "the configuration cannot be read: Excessive alias count"],
    ["code", 'classes: !!js/function "function(){}"', "the configuration cannot be read: Unresolved tag"],
    ["an object as a key", "? {a: 1}\n: 2", "there is no setting { a: 1 } (c.yaml)"],
    ["two of one key", "nms: hard\nnms: soft", "the configuration cannot be read: Map keys must be unique"],
    ["two documents", "nms: hard\n---\nnms: soft", "the configuration cannot be read: Source contains multiple documents"],
    ["broken YAML", "a: b: c", "the configuration cannot be read: Nested mappings are not allowed"],
    ["a hundred thousand brackets", `a: ${"[".repeat(100_000)}`, "the configuration cannot be read: it is nested too deeply (c.yaml)"],
    ["two megabytes", `a: ${"x".repeat(2 ** 21)}`, "the configuration cannot be read: it is too large (c.yaml)"],
  ])("of %s is refused with one line and exit code 3", async (_, text, message) => {
    writeFileSync(path.join(folder, "c.yaml"), text);
    const { code, stdout, stderr } = await detect("--config", "c.yaml");
    expect([code, stdout, stderr.slice(0, 7 + message.length)]).toEqual([3, "", `error: ${message}`]);
    expect(stderr.trimEnd()).not.toContain("\n");
  }); // prettier-ignore
});

describe("interrupted before they write", () => {
  it.each([
    ["forward", [picture, "--image-size", "64", "--to", "left.safetensors"]],
    ["export", ["--to", "left.onnx"]],
    ["benchmark", ["--image-size", "64"]],
  ])("%s ends with 130 and leaves nothing", async (verb, args) => {
    const { code, stderr } = await efficientdetInProcess([verb, ...args], { cwd: folder, signal: AbortSignal.abort() }); // prettier-ignore
    expect([code, stderr]).toEqual([130, "error: interrupted\n"]);
    expect(readdirSync(folder).filter((name) => /^\.?left/.test(name))).toEqual([]);
  });
});

describe("wrong usage", () => {
  it.each([
    [
      ["--classes", ","],
      "option '--classes <names>' argument ',' is invalid. Give one or more, separated by commas.",
    ],
    [["--image-size", "1"], "image size 1 is not possible: give a whole number from 32 to 8192"],
    [["--threads", "0"], "option '--threads <n>' argument '0' is invalid"],
    [["--weights", "http://"], "http:// is no URL"],
    [["--set", "=3"], "--set =3 has no value"],
    [["--results-format", "yolo"], "--results-format needs --results"],
    [["--draw", "--output", "x.gif"], "unknown option '--draw'"],
  ])("%j is refused with exit code 2", async (args, message) => {
    const { code, stdout, stderr } = await detect(...args);
    expect([code, stdout, stderr.slice(0, 7 + message.length)]).toEqual([2, "", `error: ${message}`]);
  });

  it("names a format for the drawn picture that is not written", async () => {
    const { code, stderr } = await efficientdetInProcess(["detect", picture, "--output", "x.gif"], {
      cwd: folder,
    });
    expect([code, stderr]).toEqual([
      2,
      "error: --output x.gif names no format that is written: end it in .jpg, .png or .webp\n",
    ]);
  });

  it.each([
    [["--dtype", "int8"], "--dtype int8 needs pictures to find the ranges of values by"],
    [["--calibration", "."], "--calibration goes with --dtype int8, not float32"],
  ])("export %j is refused with exit code 2", async (args, message) => {
    const { code, stderr } = await efficientdetInProcess(["export", "--to", "x.onnx", ...args], {
      cwd: folder,
    });
    expect([code, stderr.slice(0, 7 + message.length)]).toEqual([2, `error: ${message}`]);
  });

  it("says so when a folder holds no picture to calibrate with", async () => {
    mkdirSync(path.join(folder, "no-pictures"));
    const args = ["export", "--to", "x.onnx", "--dtype", "int8", "--calibration", "no-pictures"];
    const { code, stderr } = await efficientdetInProcess(args, { cwd: folder });
    expect(code).toBe(3);
    expect(stderr.trimEnd()).toMatch(/^error: [^\n]*no-pictures[^\n]*$/);
    expect(existsSync(path.join(folder, "x.onnx"))).toBe(false);
  });

  it("never waits for a pipe or a device where a file is wanted", async () => {
    if (process.platform === "win32") return;
    execFileSync("mkfifo", [path.join(folder, "pipe")]);
    for (const flag of ["--config", "--class-names", "--weights"])
      for (const file of ["pipe", "/dev/zero"]) {
        const { code, stderr } = await detect(flag, file);
        expect([flag, code, stderr.includes("it is no ordinary file")]).toEqual([flag, 3, true]);
      }
  });
});

describe("a weight file whose metadata lies", () => {
  const original = readSafetensors(readFileSync(ready), ready);
  it.each([
    ["an impossible size", { image_size: "1000000000" }, /image size 1000000000 is not possible/],
    [
      "more anchors than it predicts",
      { aspect_ratios: "[1, 2, 3, 4]" },
      /aspect ratios make 12 anchors, its network predicts 9/,
    ],
    ["pixels divided by zero", { std: "[0, 0, 0]" }, /standard deviation \[0,0,0\] is not possible/],
    [
      "a configuration without end",
      { model_config: '{"name":"lite0","cells":1e9}' },
      /cells 1000000000 is not possible/,
    ],
    [
      "a configuration of nothing",
      { model_config: '{"levels":null,"name":"lite0"}' },
      /lowest level undefined is not possible/,
    ],
    ["another network", { model_config: '{"name":"lite0","width":88}' }, /is to be \[88/],
  ])("of %s is refused with exit code 3", async (_, metadata, message) => {
    const tensors = [...original.tensors].map(([name, lazy]) => [name, lazy.read()] as const);
    writeFileSync(
      path.join(folder, "w.safetensors"),
      writeSafetensors(tensors, { ...original.metadata, ...metadata }),
    );
    const { code, stderr } = await detect("--weights", "w.safetensors");
    expect(stderr).toMatch(message);
    expect(stderr).toContain("(w.safetensors)");
    expect(code).toBe(3);
  });

  it("cannot drive the terminal by the names of its classes", async () => {
    const tensors = [...original.tensors].map(([name, lazy]) => [name, lazy.read()] as const);
    const classes = JSON.parse(original.metadata!.classes!) as { id: number; name: string }[];
    const hostile = JSON.stringify(classes.map(({ id, name }) => ({ id, name: `\u001b[2J${name}\n` })));
    writeFileSync(
      path.join(folder, "w.safetensors"),
      writeSafetensors(tensors, { ...original.metadata, classes: hostile }),
    );
    const { code, stdout } = await detect("--weights", "w.safetensors");
    expect(code).toBe(0);
    expect(stdout).toContain("\\u001b[2Jaeroplane");
    expect(stdout).not.toContain("\u001b");
  });
});

describe.skipIf(referenceMissing("reference/nan-weights.safetensors"))("hostile weights", () => {
  it.each([
    ["reference/hostile-code.pth", /the pickle asks for posix\.system/],
    ["reference/hostile-code-legacy.pth", /the pickle asks for posix\.system/],
    ["reference/hostile-truncated.pth", /the zip directory at the end of the file is missing/],
    ["reference/hostile-lengths.safetensors", /the safetensors header claims 1099511627776 bytes/],
    ["reference/hostile-offsets.safetensors", /tensor b ends at byte 4008/],
    ["reference/hostile-shape.safetensors", /needs 12 bytes, its offsets span 8/],
    ["reference-tf/hostile-length.tflite", /8589934588 bytes are pointed to/],
    ["reference-tf/hostile-truncated.h5", /the end is at 20000/],
    ["reference-tf/hostile-truncated.index", /no weight file of a known format/],
    ["reference-tf/hostile-truncated.tflite", /the end is at 60000/],
    [
      "reference/nan-weights.safetensors",
      /class_net\.predict\.conv_pw\.bias holds NaN at element 5 \(.*nan-weights/,
    ],
  ])("%s is refused by detect and convert, with exit code 3", async (file, message) => {
    for (const args of [
      ["detect", picture, "--no-draw", "--weights", referencePath(file)],
      ["convert", referencePath(file), "--to", "converted.safetensors"],
    ]) {
      const { code, stdout, stderr } = await efficientdetInProcess(args, { cwd: folder });
      expect(stderr).toMatch(message);
      expect([code, stdout, stderr.trimEnd().includes("\n")]).toEqual([3, "", false]);
    }
  });
});
