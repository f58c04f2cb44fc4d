import type { Random } from "../tensor/random.ts";
import { autoAugment } from "./auto-augment.ts";
import type { AugmentationConfig } from "./augmentation-config.ts";
import { meanGrey, randomColour } from "./colour.ts";
import { eraseRectangle } from "./erasing.ts";
import { mixInto, mixRatio } from "./mixup.ts";
import { mosaicPlacements } from "./mosaic.ts";
import { jitter, letterbox, placeObjects, renderPicture, type Placement } from "./placement.ts";
import type { Normalisation } from "../image/letterbox.ts";
import type { LabelledBox, Sample, Size } from "./sample.ts";

/** What an augmented picture is made of. */
export interface AugmentContext {
  readonly config: AugmentationConfig;
  readonly size: Size;
  readonly normalisation: Normalisation;
  /** How many pictures there are, for mosaic and mixup. */
  readonly count: number;
  /** Decodes a picture, by its index from 0. What it gives is not changed. */
  readonly load: (index: number) => Promise<Sample>;
}

/**
 * Makes one training picture: mosaic of four or one, AutoAugment, mirror image, scale jitter with crop, colour; then
 * mixup with another and erasing. All that is random comes from `random`, so the same generator gives the same picture.
 *
 * @param image `[3, height, width]` of zeros: written with the normalised picture, padding stays 0
 * @returns the objects, in pixels of the input; may be none
 * @throws {ImageError} if a picture cannot be decoded
 * @see automl `dataloader.py: dataset_parser`, whose order this is. Differs: colour, mosaic, mixup and erasing are ours.
 */
export async function augmentInto(
  image: Float32Array,
  index: number,
  context: AugmentContext,
  random: Random,
): Promise<LabelledBox[]> {
  const { config, count, size } = context;
  const objects = random.chance(config.mosaic.probability)
    ? await renderMosaic(image, [index, ...others(3, count, random)], context, random)
    : await renderOne(image, index, context, random);
  if (random.chance(config.mixup.probability)) {
    const other = new Float32Array(image.length);
    const ratio = mixRatio(config.mixup.alpha, random);
    const [second] = others(1, count, random);
    objects.push(...(await renderOne(other, second!, context, random)));
    mixInto(image, other, ratio);
  }
  if (random.chance(config.erasing.probability)) eraseRectangle(image, size, config.erasing, random);
  return objects;
}

/**
 * Shows a picture as inference does: letterboxed, nothing random.
 *
 * @returns the objects, in pixels of the input, none left out for its size
 */
export function letterboxInto(
  image: Float32Array,
  { picture, objects }: Sample,
  size: Size,
  normalisation: Normalisation,
): LabelledBox[] {
  const placement = letterbox(picture, size);
  renderPicture(picture, placement, image, size, { normalisation });
  return placeObjects(objects, picture, placement);
}

async function renderOne(
  image: Float32Array,
  index: number,
  context: AugmentContext,
  random: Random,
): Promise<LabelledBox[]> {
  const sample = await loadAugmented(index, context, random);
  const flips = randomFlips(context.config, random);
  const placement = jitter(sample.picture, context.size, context.config.scaleJitter, random);
  return render(image, sample, { ...placement, ...flips }, context, random);
}

async function renderMosaic(
  image: Float32Array,
  indices: readonly number[],
  context: AugmentContext,
  random: Random,
): Promise<LabelledBox[]> {
  const samples: Sample[] = [];
  for (const index of indices) samples.push(await loadAugmented(index, context, random));
  const pictures = samples.map(({ picture }) => picture) as unknown as Parameters<typeof mosaicPlacements>[0];
  const placements = mosaicPlacements(pictures, context.size, context.config.mosaic, random);
  return placements.flatMap((placement, at) => {
    const flips = randomFlips(context.config, random);
    return render(image, samples[at]!, { ...placement, ...flips }, context, random);
  });
}

async function loadAugmented(
  index: number,
  { config, load }: AugmentContext,
  random: Random,
): Promise<Sample> {
  const sample = await load(index);
  return config.autoAugment === "none" ? sample : autoAugment(sample, config.autoAugment, random);
}

function randomFlips(config: AugmentationConfig, random: Random): Pick<Placement, "flipX" | "flipY"> {
  return { flipX: random.chance(config.horizontalFlip), flipY: random.chance(config.verticalFlip) };
}

function render(
  image: Float32Array,
  { picture, objects }: Sample,
  placement: Placement,
  { config, size, normalisation }: AugmentContext,
  random: Random,
): LabelledBox[] {
  const coloured = random.chance(config.colour.probability);
  const colour = coloured ? randomColour(config.colour, meanGrey(picture), random) : undefined;
  renderPicture(picture, placement, image, size, { normalisation, colour });
  return placeObjects(objects, picture, placement, { minVisible: config.minVisible });
}

function others(wanted: number, count: number, random: Random): number[] {
  return Array.from({ length: wanted }, () => random.integer(count));
}
