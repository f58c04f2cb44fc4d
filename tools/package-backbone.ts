/**
 * Brings an ImageNet backbone into the form in which the package ships it: float16, effdet's names, metadata of
 * `docs/weights.md`. Usage: `npx tsx --conditions=source tools/package-backbone.ts IN.safetensors OUT.safetensors`.
 *
 * Used once for `weights/efficientnet-lite0-imagenet.safetensors`; `weights/README.md` says where it comes from.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { float32ToHalf, tensor } from "../src/tensor/index.ts";
import { formatModelMetadata, readSafetensors, toFloat32, writeSafetensors } from "../src/weights/index.ts";

const [from, to] = process.argv.slice(2);
if (!from || !to) throw new Error("usage: package-backbone.ts IN.safetensors OUT.safetensors");
const { tensors } = readSafetensors(readFileSync(from), from);
writeFileSync(
  to,
  writeSafetensors(
    [...tensors]
      .filter(([name]) => name.startsWith("backbone."))
      .map(([name, lazy]) => {
        const { shape, data } = toFloat32(lazy.read());
        return [name, tensor("float16", shape, float32ToHalf(data))] as const;
      }),
    formatModelMetadata({
      model: "lite0",
      mean: [127.5, 127.5, 127.5],
      std: [127.5, 127.5, 127.5],
      source:
        "EfficientNet-Lite0 of chisomogugu/TactileLens (commit 82def204): its int8 weights dequantised, batch normalisation folded into the biases",
      licence: "MIT",
      trained: { data: "ImageNet" },
      creator: "efficientdet",
    }),
  ),
);
