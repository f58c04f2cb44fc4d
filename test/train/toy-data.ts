import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import sharp from "sharp";
import { Random } from "../../src/tensor/random.ts";
import type { TrainConfigInput } from "../../src/train/index.ts";

/**
 * Pictures with a red square and a blue, wide box each, on grey noise, and their labels as CSV; of more than
 * four pictures, every fifth validates.
 */
export async function toyData(folder: string, count: number): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const divided = count > 4;
  const rows = [`filename,xmin,ymin,xmax,ymax,class${divided ? ",split" : ""}`];
  for (let n = 0; n < count; n++) {
    const random = new Random(7, n);
    const pixels = Uint8Array.from({ length: 96 * 96 * 3 }, () => 100 + random.integer(50));
    const place = (
      name: string,
      width: number,
      height: number,
      colour: readonly number[],
      top: number,
    ): void => {
      const [x, y] = [random.integer(95 - width), top + random.integer(47 - height)];
      for (let row = y; row < y + height; row++)
        for (let column = x; column < x + width; column++) pixels.set(colour, (row * 96 + column) * 3);
      rows.push(
        `toy-${n}.png,${x},${y},${x + width},${y + height},${name}${divided ? (n % 5 === 4 ? ",val" : ",train") : ""}`,
      );
    };
    place("square", 30, 30, [220, 30, 30], 0);
    place("wide", 48, 24, [30, 30, 220], 48);
    await sharp(pixels, { raw: { width: 96, height: 96, channels: 3 } })
      .png()
      .toFile(path.join(folder, `toy-${n}.png`));
  }
  writeFileSync(path.join(folder, "labels.csv"), rows.join("\n"));
  return folder;
}

/** A run that takes seconds: the whole form of a network, small. */
export function toyRun(data: string, output: string): TrainConfigInput {
  return {
    data, output, weights: "none", network: { width: 16, cells: 1, headRepeats: 1 }, imageSize: 64, epochs: 2, batchSize: 2, workers: 0, threads: 1, samples: 1,
  }; // prettier-ignore
}
