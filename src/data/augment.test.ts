import { describe, expect, it } from "vitest";
import { Random } from "../tensor/random.ts";
import {
  applySteps,
  autoAugment,
  autoAugmentPolicies,
  type AutoAugmentPolicy,
  type OperationName,
} from "./auto-augment.ts";
import { augmentInto, type AugmentContext } from "./augment.ts";
import {
  augmentationByName,
  augmentationPresets,
  augmentationSchema,
  type AugmentationInput,
} from "./augmentation-config.ts";
import { meanGrey, randomColour, transformColour } from "./colour.ts";
import { eraseRectangle } from "./erasing.ts";
import { mixInto, mixRatio } from "./mixup.ts";
import { mosaicPlacements } from "./mosaic.ts";
import { areaOf, type Sample } from "./sample.ts";

const size = { width: 64, height: 48 };
const normalisation = { mean: [127, 127, 127], std: [128, 128, 128] } as const;

/** Noise with a white rectangle where the one object is. */
function sample(seed: number, width = 120, height = 90): Sample {
  const random = new Random(seed);
  const data = Uint8Array.from({ length: width * height * 3 }, () => random.integer(120));
  const box = { xMin: 40, yMin: 30, xMax: 80, yMax: 60 };
  for (let y = box.yMin; y < box.yMax; y++)
    data.fill(255, (y * width + box.xMin) * 3, (y * width + box.xMax) * 3);
  return { picture: { width, height, data }, objects: [{ classIndex: seed, box }] };
}

const context = (input: AugmentationInput): AugmentContext => ({
  config: augmentationSchema.parse(input),
  size,
  normalisation,
  count: 5,
  load: async (index) => sample(index),
});

async function make(input: AugmentationInput, seed = 1) {
  const image = new Float32Array(3 * size.width * size.height);
  const objects = await augmentInto(image, 0, context(input), new Random(seed));
  return { image, objects };
}

describe("augmentInto", () => {
  it.each(Object.keys(augmentationPresets))(
    "gives the same picture for the same generator: %s",
    async (name) => {
      const config = augmentationByName(name);
      const [first, second, other] = await Promise.all([make(config), make(config), make(config, 2)]);
      expect(second).toEqual(first);
      if (name === "none") expect(other).toEqual(first);
      else expect(other.image).not.toEqual(first.image);
      expect(first.image.every((value) => Number.isFinite(value) && Math.abs(value) < 8)).toBe(true);
    },
  );

  it("lays four pictures out for a mosaic, with the objects of all that show one", async () => {
    const { objects } = await make({
      mosaic: { probability: 1, min: 1, max: 1, margin: 0.5 },
      minVisible: 0,
    });
    expect(objects.length).toBeGreaterThan(2);
    for (const { box } of objects) expect(areaOf(box)).toBeGreaterThan(0);
  });

  it("keeps the objects of both pictures for mixup", async () => {
    const still = { horizontalFlip: 0, scaleJitter: { min: 1, max: 1 } };
    expect((await make(still)).objects).toHaveLength(1);
    expect((await make({ ...still, mixup: { probability: 1 } })).objects).toHaveLength(2);
  });
});

describe("the configuration", () => {
  it("has defaults for everything, refuses unknown keys and ranges upside down, and knows near names", () => {
    expect(augmentationSchema.parse({})).toEqual(augmentationByName("fine-tune"));
    expect(augmentationSchema.safeParse({ flip: 1 }).success).toBe(false);
    expect(augmentationSchema.safeParse({ scaleJitter: { min: 2, max: 1 } }).success).toBe(false);
    expect(() => augmentationByName("papr")).toThrow("unknown augmentation papr");
  });

  it("has the paper's values under its name: mirror image and jitter 0.1 to 2 alone", () => {
    expect(augmentationByName("paper")).toMatchObject({
      horizontalFlip: 0.5,
      scaleJitter: { min: 0.1, max: 2 },
      colour: { probability: 0 },
      autoAugment: "none",
      minVisible: 0,
    });
  });
});

describe("colour", () => {
  const pixel = (
    rgb: readonly number[],
    options: Partial<Parameters<typeof randomColour>[0]>,
    seed: number,
  ) => {
    const colour = randomColour(
      { brightness: 0, contrast: 0, saturation: 0, hue: 0, ...options },
      100,
      new Random(seed),
    );
    const image = Float32Array.from(rgb, (value) => (value - 127) / 128);
    transformColour(image, 1, 0, 1, colour, normalisation);
    return [...image].map((value) => value * 128 + 127);
  };

  it("leaves a pixel alone without amounts, and grey alone under saturation and hue", () => {
    for (const [seed, options] of [[1, {}], [2, { saturation: 1 }], [3, { hue: 0.5 }]] as const) {
      const rgb = seed === 1 ? [10, 200, 90] : [77, 77, 77];
      pixel(rgb, options, seed).forEach((value, at) => expect(value).toBeCloseTo(rgb[at]!, 3));
    }
  }); // prettier-ignore

  it("keeps the grey of a pixel under hue, and clips to 0 to 255", () => {
    const grey = ([r, g, b]: readonly number[]) => 0.299 * r! + 0.587 * g! + 0.114 * b!;
    expect(grey(pixel([120, 100, 110], { hue: 0.5 }, 4))).toBeCloseTo(grey([120, 100, 110]), 2);
    for (let seed = 0; seed < 20; seed++)
      for (const value of pixel(
        [250, 5, 130],
        { brightness: 0.9, contrast: 0.9, saturation: 1, hue: 0.5 },
        seed,
      )) {
        expect(value).toBeGreaterThanOrEqual(-1e-4);
        expect(value).toBeLessThanOrEqual(255.0001);
      }
  });

  it("finds the mean grey of an even picture", () => {
    expect(meanGrey({ width: 30, height: 30, data: new Uint8Array(2700).fill(90) })).toBeCloseTo(90, 6);
  });
});

describe("mosaic, mixup and erasing", () => {
  it("shows four pictures that touch at one point and fill no pixel twice", () => {
    const pictures = [size, { width: 200, height: 50 }, { width: 30, height: 90 }, size] as const;
    for (let seed = 0; seed < 30; seed++) {
      const places = mosaicPlacements(pictures, size, { margin: 0.25, min: 0.4, max: 1 }, new Random(seed));
      expect(places.reduce((sum, { window }) => sum + areaOf(window), 0)).toBe(size.width * size.height);
      const { xMax: x, yMax: y } = places[0]!.window;
      expect(places.map(({ left, top, scaledWidth, scaledHeight }, at) => [
        at % 2 === 1 ? left : left + scaledWidth,
        at >= 2 ? top : top + scaledHeight,
      ])).toEqual([[x, y], [x, y], [x, y], [x, y]]);
    }
  }); // prettier-ignore

  it("draws ratios of the mean and variance of Beta(a, a), for a below and above 1", () => {
    for (const alpha of [0.4, 8]) {
      const random = new Random(11);
      const ratios = Array.from({ length: 20_000 }, () => mixRatio(alpha, random));
      const mean = ratios.reduce((sum, ratio) => sum + ratio) / ratios.length;
      const variance = ratios.reduce((sum, ratio) => sum + (ratio - mean) ** 2, 0) / ratios.length;
      expect(mean).toBeCloseTo(0.5, 1.7);
      expect(variance / (1 / (4 * (2 * alpha + 1)))).toBeCloseTo(1, 1); // within 5 %
    }
    const image = Float32Array.of(1, 2);
    mixInto(image, Float32Array.of(3, 6), 0.25);
    expect([...image]).toEqual([2.5, 5]);
  });

  it("erases a rectangle of the share that was asked for, the same in all channels", () => {
    const image = new Float32Array(3 * 40 * 40).fill(1);
    eraseRectangle(
      image,
      { width: 40, height: 40 },
      { minArea: 0.1, maxArea: 0.2, fill: "mean" },
      new Random(2),
    );
    const erased = [0, 1, 2].map((channel) => image.subarray(channel * 1600, (channel + 1) * 1600).filter((value) => value === 0).length); // prettier-ignore
    expect(new Set(erased).size).toBe(1);
    expect(erased[0]! / 1600).toBeGreaterThan(0.08);
    expect(erased[0]! / 1600).toBeLessThan(0.22);
  });
});

describe("AutoAugment", () => {
  it.each(Object.keys(autoAugmentPolicies) as AutoAugmentPolicy[])(
    "%s leaves its input alone, keeps the size, and boxes inside the picture",
    (policy) => {
      const input = sample(3);
      const before = input.picture.data.slice();
      for (let seed = 0; seed < 40; seed++) {
        const { picture, objects } = autoAugment(input, policy, new Random(seed));
        expect([picture.width, picture.height, picture.data.length]).toEqual([120, 90, before.length]);
        for (const { box } of objects) {
          expect(areaOf(box)).toBeGreaterThan(0);
          expect(Math.min(box.xMin, box.yMin, 120 - box.xMax, 90 - box.yMax)).toBeGreaterThanOrEqual(0);
        }
      }
      expect(Buffer.from(input.picture.data).equals(Buffer.from(before))).toBe(true);
    },
  );

  it("has 5, 20, 15 and 15 sub-policies", () => {
    expect(Object.values(autoAugmentPolicies).map((policy) => policy.length)).toEqual([5, 20, 15, 15]);
  });

  const geometric = ["TranslateX_BBox", "TranslateY_BBox", "ShearX_BBox", "ShearY_BBox"] as const;
  it.each([...geometric, "Rotate_BBox"] as const)("%s moves the box with the pixels", (name) => {
    for (let seed = 0; seed < 6; seed++) {
      const { picture, objects } = applySteps(sample(3), [[name, 1, 1]], new Random(seed));
      let [xMin, yMin, xMax, yMax] = [Infinity, Infinity, -Infinity, -Infinity];
      picture.data.forEach((value, at) => {
        if (value !== 255) return;
        const [x, y] = [Math.floor(at / 3) % picture.width, Math.floor(at / 3 / picture.width)];
        [xMin, yMin, xMax, yMax] = [
          Math.min(xMin, x),
          Math.min(yMin, y),
          Math.max(xMax, x + 1),
          Math.max(yMax, y + 1),
        ];
      });
      const { box } = objects[0]!;
      expect(Math.abs(box.xMin - xMin)).toBeLessThanOrEqual(1.5);
      expect(Math.abs(box.yMin - yMin)).toBeLessThanOrEqual(1.5);
      expect(Math.abs(box.xMax - xMax)).toBeLessThanOrEqual(1.5);
      expect(Math.abs(box.yMax - yMax)).toBeLessThanOrEqual(1.5);
    }
  });

  it("leaves out a box that was moved out of the picture", () => {
    expect(applySteps(sample(3), [["TranslateX_BBox", 1, 10]], new Random(1)).objects).toEqual([]);
  });

  it.each([
    ["Solarize", 5, [10, 127, 128, 250], [10, 127, 127, 5]],
    ["SolarizeAdd", 10, [10, 127, 128, 250], [120, 237, 128, 250]],
    ["Posterize", 5, [10, 127, 128, 250], [0, 64, 128, 192]],
    ["Brightness", 0, [10, 127, 128, 250], [1, 12, 12, 25]],
    ["AutoContrast", 0, [50, 100, 100, 150], [0, 127, 127, 255]],
  ] as const)("%s at level %d changes values as PIL does", (name, level, before, after) => {
    const data = Uint8Array.from(before.flatMap((value) => [value, value, value]));
    const input = { picture: { width: 4, height: 1, data }, objects: [] };
    const { picture } = applySteps(input, [[name as OperationName, 1, level]], new Random(1));
    expect([...picture.data].filter((_, at) => at % 3 === 0)).toEqual(after);
  });

  it("changes only the contents of boxes, a third of the times", () => {
    const input = sample(3);
    const data = Buffer.from(input.picture.data);
    const marked = (45 * 120 + 41) * 3; // something that a mirror image moves
    data.set([1, 2, 3], marked);
    const above = 29 * 120 * 3;
    let changed = 0;
    for (let seed = 0; seed < 300; seed++) {
      const steps = [["Flip_Only_BBoxes", 1, 5]] as const;
      const { picture } = applySteps(
        { ...input, picture: { ...input.picture, data } },
        steps,
        new Random(seed),
      );
      expect(Buffer.from(picture.data.subarray(0, above)).equals(data.subarray(0, above))).toBe(true);
      if (picture.data[marked] !== 1) changed++;
    }
    expect(Math.abs(changed - 100)).toBeLessThan(5 * Math.sqrt(300 * (1 / 3) * (2 / 3)));
  });
});
