import { z } from "zod";
import { suggest, UsageError } from "../errors.ts";

const probability = z.number().min(0).max(1);
const range = { min: z.number().min(0.01).max(10), max: z.number().min(0.01).max(10) };
const ordered = [
  ({ min, max }: { min: number; max: number }) => min <= max,
  { message: "min is above max" },
] as const;

/**
 * How training pictures are changed. The defaults suit a few hundred pictures and a few dozen epochs; other sets of
 * values have names, see {@link augmentationPresets}.
 */
export const augmentationSchema = z.strictObject({
  /** Probability of a mirror image, left to right. */
  horizontalFlip: probability.default(0.5),
  /** Probability of a mirror image, top to bottom: for pictures taken from above. */
  verticalFlip: probability.default(0),
  /**
   * Each picture is scaled to fit `min` to `max` times the network's input, and cropped or padded. The paper takes 0.1 to
   * 2 for 300 epochs. The fewer epochs, the less of it helps: in a dozen, 0.5 to 1.5 cost half the AP
   * (docs/training-recipes.md).
   */
  scaleJitter: z
    .strictObject(range)
    .refine(...ordered)
    .prefault({ min: 0.8, max: 1.25 }),
  /** Changes of colour, of which the others decide how strong they are; see `ColourOptions`. */
  colour: z
    .strictObject({
      probability: probability.default(0),
      brightness: z.number().min(0).max(1).default(0.2),
      contrast: z.number().min(0).max(1).default(0.2),
      saturation: z.number().min(0).max(1).default(0.2),
      hue: z.number().min(0).max(0.5).default(0.02),
    })
    .prefault({}),
  /** Four pictures in one; see `MosaicOptions`. */
  mosaic: z
    .strictObject({
      probability: probability.default(0),
      margin: z.number().min(0.05).max(0.5).default(0.25),
      min: range.min.default(0.4),
      max: range.max.default(1),
    })
    .refine(...ordered)
    .prefault({}),
  /** Two pictures laid over each other; see `mixRatio`. */
  mixup: z
    .strictObject({ probability: probability.default(0), alpha: z.number().min(0.05).max(100).default(8) })
    .prefault({}),
  /** A rectangle erased; see `ErasingOptions`. */
  erasing: z
    .strictObject({
      probability: probability.default(0),
      minArea: z.number().min(0).max(1).default(0.02),
      maxArea: z.number().min(0).max(1).default(0.2),
      fill: z.enum(["mean", "noise"]).default("noise"),
    })
    .refine(({ minArea, maxArea }) => minArea <= maxArea, { message: "minArea is above maxArea" })
    .prefault({}),
  /** A policy of AutoAugment for detection. */
  autoAugment: z.enum(["none", "v0", "v1", "v2", "v3"]).default("none"),
  /** An object of which less than this share is left in the picture is left out. The reference keeps any sliver. */
  minVisible: z.number().min(0).max(1).default(0.15),
});

/** How training pictures are changed, with every value decided. */
export type AugmentationConfig = z.infer<typeof augmentationSchema>;
/** The same as a person writes it: what is missing has its default. */
export type AugmentationInput = z.input<typeof augmentationSchema>;

const noColour = { probability: 0, brightness: 0, contrast: 0, saturation: 0, hue: 0 };

/** Sets of values by name. */
export const augmentationPresets = {
  /** Pictures as they are, letterboxed as in inference. */
  none: { horizontalFlip: 0, scaleJitter: { min: 1, max: 1 }, colour: noColour, minVisible: 0 },
  /** A mirror image and a little of everything. */
  light: {
    scaleJitter: { min: 0.8, max: 1.2 },
    colour: { probability: 0.8, brightness: 0.1, contrast: 0.1, saturation: 0.1, hue: 0.01 },
  },
  /** The defaults. */
  "fine-tune": {},
  /** For fifty epochs and more. */
  medium: { scaleJitter: { min: 0.5, max: 1.5 }, colour: { probability: 0.8 } },
  /** For long training of little data. */
  strong: {
    scaleJitter: { min: 0.3, max: 1.7 },
    colour: { probability: 0.8, brightness: 0.3, contrast: 0.3, saturation: 0.4, hue: 0.03 },
    mosaic: { probability: 0.3 },
    mixup: { probability: 0.1 },
    erasing: { probability: 0.2 },
  },
  /** The paper's (v7): mirror image and scale jitter 0.1 to 2, nothing else. */
  paper: { scaleJitter: { min: 0.1, max: 2 }, colour: noColour, minVisible: 0 },
  /** The first version's for D5 to D7: the paper's with AutoAugment. */
  "paper-autoaugment": {
    scaleJitter: { min: 0.1, max: 2 },
    colour: noColour,
    minVisible: 0,
    autoAugment: "v0",
  },
} as const satisfies Readonly<Record<string, AugmentationInput>>;

/** Names of {@link augmentationPresets}. */
export type AugmentationName = keyof typeof augmentationPresets;

/**
 * A set of values by its name, with every value decided.
 *
 * @throws {UsageError} if there is none of that name
 */
export function augmentationByName(name: string): AugmentationConfig {
  if (!Object.hasOwn(augmentationPresets, name))
    throw new UsageError(`unknown augmentation ${name}`, suggest(name, Object.keys(augmentationPresets)));
  return augmentationSchema.parse(augmentationPresets[name as AugmentationName]);
}
