import { execFileSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodePicture } from "../../src/image/index.ts";
import type { Outcome } from "../../src/testing/command-line.ts";
import { efficientdetInProcess } from "../../src/testing/in-process.ts";
import { gifOfSize, hostileSvg, pngOfSize, tiffOfSize, webpOfSize } from "./hostile-pictures.ts";

const good = readFileSync(fileURLToPath(new URL("../../examples/pictures/biplane.jpg", import.meta.url)));
const folder = mkdtempSync(path.join(tmpdir(), "bad-pictures-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const posix = process.platform !== "win32";

/** Small networks and no drawing: what is tried here is reading. */
const quick = ["--image-size", "64", "--no-draw", "--threads", "1"];

async function detect(file: string, ...more: string[]) {
  return efficientdetInProcess(["detect", file, ...quick, ...more], { cwd: folder });
}

const cut = (bytes: Uint8Array): Uint8Array => bytes.subarray(0, bytes.length >> 1);
const small = () => sharp(good).resize(200);

// What exactly the decoder says may be mixed up between pictures that are decoded at the same time.
const damaged = /^(is cut short: its|has damaged) [A-Za-z]+ data/;

/** Files that no picture can be had from, and how the one line about each goes on after its name. */
const bad: readonly (readonly [name: string, content: () => Uint8Array | string | Promise<Uint8Array>, message: string | RegExp])[] = [
  ["empty.jpg", () => "", "is empty"],
  ["text.jpg", () => "hello, I am text\n", "is text, not a picture"],
  ["noise.jpg", () => Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 7919) % 251)), "is not a picture of a known format"],
  ["drawing.svg", () => hostileSvg, "is an SVG drawing"],
  ["drawing-named.jpg", () => hostileSvg, "is an SVG drawing"],
  ["four-bytes.jpg", () => good.subarray(0, 4), damaged],
  ["header.jpg", () => good.subarray(0, 100), damaged],
  ["half.jpg", () => cut(good), damaged],
  ["half.png", async () => cut(await small().png().toBuffer()), damaged],
  ["half.gif", async () => cut(await small().gif().toBuffer()), damaged],
  ["half.webp", async () => cut(await small().webp().toBuffer()), damaged],
  ["half.tiff", async () => cut(await small().tiff().toBuffer()), damaged],
  ["half.avif", async () => cut(await small().avif().toBuffer()), damaged],
  ["bomb.png", () => pngOfSize(60_000, 60_000), "has 60000×60000 pixels, more than the limit"],
  ["bomb-claims.png", () => pngOfSize(2 ** 31 - 1, 2 ** 31 - 1, Buffer.alloc(10)), damaged],
  ["zero.png", () => pngOfSize(0, 0), damaged],
  ["bomb.gif", () => gifOfSize(65_535, 65_535), "has 65535×65535 pixels, more than the limit"],
  ["bomb.webp", () => webpOfSize(16_384, 16_384), damaged],
  ["bomb.tif", () => tiffOfSize(60_000, 60_000), "has 60000×60000 pixels, more than the limit"],
]; // prettier-ignore

/** Files that are odd, and pictures all the same. */
const odd: readonly (readonly [name: string, content: () => Uint8Array | Promise<Uint8Array>, size: string])[] = [
  ["one.png", () => pngOfSize(1, 1), "1×1"],
  ["wide.png", () => pngOfSize(60_000, 10), "60000×10"],
  ["tall.png", () => pngOfSize(1, 60_000), "1×60000"],
  ["wide.jpg", () => sharp({ create: { width: 60_000, height: 8, channels: 3, background: "#f00" } }).jpeg().toBuffer(), "60000×8"],
  ["circle.tif", () => tiffOfSize(2000, 2000, { circle: true }), "2000×2000"],
  ["jpeg-named.png", () => good, "640×484"],
]; // prettier-ignore

/** All of them in one run, of which each test looks at its own line. */
let outcome: Outcome;
beforeAll(async () => {
  for (const [name, content] of [...bad, ...odd]) writeFileSync(path.join(folder, name), await content());
  const names = [...bad, ...odd].map(([name]) => name);
  outcome = await efficientdetInProcess(["detect", ...names, ...quick], { cwd: folder });
});

describe("a file that is no picture", () => {
  it.each(bad)("%s gets one line", (name, _, message) => {
    const lines = outcome.stderr.split("\n").filter((line) => line.startsWith(`error: ${name} `));
    expect(lines).toHaveLength(1);
    expect(lines[0]!.slice(`error: ${name} `.length)).toMatch(message);
  });

  it("leaves the others done, with exit code 1; alone it ends with 3", async () => {
    expect(outcome.code).toBe(1);
    expect(outcome.stderr.trimEnd().split("\n")).toHaveLength(bad.length + 1);
    const { code, stdout, stderr } = await detect("half.jpg");
    expect({ code, stdout, lines: stderr.split("\n").length }).toEqual({ code: 3, stdout: "", lines: 2 });
  });

  it.skipIf(!posix)(
    "is not waited for where it is a pipe, a device or a link round in a circle",
    async () => {
      execFileSync("mkfifo", [path.join(folder, "pipe.jpg")]);
      symlinkSync("nowhere.jpg", path.join(folder, "broken.jpg"));
      symlinkSync("round.jpg", path.join(folder, "round.jpg"));
      mkdirSync(path.join(folder, "folder.jpg"));
      const expected = [
        ["pipe.jpg", "pipe.jpg is no ordinary file: "],
        ["/dev/zero", "/dev/zero is no ordinary file: "],
        ["broken.jpg", "there is no broken.jpg: "],
        ["round.jpg", "round.jpg cannot be read: its links lead round in a circle: "],
        ["a\0b.jpg", "a\\u0000b.jpg cannot be read: its name holds a zero byte: "],
        ["x".repeat(300), `${"x".repeat(300)} cannot be read: its name is too long: `],
      ] as const;
      const names = expected.map(([name]) => name);
      const { code, stderr } = await efficientdetInProcess(["detect", ...names, ...quick], { cwd: folder });
      expect(code).toBe(3); // none could be used
      const lines = stderr.split("\n");
      for (const [i, [, message]] of expected.entries())
        expect(lines[i]!.slice(0, 7 + message.length)).toBe(`error: ${message}`);
      expect((await detect("folder.jpg")).stderr).toMatch(/^error: no pictures in folder\.jpg: /);
    },
  );
});

describe("an odd picture", () => {
  it.each(odd)("%s is looked at", async (name, _, size) => {
    expect(outcome.stdout).toContain(`${name}: `);
    const { width, height } = await decodePicture(path.join(folder, name));
    expect(`${width}×${height}`).toBe(size);
  });
});

describe("a folder of everything", () => {
  it("is done, one line for each that is not, whatever the names are", async () => {
    const place = path.join(folder, "mixed");
    mkdirSync(place);
    const names = [
      "a.jpg",
      "new\nline.jpg",
      "red\u001b[31m.jpg",
      `${"n".repeat(250)}.jpg`,
      `${"人".repeat(82)}.jpg`,
    ];
    for (const name of names) writeFileSync(path.join(place, name), good);
    for (const [name, content] of bad.slice(0, 6)) writeFileSync(path.join(place, name), await content());
    writeFileSync(
      Buffer.concat([Buffer.from(`${place}/latin-`), Buffer.from([0xe9]), Buffer.from(".jpg")]),
      good,
    );
    symlinkSync(".", path.join(place, "circle"));
    const out = path.join(folder, "out");
    const { code, stdout, stderr } = await efficientdetInProcess([
      "detect", place, "--recursive", "--image-size", "128", "--score-threshold", "0.2", "--output", out, "--crops", path.join(out, "crops"),
    ]); // prettier-ignore
    expect(code).toBe(1);
    expect(stdout.trimEnd().split("\n")).toHaveLength(names.length);
    const lines = stderr.trimEnd().split("\n");
    expect(lines.filter((line) => line.startsWith("error: "))).toHaveLength(6); // the SVG's name is no picture's
    expect(stderr).toContain("its name is not UTF-8: rename the file");
    expect(lines.at(-1)).toBe("5 of 11 pictures done, 6 failed");
    expect(stdout + stderr).not.toMatch(/\u001b/);
    const drawn = readdirSync(out).filter((name) => name !== "crops");
    expect(drawn).toHaveLength(names.length);
    expect((await decodePicture(path.join(out, drawn[0]!))).width).toBe(640);
    expect(readdirSync(path.join(out, "crops")).every((name) => Buffer.byteLength(name) <= 255)).toBe(true);
  });

  it("keeps pictures of one name from different folders apart", async () => {
    for (const part of ["p", "q"]) {
      mkdirSync(path.join(folder, part));
      writeFileSync(path.join(folder, part, "same.jpg"), good);
    }
    const { code } = await efficientdetInProcess(
      ["detect", "p", "q", "--image-size", "64", "--output", "both", "--results", "labels", "--results-format", "yolo"],
      { cwd: folder },
    ); // prettier-ignore
    expect(code).toBe(0);
    expect(readdirSync(path.join(folder, "both")).sort()).toEqual(["same-2.jpg", "same.jpg"]);
    expect(readdirSync(path.join(folder, "labels")).sort()).toEqual(["same-2.txt", "same.txt"]);
  });

  it("is not drawn over", async () => {
    const { code, stderr } = await efficientdetInProcess(
      ["detect", "p/same.jpg", "text.jpg", "--output", "p"],
      { cwd: folder },
    );
    expect([code, stderr]).toEqual([
      2,
      `error: ${path.join("p", "same.jpg")} is one of the pictures to look at: give another --output\n`,
    ]);
    expect(readFileSync(path.join(folder, "p/same.jpg")).equals(good)).toBe(true);
  });
});

describe("standard input", () => {
  it("that is empty is said to be", async () => {
    const { code, stderr } = await efficientdetInProcess(["detect", "-", ...quick], { cwd: folder });
    expect([code, stderr]).toEqual([
      3,
      "error: standard input is empty: it may not have been copied or downloaded fully\n",
    ]);
  });
});
