import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodePicture, Detector, type Detection, type RawPicture } from "../../src/index.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const folder = path.join(root, "examples/pictures");
/** Small, so that many pictures take little time. */
const model = { model: "lite0-everyday", imageSize: 128 };
const settings = { scoreThreshold: 0.1 };
/** So many are looked at side by side, once that pays. */
const enough = 32;

/** Worker threads that run, and how many pictures they looked at. */
const lanes = new Map<Worker, number>();
process.on("worker", (thread) => {
  lanes.set(thread, -1); // the first message says that it is ready
  thread.on("message", () => lanes.set(thread, lanes.get(thread)! + 1));
  thread.on("exit", () => lanes.delete(thread));
});
const looked = (): number => [...lanes.values()].reduce((sum, count) => sum + Math.max(0, count), 0);

let pictures: RawPicture[];
let expected: Detection[][];
let detector: Detector;

beforeAll(async () => {
  const files = readdirSync(folder).filter((name) => name.endsWith(".jpg"));
  const decoded = await Promise.all(files.slice(0, 5).map((name) => decodePicture(path.join(folder, name))));
  pictures = decoded.map((picture) => ({ ...picture, channels: 3 }));
  detector = await Detector.load(model, { threads: 2 });
  expected = [];
  for (const picture of pictures) expected.push(await detector.detect(picture, settings));
});
afterAll(() => detector.dispose());

const many = (count: number): RawPicture[] =>
  Array.from({ length: count }, (_, i) => pictures[i % pictures.length]!);
const manyExpected = (count: number): Detection[][] =>
  Array.from({ length: count }, (_, i) => expected[i % expected.length]!);

/** Has the detector work until it has lanes, if it has none. */
async function lanesReady(): Promise<void> {
  const row = function* () {
    while (lanes.size < 2 || [...lanes.values()].includes(-1)) yield pictures[0]!;
  };
  for await (const _ of detector.detectAll(row(), settings));
  for (const thread of lanes.keys()) lanes.set(thread, 0);
}

/** Threads that run when a detector has looked at so many pictures. */
async function threadsAfter(own: Detector, count: number, options = {}): Promise<number> {
  let seen = 0;
  for await (const _ of own.detectAll(many(count), { ...settings, ...options })) seen++;
  expect(seen).toBe(count);
  return lanes.size;
}

describe("many pictures", () => {
  it("are looked at side by side: the same is found as in one session, in order", async () => {
    expect(expected.flat().length).toBeGreaterThan(5);
    await lanesReady();
    const found = [];
    for await (const result of detector.detectAll(many(90), settings))
      found.push("error" in result ? [] : [...result.detections]);
    expect(found).toEqual(manyExpected(90));
    expect(looked()).toBe(90);
    expect([...lanes.values()].every((count) => count > 10)).toBe(true);
  });

  it("go on after one that fails, in order", async () => {
    await lanesReady();
    const sources = [...many(20), "nothing.jpg", ...many(20), new Uint8Array([1, 2, 3]), ...many(30)];
    const codes = [];
    for await (const result of detector.detectAll(sources, settings))
      codes.push("error" in result ? result.error.code : result.width);
    const widths = (count: number): number[] => many(count).map(({ width }) => width);
    expect(codes).toEqual([...widths(20), "E_IMAGE", ...widths(20), "E_IMAGE", ...widths(30)]);
  });

  it("stay the caller's, and come with the results where they are wanted", async () => {
    await lanesReady();
    const before = pictures.map(({ data }) => data.slice());
    let i = 0;
    for await (const result of detector.detectAll(many(64), { ...settings, keepPictures: true }))
      if (!("error" in result))
        expect(result.picture?.data.length).toBe(pictures[i++ % pictures.length]!.data.length);
    expect(i).toBe(64);
    expect(pictures.map(({ data }, k) => Buffer.compare(Buffer.from(data), Buffer.from(before[k]!)))).toEqual(
      pictures.map(() => 0),
    );
  });

  it("stop when they are told to, and their threads end", async () => {
    await lanesReady();
    const control = new AbortController();
    const results = detector.detectAll(many(500), { ...settings, signal: control.signal });
    for (let i = 0; i < 10; i++) await results.next();
    control.abort();
    await expect(results.next()).rejects.toMatchObject({ code: "E_INTERRUPTED", exitCode: 130 });
    expect(lanes.size).toBe(0);
  });

  it("may be left early: the threads end, and the detector goes on", async () => {
    await lanesReady();
    let count = 0;
    for await (const _ of detector.detectAll(many(500), settings)) if (++count === 10) break;
    expect(lanes.size).toBe(0);
    expect(await detector.detect(pictures[1]!, settings)).toEqual(expected[1]);
  });

  it("start no threads if they are few, or go through the network together", async () => {
    await lanesReady();
    for await (const _ of detector.detectAll(many(enough), settings)) break;
    expect(await threadsAfter(detector, enough - 1)).toBe(0);
    expect(await threadsAfter(detector, enough, { batchSize: 2 })).toBe(0);
    expect(await threadsAfter(detector, enough)).toBe(2);
  });

  it("keep their threads for the next ones, until the detector is disposed of", async () => {
    await lanesReady();
    const [first] = lanes.keys();
    for await (const _ of detector.detectAll(many(enough), settings));
    expect([...lanes.keys()][0]).toBe(first);
    await detector.dispose();
    expect(lanes.size).toBe(0);
  });

  it("start no threads with one thread, however long they take", async () => {
    await using own = await Detector.load("lite0-everyday", { threads: 1 });
    expect(await threadsAfter(own, 160)).toBe(0);
  });

  it("are all looked at, also if the threads end meanwhile", async () => {
    detector = await Detector.load(model, { threads: 2 });
    await lanesReady();
    const found = [];
    for await (const result of detector.detectAll(many(90), settings)) {
      found.push("error" in result ? result.error : [...result.detections]);
      if (found.length === 10) for (const thread of lanes.keys()) thread.postMessage({ end: true });
    }
    expect(found).toEqual(manyExpected(90));
  });

  it.each([
    ["lets the process end by itself, disposed of or not", "if (++after === 70) break;", 0],
    ["ends when the process does, in the midst of work", "if (++after === 70) process.exit(7);", 7],
  ])("%s", (_, then, status) => {
    const script = `import { Detector } from "./src/index.ts";
      let [ready, after] = [0, 0];
      process.on("worker", (thread) => thread.once("message", () => ready++));
      const detector = await Detector.load(${JSON.stringify(model)}, { threads: 2 });
      const picture = { data: new Uint8Array(48 * 64 * 3), width: 64, height: 48, channels: 3 };
      const results = detector.detectAll((function* () { for (;;) yield picture; })());
      while (!(await results.next()).done) if (ready === 2) { ${then} }
      console.log("done");`;
    const options = ["--import", "tsx", "--conditions=source", "--input-type=module", "-e", script];
    const env = { ...process.env, NODE_OPTIONS: "" };
    const run = spawnSync(process.execPath, options, { cwd: root, env, encoding: "utf8", timeout: 25_000 });
    expect([run.status, run.stderr, run.stdout]).toEqual([status, "", status === 0 ? "done\n" : ""]);
  });
});
