import { cpus } from "node:os";

/** Median and quartiles of a list of numbers. */
export function spread(values: readonly number[]): { median: number; low: number; high: number } {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
  return { median: at(0.5), low: at(0.25), high: at(0.75) };
}

/** What the numbers were taken on. */
export function machine(): string {
  return `${cpus().length} × ${cpus()[0]!.model.trim()}, Node ${process.version}, ${new Date().toISOString().slice(0, 10)}`;
}

/**
 * Runs contenders in turns, `rounds` times after `warmUp` rounds that do not count, so that what disturbs the machine
 * disturbs all of them.
 *
 * @returns for each, its milliseconds, round by round
 */
export async function inTurns(
  contenders: ReadonlyMap<string, () => Promise<number>>,
  rounds: number,
  warmUp = 3,
): Promise<Map<string, number[]>> {
  const times = new Map<string, number[]>([...contenders.keys()].map((name) => [name, []]));
  for (let round = -warmUp; round < rounds; round++)
    for (const [name, run] of contenders) {
      // An engine's threads spin for a while after a run, and would slow the next contender down.
      await new Promise((resolve) => setTimeout(resolve, 30));
      const ms = await run();
      if (round >= 0) times.get(name)!.push(ms);
    }
  return times;
}

/** A line of a table of times: median, quartiles, and how many times as long as the first. */
export function timeRow(name: string, values: readonly number[], base: number): string[] {
  const { median, low, high } = spread(values);
  return [name, median.toFixed(1), `${low.toFixed(1)}–${high.toFixed(1)}`, `${(median / base).toFixed(2)}×`];
}
