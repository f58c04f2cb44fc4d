import type { CocoAnnotation, CocoDataset } from "../eval/coco-format.ts";
import type { Dataset } from "./dataset.ts";

/**
 * The labels of a data set as COCO ground truth. Ids of pictures and classes are the data set's own, annotations are
 * numbered from 1; difficult objects have `ignore: 1`, crowds `iscrowd: 1`. A data set without objects gives no
 * annotations.
 */
export function toGroundTruth(dataset: Dataset): CocoDataset {
  let id = 0;
  return {
    images: dataset.images.map(({ id, file, width, height }) => ({ id, file_name: file, width, height })),
    annotations: dataset.images.flatMap((image) =>
      image.objects.map(({ classIndex, box, area, crowd, ignore }): CocoAnnotation => ({
        id: ++id,
        image_id: image.id,
        category_id: dataset.classes[classIndex]!.id,
        bbox: [box.xMin, box.yMin, box.xMax - box.xMin, box.yMax - box.yMin],
        area,
        iscrowd: crowd ? 1 : 0,
        ignore: ignore ? 1 : 0,
      })),
    ),
    categories: dataset.classes.map(({ id, name }) => ({ id, name })),
  };
}
