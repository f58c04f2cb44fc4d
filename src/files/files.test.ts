import { execFileSync, spawnSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MachineError } from "../errors.ts";
import {
  fileNamePart,
  openAtomic,
  printableName,
  removeAbandoned,
  uniqueNames,
  writeFileAtomic,
} from "./index.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "files-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** Any code points, control characters and halves of surrogate pairs among them. */
const anyText = fc
  .array(fc.nat(0x10ffff), { maxLength: 120 })
  .map((points) => String.fromCodePoint(...points));

describe("writing atomically", () => {
  it("makes missing folders, replaces what was there, and leaves nothing else", async () => {
    const file = path.join(folder, "new", "deep", "a.txt");
    await writeFileAtomic(file, "one");
    await writeFileAtomic(file, new TextEncoder().encode("two"), { durable: true });
    expect(await readFile(file, "utf8")).toBe("two");
    expect(await readdir(path.dirname(file))).toEqual(["a.txt"]);
  });

  it("shows a file only when it is complete, and the old one until then", async () => {
    const file = path.join(folder, "grow.txt");
    await writeFileAtomic(file, "old");
    const writer = await openAtomic(file);
    await writer.write("new ");
    await writer.write("content");
    expect(await readFile(file, "utf8")).toBe("old");
    await writer.commit();
    await writer.abort();
    expect(await readFile(file, "utf8")).toBe("new content");
  });

  it("leaves the old file and nothing more when it is given up", async () => {
    const place = path.join(folder, "abort");
    await writeFileAtomic(path.join(place, "a.txt"), "old");
    const writer = await openAtomic(path.join(place, "a.txt"));
    await writer.write("half");
    await writer.abort();
    expect(await readdir(place)).toEqual(["a.txt"]);
    expect(await readFile(path.join(place, "a.txt"), "utf8")).toBe("old");
  });

  it("keeps two writers of one file apart: the last to finish wins, whole", async () => {
    const file = path.join(folder, "race.txt");
    await Promise.all(Array.from({ length: 20 }, (_, i) => writeFileAtomic(file, String(i).repeat(1e5))));
    expect(new Set(await readFile(file, "utf8")).size).toBeLessThanOrEqual(2);
  });

  it("says what the machine refused, in one line, and leaves nothing", async () => {
    const place = path.join(folder, "refused");
    await mkdir(path.join(place, "taken"), { recursive: true });
    await writeFile(path.join(place, "file"), "");
    await expect(writeFileAtomic(path.join(place, "taken"), "x")).rejects.toBeInstanceOf(MachineError);
    const under = writeFileAtomic(path.join(place, "file", "a.txt"), "x");
    await expect(under).rejects.toMatchObject({
      code: "E_MACHINE",
      message: expect.stringMatching(/a\.txt cannot be written: a part of the path is a file$/),
    });
    expect((await readdir(place)).sort()).toEqual(["file", "taken"]);
  });

  it.skipIf(process.platform === "win32" || process.getuid?.() === 0)(
    "names a missing permission",
    async () => {
      const place = path.join(folder, "locked");
      await mkdir(place);
      await chmod(place, 0o500);
      await expect(writeFileAtomic(path.join(place, "a.txt"), "x")).rejects.toMatchObject({
        message: expect.stringMatching(/no permission$/),
      });
    },
  );

  it("removes what killed runs left, and nothing of a living one or of others", async () => {
    const place = path.join(folder, "abandoned");
    await mkdir(place);
    const script = `import { openAtomic } from ${JSON.stringify(path.join(import.meta.dirname, "atomic-node.ts"))};
      const writer = await openAtomic(${JSON.stringify(path.join(place, "a.jpg"))});
      await writer.write("half");
      process.kill(process.pid, "SIGKILL");`;
    const file = path.join(folder, "killed.mts");
    await writeFile(file, script);
    spawnSync(process.execPath, [
      path.join(import.meta.dirname, "../../node_modules/tsx/dist/cli.mjs"),
      file,
    ]);
    const [left] = await readdir(place);
    expect(left).toMatch(/^\.a\.jpg\.\d+-[0-9a-f]{12}\.part$/);
    const living = left!.replace(/\d+-/, `${process.pid}-`);
    const elsewhere = left!.replace(/-[0-9a-f]{4}/, (host) => (host === "-0000" ? "-0001" : "-0000"));
    const ancient = elsewhere.replace(".a.jpg", ".b.jpg");
    for (const name of [living, elsewhere, ancient, "a.part", ".b.part"])
      await writeFile(path.join(place, name), "");
    await utimes(path.join(place, ancient), 0, 0);
    await removeAbandoned(place);
    expect((await readdir(place)).sort()).toEqual([living, elsewhere, "a.part", ".b.part"].sort());
    await removeAbandoned(path.join(place, "missing"));
  });

  it("removes the unfinished file when the process ends by itself", async () => {
    const place = path.join(folder, "exit");
    await mkdir(place);
    const script = `import { openAtomic } from ${JSON.stringify(path.join(import.meta.dirname, "atomic-node.ts"))};
      const writer = await openAtomic(${JSON.stringify(path.join(place, "a.txt"))});
      await writer.write("half");
      process.exit(3);`;
    const tsx = path.join(import.meta.dirname, "../../node_modules/tsx/dist/cli.mjs");
    const file = path.join(folder, "exit.mts");
    await writeFile(file, script);
    expect(() => execFileSync(process.execPath, [tsx, file], { stdio: "pipe" })).toThrow(/./);
    expect(await readdir(place)).toEqual([]);
  });
});

describe("names of files", () => {
  it.each([
    ["traffic light", "traffic-light"],
    ["../../etc/passwd", "etc-passwd"],
    ["a:b*c?", "a-b-c"],
    ["nul", "nul-"],
    ["com1.txt", "com1.txt-"],
    ["Größe 人", "Größe-人"],
    ["...", "unnamed"],
    ["", "unnamed"],
  ])("part %j becomes %j", (label, part) => {
    expect(fileNamePart(label)).toBe(part);
  });
  it("parts are never empty, hidden, long, or paths", () => {
    fc.assert(
      fc.property(anyText, (label) => {
        const part = fileNamePart(label);
        expect(part).toMatch(/^[^./\\\0-\x1f][^/\\\0-\x1f]*$/u);
        expect([...part].length).toBeLessThanOrEqual(81);
        expect(fileNamePart(part)).toBe(part);
      }),
    );
  });
  it("are given out once, without regard to case", () => {
    const unique = uniqueNames();
    expect(["a.jpg", "A.jpg", "a.jpg", "a-2.jpg", "b", ".b", "b"].map(unique)).toEqual([
      "a.jpg",
      "A-2.jpg",
      "a-3.jpg",
      "a-2-2.jpg",
      "b",
      ".b",
      "b-2",
    ]);
  });
  it("are shown on one line", () => {
    expect(printableName("a\nb\u202e\u001b[2J ü人")).toBe("a\\u000ab\\u202e\\u001b[2J ü人");
  });
});
