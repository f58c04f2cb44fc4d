import { UsageError, suggest } from "../errors.ts";
import {
  describeModel,
  listModels,
  type ModelDescription,
  type ReadyWeights,
} from "../detector/list-models.ts";
import { readyWeights } from "../detector/ready-weights-node.ts";
import {
  featureNetworks,
  fusions,
  variants,
  type FeatureNetworkName,
  type FusionName,
} from "../models/index.ts";
import { table, type Terminal } from "./terminal.ts";
import { action, imageSize, verb, wholeNumber, type Settings } from "./verb.ts";

interface Options {
  readonly classes: number;
  readonly imageSize?: [number, number];
  readonly featureNetwork?: string;
  readonly fusion?: string;
}

/** `efficientdet models [NAME]`: the family, counted from the built graphs. */
export const models = verb("models", "The family and the ready weights, counted from the built networks")
  .argument("[name]", "one model, in full")
  .option("--classes <n>", "classes to count for", wholeNumber(1, 100_000), 90)
  .option(
    "--image-size <size>",
    "network input to count for, N or HxW (default: each model's own)",
    imageSize,
  )
  .option("--feature-network <name>", `one of ${Object.keys(featureNetworks).join(", ")}`)
  .option("--fusion <name>", `one of ${fusions.join(", ")}`)
  .action(action<Options>(async ([name], options, { terminal }) => show(name, options, terminal)));

function show(name: string | undefined, options: Options & Settings, terminal: Terminal): void {
  if (name !== undefined && !Object.hasOwn(variants, name))
    throw new UsageError(`there is no model ${name}`, suggest(name, Object.keys(variants)));
  const changed = {
    classes: options.classes,
    imageSize: options.imageSize,
    featureNetwork: options.featureNetwork as FeatureNetworkName | undefined,
    fusion: options.fusion as FusionName | undefined,
  };
  const weightsOf = (variant: string): ReadyWeights[] => readyWeights(variant, options.cacheDir);
  const rows =
    name === undefined ? listModels(changed, weightsOf) : [describeModel(name, changed, weightsOf(name))];
  if (terminal.json) return terminal.showJson(name === undefined ? rows : rows[0]);
  if (name !== undefined) {
    for (const [key, value] of Object.entries(rows[0]!))
      if (key !== "weights")
        terminal.show(
          `${key.padEnd(16)}${Array.isArray(value) ? value.join(key === "levels" ? "–" : "×") : String(value)}`,
        );
    terminal.show(`\n${weightsTable(rows)}`);
    return;
  }
  terminal.show(
    table(
      [
        "model",
        "backbone",
        "image",
        "parameters",
        "multiply-adds",
        "levels",
        "network",
        "fusion",
        "width",
        "cells",
        "head",
      ],
      rows.map((r) => [
        r.name, r.backbone, r.imageSize.join("×"), `${(r.parameters / 1e6).toFixed(2)} M`, `${(r.multiplyAdds / 1e9).toFixed(2)} B`,
        r.levels.join("–"), r.featureNetwork, r.fusion, r.widthChannels, r.cells, r.headRepeats,
      ]), // prettier-ignore
    ),
  );
  terminal.show(`\n${weightsTable(rows)}`);
}

function weightsTable(rows: readonly ModelDescription[]): string {
  const lines = rows.flatMap((row) =>
    row.weights.map((w) => [
      w.name,
      row.name,
      w.classes,
      w.publishedAP?.toFixed(1) ?? "–",
      w.where,
      w.licence,
      w.source,
    ]),
  );
  return table(["ready weights", "model", "classes", "AP", "where", "licence", "source"], lines);
}
