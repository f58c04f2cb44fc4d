import { describe, expect, it } from "vitest";
import { inOrder } from "../../src/detector/lane-order.ts";

const later = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function all<T>(results: AsyncIterable<T>): Promise<T[]> {
  const list = [];
  for await (const result of results) list.push(result);
  return list;
}

describe("inOrder", () => {
  it("gives results in the order of the items, whichever is done first", async () => {
    const work = async (n: number): Promise<number> => (await later(20 - 4 * n), n * n);
    expect(await all(inOrder([0, 1, 2, 3, 4], work, () => 3, undefined))).toEqual([0, 1, 4, 9, 16]);
  });

  it("has no more under way than it may, and that many as soon as it can", async () => {
    let underWay = 0;
    const seen: number[] = [];
    const work = async (): Promise<void> => {
      seen.push(++underWay);
      await later(5);
      underWay--;
    };
    await all(inOrder(Array(10).keys(), work, () => 3, undefined));
    expect(Math.max(...seen)).toBe(3);
    expect(seen.slice(0, 3)).toEqual([1, 2, 3]);
  });

  it("gives a result although the next item is not there yet", async () => {
    const row = async function* () {
      yield 1;
      yield 2;
      await new Promise(() => undefined);
    };
    const results = inOrder(row(), async (n) => n, () => 5, undefined); // prettier-ignore
    expect((await results.next()).value).toBe(1);
    expect((await results.next()).value).toBe(2);
  });

  it("takes no item before there is room, and closes the row when it is left early", async () => {
    const taken: number[] = [];
    let closed = false;
    const row = function* () {
      try {
        for (let n = 0; ; n++) {
          taken.push(n);
          yield n;
        }
      } finally {
        closed = true;
      }
    };
    for await (const n of inOrder(row(), async (n) => n, () => 2, undefined)) if (n === 3) break; // prettier-ignore
    expect(closed).toBe(true);
    expect(taken.length).toBeLessThanOrEqual(6);
  });

  it("throws what the row throws, and what the work throws", async () => {
    const row = function* () {
      yield 1;
      throw new Error("no more");
    };
    await expect(all(inOrder(row(), async (n) => n, () => 2, undefined))).rejects.toThrow("no more"); // prettier-ignore
    const work = async (n: number): Promise<number> => {
      if (n === 2) throw new Error("not two");
      return n;
    };
    const results = inOrder([1, 2, 3], work, () => 2, undefined);
    expect((await results.next()).value).toBe(1);
    await expect(results.next()).rejects.toThrow("not two");
  });

  it("does not work on an item that comes when the signal is aborted: it may be what the abort made of it", async () => {
    const control = new AbortController();
    const items = async function* () {
      await Promise.resolve();
      control.abort();
      yield 1;
    };
    const results = inOrder(items(), async (n) => n, () => 2, control.signal); // prettier-ignore
    await expect(results.next()).rejects.toMatchObject({ code: "E_INTERRUPTED" });
  });

  it("stops when the signal is aborted", async () => {
    const control = new AbortController();
    const results = inOrder(Array(10).keys(), async (n) => n, () => 2, control.signal); // prettier-ignore
    await results.next();
    control.abort();
    await expect(results.next()).rejects.toMatchObject({ code: "E_INTERRUPTED" });
  });
});
