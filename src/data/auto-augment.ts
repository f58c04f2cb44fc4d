import type { Box } from "../detection/boxes.ts";
import type { Random } from "../tensor/random.ts";
import {
  autoContrast,
  boxRegion,
  changeBrightness,
  changeContrast,
  changeSaturation,
  changeSharpness,
  equalize,
  fillRectangle,
  identityMap,
  mirror,
  posterize,
  solarize,
  solarizeAdd,
  warp,
  wholeRegion,
  type AffineMap,
  type Region,
} from "./pixel-operations.ts";
import type { Picture } from "../image/picture.ts";
import { areaOf, type LabelledBox, type Sample } from "./sample.ts";

/** An operation's name, the probability with which it is applied, and how strongly, 0 to 10. */
export type PolicyStep = readonly [operation: OperationName, probability: number, level: number];

/**
 * The policies that AutoAugment found for detection: a sub-policy is chosen at random and its steps are taken in order.
 *
 * @see Zoph et al. 2019, "Learning Data Augmentation Strategies for Object Detection"; automl `aug/autoaugment.py`
 */
export const autoAugmentPolicies = {
  v0: [
    [["TranslateX_BBox", 0.6, 4], ["Equalize", 0.8, 10]],
    [["TranslateY_Only_BBoxes", 0.2, 2], ["Cutout", 0.8, 8]],
    [["Sharpness", 0, 8], ["ShearX_BBox", 0.4, 0]],
    [["ShearY_BBox", 1, 2], ["TranslateY_Only_BBoxes", 0.6, 6]],
    [["Rotate_BBox", 0.6, 10], ["Color", 1, 6]],
  ],
  v1: [
    [["TranslateX_BBox", 0.6, 4], ["Equalize", 0.8, 10]],
    [["TranslateY_Only_BBoxes", 0.2, 2], ["Cutout", 0.8, 8]],
    [["Sharpness", 0, 8], ["ShearX_BBox", 0.4, 0]],
    [["ShearY_BBox", 1, 2], ["TranslateY_Only_BBoxes", 0.6, 6]],
    [["Rotate_BBox", 0.6, 10], ["Color", 1, 6]],
    [["Color", 0, 0], ["ShearX_Only_BBoxes", 0.8, 4]],
    [["ShearY_Only_BBoxes", 0.8, 2], ["Flip_Only_BBoxes", 0, 10]],
    [["Equalize", 0.6, 10], ["TranslateX_BBox", 0.2, 2]],
    [["Color", 1, 10], ["TranslateY_Only_BBoxes", 0.4, 6]],
    [["Rotate_BBox", 0.8, 10], ["Contrast", 0, 10]],
    [["Cutout", 0.2, 2], ["Brightness", 0.8, 10]],
    [["Color", 1, 6], ["Equalize", 1, 2]],
    [["Cutout_Only_BBoxes", 0.4, 6], ["TranslateY_Only_BBoxes", 0.8, 2]],
    [["Color", 0.2, 8], ["Rotate_BBox", 0.8, 10]],
    [["Sharpness", 0.4, 4], ["TranslateY_Only_BBoxes", 0, 4]],
    [["Sharpness", 1, 4], ["SolarizeAdd", 0.4, 4]],
    [["Rotate_BBox", 1, 8], ["Sharpness", 0.2, 8]],
    [["ShearY_BBox", 0.6, 10], ["Equalize_Only_BBoxes", 0.6, 8]],
    [["ShearX_BBox", 0.2, 6], ["TranslateY_Only_BBoxes", 0.2, 10]],
    [["SolarizeAdd", 0.6, 8], ["Brightness", 0.8, 10]],
  ],
  v2: [
    [["Color", 0, 6], ["Cutout", 0.6, 8], ["Sharpness", 0.4, 8]],
    [["Rotate_BBox", 0.4, 8], ["Sharpness", 0.4, 2], ["Rotate_BBox", 0.8, 10]],
    [["TranslateY_BBox", 1, 8], ["AutoContrast", 0.8, 2]],
    [["AutoContrast", 0.4, 6], ["ShearX_BBox", 0.8, 8], ["Brightness", 0, 10]],
    [["SolarizeAdd", 0.2, 6], ["Contrast", 0, 10], ["AutoContrast", 0.6, 0]],
    [["Cutout", 0.2, 0], ["Solarize", 0.8, 8], ["Color", 1, 4]],
    [["TranslateY_BBox", 0, 4], ["Equalize", 0.6, 8], ["Solarize", 0, 10]],
    [["TranslateY_BBox", 0.2, 2], ["ShearY_BBox", 0.8, 8], ["Rotate_BBox", 0.8, 8]],
    [["Cutout", 0.8, 8], ["Brightness", 0.8, 8], ["Cutout", 0.2, 2]],
    [["Color", 0.8, 4], ["TranslateY_BBox", 1, 6], ["Rotate_BBox", 0.6, 6]],
    [["Rotate_BBox", 0.6, 10], ["BBox_Cutout", 1, 4], ["Cutout", 0.2, 8]],
    [["Rotate_BBox", 0, 0], ["Equalize", 0.6, 6], ["ShearY_BBox", 0.6, 8]],
    [["Brightness", 0.8, 8], ["AutoContrast", 0.4, 2], ["Brightness", 0.2, 2]],
    [["TranslateY_BBox", 0.4, 8], ["Solarize", 0.4, 6], ["SolarizeAdd", 0.2, 10]],
    [["Contrast", 1, 10], ["SolarizeAdd", 0.2, 8], ["Equalize", 0.2, 4]],
  ],
  v3: [
    [["Posterize", 0.8, 2], ["TranslateX_BBox", 1, 8]],
    [["BBox_Cutout", 0.2, 10], ["Sharpness", 1, 8]],
    [["Rotate_BBox", 0.6, 8], ["Rotate_BBox", 0.8, 10]],
    [["Equalize", 0.8, 10], ["AutoContrast", 0.2, 10]],
    [["SolarizeAdd", 0.2, 2], ["TranslateY_BBox", 0.2, 8]],
    [["Sharpness", 0, 2], ["Color", 0.4, 8]],
    [["Equalize", 1, 8], ["TranslateY_BBox", 1, 8]],
    [["Posterize", 0.6, 2], ["Rotate_BBox", 0, 10]],
    [["AutoContrast", 0.6, 0], ["Rotate_BBox", 1, 6]],
    [["Equalize", 0, 4], ["Cutout", 0.8, 10]],
    [["Brightness", 1, 2], ["TranslateY_BBox", 1, 6]],
    [["Contrast", 0, 2], ["ShearY_BBox", 0.8, 0]],
    [["AutoContrast", 0.8, 10], ["Contrast", 0.2, 10]],
    [["Rotate_BBox", 1, 10], ["Cutout", 1, 10]],
    [["SolarizeAdd", 0.8, 6], ["Equalize", 0.8, 8]],
  ],
} as const satisfies Readonly<Record<string, readonly (readonly PolicyStep[])[]>>; // prettier-ignore

/** Names of the policies. */
export type AutoAugmentPolicy = keyof typeof autoAugmentPolicies;

/** What an operation works on: a picture of its own that it may change, and the boxes in it. */
interface Work {
  readonly picture: Picture;
  boxes: Box[];
}

/** An operation on the whole picture and its boxes, or one that is applied to the contents of boxes. */
type Operation =
  | { readonly scope: "picture"; readonly apply: (work: Work, level: number, random: Random) => void }
  | { readonly scope: "boxes"; readonly apply: (region: Region, level: number, random: Random) => void };

const pixels = (change: (region: Region, level: number, random: Random) => void): Operation => ({
  scope: "picture",
  apply: ({ picture }, level, random) => change(wholeRegion(picture), level, random),
});
const geometry = (map: (picture: Picture, level: number, random: Random) => AffineMap): Operation => ({
  scope: "picture",
  apply: (work, level, random) => move(work, map(work.picture, level, random)),
});
const inBoxes = (apply: (region: Region, level: number, random: Random) => void): Operation => ({
  scope: "boxes",
  apply,
});

/** Strength of the blending operations: 0.1 to 1.9, where 1 changes nothing. */
const enhancement = (level: number) => (level / 10) * 1.8 + 0.1;
const eitherWay = (value: number, random: Random) => (random.chance(0.5) ? value : -value);

const operations = {
  AutoContrast: pixels(autoContrast),
  Equalize: pixels(equalize),
  Posterize: pixels((region, level) => posterize(region, Math.trunc((level / 10) * 4))),
  Solarize: pixels((region, level) => solarize(region, Math.trunc((level / 10) * 256))),
  SolarizeAdd: pixels((region, level) => solarizeAdd(region, Math.trunc((level / 10) * 110))),
  Color: pixels((region, level) => changeSaturation(region, enhancement(level))),
  Contrast: pixels((region, level) => changeContrast(region, enhancement(level))),
  Brightness: pixels((region, level) => changeBrightness(region, enhancement(level))),
  Sharpness: pixels((region, level) => changeSharpness(region, enhancement(level))),
  Cutout: pixels((region, level, random) => cutOut(region, Math.trunc((level / 10) * 100), random)),
  BBox_Cutout: { scope: "picture", apply: cutOutInABox },
  Rotate_BBox: geometry((picture, level, random) => rotation(picture, eitherWay((level / 10) * 30, random))),
  TranslateX_BBox: geometry((_, level, random) => ({
    ...identityMap,
    x: eitherWay((level / 10) * 250, random),
  })),
  TranslateY_BBox: geometry((_, level, random) => ({
    ...identityMap,
    y: eitherWay((level / 10) * 250, random),
  })),
  ShearX_BBox: geometry((_, level, random) => ({
    ...identityMap,
    xy: eitherWay((level / 10) * 0.3, random),
  })),
  ShearY_BBox: geometry((_, level, random) => ({
    ...identityMap,
    yx: eitherWay((level / 10) * 0.3, random),
  })),
  ShearX_Only_BBoxes: inBoxes((region, level, random) => {
    const shear = eitherWay((level / 10) * 0.3, random);
    warp(region, { ...identityMap, xy: shear });
  }),
  ShearY_Only_BBoxes: inBoxes((region, level, random) => {
    const shear = eitherWay((level / 10) * 0.3, random);
    warp(region, { ...identityMap, yx: shear });
  }),
  TranslateY_Only_BBoxes: inBoxes((region, level, random) => {
    const distance = eitherWay((level / 10) * 120, random);
    warp(region, { ...identityMap, y: distance });
  }),
  Flip_Only_BBoxes: inBoxes(mirror),
  Equalize_Only_BBoxes: inBoxes(equalize),
  Cutout_Only_BBoxes: inBoxes((region, level, random) =>
    cutOut(region, Math.trunc((level / 10) * 50), random),
  ),
} as const satisfies Readonly<Record<string, Operation>>;

/** Names of the operations, as the policies spell them. */
export type OperationName = keyof typeof operations;

/**
 * A picture and its boxes after a random sub-policy of a policy. The sample itself stays as it is. Steps on boxes alone
 * change the contents of each box with a third of the step's probability.
 *
 * @see automl `aug/autoaugment.py`. Differs: contrast blends with the mean grey, as PIL does (there, by a slip, with
 *   white in all but tiny pictures); boxes keep their fractions; a box that leaves the picture is left out (there it is
 *   made a strip at the edge).
 */
export function autoAugment(sample: Sample, policy: AutoAugmentPolicy, random: Random): Sample {
  const policies: readonly (readonly PolicyStep[])[] = autoAugmentPolicies[policy];
  return applySteps(sample, policies[random.integer(policies.length)]!, random);
}

/** The same for given steps. */
export function applySteps(sample: Sample, steps: readonly PolicyStep[], random: Random): Sample {
  const { picture, objects } = sample;
  const work: Work = {
    picture: { ...picture, data: Uint8Array.from(picture.data) },
    boxes: objects.map(({ box }) => box),
  };
  for (const [name, probability, level] of steps) {
    const operation: Operation = operations[name];
    if (operation.scope === "picture") {
      if (random.chance(probability)) operation.apply(work, level, random);
    } else
      for (const index of random.permutation(work.boxes.length))
        if (random.chance(probability / 3) && areaOf(work.boxes[index]!) > 0)
          operation.apply(boxRegion(work.picture, work.boxes[index]!), level, random);
  }
  const moved = objects.map(({ classIndex }, index): LabelledBox => ({
    classIndex,
    box: work.boxes[index]!,
  }));
  return { picture: work.picture, objects: moved.filter(({ box }) => areaOf(box) > 0) };
}

/** Counterclockwise for positive degrees, about the picture's centre. */
function rotation({ width, height }: Picture, degrees: number): AffineMap {
  const [cos, sin] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
  const [cx, cy] = [(width - 1) / 2, (height - 1) / 2];
  return { xx: cos, xy: -sin, x: cx - cos * cx + sin * cy, yx: sin, yy: cos, y: cy - sin * cx - cos * cy };
}

/** Moves the pixels, and every box to the upright box around its moved corners, clipped to the picture. */
function move(work: Work, map: AffineMap): void {
  const { picture } = work;
  warp(wholeRegion(picture), map);
  const determinant = map.xx * map.yy - map.xy * map.yx;
  // Edges of boxes lie half a pixel beside the centres that the map speaks of.
  const forward = (edgeX: number, edgeY: number) => {
    const [x, y] = [edgeX - 0.5 - map.x, edgeY - 0.5 - map.y];
    return [
      (map.yy * x - map.xy * y) / determinant + 0.5,
      (map.xx * y - map.yx * x) / determinant + 0.5,
    ] as const;
  };
  work.boxes = work.boxes.map(({ xMin, yMin, xMax, yMax }) => {
    const corners = [forward(xMin, yMin), forward(xMax, yMin), forward(xMin, yMax), forward(xMax, yMax)];
    const within = (value: number, length: number) => Math.min(Math.max(value, 0), length);
    const xs = corners.map(([x]) => within(x, picture.width));
    const ys = corners.map(([, y]) => within(y, picture.height));
    return { xMin: Math.min(...xs), yMin: Math.min(...ys), xMax: Math.max(...xs), yMax: Math.max(...ys) };
  });
}

function cutOut(region: Region, half: number, random: Random): void {
  const x = region.left + random.integer(region.width);
  const y = region.top + random.integer(region.height);
  fillRectangle(region, x, y, half, half);
}

/** Cuts a part of one box out, around a point in it. */
function cutOutInABox({ picture, boxes }: Work, level: number, random: Random): void {
  const box = boxes[random.integer(boxes.length)];
  if (box === undefined || areaOf(box) <= 0) return;
  const { left, top, width, height } = boxRegion(picture, box);
  const fraction = (level / 10) * 0.75;
  const x = left + random.integer(width);
  const y = top + random.integer(height);
  fillRectangle(
    wholeRegion(picture),
    x,
    y,
    Math.trunc((fraction * width) / 2),
    Math.trunc((fraction * height) / 2),
  );
}
