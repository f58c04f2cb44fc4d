import { mkdir, open, readFile, type FileHandle } from "node:fs/promises";
import path from "node:path";
import { writeFileAtomic } from "../files/index.ts";
import type { EpochEvent, StepEvent } from "./events.ts";

/** A line of `metrics.jsonl` for a step. */
export type StepLine = { readonly kind: "step" } & Pick<
  StepEvent,
  "step" | "epoch" | "loss" | "classLoss" | "boxLoss" | "learningRate" | "imagesPerSecond"
> & {
    readonly iouLoss?: number;
  };

/** A line of `metrics.jsonl` for an epoch. */
export type EpochLine = { readonly kind: "epoch" } & Omit<EpochEvent, "kind" | "epochs">;

export type MetricsLine = StepLine | EpochLine;

/** `metrics.jsonl` of a run: one line for each step and each epoch, in order. */
export class MetricsLog {
  readonly #handle: FileHandle;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /**
   * Opens the log of a run. Of one that is resumed, lines of what happened after its checkpoint are dropped: those steps
   * are taken again.
   *
   * @param from steps and epochs that the checkpoint has
   */
  static async open(
    output: string,
    from: { readonly step: number; readonly epoch: number },
  ): Promise<MetricsLog> {
    const file = path.join(output, "metrics.jsonl");
    const lines = (await readMetrics(output)).filter((line) =>
      line.kind === "step" ? line.step <= from.step : line.epoch <= from.epoch,
    );
    await mkdir(output, { recursive: true });
    await writeFileAtomic(
      file,
      lines.map((line) => `${JSON.stringify(line)}\n`),
    );
    return new MetricsLog(await open(file, "a"));
  }

  async write(line: MetricsLine): Promise<void> {
    await this.#handle.appendFile(`${JSON.stringify(line)}\n`);
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** The lines of a run's log; none gives `[]`. A last line cut short by a power failure is left out. */
export async function readMetrics(output: string): Promise<MetricsLine[]> {
  const text = await readFile(path.join(output, "metrics.jsonl"), "utf8").catch(() => "");
  return text.split("\n").flatMap((line) => {
    try {
      return line === "" ? [] : [JSON.parse(line) as MetricsLine];
    } catch {
      return [];
    }
  });
}
