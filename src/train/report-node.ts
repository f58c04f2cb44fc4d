import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { writeFileAtomic } from "../files/index.ts";
import { readMetrics } from "./metrics-log-node.ts";
import type { RunPlan } from "./plan.ts";
import { trainingHtml, type SampleRow } from "./report.ts";

/** Points in time that are shown of each picture, the labels not counted. */
const shownEpochs = 6;

/** Writes `report.html` of a run, from what lies in its folder. @throws {MachineError} if the machine refuses */
export async function writeReport(output: string, plan: RunPlan): Promise<void> {
  const html = trainingHtml({
    plan,
    metrics: await readMetrics(output),
    samples: await sampleRows(path.join(output, "samples")),
  });
  await writeFileAtomic(path.join(output, "report.html"), html);
}

async function sampleRows(folder: string): Promise<SampleRow[]> {
  const labels = (await readdir(path.join(folder, "labels")).catch(() => []))
    .filter((name) => name.endsWith(".jpg"))
    .sort();
  const epochs = (await readdir(folder).catch(() => [])).filter((name) => name.startsWith("epoch-")).sort();
  // The first and the last, and some between that lie evenly.
  const count = Math.min(shownEpochs, epochs.length);
  const shown = [
    ...new Set(
      Array.from(
        { length: count },
        (_, i) => epochs[Math.round((i * (epochs.length - 1)) / Math.max(1, count - 1))]!,
      ),
    ),
  ];
  return Promise.all(
    labels.map(async (name) => {
      const pictures = await Promise.all(
        ["labels", ...shown].map(async (own) => ({
          caption: own === "labels" ? own : `epoch ${Number(own.slice("epoch-".length))}`,
          address: await addressOf(path.join(folder, own, name)),
        })),
      );
      return {
        name: path.parse(name).name,
        pictures: pictures.flatMap(({ caption, address }) =>
          address === undefined ? [] : [{ caption, address }],
        ),
      };
    }),
  );
}

async function addressOf(file: string): Promise<string | undefined> {
  const bytes = await readFile(file).catch(() => undefined);
  return bytes && `data:image/jpeg;base64,${bytes.toString("base64")}`;
}
