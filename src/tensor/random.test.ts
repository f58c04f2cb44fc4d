import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Random } from "./random.ts";

const take = (random: Random, count: number) => Array.from({ length: count }, () => random.uint32());

describe("Random", () => {
  it("gives the same numbers for the same seed and stream, and others for any other", () => {
    expect(take(new Random(7, 1, 2), 5)).toEqual(take(new Random(7, 1, 2), 5));
    const seeds = [[7], [8], [7, 1], [7, 1, 2], [7, 2, 1], [-7], [0.5], [7, 0]] as [number, ...number[]][];
    expect(new Set(seeds.map((seed) => take(new Random(...seed), 1)[0])).size).toBe(seeds.length);
  });

  it("has not changed: the numbers of seed 1, written down when it was made", () => {
    expect(take(new Random(1), 3)).toMatchInlineSnapshot(`
      [
        2403962008,
        3834129554,
        2632149910,
      ]
    `);
  });

  it("goes on from a state that went through JSON", () =>
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.nat(50), (seed, before) => {
        const random = new Random(seed);
        take(random, before);
        const copy = Random.from(
          JSON.parse(JSON.stringify(random.state)) as [number, number, number, number],
        );
        expect(take(copy, 4)).toEqual(take(random, 4));
      }),
    ));

  it("refuses a state that is none", () => {
    expect(() => Random.from([1, 2, 3, -1])).toThrow(RangeError);
    expect(() => Random.from([1, 2, 3, 0.5])).toThrow("four whole numbers");
  });

  it("spreads evenly: each of 16 bins of 64,000 draws within 5 standard deviations of 4,000", () => {
    const bins = new Array<number>(16).fill(0);
    const random = new Random(3);
    for (let draw = 0; draw < 64000; draw++) bins[random.integer(16)]!++;
    for (const bin of bins) expect(Math.abs(bin - 4000)).toBeLessThan(5 * Math.sqrt(4000));
  });

  it("draws normal numbers of mean 0 and deviation 1 (100,000 of them, within 5 standard errors)", () => {
    const random = new Random(5);
    const values = Array.from({ length: 100_000 }, () => random.normal());
    const mean = values.reduce((sum, value) => sum + value) / values.length;
    const variance = values.reduce((sum, value) => sum + value * value, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(5 / Math.sqrt(1e5));
    expect(Math.abs(variance - 1)).toBeLessThan(5 * Math.sqrt(2 / 1e5));
  });

  it("permutes: every number once, in an order that depends on the seed", () => {
    const order = new Random(1).permutation(50);
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, index) => index));
    expect(order).not.toEqual(new Random(2).permutation(50));
    expect(new Random(1).permutation(0)).toHaveLength(0);
  });

  it("takes one draw for a chance, whatever the probability", () => {
    const [never, always] = [new Random(9), new Random(9)];
    expect([never.chance(0), always.chance(1)]).toEqual([false, true]);
    expect(never.state).toEqual(always.state);
  });
});
