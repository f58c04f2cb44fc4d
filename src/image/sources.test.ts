import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ImageError, MachineError, UsageError } from "../errors.ts";
import { expandInputs } from "./inputs-node.ts";
import { readSource } from "./sources-node.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "pictures-"));
  await mkdir(path.join(folder, "within", "deeper"), { recursive: true });
  for (const file of [
    "b10.jpg",
    "b2.JPG",
    "a.webp",
    "notes.txt",
    ".hidden.png",
    "a.detected.jpg",
    "within/c.png",
    "within/deeper/d.gif",
  ])
    await writeFile(path.join(folder, file), file);
  await mkdir(path.join(folder, "empty"));
});
afterAll(() => rm(folder, { recursive: true }));

const named = async (inputs: string[], options = {}) =>
  (await expandInputs(inputs, options)).map(({ source }) =>
    path.relative(folder, source).replaceAll("\\", "/"),
  );
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
async function failure(promise: Promise<unknown>): Promise<ImageError | MachineError | UsageError> {
  try {
    await promise;
  } catch (error) {
    return error as ImageError;
  }
  throw new Error("nothing was wrong");
}

describe("the inputs of a command line", () => {
  it("are a folder's pictures in the order of their names, without drawn and hidden ones", async () => {
    expect(await named([folder])).toEqual(["a.webp", "b2.JPG", "b10.jpg"]);
  });
  it("are those of folders within too, if asked for, but for excluded ones", async () => {
    const all = ["a.webp", "b2.JPG", "b10.jpg", "within/c.png", "within/deeper/d.gif"];
    expect(await named([folder], { recursive: true })).toEqual(all);
    const exclude = [path.join(folder, "within", "deeper")];
    expect(await named([folder], { recursive: true, exclude })).toEqual(all.slice(0, 4));
  });
  it.skipIf(process.platform === "win32")("do not run in circles after links", async () => {
    await symlink(folder, path.join(folder, "within", "loop"));
    expect(await named([folder], { recursive: true })).toHaveLength(5);
  });
  it("are files as they are given, whatever their names, with what names are made from", async () => {
    const file = path.join(folder, "notes.txt");
    const [plain, address] = await expandInputs([file, pathToFileURL(file).href]);
    expect(plain).toMatchObject({ source: file, stem: "notes", folder });
    expect(address).toMatchObject({ source: pathToFileURL(file).href, stem: "notes", folder });
    expect(text(await address!.read())).toBe("notes.txt");
  });
  it("keep what cannot be read for its turn, and say then what is wrong", async () => {
    const [missing, good] = await expandInputs([path.join(folder, "none.jpg"), path.join(folder, "a.webp")]);
    expect(await failure(missing!.read())).toMatchObject({
      code: "E_IMAGE",
      message: `there is no ${missing!.source}`,
    });
    expect(text(await good!.read())).toBe("a.webp");
  });
  it("name URLs by the end of their path", async () => {
    const urls = await expandInputs([
      "https://host/x/street%20view.jpg?size=1",
      "https://host",
      "http://host/%ff.png",
    ]);
    expect(urls.map(({ stem }) => stem)).toEqual(["street view", "picture", "picture"]);
  });
  it("take standard input once", async () => {
    const stdin = (async function* () {
      yield new TextEncoder().encode("one ");
      yield new TextEncoder().encode("two");
    })();
    const [input] = await expandInputs(["-"], { stdin });
    expect([input!.source, input!.stem, text(await input!.read())]).toEqual(["-", "stdin", "one two"]);
    expect(await failure(expandInputs(["-", "-"]))).toBeInstanceOf(UsageError);
  });
  it("are refused if there is no picture at all, or an address is not read", async () => {
    const error = await failure(expandInputs([path.join(folder, "empty")]));
    expect(error.message).toMatch(/^no pictures in /);
    expect(error.hint).toMatch(/--recursive/);
    expect(await failure(expandInputs(["ftp://host/a.jpg"]))).toBeInstanceOf(UsageError);
    expect(await failure(expandInputs([""]))).toBeInstanceOf(UsageError);
    expect(await expandInputs([])).toEqual([]);
  });
});

describe("reading a file", () => {
  it("refuses folders, and files above the limit", async () => {
    expect((await failure(readSource(folder))).message).toBe(`${folder} is a folder`);
    const file = path.join(folder, "a.webp");
    expect((await failure(readSource(file, undefined, { maxBytes: 3 }))).message).toMatch(/is larger than/);
  });
  it.skipIf(process.platform === "win32")(
    "refuses devices, and pipes that nobody writes to, at once",
    async () => {
      expect((await failure(readSource("/dev/zero"))).message).toBe("/dev/zero is no ordinary file");
      const pipe = path.join(folder, "pipe");
      execFileSync("mkfifo", [pipe]);
      expect((await failure(readSource(pipe))).message).toBe(`${pipe} is no ordinary file`);
      await rm(pipe);
    },
  );
  it("shows names with control characters on one line", async () => {
    const error = await failure(readSource("no\nsuch\u001b[31m.jpg"));
    expect(error.message).toBe("there is no no\\u000asuch\\u001b[31m.jpg");
    expect((await failure(readSource("a\0b.jpg"))).message).toMatch(/^a\\u0000b\.jpg cannot be read/);
  });
});

describe("downloading", () => {
  let server: Server;
  let host: string;
  beforeAll(async () => {
    server = createServer((request, response) => {
      if (request.url === "/a.jpg") response.end("picture");
      else if (request.url === "/moved.jpg") response.writeHead(302, { location: "/a.jpg" }).end();
      else if (request.url === "/endless.jpg") {
        response.on("error", () => undefined);
        const more = () =>
          !response.destroyed && response.write(new Uint8Array(1e5), () => setImmediate(more));
        more();
      } else if (request.url === "/slow.jpg") response.write("a");
      else response.writeHead(404).end("none");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    host = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  it("gives the bytes, also after a redirection", async () => {
    expect(text((await readSource(`${host}/a.jpg`)).bytes)).toBe("picture");
    expect(text((await readSource(new URL(`${host}/moved.jpg`))).bytes)).toBe("picture");
  });
  it("names what the server said", async () => {
    const error = await failure(readSource(`${host}/none.jpg`));
    expect(error).toBeInstanceOf(ImageError);
    expect(error.message).toBe(`${host}/none.jpg answered 404 Not Found`);
  });
  it("stops at the limits of size and time", async () => {
    const large = await failure(readSource(`${host}/endless.jpg`, undefined, { maxBytes: 1e6 }));
    expect(large.message).toBe(`${host}/endless.jpg is larger than 1 MiB`);
    const slow = await failure(readSource(`${host}/slow.jpg`, undefined, { downloadTimeoutMs: 100 }));
    expect(slow).toBeInstanceOf(MachineError);
    expect(slow.message).toBe(`${host}/slow.jpg took more than 0.1 s`);
  });
  it("does nothing offline, and says when there is no network", async () => {
    const offline = await failure(readSource(`${host}/a.jpg`, undefined, { offline: true }));
    expect(offline.hint).toMatch(/--offline/);
    const refused = await failure(readSource("http://127.0.0.1:9/a.jpg"));
    expect(refused).toBeInstanceOf(MachineError);
    expect(refused.message).toMatch(/^http:\/\/127\.0\.0\.1:9\/a\.jpg cannot be fetched \(/);
  });
  it("can be interrupted", async () => {
    const signal = AbortSignal.timeout(50);
    expect(await failure(readSource(`${host}/slow.jpg`, undefined, { signal }))).not.toBeInstanceOf(
      MachineError,
    );
  });
});
