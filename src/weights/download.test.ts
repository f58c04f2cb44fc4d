import { createHash } from "node:crypto";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer } from "node:http";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { tinyModels, weightFixture } from "../testing/fixtures.ts";
import { ruleTensor } from "../testing/rule.ts";
import { download } from "./download-node.ts";
import { withFileLock } from "./file-lock-node.ts";
import type { RegisteredWeights } from "./registry.ts";
import { findRegisteredWeights, registeredWeights } from "./registry.ts";
import { readSafetensors } from "./safetensors.ts";
import { cachedWeightsPath, defaultCacheFolder, ensureWeights } from "./weights-cache-node.ts";

const content = Buffer.from(weightFixture("tiny.pth").bytes);
const hash = createHash("sha256").update(content).digest("hex");

/** What the server does with the n-th request, from 0. */
type Behaviour = (request: IncomingMessage, response: ServerResponse, turn: number) => void;

/** As a good server does: the whole file, or the part that is asked for. */
const serve: Behaviour = (request, response) => {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? NaN);
  if (Number.isNaN(from)) {
    response.writeHead(200, { "content-length": content.length }).end(content);
    return;
  }
  if (from >= content.length) {
    response.writeHead(416, { "content-range": `bytes */${content.length}` }).end();
    return;
  }
  response
    .writeHead(206, {
      "content-length": content.length - from,
      "content-range": `bytes ${from}-${content.length - 1}/${content.length}`,
    })
    .end(content.subarray(from));
};

/** Announces the whole file, sends a part and breaks the connection. */
const truncate: Behaviour = (_, response) => {
  response.writeHead(200, { "content-length": content.length });
  response.write(content.subarray(0, 50_000), () => setTimeout(() => response.destroy(), 50));
};

const status =
  (code: number): Behaviour =>
  (_, response) =>
    void response.writeHead(code).end("no");

let server: Server;
let folder: string;
let url: string;
let requests: (string | undefined)[];
let behaviour: Behaviour;

beforeEach(async () => {
  requests = [];
  behaviour = serve;
  server = createServer((request, response) => {
    requests.push(request.headers.range);
    behaviour(request, response, requests.length - 1);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/tiny.pth`;
  folder = await mkdtemp(path.join(tmpdir(), "efficientdet-download-"));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true });
});

const quick = { retryDelayMs: 1, stallMs: 200, sha256Start: hash.slice(0, 8) };
const target = () => path.join(folder, "tiny.pth");

describe("a download", () => {
  it("gives the file its name only when it is whole, and tells how far it is", async () => {
    const seen: number[] = [];
    await download(url, target(), {
      ...quick,
      onProgress: ({ receivedBytes, totalBytes }) => {
        expect(totalBytes).toBe(content.length);
        seen.push(receivedBytes);
      },
    });
    expect(content.equals(await readFile(target()))).toBe(true);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect([seen[0], seen.at(-1)]).toEqual([0, content.length]);
    expect(await readdir(folder)).toEqual(["tiny.pth"]);
  });

  it("goes on where a broken connection ended", async () => {
    behaviour = (...args) => (args[2] === 0 ? truncate(...args) : serve(...args));
    await download(url, target(), quick);
    expect(content.equals(await readFile(target()))).toBe(true);
    expect(requests[0]).toBeUndefined();
    expect(requests[1]).toMatch(/^bytes=\d+-$/);
  });

  it("goes on from what an earlier run left", async () => {
    await writeFile(`${target()}.part`, content.subarray(0, 1000));
    await download(url, target(), quick);
    expect(requests).toEqual(["bytes=1000-"]);
    expect(content.equals(await readFile(target()))).toBe(true);
  });

  it("takes a part that is the whole file already", async () => {
    await writeFile(`${target()}.part`, content);
    await download(url, target(), quick);
    expect(content.equals(await readFile(target()))).toBe(true);
  });

  it("begins again where what was left belongs to another file", async () => {
    await writeFile(`${target()}.part`, new Uint8Array(1000).fill(7));
    await download(url, target(), quick);
    expect(requests).toEqual(["bytes=1000-", undefined]);
    expect(content.equals(await readFile(target()))).toBe(true);
  });

  it("begins again where the server knows no parts", async () => {
    await writeFile(`${target()}.part`, content.subarray(0, 1000));
    behaviour = (_, response) => void response.writeHead(200).end(content);
    await download(url, target(), quick);
    expect(content.equals(await readFile(target()))).toBe(true);
  });

  it("drops a connection that gives nothing, and goes on", async () => {
    behaviour = (...args) => {
      if (args[2] > 0) return serve(...args);
      args[1].writeHead(200, { "content-length": content.length });
      args[1].write(content.subarray(0, 10));
    };
    await download(url, target(), quick);
    expect(content.equals(await readFile(target()))).toBe(true);
  });

  it("tries again after 503", async () => {
    behaviour = (...args) => (args[2] < 2 ? status(503)(...args) : serve(...args));
    await download(url, target(), quick);
    expect(requests.length).toBe(3);
  });

  it.each<[string, Behaviour, RegExp, number]>([
    ["a server that is always busy", status(503), /cannot be fetched \(the server answers 503\)/, 3],
    ["a server that always breaks off", (_, response) => void response.destroy(), /cannot be fetched \(/, 3],
    ["a server that never answers", () => undefined, /cannot be fetched \(nothing came for 0\.2 s\)/, 3],
    ["a file that is not there", status(404), /the server answers 404 for http/, 1],
    ["a file that is forbidden", status(403), /the server answers 403 for http/, 1],
    [
      "a file that is another",
      (_, response) => void response.writeHead(200).end(Buffer.from("corrupt")),
      /is not the expected one: its SHA-256 does not begin with/,
      1,
    ],
  ])("gives up with one line for %s", async (_, does, message, count) => {
    behaviour = does;
    const error: unknown = await download(url, target(), {
      ...quick,
      attempts: 3,
      byHand: "fetch it by hand",
    }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: "E_MACHINE", hint: "fetch it by hand" });
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).not.toContain("\n");
    expect(requests.length).toBe(count);
    expect((await readdir(folder)).includes("tiny.pth")).toBe(false);
  });

  it("stops where nobody listens", async () => {
    await expect(download("http://127.0.0.1:1/x.pth", target(), { ...quick, attempts: 2 })).rejects.toThrow(
      /cannot be fetched \((ECONNREFUSED|bad port)\)/,
    );
  });

  it("is ended by its signal, and keeps what came", async () => {
    const controller = new AbortController();
    behaviour = (_, response) => {
      response.writeHead(200, { "content-length": content.length });
      response.write(content.subarray(0, 1000));
    };
    const onProgress = ({ receivedBytes }: { receivedBytes: number }) => {
      if (receivedBytes > 0) controller.abort();
    };
    await expect(
      download(url, target(), { ...quick, stallMs: 5000, onProgress, signal: controller.signal }),
    ).rejects.toMatchObject({ code: "E_INTERRUPTED" });
    expect((await stat(`${target()}.part`)).size).toBe(1000);
  });
});

/** Registered weights of the tiny network, on the local server. */
const registered = (): RegisteredWeights => ({
  ...findRegisteredWeights("d0"),
  name: "tiny",
  model: "tiny",
  url,
  file: "tiny.pth",
  sha256Start: hash.slice(0, 8),
  classes: [
    { id: 1, name: "cat" },
    { id: 2, name: "dog" },
  ],
});

describe("the cache of weights", () => {
  const options = () => ({
    cacheFolder: folder,
    models: tinyModels,
    retryDelayMs: 1,
    stallMs: 500,
    attempts: 2,
  });

  it("fetches and converts once, then never asks again", async () => {
    const file = await ensureWeights(registered(), options());
    expect(file).toBe(cachedWeightsPath(registered(), folder));
    const { tensors, metadata } = readSafetensors(await readFile(file));
    expect(tensors.get("backbone.bn1.weight")!.read().data).toEqual(
      ruleTensor("backbone.bn1.weight", [4], "lite0").data,
    );
    expect(JSON.parse(metadata.classes!)).toEqual(registered().classes);
    expect(metadata.licence).toBe("Apache-2.0");
    expect(await ensureWeights(registered(), { ...options(), offline: true })).toBe(file);
    expect(requests.length).toBe(1);
    expect(await readdir(path.dirname(file))).toEqual([path.basename(file)]);
  });

  it("is filled once by many at the same time", async () => {
    const files = await Promise.all(Array.from({ length: 5 }, () => ensureWeights(registered(), options())));
    expect(new Set(files).size).toBe(1);
    expect(requests.length).toBe(1);
    expect(readSafetensors(await readFile(files[0]!)).tensors.size).toBe(304);
  });

  it("says offline what to fetch by hand and where to put it, and then uses it", async () => {
    const offline = { ...options(), offline: true };
    const error: unknown = await ensureWeights(registered(), offline).catch((caught: unknown) => caught);
    expect(error).toMatchObject({
      code: "E_MACHINE",
      message: "the weights of tiny are not in the cache and --offline is set",
      hint: `fetch ${url} by hand and put it into ${path.join(folder, "weights")}`,
    });
    await mkdir(path.join(folder, "weights"));
    await writeFile(path.join(folder, "weights", "tiny.pth"), content);
    expect(await ensureWeights(registered(), offline)).toBe(cachedWeightsPath(registered(), folder));
    expect(requests.length).toBe(0);
  });

  it("refuses a file put there by hand that is another, and leaves it", async () => {
    const raw = path.join(folder, "weights", "tiny.pth");
    await mkdir(path.dirname(raw));
    await writeFile(raw, "another");
    await expect(ensureWeights(registered(), options())).rejects.toThrow(/is not the expected file/);
    expect(await readFile(raw, "utf8")).toBe("another");
  });

  it("refuses weights without a known hash that are none, and does not keep them", async () => {
    behaviour = (_, response) => void response.writeHead(200).end("<!doctype html>");
    await expect(ensureWeights({ ...registered(), sha256Start: undefined }, options())).rejects.toMatchObject(
      {
        code: "E_WEIGHTS",
      },
    );
    expect(await readdir(path.join(folder, "weights"))).toEqual([]);
  });

  it("lies where the environment says", () => {
    expect(defaultCacheFolder({ EFFICIENTDET_CACHE: "/somewhere" })).toBe("/somewhere");
    expect(defaultCacheFolder({})).toMatch(/efficientdet/);
  });
});

describe("a lock file", () => {
  const times = { beatMs: 10, staleMs: 150, pollMs: 5 };
  it("lets one in at a time, and is gone afterwards", async () => {
    const file = path.join(folder, "lock");
    let [inside, most] = [0, 0];
    await Promise.all(
      Array.from({ length: 6 }, () =>
        withFileLock(
          file,
          async () => {
            most = Math.max(most, ++inside);
            await new Promise((resolve) => setTimeout(resolve, 5));
            inside--;
          },
          { times },
        ),
      ),
    );
    expect(most).toBe(1);
    expect(await readdir(folder)).toEqual([]);
  });
  it("of a process that died is taken over, that of a living one is not", async () => {
    const file = path.join(folder, "lock");
    await writeFile(file, "");
    const old = new Date(Date.now() - 10_000);
    await utimes(file, old, old);
    expect(await withFileLock(file, async () => "done", { times })).toBe("done");
    const slow = withFileLock(file, () => new Promise((resolve) => setTimeout(resolve, 400)), { times });
    const start = Date.now();
    await new Promise((resolve) => setTimeout(resolve, 20));
    await withFileLock(file, async () => undefined, { times });
    expect(Date.now() - start).toBeGreaterThan(350);
    await slow;
  });
  it("stops waiting when told to", async () => {
    const file = path.join(folder, "lock");
    await writeFile(file, "");
    await expect(
      withFileLock(file, async () => undefined, {
        times: { ...times, staleMs: 60_000 },
        signal: AbortSignal.timeout(30),
      }),
    ).rejects.toMatchObject({ code: "E_INTERRUPTED" });
  });
});

describe("the registry", () => {
  it("has one entry for each name, with the hash that effdet's file names carry", () => {
    expect(new Set(registeredWeights.map(({ name }) => name)).size).toBe(registeredWeights.length);
    for (const { publisher, sha256Start, file, url: address } of registeredWeights) {
      expect(address.endsWith(`/${file}`)).toBe(true);
      expect(sha256Start ?? "").toMatch(publisher.startsWith("rwightman") ? /^[0-9a-f]{8}$/ : /^$/);
    }
  });
  it("has weights for every model of the family", () => {
    const family = [
      "d0",
      "d1",
      "d2",
      "d3",
      "d4",
      "d5",
      "d6",
      "d7",
      "d7x",
      "lite0",
      "lite1",
      "lite2",
      "lite3",
      "lite3x",
      "lite4",
    ];
    for (const name of family) expect(findRegisteredWeights(name).model).toBe(name);
  });
  it("names the nearest for a name that it has not", () => {
    expect(() => findRegisteredWeights("d8")).toThrow(/no published weights called d8/);
  });
});
