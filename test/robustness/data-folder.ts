import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";

/** Labelled pictures in COCO form: `count` copies of one, with `boxes` boxes each. */
export function writeDataFolder(folder: string, picture: string, count = 3, boxes = 20): void {
  mkdirSync(path.join(folder, "images"), { recursive: true });
  const images = Array.from({ length: count }, (_, i) => ({
    id: i + 1,
    file_name: `${i}.jpg`,
    width: 640,
    height: 484,
  }));
  for (const { file_name: name } of images) copyFileSync(picture, path.join(folder, "images", name));
  const annotations = images.flatMap((image) =>
    Array.from({ length: boxes }, (_, k) => ({
      id: image.id * 1000 + k, image_id: image.id, category_id: 1 + (k % 2), bbox: [k, k, 50 + k, 40], area: 40 * (50 + k), iscrowd: 0,
    })),
  ); // prettier-ignore
  const categories = [{ id: 1, name: "person" }, { id: 2, name: "aeroplane" }]; // prettier-ignore
  writeFileSync(path.join(folder, "instances.json"), JSON.stringify({ images, annotations, categories }));
}
