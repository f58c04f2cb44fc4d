import path from "node:path";
import sharp from "sharp";
import {
  anchorAt,
  anchorSpec,
  assignAnchors,
  fromBoxes,
  type AnchorOptions,
  type Box,
} from "../detection/index.ts";
import { Random } from "../tensor/random.ts";
import type { Dataset, DatasetImage } from "./dataset.ts";
import { mapConcurrently, maxPicturePixels } from "./picture-header.ts";
import { letterbox, placeObjects } from "./placement.ts";

/** A picture as the network sees it, to be drawn in a report. */
export interface InspectionSample {
  readonly name: string;
  /** Pixels of the network's input; all boxes are in these. */
  readonly width: number;
  readonly height: number;
  /** The picture as a `data:` address, already without padding. */
  readonly address: string;
  readonly objects: readonly { readonly classIndex: number; readonly label: string; readonly box: Box }[];
  /** Anchors that belong to an object, with its place in `objects`. */
  readonly anchors: readonly { readonly object: number; readonly box: Box }[];
}

/**
 * Pictures to draw: such that every class is shown if the number allows it, and otherwise by chance.
 *
 * @param options.count default 24
 * @param options.seed default 0
 */
export async function drawSamples(
  dataset: Dataset,
  anchors: AnchorOptions,
  options: { readonly count?: number; readonly seed?: number } = {},
): Promise<InspectionSample[]> {
  const { count = 24, seed = 0 } = options;
  const chosen = chooseImages(dataset, count, new Random(seed));
  const spec = anchorSpec(anchors);
  const [inputHeight, inputWidth] = anchors.imageSize;
  const samples = await mapConcurrently(chosen, 2, async (image): Promise<InspectionSample | undefined> => {
    const placement = letterbox(image, { height: inputHeight, width: inputWidth });
    const placed = placeObjects(
      image.objects.filter(({ crowd }) => !crowd),
      image,
      placement,
    );
    const boxes = fromBoxes(placed.map(({ box }) => box));
    const found: { object: number; box: Box }[] = [];
    assignAnchors(boxes, spec).forEach((object, anchor) => {
      if (object < 0) return;
      const [yMin, xMin, yMax, xMax] = anchorAt(spec, anchor);
      found.push({ object, box: { xMin, yMin, xMax, yMax } });
    });
    const { scaledWidth: width, scaledHeight: height } = placement;
    const address = await smallPicture(image.file, width, height).catch(() => undefined);
    if (address === undefined) return undefined;
    return {
      name: path.basename(image.file),
      width,
      height,
      address,
      objects: placed.map(({ classIndex, box }) => ({
        classIndex,
        label: dataset.classes[classIndex]!.name,
        box,
      })),
      anchors: found,
    };
  });
  return samples.filter((sample) => sample !== undefined);
}

async function smallPicture(file: string, width: number, height: number): Promise<string> {
  const picture = sharp(file, { failOn: "none", limitInputPixels: maxPicturePixels }).autoOrient();
  const scale = Math.min(1, 512 / Math.max(width, height));
  const [w, h] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
  const bytes = await picture.resize(w, h, { fit: "fill" }).flatten().jpeg({ quality: 78 }).toBuffer();
  return `data:image/jpeg;base64,${bytes.toString("base64")}`;
}

/** First pictures that show a class not shown yet, in random order, then any others. */
function chooseImages({ images }: Dataset, count: number, random: Random): DatasetImage[] {
  const order = Array.from(random.permutation(images.length), (index) => images[index]!);
  const shown = new Set<number>();
  const first: DatasetImage[] = [];
  const rest: DatasetImage[] = [];
  for (const image of order) {
    const fresh = image.objects.some(({ classIndex }) => !shown.has(classIndex));
    for (const { classIndex } of image.objects) shown.add(classIndex);
    (fresh ? first : rest).push(image);
  }
  return [...first, ...rest].slice(0, count);
}
