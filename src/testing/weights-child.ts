/**
 * What tests of whole processes run as a child: `convert FROM TO` prints the peak of its memory in bytes,
 * `ensure URL FILE HASH CACHE` prints the path of the tiny weights in the cache.
 */
import { convertFile } from "../weights/files-node.ts";
import { findRegisteredWeights } from "../weights/registry.ts";
import { ensureWeights } from "../weights/weights-cache-node.ts";
import { tinyModels } from "./fixtures.ts";
import { referenceModels } from "./reference-models.ts";

const [task, ...values] = process.argv.slice(2);
if (task === "convert") {
  await convertFile(values[0]!, values[1]!, { models: referenceModels() });
  process.stdout.write(String(process.resourceUsage().maxRSS * 1024));
} else {
  const [url, file, sha256Start, cacheFolder] = values as [string, string, string, string];
  const weights = { ...findRegisteredWeights("d0"), name: "tiny", model: "tiny", url, file, sha256Start };
  const classes = [1, 2].map((id) => ({ id, name: String(id) }));
  process.stdout.write(await ensureWeights({ ...weights, classes }, { cacheFolder, models: tinyModels }));
}
