import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ShapeError } from "../errors.ts";
import { referenceJson, referenceMissing } from "../testing/reference.ts";
import {
  anchorSpec,
  anchorTargets,
  assignAnchors,
  boxRows,
  generateAnchors,
  ignored,
  iouMatrix,
  matchByIou,
} from "./index.ts";

const match = (rows: number[][], options = {}) =>
  Array.from(matchByIou(Float64Array.from(rows.flat()), rows[0]!.length, options));

describe("matching by IoU", () => {
  it("gives an anchor the box it overlaps most, from 0.5", () => {
    expect(match([[0.7, 0.49, 0.6], [0.2, 0.2, 0.9]])).toEqual([0, -1, 1]); // prettier-ignore
  });
  it("lets every box have its best anchor, however little they overlap", () => {
    expect(match([[0.6, 0.2, 0, 0.4], [0.3, 0.45, 0.1, 0.4]])).toEqual([0, 1, -1, -1]); // prettier-ignore
  });
  it("gives an anchor that two boxes want to the first, and the other goes without", () => {
    expect(match([[0.3, 0.2], [0.4, 0.1]])).toEqual([0, -1]); // prettier-ignore
  });
  it("can leave a band of anchors out, and can do without forcing", () => {
    const options = { positiveIou: 0.5, negativeIou: 0.4, forceMatch: false };
    expect(match([[0.3, 0.45, 0.6]], options)).toEqual([-1, ignored, 0]);
  });
  it("without boxes makes all background", () => {
    expect(Array.from(matchByIou(new Float64Array(0), 3))).toEqual([-1, -1, -1]);
  });
  it("refuses half a row", () => {
    expect(() => matchByIou(new Float64Array(3), 2)).toThrow(ShapeError);
  });
});

describe("assignment of anchors", () => {
  const size = fc.tuple(fc.integer({ min: 20, max: 90 }), fc.integer({ min: 20, max: 90 }));
  const edge = fc.integer({ min: -20, max: 110 });
  const box = fc
    .tuple(edge, edge, fc.integer({ min: 1, max: 90 }), fc.integer({ min: 1, max: 90 }))
    .map(([y, x, h, w]) => [y, x, y + h, x + w]);

  it("is that of the whole matrix, for boxes that touch an anchor", () => {
    fc.assert(
      fc.property(size, fc.array(box, { maxLength: 6 }), (imageSize, candidates) => {
        const spec = anchorSpec({ imageSize, levels: { min: 3, max: 5 } });
        const anchors = generateAnchors(spec, "float64");
        const boxes = boxRows(
          candidates.filter((row) => iouMatrix(boxRows([row]), anchors).some((iou) => iou > 0)),
        );
        expect(assignAnchors(boxes, spec)).toEqual(matchByIou(iouMatrix(boxes, anchors), spec.count));
      }),
      { numRuns: 60 },
    );
  });

  const spec = anchorSpec({ imageSize: [128, 128] });

  it("gives nothing to a box far outside or without area", () => {
    const boxes = boxRows([
      [9000, 9000, 9050, 9050],
      [50, 50, 50, 90],
      [60, 60, 20, 20],
    ]);
    expect(assignAnchors(boxes, spec).every((owner) => owner === -1)).toBe(true);
  });

  it("ignores background anchors inside a crowd, and leaves a box's own anchors alone", () => {
    const boxes = boxRows([[20, 30, 61, 85]]);
    const plain = assignAnchors(boxes, spec);
    const crowd = assignAnchors(boxes, spec, { ignore: boxRows([[0, 0, 128, 128]]) });
    expect(crowd.some((owner) => owner === ignored)).toBe(true);
    plain.forEach((owner, anchor) =>
      expect(crowd[anchor] === owner || (owner === -1 && crowd[anchor] === ignored)).toBe(true),
    );
    // A P3 anchor in the middle lies wholly inside; the last P7 anchor reaches far outside.
    expect(crowd[spec.perCell * (16 * 14 + 2)]).toBe(ignored);
    expect(crowd[spec.count - 1]).toBe(-1);
  });

  it("refuses classes that are not as many as boxes", () => {
    const boxes = boxRows([[20, 30, 61, 85]]);
    expect(() => anchorTargets(assignAnchors(boxes, spec), boxes, [], spec)).toThrow(ShapeError);
  });
});

interface Picture {
  boxes: number[][];
  classes: number[];
  nearTies: number[][];
  stableUnderRounding: boolean;
  positives: [anchor: number, box: number, classIndex: number][];
  targets: [anchor: number, codes: number[]][];
}
interface LossReference {
  size: [number, number];
  anchorScale: number;
  pictures: Record<string, Picture>;
  matrices: { iou: number[][]; match: number[]; why: string }[];
}

const missing = referenceMissing("reference/loss.json");
describe.skipIf(missing)("assignment as the reference has it", () => {
  const reference = missing ? undefined : referenceJson<LossReference>("reference/loss.json");

  it.each(reference?.matrices ?? [])("matcher: $why", ({ iou, match: expected }) => {
    expect(match(iou)).toEqual(expected);
  });

  it.each(Object.entries(reference?.pictures ?? {}))("picture %s", (_, picture) => {
    const spec = anchorSpec({ imageSize: reference!.size, anchorScale: reference!.anchorScale });
    const boxes = boxRows(picture.boxes);
    const owners = assignAnchors(boxes, spec);
    const positives = Array.from(owners.entries(), ([anchor, box]) => [
      anchor,
      box,
      picture.classes[box],
    ]).filter(([, box]) => box! >= 0);
    if (picture.stableUnderRounding) expect(positives).toEqual(picture.positives);
    else {
      // Only the forced anchor is unstable: any of those with equal IoU but for rounding is right.
      expect(positives).toHaveLength(picture.positives.length);
      expect(picture.nearTies[0]).toContain(positives[0]![0]);
      return;
    }
    const targets = anchorTargets(owners, boxes, picture.classes, spec);
    expect(targets.positives).toBe(picture.positives.length);
    for (const [anchor, codes] of picture.targets)
      // Targets are stored in float32: half a unit in the last place of numbers below 4.
      codes.forEach((code, i) =>
        expect(Math.abs(targets.boxes[anchor * 4 + i]! - code)).toBeLessThan(2.4e-7),
      );
    for (const [anchor, , classIndex] of picture.positives) expect(targets.classes[anchor]).toBe(classIndex);
    expect(targets.classes.filter((c) => c >= 0)).toHaveLength(picture.positives.length);
  });
});

interface AutomlLabels {
  labels: {
    case: string;
    size: [number, number];
    anchorScale: number;
    boxes: number[][];
    classes: number[];
    positives: [anchor: number, classIndex: number][];
    targetsOfFirst12: number[][];
  }[];
}

const automlMissing = referenceMissing("reference-tf/automl-golden.json");
describe.skipIf(automlMissing)("labels as google/automl makes them", () => {
  const cases = automlMissing ? [] : referenceJson<AutomlLabels>("reference-tf/automl-golden.json").labels;
  // In `tiny`, float32 decides which of 41 equal anchors is forced.
  it.each(cases.filter((label) => label.case !== "reference tiny"))("$case", (expected) => {
    const spec = anchorSpec({ imageSize: expected.size, anchorScale: expected.anchorScale });
    const boxes = boxRows(expected.boxes);
    const { classes, boxes: codes } = anchorTargets(
      assignAnchors(boxes, spec),
      boxes,
      expected.classes,
      spec,
    );
    const positives = Array.from(classes.entries()).filter(([, c]) => c >= 0);
    expect(positives).toEqual(expected.positives);
    expected.targetsOfFirst12.forEach((row, i) =>
      row.forEach((code, j) => expect(codes[positives[i]![0] * 4 + j]).toBeCloseTo(code, 5)),
    );
  });
});
