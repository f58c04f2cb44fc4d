/**
 * Brings a detector's weight file into the form in which the package ships it: float16, effdet's names, metadata of
 * `docs/weights.md`. Usage: `npx tsx --conditions=source tools/package-weights.ts IN.safetensors OUT.safetensors`.
 *
 * Used once for `weights/lite0-everyday.safetensors`; its model card says where the weights come from.
 */
import { readFileSync, writeFileSync } from "node:fs";
import {
  formatModelMetadata,
  parseModelMetadata,
  readSafetensors,
  writeSafetensors,
} from "../src/weights/index.ts";

const [from, to] = process.argv.slice(2);
if (!from || !to) throw new Error("usage: package-weights.ts IN.safetensors OUT.safetensors");
const { tensors, metadata } = readSafetensors(readFileSync(from), from);
const said = parseModelMetadata(metadata, from);
const names = JSON.parse(metadata.classes!) as string[];
writeFileSync(
  to,
  writeSafetensors(
    [...tensors].map(([name, lazy]) => [name, lazy.read()] as const),
    formatModelMetadata({
      model: said.model,
      classes: names.map((name, i) => ({ id: i + 1, name })),
      imageSize: said.imageSize,
      mean: [127.5, 127.5, 127.5],
      std: [127.5, 127.5, 127.5],
      aspectRatios: said.aspectRatios,
      anchorScale: said.anchorScale,
      source:
        "fine-tuned on Pascal VOC photographs from the ImageNet EfficientNet-Lite0 backbone of chisomogugu/TactileLens (commit 82def204)",
      licence: "MIT (backbone of TactileLens); see the model card",
      trained: {
        data: "20 Pascal VOC classes, 7,410 photographs at 320 px",
        AP: 0.3302,
        AP50: 0.6227,
        images: 962,
      },
      creator: "efficientdet",
    }),
  ),
);
