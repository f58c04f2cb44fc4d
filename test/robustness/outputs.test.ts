import { execFileSync, spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { efficientdetInProcess } from "../../src/testing/in-process.ts";
import { writeDataFolder } from "./data-folder.ts";

const picture = fileURLToPath(new URL("../../examples/pictures/biplane.jpg", import.meta.url));
const ready = fileURLToPath(new URL("../../weights/lite0-everyday.safetensors", import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), "bad-outputs-"));
const disk = path.join(folder, "disk");
const quick = ["--image-size", "64", "--threads", "1"];

/** A file system of 64 kB, where this may be made. */
const mounted = ((): boolean => {
  mkdirSync(disk);
  return (
    process.platform === "linux" &&
    spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]).status === 0
  );
})();
afterAll(() => {
  if (mounted) execFileSync("umount", [disk]);
  rmSync(folder, { recursive: true, force: true });
});

describe.skipIf(!mounted)("on a full disk (needs root on Linux, for a file system of 64 kB)", () => {
  const data = path.join(folder, "data");
  beforeAll(() => writeDataFolder(data, picture));
  const low = ["--score-threshold", "0.001", "--max-detections", "1000"];
  const out = (name: string): string => path.join(disk, name);

  it.each([
    ["a drawn picture", ["detect", picture, ...quick, "--output", out("x.jpg")]],
    ["the first of many cut-outs", ["detect", picture, ...quick, "--no-draw", "--crops", disk, ...low]],
    ["results as JSON lines", ["detect", picture, ...quick, "--no-draw", "--results", out("x.jsonl"), ...low]],
    ["results as CSV", ["detect", picture, ...quick, "--no-draw", "--results", out("x.csv"), ...low]],
    ["COCO results", ["detect", picture, ...quick, "--no-draw", "--results", out("x.json"), ...low]],
    ["Pascal VOC results", ["detect", picture, ...quick, "--no-draw", "--results", disk, "--results-format", "voc", ...low]],
    ["an ONNX file", ["export", "--to", out("x.onnx")]],
    ["converted weights", ["convert", ready, "--to", out("x.safetensors")]],
    ["raw outputs", ["forward", picture, "--image-size", "320", "--to", out("x.safetensors")]],
    ["an inspection's page", ["inspect", "--data", data, "--no-decode", "--report", out("x.html")]],
    ["an evaluation's page", ["eval", "--data", data, ...quick, "--report", out("x.html")]],
    ["an evaluation's detections", ["eval", "--data", data, ...quick, "--save-detections", out("x.json")]],
  ])("%s ends with one line and exit code 4, and nothing half-written", async (_, args) => {
    for (const name of readdirSync(disk)) rmSync(out(name));
    // All but a few kilobytes are taken, so that small files do not fit either.
    writeFileSync(out("taken"), Buffer.alloc(60_000));
    const { code, stderr } = await efficientdetInProcess(args, { cwd: folder });
    const errors = stderr.split("\n").filter((line) => line.startsWith("error: "));
    expect(errors).toEqual([expect.stringMatching(/cannot be written: the disk is full: free some space, or write elsewhere$/)]);
    expect(code).toBe(4);
    const left = readdirSync(disk).filter((name) => name !== "taken");
    expect(left.filter((name) => !/^biplane-\d+-[a-z]+\.jpg$/.test(name))).toEqual([]);
  });
}); // prettier-ignore

describe("a place that cannot be written to", () => {
  it.each([
    ["--output", path.join(picture, "x.jpg")],
    ["--crops", picture],
    ["--results", path.join(picture, "x.csv")],
  ])("%s under a file ends with exit code 4", async (flag, value) => {
    const { code, stderr } = await efficientdetInProcess(
      ["detect", picture, ...quick, "--score-threshold", "0.01", ...(flag === "--output" ? [] : ["--no-draw"]), flag, value],
    ); // prettier-ignore
    expect(code).toBe(4);
    expect(stderr).toMatch(/cannot be written: a part of the path is a file: give another path\n$/);
  });

  it("for one picture leaves the others done, with exit code 1", async () => {
    const place = path.join(folder, "one-taken");
    mkdirSync(path.join(place, "out", "a.jpg"), { recursive: true }); // a folder of that name
    for (const name of ["a.jpg", "b.jpg"]) symlinkSync(picture, path.join(place, name));
    const { code, stderr } = await efficientdetInProcess(
      ["detect", "a.jpg", "b.jpg", ...quick, "--output", "out"],
      { cwd: place },
    );
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^error: out.a\.jpg cannot be written: a folder has that name: give another name\n1 of 2 pictures done, 1 failed\n$/,
    );
    expect(readdirSync(path.join(place, "out")).sort()).toEqual(["a.jpg", "b.jpg"]);
  });
});

describe("a picture's address", () => {
  let server: Server;
  let base: string;
  beforeAll(async () => {
    server = createServer((request, response) => {
      const { url = "/" } = request;
      if (url === "/good.jpg") response.end(readFileSync(picture));
      else if (url === "/cut.jpg") response.writeHead(200, { "content-length": 1000 }).write("\xff\xd8\xff", () => response.destroy());
      else if (url === "/file") response.writeHead(302, { location: "file:///etc/passwd" }).end();
      else if (url === "/round") response.writeHead(302, { location: "/round" }).end();
      else if (url === "/html") response.writeHead(200, { "content-type": "text/html" }).end("<html>sign in</html>");
      else if (url === "/huge") {
        response.writeHead(200);
        const chunk = Buffer.alloc(2 ** 20);
        const more = (): void => { while (response.write(chunk)); };
        response.on("drain", more);
        more();
      } else if (url === "/silent") return; // never answers
      else response.writeHead(404).end();
    }); // prettier-ignore
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
  const detect = (url: string, ...more: string[]) =>
    efficientdetInProcess(["detect", url, ...quick, "--no-draw", ...more], { cwd: folder });

  it.each([
    ["/none.jpg", 3, /none\.jpg answered 404 Not Found: check the address/],
    ["/html", 3, /html is text, not a picture/],
    ["/cut.jpg", 4, /cut\.jpg cannot be fetched/],
    ["/file", 4, /file cannot be fetched/],
    ["/round", 4, /round cannot be fetched/],
    ["/huge", 3, /huge is larger than 256 MiB/],
  ])("%s ends with one line and exit code %i", async (url, exitCode, message) => {
    const { code, stdout, stderr } = await detect(base + url);
    expect(stderr).toMatch(message);
    expect([code, stdout, stderr.trimEnd().includes("\n")]).toEqual([exitCode, "", false]);
  });

  it("that refuses, or is forbidden by --offline, ends with exit code 4; a good one is looked at", async () => {
    expect((await detect("http://127.0.0.1:1/x.jpg")).code).toBe(4);
    expect((await detect(`${base}/good.jpg`, "--offline")).code).toBe(4);
    expect((await detect(`${base}/good.jpg`)).stdout).toMatch(/good\.jpg: 640×484/);
  });

  it("of a silent server is left at Ctrl-C, with exit code 130", async () => {
    const control = new AbortController();
    setTimeout(() => control.abort(), 1500);
    const { code, stderr } = await efficientdetInProcess(
      ["detect", `${base}/silent`, ...quick, "--no-draw"],
      { signal: control.signal },
    ); // prettier-ignore
    expect([code, stderr]).toEqual([130, "error: interrupted\n"]);
  });

  it("of weights is fetched into a cache folder that is made, and taken from there the next time", async () => {
    const urls = path.join(folder, "cache", "urls");
    const run = () =>
      detect(`${base}/good.jpg`, "--weights", `${base}/good.jpg`, "--cache-dir", path.join(folder, "cache"));
    for (const { code, stderr } of [await run(), await run()]) {
      expect(code).toBe(3); // a picture is no weight file, but it came
      expect(stderr).toMatch(/this is no weight file of a known format/);
    }
    expect(readdirSync(urls)).toEqual([expect.stringMatching(/^[0-9a-f]{16}-good\.jpg$/)]);
  });
});
