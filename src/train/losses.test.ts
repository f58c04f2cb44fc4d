import { describe, expect, it } from "vitest";
import { anchorSpec, anchorTargets, assignAnchors } from "../detection/index.ts";
import { gradients, input, interpret, type Graph } from "../graph/index.ts";
import { nodeRuntime } from "../runtime/node.ts";
import { float32, tensor, type Tensor } from "../tensor/index.ts";
import { referenceJson, referenceMissing } from "../testing/reference.ts";
import { draws, u24 } from "../testing/rule.ts";
import { overlapLoss, type IouLoss } from "./losses.ts";
import { levelInputs, targetFeeds } from "./targets.ts";
import { detectionLosses } from "./training-graph.ts";

describe("the overlap losses", () => {
  const predicted = input("predicted", "float32", [2, 4]);
  const target = input("target", "float32", [2, 4]);
  // automl `iou_utils_test.py`; each sum is over its two boxes
  const expected: Record<IouLoss, [number, number]> = {
    iou: [0.875, 1],
    giou: [1.075, 1.9333333],
    diou: [0.9969512, 1.6243094],
    ciou: [0.99931306, 1.6415315],
  };
  const pairs = { predicted: [[4, 3, 7, 5], [5, 6, 10, 7]], target: [[3, 4, 6, 8], [14, 14, 15, 15]] }; // prettier-ignore
  const loss = (kind: IouLoss, from: number[][], to: number[][]): number => {
    const graph: Graph = {
      inputs: [predicted, target],
      outputs: { loss: overlapLoss(predicted, target, kind) },
    };
    const feeds = new Map(
      Object.entries({ predicted: from, target: to }).map(([name, rows]) => [
        name,
        tensor("float64", [2, 4], Float64Array.from(rows.flat())),
      ]),
    );
    return Number(interpret(graph, feeds).loss!.data[0]);
  };
  it.each(Object.entries(expected) as [IouLoss, [number, number]][])(
    "%s has automl's values",
    (kind, [first, second]) => {
      expect(loss(kind, pairs.predicted, pairs.target)).toBeCloseTo(first + second, 6);
      expect(
        loss(kind, [pairs.predicted[0]!, pairs.predicted[0]!], [pairs.target[0]!, pairs.target[0]!]),
      ).toBeCloseTo(2 * first, 6);
    },
  );
  it.each(Object.keys(expected) as IouLoss[])(
    "%s of targets without area is 0, and so is its gradient",
    (kind) => {
      expect(loss(kind, pairs.predicted, [[0, 0, 0, 0], [0, 0, 0, 0]])).toBe(0); // prettier-ignore
      const [slope] = gradients(overlapLoss(predicted, target, kind), [predicted]);
      const feeds = new Map([["predicted", float32(pairs.predicted.flat(), [2, 4])], ["target", float32(new Float32Array(8), [2, 4])]]); // prettier-ignore
      expect([...interpret({ inputs: [], outputs: { slope: slope! } }, feeds).slope!.data]).toEqual(
        new Array(8).fill(0),
      );
    },
  );
});

interface LossCase {
  pictures: string[];
  labelSmoothing: number;
  positives: number;
  loss: { total: number; class: number; box: number };
  gradient: {
    classNorm: number;
    boxNorm: number;
    classAt: number[][];
    classValues: number[];
    boxAt: number[][];
    boxValues: number[];
  };
}
interface LossFile {
  size: [number, number];
  classes: number;
  anchorScale: number;
  pictures: Record<string, { boxes: number[][]; classes: number[]; stableUnderRounding: boolean }>;
  batches: LossCase[];
  alternatives: Record<string, { values: [anchor: number, classLoss: number, boxLoss: number][] }>;
}

describe.skipIf(referenceMissing("reference/loss.json"))("the losses of the reference data", () => {
  const file = referenceMissing("reference/loss.json")
    ? undefined
    : referenceJson<LossFile>("reference/loss.json");
  it.each(
    (file?.batches ?? []).map(
      (batch) => [`${batch.pictures.join(", ")}, smoothing ${batch.labelSmoothing}`, batch] as const,
    ),
  )("are equal in value and gradient: %s", async (_, batch) => {
    const { size, classes, anchorScale, pictures } = file!;
    const spec = anchorSpec({ imageSize: size, anchorScale });
    const n = batch.pictures.length;
    const targets = batch.pictures.map((name) => {
      const { boxes, classes: own } = pictures[name]!;
      const flat = Float64Array.from(boxes.flat());
      return anchorTargets(assignAnchors(flat, spec), flat, own, spec);
    });
    const positives = targets.reduce((sum, t) => sum + t.positives, 0);
    // Outputs are given anchor by anchor; the network has maps.
    const maps = (kind: "class" | "box", columns: number, scale: number, shift = 0): Tensor[] => {
      const rows = batch.pictures.map((name) => {
        const next = draws(`loss.${name}.${kind}`);
        return Float64Array.from({ length: spec.count * columns }, () =>
          Math.fround(u24(next()) * scale + shift),
        );
      });
      return spec.levels.map(({ height, width, first }) => {
        const data = new Float64Array(n * spec.perCell * columns * height * width);
        rows.forEach((row, b) => {
          for (let cell = 0; cell < height * width; cell++)
            for (let channel = 0; channel < spec.perCell * columns; channel++)
              data[(b * spec.perCell * columns + channel) * height * width + cell] =
                row[(first + cell * spec.perCell) * columns + channel]!;
        });
        return tensor("float64", [n, spec.perCell * columns, height, width], data);
      });
    };
    const given = { class: maps("class", classes, 2, -1), box: maps("box", 4, 0.6) };
    const values = (kind: "class" | "box") =>
      given[kind].map((map, i) => input(`${kind}_${i}`, "float32", map.shape));
    const raw = { classes: values("class"), boxes: values("box") };
    const normaliser = input("normaliser", "float32", []);
    const levels = spec.levels.map(({ level }) => levelInputs(level));
    const losses = detectionLosses(
      raw,
      levels,
      normaliser,
      { classes },
      { labelSmoothing: batch.labelSmoothing },
    );
    const slopes = gradients(losses.loss, [...raw.classes, ...raw.boxes]);
    const graph: Graph = {
      inputs: [
        ...raw.classes,
        ...raw.boxes,
        normaliser,
        ...levels.flatMap(({ positive, ignored, box, offset }) => [positive, ignored, box, offset]),
      ],
      outputs: { ...losses, ...Object.fromEntries(slopes.map((slope, i) => [`slope_${i}`, slope])) },
    };
    const feeds = {
      ...targetFeeds(targets, spec, classes),
      normaliser: tensor("float64", [], Float64Array.of(1 / (positives + 1))),
    } as Record<string, Tensor>;
    for (const { level } of spec.levels) {
      // In double precision the targets too.
      const at = feeds[`offset/${level}`]!;
      feeds[`offset/${level}`] = tensor("float64", at.shape, Float64Array.from(at.data as Float32Array));
    }
    (["class", "box"] as const).forEach((kind) =>
      given[kind].forEach((map, i) => (feeds[`${kind}_${i}`] = map)),
    );

    const check = (results: Record<string, Tensor>, tolerance: number): void => {
      const near = (actual: number, expected: number, scale = Math.abs(expected)): void =>
        expect(Math.abs(actual - expected)).toBeLessThanOrEqual(tolerance * Math.max(scale, 1e-12) + 1e-12);
      expect(positives).toBe(batch.positives);
      near(Number(results.loss!.data[0]), batch.loss.total);
      near(Number(results.class!.data[0]), batch.loss.class);
      near(Number(results.box!.data[0]), batch.loss.box);
      const norm = (from: number): number =>
        Math.hypot(
          ...slopes
            .slice(from, from + spec.levels.length)
            .map((_, i) =>
              Math.sqrt(
                (results[`slope_${from + i}`]!.data as Float64Array).reduce((sum, x) => sum + x * x, 0),
              ),
            ),
        );
      near(norm(0), batch.gradient.classNorm);
      near(norm(spec.levels.length), batch.gradient.boxNorm);
      const at = (from: number, columns: number, [picture, anchor, column]: number[]): number => {
        const level = spec.levels.findLastIndex(({ first }) => anchor! >= first);
        const { first, height, width } = spec.levels[level]!;
        const [cell, shape] = [
          Math.floor((anchor! - first) / spec.perCell),
          (anchor! - first) % spec.perCell,
        ];
        return Number(
          results[`slope_${from + level}`]!.data[
            ((picture! * spec.perCell + shape) * columns + column!) * height * width + cell
          ],
        );
      };
      batch.gradient.classAt.forEach((place, i) =>
        near(at(0, classes, place), batch.gradient.classValues[i]!, batch.gradient.classNorm),
      );
      batch.gradient.boxAt.forEach((place, i) =>
        near(
          at(spec.levels.length, 4, place),
          batch.gradient.boxValues[i]!,
          Math.max(batch.gradient.boxNorm, 1e-6),
        ),
      );
    };
    // The targets are float32 (2e-8 of a box), so is the arithmetic of the engine.
    if (batch.pictures.every((name) => pictures[name]!.stableUnderRounding)) {
      check(interpret(graph, new Map(Object.entries(feeds))), 2e-6);
      const session = await nodeRuntime.compile(graph);
      const single = Object.fromEntries(
        Object.entries(feeds).map(([name, t]) => [
          name,
          t.dtype === "float64" ? tensor("float32", t.shape, Float32Array.from(t.data as Float64Array)) : t,
        ]),
      );
      check(await session.run(single), 1e-5);
      await session.dispose();
    } else if (n === 1) {
      // Any of the anchors that share the best IoU may be taken; each has its own losses.
      const { values } = file!.alternatives[batch.pictures[0]!]!;
      const [, classLoss, boxLoss] = values.find(
        ([anchor]) => anchor === targets[0]!.classes.findIndex((index) => index >= 0),
      )!;
      const results = interpret(graph, new Map(Object.entries(feeds)));
      expect(Number(results.class!.data[0]) / classLoss).toBeCloseTo(1, 6);
      expect(Number(results.box!.data[0]) / boxLoss).toBeCloseTo(1, 6);
    } else expect(positives).toBe(batch.positives);
  });
});
