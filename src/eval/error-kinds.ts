import { detectionColumns, groundTruthColumns } from "./columns.ts";
import type { Detections, GroundTruth, GroundTruthColumns, ImageId } from "./coco-format.ts";
import { overlapXywh } from "./overlap.ts";

/**
 * What is wrong with a detection (or with an object that no detection came near):
 * - class: it would be right if it had the class of the object it lies on
 * - localisation: its class is there, but it overlaps the object too little
 * - both: wrong class and too little overlap
 * - duplicate: another detection has the object already
 * - background: nothing is there
 * - missed: an object that none of the above could repair
 */
export type ErrorKind = "class" | "localisation" | "both" | "duplicate" | "background" | "missed";

/** The kinds in the order of the paper. */
export const errorKindNames = [
  "class",
  "localisation",
  "both",
  "duplicate",
  "background",
  "missed",
] as const satisfies readonly ErrorKind[];

/** How often every kind of error happens and what it costs. */
export interface ErrorKinds {
  /** AP at the one IoU threshold, over all classes that occur, 0 to 1. */
  readonly AP: number;
  readonly iouThreshold: number;
  readonly backgroundThreshold: number;
  readonly kinds: Readonly<Record<ErrorKind, { readonly count: number; readonly cost: number }>>;
  /** AP lost to detections that are wrong, whatever the kind: what it would be if all had the score 0. */
  readonly falsePositiveCost: number;
  /** AP lost to objects not found. */
  readonly falseNegativeCost: number;
  /** The kind of each wrong detection by its row in the input. */
  readonly ofDetection: ReadonlyMap<number, ErrorKind>;
}

/**
 * The error kinds of TIDE (Bolya et al. 2020) and the AP that repairing each would gain.
 *
 * Differs from the metric of COCO, as TIDE does: a detection takes the object that it overlaps most among those left,
 * the 100 best detections of a picture count over all classes together, and a class that has detections but no objects
 * has an AP of 0.
 * @see tidecv 1.0 `quantify.py`, `ap.py`, `errors/main_errors.py`. Differs: nothing; AP and costs are 0 to 1, not percent.
 */
export function errorKinds(
  groundTruth: GroundTruth,
  detections: Detections,
  { iouThreshold = 0.5, backgroundThreshold = 0.1, maxDetections = 100 } = {},
): ErrorKinds {
  const truth = groundTruthColumns(groundTruth);
  const found = detectionColumns(detections);
  const objectsOf = rowsByImage(truth.imageIds);
  const detectionsOf = rowsByImage(found.imageIds);
  const state: State = {
    all: [],
    right: [],
    positives: new Map(),
    missedOfClass: new Map(),
    errors: [],
    classes: new Set(),
  };
  for (const id of imagesInOrder(truth)) {
    const rows = objectsOf.get(id) ?? [];
    const objects = rows
      .filter((row) => !truth.crowd[row])
      .map((row): ObjectState => ({
        row,
        class: truth.categoryIds[row]!,
        finder: -1,
        repairable: false,
        best: -1,
        bestScore: -1,
      }));
    const crowds = rows.filter((row) => truth.crowd[row]);
    const best = (detectionsOf.get(id) ?? [])
      .sort((a, b) => found.scores[b]! - found.scores[a]!)
      .slice(0, maxDetections);
    judgePicture(truth, found, objects, crowds, best, { iouThreshold, backgroundThreshold }, state);
  }

  const AP = meanOver(groupByClass(state.all, state.classes), state.positives);
  const cost = (kind: ErrorKind): number =>
    Math.max(meanAverage(state, (error) => error.kind === kind) - AP, 0);
  const kinds = Object.fromEntries(
    errorKindNames.map((kind) => [
      kind,
      { count: state.errors.filter((error) => error.kind === kind).length, cost: AP < 0 ? -1 : cost(kind) },
    ]),
  ) as Record<ErrorKind, { count: number; cost: number }>;
  return {
    AP,
    iouThreshold,
    backgroundThreshold,
    kinds,
    falsePositiveCost: AP < 0 ? -1 : meanAverage(state, () => false, { wrongLast: true }) - AP,
    falseNegativeCost: AP < 0 ? -1 : meanAverage(state, () => false, { onlyFound: true }) - AP,
    ofDetection: new Map(
      state.errors.filter(({ detection }) => detection >= 0).map(({ detection, kind }) => [detection, kind]),
    ),
  };
}

interface ObjectState {
  readonly row: number;
  readonly class: number;
  /** Row of the detection that found it, −1 for none. */
  finder: number;
  /** A detection would find it if its class or its box were right. */
  repairable: boolean;
  /** The best-scored such detection: only one can be repaired. */
  best: number;
  bestScore: number;
}

interface WrongCase {
  readonly kind: ErrorKind;
  /** Row of the detection, −1 for a missed object. */
  readonly detection: number;
  readonly class: number;
  readonly score: number;
  /** It lies in a crowd region of its class, and counts as nothing until repaired. */
  readonly ignored: boolean;
  /** The object that repairing would give it. */
  readonly object: ObjectState | undefined;
}

interface Scored {
  readonly class: number;
  readonly score: number;
  readonly right: boolean;
}

interface State {
  /** Every detection that counts, in the order they were judged. */
  readonly all: Scored[];
  readonly right: Scored[];
  readonly positives: Map<number, number>;
  readonly missedOfClass: Map<number, number>;
  readonly errors: WrongCase[];
  /** Classes that have objects, or detections that count. */
  readonly classes: Set<number>;
}

function judgePicture(
  truth: GroundTruthColumns,
  found: ReturnType<typeof detectionColumns>,
  objects: ObjectState[],
  crowds: number[],
  best: number[],
  { iouThreshold, backgroundThreshold }: { iouThreshold: number; backgroundThreshold: number },
  state: State,
): void {
  const add = (map: Map<number, number>, key: number): void => void map.set(key, (map.get(key) ?? 0) + 1);
  for (const object of objects) {
    add(state.positives, object.class);
    state.classes.add(object.class);
  }
  const G = objects.length;
  const overlaps = best.map((d) =>
    Float64Array.from(objects, ({ row }) => overlapXywh(found.boxes, d, truth.boxes, row, false)),
  );
  const rightHere = best.map((d, i) => {
    const own = found.categoryIds[d]!;
    // The largest overlap with an object of the class that is left; the first of equals.
    const g = largest(G, (g) => (objects[g]!.class === own && objects[g]!.finder < 0 ? overlaps[i]![g]! : 0));
    if (g < 0 || objects[g]!.class !== own || objects[g]!.finder >= 0 || overlaps[i]![g]! < iouThreshold)
      return false;
    objects[g]!.finder = d;
    return true;
  });
  const ignoredHere = best.map(
    (d, i) =>
      !rightHere[i] &&
      crowds.some(
        (row) =>
          truth.categoryIds[row] === found.categoryIds[d] &&
          overlapXywh(found.boxes, d, truth.boxes, row, true) > iouThreshold,
      ),
  );

  best.forEach((d, i) => {
    const own = found.categoryIds[d]!;
    const score = found.scores[d]!;
    if (!ignoredHere[i]) state.classes.add(own);
    if (!ignoredHere[i]) state.all.push({ class: own, score, right: rightHere[i]! });
    if (rightHere[i]) {
      state.right.push({ class: own, score, right: true });
      return;
    }
    const { kind, object } = explain(i, own);
    if (object !== undefined && object.finder < 0 && (kind === "class" || kind === "localisation")) {
      object.repairable = true;
      if (object.bestScore < score) {
        object.bestScore = score;
        object.best = d;
      }
    }
    state.errors.push({ kind, detection: d, class: own, score, ignored: ignoredHere[i]!, object });
  });

  for (const object of objects) {
    if (object.finder >= 0) continue;
    add(state.missedOfClass, object.class);
    if (!object.repairable)
      state.errors.push({
        kind: "missed",
        detection: -1,
        class: object.class,
        score: 0,
        ignored: false,
        object,
      });
  }

  function explain(i: number, own: number): { kind: ErrorKind; object?: ObjectState } {
    if (G === 0) return { kind: "background" };
    const row = overlaps[i]!;
    const same = largest(G, (g) => (objects[g]!.class === own ? row[g]! : 0));
    const sameOverlap = objects[same]!.class === own ? row[same]! : 0;
    if (backgroundThreshold <= sameOverlap && sameOverlap <= iouThreshold)
      return { kind: "localisation", object: objects[same]! };
    const other = largest(G, (g) => (objects[g]!.class === own ? 0 : row[g]!));
    if (objects[other]!.class !== own && row[other]! >= iouThreshold)
      return { kind: "class", object: objects[other]! };
    const taken = largest(G, (g) => (objects[g]!.class === own && objects[g]!.finder >= 0 ? row[g]! : 0));
    if (objects[taken]!.class === own && objects[taken]!.finder >= 0 && row[taken]! >= iouThreshold)
      return { kind: "duplicate" };
    return { kind: row[largest(G, (g) => row[g]!)]! <= backgroundThreshold ? "background" : "both" };
  }
}

/** Index of the largest value, the first of equals; −1 for none. */
function largest(count: number, value: (index: number) => number): number {
  let best = count > 0 ? 0 : -1;
  for (let i = 1; i < count; i++) if (value(i) > value(best)) best = i;
  return best;
}

/**
 * Mean AP over classes, after the errors that `repaired` names were put right.
 *
 * The order of the pushes decides between equal scores, and is TIDE's: first the errors, then what was right before.
 */
function meanAverage(
  state: State,
  repaired: (error: WrongCase) => boolean,
  { wrongLast = false, onlyFound = false } = {},
): number {
  const points: Scored[] = [];
  const positives = new Map(state.positives);
  for (const error of state.errors) {
    if (repaired(error)) {
      if (error.kind === "missed") positives.set(error.class, positives.get(error.class)! - 1);
      const { object, kind } = error;
      const canRepair =
        (kind === "class" || kind === "localisation") &&
        object!.finder < 0 &&
        object!.best === error.detection;
      if (canRepair)
        points.push({
          class: kind === "class" ? object!.class : error.class,
          score: error.score,
          right: true,
        });
    } else if (error.kind !== "missed" && !error.ignored)
      points.push({ class: error.class, score: wrongLast ? 0 : error.score, right: false });
  }
  for (const point of state.right) points.push(wrongLast ? { ...point, score: 1 } : point);
  if (onlyFound) for (const [id, count] of state.missedOfClass) positives.set(id, positives.get(id)! - count);
  return meanOver(groupByClass(points, state.classes), positives);
}

function groupByClass(points: readonly Scored[], classes: Iterable<number>): Map<number, Scored[]> {
  const groups = new Map([...classes].map((id): [number, Scored[]] => [id, []]));
  for (const point of points) {
    const own = groups.get(point.class);
    if (own === undefined) groups.set(point.class, [point]);
    else own.push(point);
  }
  return groups;
}

/** Mean AP over the classes that have objects or detections; −1 if none has. */
function meanOver(groups: ReadonlyMap<number, Scored[]>, positives: ReadonlyMap<number, number>): number {
  const averages: number[] = [];
  for (const [id, own] of groups) {
    const count = positives.get(id) ?? 0;
    if (own.length > 0 || count !== 0) averages.push(averagePrecision(own, count));
  }
  return averages.length === 0 ? -1 : averages.reduce((a, b) => a + b, 0) / averages.length;
}

function averagePrecision(points: Scored[], positives: number): number {
  if (positives === 0) return 0;
  points.sort((a, b) => b.score - a.score);
  const precisions = new Float64Array(points.length);
  const recalls = new Float64Array(points.length);
  let right = 0;
  points.forEach((point, i) => {
    if (point.right) right++;
    precisions[i] = right / (i + 1);
    recalls[i] = right / positives;
  });
  for (let i = points.length - 1; i > 0; i--)
    if (precisions[i]! > precisions[i - 1]!) precisions[i - 1] = precisions[i]!;
  let sum = 0;
  let at = 0;
  for (let r = 0; r <= 100; r++) {
    while (at < points.length && recalls[at]! < r / 100) at++;
    if (at < points.length) sum += precisions[at]!;
  }
  return sum / 101;
}

function rowsByImage(imageIds: ArrayLike<ImageId>): Map<ImageId, number[]> {
  const rows = new Map<ImageId, number[]>();
  for (let row = 0; row < imageIds.length; row++) {
    const own = rows.get(imageIds[row]!);
    if (own === undefined) rows.set(imageIds[row]!, [row]);
    else own.push(row);
  }
  return rows;
}

function imagesInOrder({ images }: GroundTruthColumns): Set<ImageId> {
  return new Set(images.map(({ id }) => id));
}
