import { UsageError } from "../errors.ts";
import type { Arrangement } from "./arrangement.ts";
import { arrangementWarnings } from "./arrangement.ts";
import type { CocoSettings } from "./coco-metric.ts";
import { IGNORED, RIGHT, WRONG } from "./matching.ts";
import { overlapXywh } from "./overlap.ts";
import type { ClassResult, Evaluation, Metric, Summary } from "./result.ts";

/** How the older metrics differ from each other. */
interface Rule {
  /** Crowd regions stand for a group: found by any detection that lies in them to at least the threshold. */
  readonly groups: boolean;
  /** Eleven recalls, 0 to 1 by 0.1, instead of the whole area under the curve. */
  readonly elevenPoints: boolean;
}

const rules: Readonly<Record<Exclude<Metric, "coco">, Rule>> = {
  voc: { groups: false, elevenPoints: false },
  voc07: { groups: false, elevenPoints: true },
  openimages: { groups: true, elevenPoints: false },
};

/**
 * Average precision of Pascal VOC and of Open Images.
 *
 * Both let a detection claim only the object that it overlaps most: if another detection has that one already, it is
 * wrong, however well it fits the next. An object that is difficult (VOC) makes it neither right nor wrong.
 * - `voc`: area under the curve (VOC 2010 on). `voc07`: mean precision at eleven recalls, 0 to 1 by 0.1 (VOC 2007).
 * - `openimages`: a group-of box (`iscrowd` or `isgroup`) is one object; detections that lie in it by at least the
 *   threshold, as a share of their own area, count as one, with the best of their scores (the challenge's rule).
 *   Where a picture lists verified classes, detections of classes not among them or its objects are left out.
 *
 * Differs: VOC's inclusive pixel corners are taken to be in the box already (width = xMax − xMin + 1 in its files);
 * eleven recalls are compared as decimals, without the rounding of repeated addition.
 * @throws {UsageError} if the metric has no such rule
 * @see VOC devkit `VOCevaldet.m`; TensorFlow models `per_image_evaluation.py`, `metrics.py`
 */
export function evaluateByBestOverlap(
  arrangement: Arrangement,
  metric: Exclude<Metric, "coco">,
  settings: CocoSettings,
): Evaluation {
  const rule = rules[metric];
  if (rule === undefined)
    throw new UsageError(`unknown metric ${String(metric)}`, `known: coco, ${Object.keys(rules).join(", ")}`);
  const thresholds = settings.iouThresholds;
  const verified = verifiedClasses(arrangement);
  const byClass = arrangement.categories.map(({ id, name }, k) => {
    const curves = thresholds.map((threshold) => classCurve(arrangement, k, threshold, rule, verified));
    const ap = curves.map(({ points, objects }) =>
      objects === 0 ? -1 : rule.elevenPoints ? elevenPointAverage(points) : areaUnder(points),
    );
    const recall = curves.map(({ points, objects }) => (objects === 0 ? -1 : (points.at(-1)?.recall ?? 0)));
    return { id, name, ap, recall, objects: curves[0]!.objects, images: curves[0]!.images };
  });
  const at = (value: number): number => thresholds.findIndex((t) => Math.abs(t - value) < 1e-9);
  const over = (t: number): number => (t < 0 ? -1 : mean(byClass.map(({ ap }) => ap[t]!)));
  const none = { APs: -1, APm: -1, APl: -1, AR1: -1, AR10: -1, ARs: -1, ARm: -1, ARl: -1 };
  const summary: Summary = {
    ...none,
    AP: mean(byClass.flatMap(({ ap }) => ap)),
    AP50: over(at(0.5)),
    AP75: over(at(0.75)),
    AR100: mean(byClass.flatMap(({ recall }) => recall)),
  };
  const perClass = byClass.map(({ id, name, ap, recall, objects, images }): ClassResult => ({
    id,
    name,
    AP: mean(ap),
    AP50: ap[at(0.5)] ?? -1,
    AR100: mean(recall),
    boxes: objects,
    images,
  }));
  return {
    metric,
    ...summary,
    perClass,
    settings,
    curves: undefined,
    images: arrangement.images.length,
    boxes: perClass.reduce((sum, { boxes }) => sum + boxes, 0),
    detections: arrangement.detections.count,
    warnings: arrangementWarnings(arrangement),
  };
}

interface Point {
  readonly recall: number;
  precision: number;
}

interface ClassCurve {
  readonly points: Point[];
  readonly objects: number;
  readonly images: number;
}

function classCurve(
  { objects, detections }: Arrangement,
  k: number,
  threshold: number,
  { groups }: Rule,
  verified: ReadonlyMap<number, ReadonlySet<number>>,
): ClassCurve {
  const first = detections.start[k]!;
  const end = detections.start[k + 1]!;
  const endObject = objects.start[k + 1]!;
  const verdict = new Uint8Array(end - first);
  const taken = new Uint8Array(endObject - objects.start[k]!);
  let from = first;
  let fromObject = objects.start[k]!;
  let counted = 0;
  let images = 0;
  while (from < end || fromObject < endObject) {
    const picture = Math.min(
      from < end ? detections.image[from]! : Infinity,
      fromObject < endObject ? objects.image[fromObject]! : Infinity,
    );
    let to = from;
    while (to < end && detections.image[to] === picture) to++;
    let toObject = fromObject;
    let own = 0;
    for (; toObject < endObject && objects.image[toObject] === picture; toObject++)
      if ((groups && objects.crowd[toObject]) || !objects.ignore[toObject]) own++;
    counted += own;
    if (own > 0) images++;
    const allowed = verified.get(picture);
    if (allowed !== undefined && fromObject === toObject && !allowed.has(k))
      verdict.fill(IGNORED, from - first, to - first);
    else for (let d = from; d < to; d++) verdict[d - first] = judge(d, fromObject, toObject);
    from = to;
    fromObject = toObject;
  }
  return { points: curvePoints(), objects: counted, images };

  function judge(d: number, fromObject: number, toObject: number): number {
    const single = bestOverlap(d, fromObject, toObject, false);
    if (single.overlap >= threshold) {
      const at = single.object;
      if (objects.ignore[at]) return IGNORED;
      if (!taken[at - objects.start[k]!]) {
        taken[at - objects.start[k]!] = 1;
        return RIGHT;
      }
    }
    if (!groups) return WRONG;
    const group = bestOverlap(d, fromObject, toObject, true);
    if (group.overlap < threshold) return WRONG;
    // Detections come by falling score: the first one in a group stands for it.
    if (taken[group.object - objects.start[k]!]) return IGNORED;
    taken[group.object - objects.start[k]!] = 1;
    return RIGHT;
  }

  /** The object that a detection overlaps most, the first of equals; groups apart from single objects. */
  function bestOverlap(
    d: number,
    fromObject: number,
    toObject: number,
    wantGroups: boolean,
  ): { object: number; overlap: number } {
    let object = -1;
    let overlap = -1;
    for (let g = fromObject; g < toObject; g++) {
      const isGroup = groups && objects.crowd[g] === 1;
      if (isGroup !== wantGroups) continue;
      const value = overlapXywh(detections.boxes, d, objects.boxes, g, isGroup);
      if (value > overlap) [object, overlap] = [g, value];
    }
    return { object, overlap };
  }

  function curvePoints(): Point[] {
    const points: Point[] = [];
    let right = 0;
    let wrong = 0;
    for (let i = first; i < end; i++) {
      const judged = verdict[detections.curve[i]! - first];
      if (judged === IGNORED) continue;
      if (judged === RIGHT) right++;
      else wrong++;
      points.push({ recall: right / counted, precision: right / (right + wrong) });
    }
    return points;
  }
}

/** Area under the curve after every precision was raised to the best one at the same recall or beyond. */
function areaUnder(points: readonly Point[]): number {
  let area = 0;
  let best = 0;
  for (let i = points.length - 1; i >= 0; i--) {
    best = Math.max(best, points[i]!.precision);
    area += (points[i]!.recall - (points[i - 1]?.recall ?? 0)) * best;
  }
  return area;
}

function elevenPointAverage(points: readonly Point[]): number {
  let sum = 0;
  for (let i = 0; i <= 10; i++)
    sum += points.reduce(
      (best, { recall, precision }) => (recall >= i / 10 ? Math.max(best, precision) : best),
      0,
    );
  return sum / 11;
}

/** Classes (by position) whose presence or absence was checked, for the pictures that list them. */
function verifiedClasses({ images, categories }: Arrangement): Map<number, Set<number>> {
  const position = new Map(categories.map(({ id }, k) => [id, k]));
  const verified = new Map<number, Set<number>>();
  images.forEach(({ verified_category_ids, neg_category_ids }, image) => {
    if (verified_category_ids === undefined && neg_category_ids === undefined) return;
    const ids = [...(verified_category_ids ?? []), ...(neg_category_ids ?? [])];
    verified.set(image, new Set(ids.map((id) => position.get(id)!)));
  });
  return verified;
}

function mean(values: readonly number[]): number {
  const real = values.filter((value) => value > -1);
  return real.length === 0 ? -1 : real.reduce((a, b) => a + b, 0) / real.length;
}
