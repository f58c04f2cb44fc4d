import { suggest, UsageError } from "../errors.ts";
import type { Dataset } from "../data/index.ts";
import { cocoResults, type CocoResult } from "../eval/index.ts";
import type { ModelClass } from "../weights/index.ts";
import type { Detector } from "./node.ts";
import type { DetectAllOptions } from "./options.ts";

/** What a detector said of a data set's pictures. */
export interface DataDetections {
  /** COCO results under the data set's own ids of pictures and classes. */
  readonly results: CocoResult[];
  /** Pictures that could not be used: they count as without detections. */
  readonly failed: readonly { readonly file: string; readonly message: string }[];
  /** What a person should know of how the classes were matched. */
  readonly notes: readonly string[];
}

/**
 * Runs a detector on the pictures of a data set. Classes are matched by name; where no name fits but the ids are the
 * same, by id.
 *
 * @param onPicture told after each picture
 * @throws {UsageError} if the model finds none of the data set's classes
 */
export async function detectData(
  detector: Detector,
  dataset: Dataset,
  options: DetectAllOptions,
  onPicture?: (done: number, total: number) => void,
): Promise<DataDetections> {
  const { ids, notes } = matchClasses(detector.classNames, dataset);
  const files = dataset.images.map(({ file }) => file);
  const results: CocoResult[] = [];
  const failed: { file: string; message: string }[] = [];
  let done = 0;
  for await (const result of detector.detectAll(files, options)) {
    const image = dataset.images[done++]!;
    if ("error" in result) failed.push({ file: image.file, message: result.error.message });
    else {
      const known = result.detections.flatMap((d) =>
        ids.has(d.classId) ? [{ ...d, classId: ids.get(d.classId)! }] : [],
      );
      results.push(...cocoResults(image.id, known));
    }
    onPicture?.(done, files.length);
  }
  return { results, failed, notes };
}

/** Ids of the model's classes → those of the data set. */
function matchClasses(
  model: readonly ModelClass[],
  { classes, root }: Dataset,
): { ids: Map<number, number>; notes: string[] } {
  const plain = (name: string): string => name.toLowerCase().replace(/[\s_-]+/g, "");
  const byName = new Map(classes.map(({ id, name }) => [plain(name), id]));
  const ids = new Map(
    model.flatMap(({ id, name }) =>
      byName.has(plain(name)) ? [[id, byName.get(plain(name))!] as const] : [],
    ),
  );
  const notes: string[] = [];
  if (ids.size === 0) {
    const known = new Set(classes.map(({ id }) => id));
    if (model.length !== classes.length || !model.every(({ id }) => known.has(id)))
      throw new UsageError(
        `the model finds none of the classes of ${root}`,
        suggest(
          classes[0]?.name ?? "",
          model.map(({ name }) => name),
        ),
      );
    notes.push("no class names match; classes were matched by their ids");
    return { ids: new Map(model.map(({ id }) => [id, id])), notes };
  }
  const missing = classes.filter(({ id }) => ![...ids.values()].includes(id)).map(({ name }) => name);
  if (missing.length > 0)
    notes.push(`the model does not know ${missing.join(", ")}: their objects count as missed`);
  return { ids, notes };
}
