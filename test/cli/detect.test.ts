import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { decodePicture } from "../../src/image/index.ts";
import { efficientdet as asProcess } from "../../src/testing/command-line.ts";
import { efficientdetInProcess as efficientdet } from "../../src/testing/in-process.ts";

const pictures = fileURLToPath(new URL("../../examples/pictures/", import.meta.url));
const biplane = path.join(pictures, "biplane.jpg");
const folder = mkdtempSync(path.join(tmpdir(), "efficientdet-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => path.join(folder, name);

describe.concurrent("efficientdet detect", () => {
  it("prints what is in a picture and draws it", async () => {
    const { code, stdout, stderr } = await asProcess(["detect", biplane, "--output", at("drawn.jpg")]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^object +score +xMin/m);
    expect(stdout).toMatch(/^aeroplane +0\.4\d/m);
    const drawn = await decodePicture(at("drawn.jpg"));
    expect([drawn.width, drawn.height]).toEqual([640, 484]);
  });

  it("gives one line of JSON for each picture of a folder, in order, and the results file asked for", async () => {
    const { code, stdout } = await efficientdet(
      ["detect", pictures, "--json", "--no-draw", "--quiet", "--results", at("found.csv")],
      { cwd: folder },
    );
    expect(code).toBe(0);
    const lines = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.map((line) => path.basename(line.source))).toEqual([
      "bicycle.jpg",
      "biplane.jpg",
      "boats.jpg",
    ]);
    expect(lines[0]).toMatchObject({
      width: 512,
      height: 640,
      detections: expect.arrayContaining([expect.objectContaining({ label: "bicycle", classId: 2 })]),
    });
    expect(Object.keys(lines[0].timings)).toEqual(["decodeMs", "networkMs", "totalMs"]);
    const rows = readFileSync(at("found.csv"), "utf8").trim().split("\r\n");
    expect(rows).toHaveLength(1 + lines.reduce((sum, line) => sum + line.detections.length, 0));
  });

  it("reads standard input, keeps wanted classes only, and cuts out", async () => {
    const { code, stdout } = await asProcess(
      ["detect", "-", "--classes", "person", "--json", "--no-draw", "--crops", at("crops")],
      { input: readFileSync(biplane) },
    );
    expect(code).toBe(0);
    const { source, detections } = JSON.parse(stdout);
    expect(source).toBe("-");
    expect(new Set(detections.map((d: { label: string }) => d.label))).toEqual(new Set(["person"]));
    expect(readdirSync(at("crops")).sort()).toEqual(
      detections.map((_: unknown, i: number) => `stdin-${i}-person.jpg`),
    );
  });

  it("does the rest of a folder where one picture is broken, and says so with exit code 1", async () => {
    writeFileSync(at("broken.jpg"), "not a picture");
    const { code, stdout, stderr } = await efficientdet(["detect", biplane, at("broken.jpg"), "--no-draw"]);
    expect(code).toBe(1);
    expect(stdout).toContain("biplane.jpg: 4 person, 1 aeroplane");
    expect(stderr).toContain(`error: ${at("broken.jpg")} is text, not a picture: give a JPEG`);
  });

  it("ends with exit code 3 where the only picture is missing, and its error is also JSON", async () => {
    const { code, stdout, stderr } = await asProcess(["detect", "nothing.jpg", "--json"]);
    expect(code).toBe(3);
    expect(JSON.parse(stdout)).toEqual({
      source: "nothing.jpg",
      error: { code: "E_IMAGE", message: "there is no nothing.jpg" },
    });
    expect(JSON.parse(stderr.trim().split("\n").at(-1)!)).toEqual({
      error: { code: "E_IMAGE", message: "there is no nothing.jpg", hint: "check the path" },
    });
  });

  it.each([
    [
      ["detect", "x.jpg", "--score-treshold", "1"],
      "error: unknown option '--score-treshold': Did you mean --score-threshold?\n",
    ],
    [
      ["detect", "x.jpg", "--score-threshold", "2"],
      "error: option '--score-threshold <0–1>' argument '2' is invalid. Give a number from 0 to 1.: see efficientdet --help\n",
    ],
    [["detetc"], "error: unknown command 'detetc': Did you mean detect?\n"],
    [
      ["detect", biplane, "--model", "lite0-everyda"],
      "error: there is no ready model lite0-everyda: did you mean lite0-everyday?\n",
    ],
    [["detect", biplane, "--classes", "dgo"], "error: this model has no class dgo: did you mean dog?\n"],
    [
      ["detect", biplane, "--results", "x.txt"],
      "error: --results x.txt names no known format: end it in .jsonl, .csv or .json, or add --results-format yolo or voc for a folder\n",
    ],
    [["detect", biplane, "--set", "nsm=soft"], "error: there is no setting nsm (--set): did you mean nms?\n"],
    [["track"], "error: the verb track is not there yet: see efficientdet --help for those that are\n"],
  ])("refuses %j with one line and exit code 2", async (args, message) => {
    expect(await efficientdet(args, { cwd: folder })).toEqual({ code: 2, stdout: "", stderr: message });
  });

  it("takes settings from a file, under those of --set, under flags", async () => {
    writeFileSync(at("settings.yaml"), "scoreThreshold: 0.45\nmaxDetections: 1\nnms: soft\n");
    const run = async (...more: string[]): Promise<number> => {
      const { stdout } = await efficientdet([
        "detect",
        biplane,
        "--json",
        "--no-draw",
        "--config",
        at("settings.yaml"),
        ...more,
      ]);
      return JSON.parse(stdout).detections.length;
    };
    expect(await run()).toBe(1);
    expect(await run("--set", "maxDetections=100", "--set", "scoreThreshold=0.2")).toBeGreaterThan(4);
    expect(await run("--set", "maxDetections=100", "--max-detections", "2", "--score-threshold", "0.3")).toBe(
      2,
    );
  });
});

describe.concurrent("efficientdet models", () => {
  it("counts the family from the built graphs", async () => {
    const { code, stdout } = await efficientdet(["models", "--json"]);
    expect(code).toBe(0);
    const models = JSON.parse(stdout);
    expect(models).toHaveLength(15);
    expect(models[0]).toMatchObject({
      name: "d0",
      backbone: "efficientnet-b0",
      imageSize: [512, 512],
      parameters: 3_880_067,
      featureNetwork: "bifpn",
      widthChannels: 64,
      cells: 3,
    });
  });

  it("counts another feature network, fusion, size and number of classes", async () => {
    const { stdout } = await efficientdet([
      "models",
      "d0",
      "--feature-network",
      "panet",
      "--fusion",
      "softmax",
      "--classes",
      "20",
      "--image-size",
      "256x384",
      "--json",
    ]);
    expect(JSON.parse(stdout)).toMatchObject({
      imageSize: [256, 384],
      featureNetwork: "panet",
      fusion: "softmax",
      parameters: 3_839_117 - 196_281 + 197_424,
    });
  });
});

describe.concurrent("efficientdet export", () => {
  it("writes a file that it names", async () => {
    const { code, stdout } = await efficientdet([
      "export",
      "--to",
      at("model.onnx"),
      "--dtype",
      "float16",
      "--json",
    ]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      file: at("model.onnx"),
      bytes: readFileSync(at("model.onnx")).length,
      model: "lite0",
      classes: 20,
      dtype: "float16",
    });
  });
});
