import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { train, type EpochEvent } from "../../src/train/index.ts";
import { toyData } from "./toy-data.ts";

const folder = mkdtempSync(path.join(tmpdir(), "overfit-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("training on four pictures, again and again", () => {
  it(
    "finds what is in them to AP50 above 0.95, in less than five minutes",
    { timeout: 600_000 },
    async () => {
      const data = await toyData(path.join(folder, "toys"), 4);
      const epochs: EpochEvent[] = [];
      const started = performance.now();
      await train(
      { data, val: data, output: path.join(folder, "run"), imageSize: 128, epochs: 100, batchSize: 4, evaluateEvery: 25, augment: "none", samples: 0 },
      { onEvent: (event) => event.kind === "epoch" && epochs.push(event) },
    ); // prettier-ignore
      expect(Math.max(...epochs.map(({ AP50 }) => AP50))).toBeGreaterThan(0.95);
      expect((performance.now() - started) / 1000).toBeLessThan(300);
    },
  );
});
