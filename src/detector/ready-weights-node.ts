import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { parseModelMetadata, readSafetensors, registeredWeights } from "../weights/index.ts";
import { cachedWeightsPath, defaultCacheFolder } from "../weights/weights-cache-node.ts";
import type { ReadyWeights } from "./list-models.ts";
import { packageFile, packageModels } from "./open-node.ts";

/** The ready weights of a variant: those in the package, in the cache, and those that can be downloaded. */
export function readyWeights(variant: string, cacheDir: string = defaultCacheFolder()): ReadyWeights[] {
  const inPackage = packageModels.map(packageWeights).filter((entry) => entry.model === variant);
  const published = registeredWeights
    .filter((entry) => entry.model === variant)
    .map((entry): ReadyWeights => {
      const cached = cachedWeightsPath(entry, cacheDir);
      const there = existsSync(cached);
      return {
        name: entry.name,
        source: entry.url,
        licence: entry.licence,
        bytes: there ? statSync(cached).size : null,
        sha256: entry.sha256Start ?? null,
        classes: entry.classes.length,
        publishedAP: entry.publishedAP,
        where: there ? "cache" : "download",
      };
    });
  return [...inPackage.map(({ weights }) => weights), ...published];
}

function packageWeights(name: string): { model: string | undefined; weights: ReadyWeights } {
  const bytes = readFileSync(packageFile(`weights/${name}.safetensors`));
  const { model, source, licence, classes, trained } = parseModelMetadata(
    readSafetensors(bytes, name).metadata,
    name,
  );
  return {
    model,
    weights: {
      name,
      source: source ?? "",
      licence: licence ?? "",
      bytes: bytes.length,
      sha256: createHash("sha256").update(bytes).digest("hex"),
      classes: classes?.length ?? 0,
      publishedAP: typeof trained?.AP === "number" ? Math.round(trained.AP * 1000) / 10 : null,
      where: "package",
    },
  };
}
