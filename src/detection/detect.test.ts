import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ShapeError } from "../errors.ts";
import { referenceJson, referenceMissing } from "../testing/reference.ts";
import { draws, u24 } from "../testing/rule.ts";
import type { AnchorSpec, LevelMaps, NmsMethod } from "./index.ts";
import {
  anchorSpec,
  boxRows,
  clipBoxes,
  decodeAll,
  detectFromMaps,
  scaleBoxes,
  selectCandidates,
  suppress,
} from "./index.ts";

/** `[N, channels]` in order of anchors, rearranged as the network gives it: `[anchors · channels, h, w]` per level. */
function toMaps(spec: AnchorSpec, rows: Float32Array, channels: number): Float32Array[] {
  return spec.levels.map(({ height, width, first }) => {
    const cells = height * width;
    const map = new Float32Array(cells * spec.perCell * channels);
    for (let cell = 0; cell < cells; cell++)
      for (let channel = 0; channel < spec.perCell * channels; channel++)
        map[channel * cells + cell] = rows[(first + cell * spec.perCell) * channels + channel]!;
    return map;
  });
}

const spec = anchorSpec({ imageSize: [128, 128], anchorScale: 3 });
const classes = 5;

/** The outputs of the reference data (a cubic permutation for the logits), which need no file. */
const logits = Float32Array.from({ length: spec.count * classes }, (_, index) => {
  const i = index + 4001;
  return -6.5 + (7 * ((((i * i) % 15359) * i) % 15359)) / 15359;
});
const codes = (() => {
  const next = draws("detect.box");
  return Float32Array.from({ length: spec.count * 4 }, () => u24(next()) * 0.5);
})();
const maps: LevelMaps = { classMaps: toMaps(spec, logits, classes), boxMaps: toMaps(spec, codes, 4) };

/** Ranks of all pairs the plain way: best logit first, equal ones in order. */
function plainRanking(values: Float32Array): number[] {
  return Array.from(values.keys()).sort((a, b) => values[b]! - values[a]! || a - b);
}

describe("selection", () => {
  it("gives the best pairs in order, as sorting all of them would", () => {
    const { boxes, scores } = decodeAll(maps, spec, classes);
    const selected = selectCandidates(maps, spec, classes, { preselect: 300 });
    const expected = plainRanking(logits).slice(0, 300);
    expect(Array.from(selected.anchors, (a, i) => a * classes + selected.classes[i]!)).toEqual(expected);
    expect(Array.from(selected.scores)).toEqual(expected.map((pair) => scores[pair]));
    const anchor = selected.anchors[7]!;
    expect(selected.boxes.subarray(28, 32)).toEqual(boxes.subarray(anchor * 4, anchor * 4 + 4));
  });

  const small = anchorSpec({ imageSize: [16, 24], levels: { min: 3, max: 4 }, scalesPerOctave: 1 });
  const few = fc.array(fc.integer({ min: -3, max: 3 }), {
    minLength: small.count * 3,
    maxLength: small.count * 3,
  });
  const plain = { boxMaps: toMaps(small, new Float32Array(small.count * 4), 4) };

  it("takes the earlier of equal scores when not all fit, whatever the order in memory", () => {
    fc.assert(
      fc.property(few, fc.integer({ min: 1, max: 40 }), (values, preselect) => {
        const rows = Float32Array.from(values);
        const picked = selectCandidates({ ...plain, classMaps: toMaps(small, rows, 3) }, small, 3, {
          preselect,
        });
        expect(Array.from(picked.anchors, (a, i) => a * 3 + picked.classes[i]!)).toEqual(
          plainRanking(rows).slice(0, preselect),
        );
      }),
    );
  });

  it("gives the best of the wanted classes of each anchor, the first of equals, if it reaches the threshold", () => {
    fc.assert(
      fc.property(
        few,
        fc.subarray([0, 1, 2]),
        fc.constantFrom(0, 0.5, 0.7),
        (values, wanted, scoreThreshold) => {
          const rows = Float32Array.from(values);
          const picked = selectCandidates({ ...plain, classMaps: toMaps(small, rows, 3) }, small, 3, {
            preselect: 0,
            classFilter: wanted,
            scoreThreshold,
          });
          const expected: number[][] = [];
          for (let anchor = 0; anchor < small.count; anchor++) {
            const [best] = [...wanted].sort((a, b) => rows[anchor * 3 + b]! - rows[anchor * 3 + a]! || a - b);
            if (best !== undefined && 1 / (1 + Math.exp(-rows[anchor * 3 + best]!)) >= scoreThreshold)
              expected.push([anchor, best]);
          }
          expect(Array.from(picked.anchors, (a, i) => [a, picked.classes[i]])).toEqual(expected);
        },
      ),
    );
  });

  it("keeps a score equal to the threshold, and everything at 0, and only certainty at 1", () => {
    const rows = Float32Array.from({ length: small.count * 3 }, (_, i) => (i === 4 ? 0 : i === 9 ? 50 : -1));
    const count = (scoreThreshold: number) =>
      selectCandidates({ ...plain, classMaps: toMaps(small, rows, 3) }, small, 3, { scoreThreshold }).scores
        .length;
    expect([count(0), count(0.5), count(0.500001), count(1)]).toEqual([small.count * 3, 2, 1, 1]);
  });

  it("leaves out logits and boxes that are no numbers", () => {
    const rows = new Float32Array(small.count * 3).fill(NaN);
    rows[0] = 1;
    rows[3] = 2;
    const offsets = new Float32Array(small.count * 4);
    offsets[6] = NaN; // anchor 1
    const broken = { classMaps: toMaps(small, rows, 3), boxMaps: toMaps(small, offsets, 4) };
    expect(Array.from(selectCandidates(broken, small, 3).anchors)).toEqual([0]);
  });

  it("refuses maps of another shape, with both numbers", () => {
    expect(() => selectCandidates(maps, spec, 4)).toThrow(ShapeError);
    expect(() => selectCandidates(maps, spec, 4)).toThrow(
      "class map of level 3 has 11520 numbers, not 36 × 16 × 16",
    );
  });
});

describe("detection", () => {
  it("clips to the picture and leaves out what lies in the padding", () => {
    const options = { imageScale: 2, scoreThreshold: 0.5, maxDetections: 1000 };
    const all = detectFromMaps(maps, spec, classes, options);
    const clipped = detectFromMaps(maps, spec, classes, { ...options, pictureSize: [60, 250] });
    const inside = Array.from(all.scores.keys()).filter((i) => {
      const [yMin, xMin, yMax, xMax] = all.boxes.subarray(i * 4, i * 4 + 4);
      return yMin! < 60 && xMin! < 250 && yMax! > 0 && xMax! > 0;
    });
    expect(inside.length).toBeGreaterThan(0);
    expect(inside.length).toBeLessThan(all.scores.length);
    expect(Array.from(clipped.scores)).toEqual(inside.map((i) => all.scores[i]));
    const rows = boxRows(inside.map((i) => Array.from(all.boxes.subarray(i * 4, i * 4 + 4))));
    expect(clipped.boxes).toEqual(clipBoxes(rows, [60, 250]));
  });

  it("finds only wanted classes", () => {
    const found = detectFromMaps(maps, spec, classes, { classFilter: [3], scoreThreshold: 0.4 });
    expect(found.classes.length).toBeGreaterThan(0);
    expect(found.classes.every((c) => c === 3)).toBe(true);
  });

  it("finds nothing in a network that knows nothing, and nothing where all are NaN", () => {
    const silent = maps.classMaps.map((map) => new Float32Array(map.length).fill(-20));
    expect(
      detectFromMaps({ ...maps, classMaps: silent }, spec, classes, { scoreThreshold: 0.3 }).scores,
    ).toHaveLength(0);
    const broken = maps.classMaps.map((map) => new Float32Array(map.length).fill(NaN));
    expect(
      detectFromMaps({ ...maps, classMaps: broken }, spec, classes, { preselect: 0 }).scores,
    ).toHaveLength(0);
  });
});

type Row = [yMin: number, xMin: number, yMax: number, xMax: number, score: number, classIndex: number];
interface DetectReference {
  logitsFirst: number[];
  codesFirst: number[];
  topK: {
    k: number;
    first30: [number, number, number, number[]][];
    last: [number, number, number, number[]];
  };
  cases: {
    name: string;
    preselect: number;
    method: string;
    scope: string;
    clipToInput: boolean;
    imageScale: number;
    options: { maxOutput: number; iouThreshold?: number; sigma?: number; scoreThreshold?: number };
    detections: Row[];
  }[];
  explicit: {
    name: string;
    boxes: number[][];
    scores: number[];
    classes: number[];
    method: string;
    scope: string;
    options: { maxOutput: number; iouThreshold?: number; sigma?: number; scoreThreshold?: number };
    kept: [index: number, score: number][];
  }[];
}

const missing = referenceMissing("reference/detect.json");
describe.skipIf(missing)("detection as the reference has it (float64, 1e-8)", () => {
  const reference = missing ? undefined : referenceJson<DetectReference>("reference/detect.json");
  const nmsOptions = ({
    method,
    scope,
    options,
  }: DetectReference["cases"][0] | DetectReference["explicit"][0]) => ({
    ...options,
    maxDetections: options.maxOutput,
    method: (method === "gaussian" ? "soft" : method) as NmsMethod,
    scope: scope === "global" ? ("global" as const) : ("class" as const),
  });
  const expectRows = (boxes: Float64Array, scores: Float64Array, classIndices: Int32Array, rows: Row[]) => {
    expect(Array.from(classIndices)).toEqual(rows.map((row) => row[5]));
    rows.forEach((row, i) => {
      expect(Math.abs(scores[i]! - row[4])).toBeLessThan(1e-8);
      for (let edge = 0; edge < 4; edge++)
        // 10 digits are written, so numbers of up to 999 have 7 decimals
        expect(Math.abs(boxes[i * 4 + edge]! - (row[edge] as number))).toBeLessThan(1e-7);
    });
  };

  it("is made of the same numbers", () => {
    reference!.logitsFirst.forEach((value, i) => expect(logits[i]).toBeCloseTo(value, 7));
    reference!.codesFirst.forEach((value, i) => expect(codes[i]).toBeCloseTo(value, 7));
  });

  it("selects and decodes the best 5000", () => {
    const { k, first30, last } = reference!.topK;
    const { anchors, boxes, scores, classes: c } = selectCandidates(maps, spec, classes, { preselect: k });
    expect(scores).toHaveLength(k);
    const check = ([anchor, classIndex, score, box]: (typeof first30)[0], i: number) => {
      expect([anchors[i], c[i]]).toEqual([anchor, classIndex]);
      expect(Math.abs(scores[i]! - score)).toBeLessThan(1e-8);
      box.forEach((edge, j) => expect(Math.abs(boxes[i * 4 + j]! - edge)).toBeLessThan(1e-7));
    };
    first30.forEach(check);
    check(last, k - 1);
  });

  it.each(reference?.cases.filter((row) => !row.clipToInput) ?? [])("$name", (row) => {
    const { method: nms, ...options } = nmsOptions(row);
    const found = detectFromMaps(maps, spec, classes, {
      ...options,
      nms,
      preselect: row.preselect,
      imageScale: row.imageScale,
    });
    expectRows(found.boxes, found.scores, found.classes, row.detections);
  });

  it.each(reference?.cases.filter((row) => row.clipToInput) ?? [])(
    "$name, clipped before suppression",
    (row) => {
      const candidates = selectCandidates(maps, spec, classes, { preselect: row.preselect });
      const boxes = clipBoxes(candidates.boxes, [128, 128]);
      const { indices, scores } = suppress({ ...candidates, boxes }, nmsOptions(row));
      const keptBoxes = boxRows(Array.from(indices, (i) => Array.from(boxes.subarray(i * 4, i * 4 + 4))));
      expectRows(
        scaleBoxes(keptBoxes, row.imageScale),
        scores,
        Int32Array.from(indices, (i) => candidates.classes[i]!),
        row.detections,
      );
    },
  );

  it.each(reference?.explicit ?? [])("$name", (row) => {
    const candidates = {
      boxes: boxRows(row.boxes),
      scores: Float64Array.from(row.scores),
      classes: Int32Array.from(row.classes),
    };
    const { indices, scores } = suppress(candidates, nmsOptions(row));
    expect(Array.from(indices)).toEqual(row.kept.map(([index]) => index));
    row.kept.forEach(([, score], i) => expect(scores[i]).toBeCloseTo(score, 9));
  });
});

interface AutomlPostprocess {
  postprocess: { function: string; referenceCase?: string; imageScale: number; detections: Row[] }[];
}

const automlMissing = missing || referenceMissing("reference-tf/automl-golden.json");
describe.skipIf(automlMissing)(
  "detection as google/automl has it (float32: scores 2e-6, boxes 1e-3 px)",
  () => {
    const cases = automlMissing
      ? []
      : referenceJson<AutomlPostprocess>("reference-tf/automl-golden.json").postprocess.filter(
          (row) => row.referenceCase !== undefined && row.detections.length > 0,
        );
    it.each(cases)("$function: $referenceCase", (row) => {
      const described = referenceJson<DetectReference>("reference/detect.json").cases.find(
        (other) => other.name === row.referenceCase,
      )!;
      const global = row.function === "postprocess_global";
      const size = 128 * row.imageScale;
      const found = detectFromMaps(maps, spec, classes, {
        ...described.options,
        maxDetections: described.options.maxOutput,
        nms: described.method === "gaussian" ? "soft" : "hard",
        scope: global ? "global" : "class",
        preselect: described.preselect,
        imageScale: row.imageScale,
        ...(global ? { pictureSize: [size, size] as const } : {}),
      });
      // automl fills up to 100 rows with zeros, and keeps boxes that clipping left without area: we drop those.
      const rows = row.detections.filter(
        ([y, x, bottom, right, score]) => score > 0 && bottom > y && right > x,
      );
      expect(Array.from(found.classes, (c) => c + 1)).toEqual(rows.map((detection) => detection[5]));
      rows.forEach((detection, i) => {
        expect(Math.abs(found.scores[i]! - detection[4])).toBeLessThan(2e-6);
        for (let edge = 0; edge < 4; edge++)
          expect(Math.abs(found.boxes[i * 4 + edge]! - detection[edge]!)).toBeLessThan(1e-3);
      });
    });
  },
);
