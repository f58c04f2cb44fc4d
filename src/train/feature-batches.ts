import {
  anchorTargets, assignAnchors, background, fromBoxes, type AnchorSpec, type AnchorTargets,
} from "../detection/index.ts"; // prettier-ignore
import type { Dataset, LoaderPosition } from "../data/index.ts";
import { modelAnchors, type ModelConfig } from "../models/index.ts";
import { elementCount, tensor } from "../tensor/index.ts";
import { Random } from "../tensor/random.ts";
import type { BatchSource, SourceBatch } from "./batches.ts";
import type { DecidedConfig } from "./preparation.ts";
import type { FeatureStore } from "./quick-features-node.ts";
import { featureShapes } from "./training-graph.ts";

/** Batches of features that were computed before, each picture in a view by chance, from `start` on. */
export function featureBatches(
  config: DecidedConfig,
  dataset: Dataset,
  network: ModelConfig,
  store: FeatureStore,
  views: number,
  start: LoaderPosition,
): BatchSource {
  const { seed } = config;
  const size = config.batchSize * config.accumulate;
  const { usable } = store;
  const batchesPerEpoch = Math.max(1, Math.floor(usable.length / size));
  const spec = modelAnchors(network);
  const shapes = [...featureShapes(network).values()];
  let position = start.batch < batchesPerEpoch ? start : { epoch: start.epoch + 1, batch: 0 };
  const assignments = new Assignments(config, spec, store);
  // Memory of one batch for all: fresh pages cost more than what is read into them.
  const levels = shapes.map((shape) => new Uint16Array(size * elementCount(shape)));
  const slots = Array.from({ length: size }, () => new Slot(spec.count));
  let waitedMs = 0;
  const make = ({ epoch, batch }: LoaderPosition): SourceBatch => {
    const order = new Random(seed, 0, epoch).permutation(usable.length);
    const places = Array.from({ length: size }, (_, i) => batch * size + i);
    const images = places.map((place) => usable[order[place % usable.length]!]!);
    const shown = places.map((place) => new Random(seed, 1, epoch, place).integer(views));
    images.forEach((image, i) => store.read(image, shown[i]!, levels, i));
    const targets = images.map((image, i) => slots[i]!.hold(assignments.of(image, shown[i]!)));
    return {
      epoch, batch, problems: [],
      content: { images: levels.map((data, level) => tensor("float16", [size, ...shapes[level]!], data)), targets },
      files: images.map((image) => dataset.images[image]!.file),
    }; // prettier-ignore
  };
  return {
    batchesPerEpoch,
    get waitedMs() {
      return waitedMs;
    },
    next: () => {
      const started = performance.now();
      const made = make(position);
      position =
        position.batch + 1 < batchesPerEpoch
          ? { epoch: position.epoch, batch: position.batch + 1 }
          : { epoch: position.epoch + 1, batch: 0 };
      waitedMs += performance.now() - started;
      return Promise.resolve(made);
    },
    close: () => Promise.resolve(),
  };
}

/** The anchors of an object or ignored, of a picture in a view: few of the many thousand. */
interface FewTargets {
  readonly anchors: Int32Array;
  readonly classes: Int32Array;
  /** `[anchors, 4]`. */
  readonly boxes: Float32Array;
  readonly positives: number;
}

/** The targets of one place of the batch, of all anchors. */
class Slot {
  readonly #classes: Int32Array;
  readonly #boxes: Float32Array;
  #held: Int32Array = new Int32Array(0);

  constructor(anchors: number) {
    this.#classes = new Int32Array(anchors).fill(background);
    this.#boxes = new Float32Array(anchors * 4);
  }

  /** These targets, in place of those before. */
  hold({ anchors, classes, boxes, positives }: FewTargets): AnchorTargets {
    for (const anchor of this.#held) {
      this.#classes[anchor] = background;
      this.#boxes.fill(0, anchor * 4, anchor * 4 + 4);
    }
    anchors.forEach((anchor, i) => {
      this.#classes[anchor] = classes[i]!;
      this.#boxes.set(boxes.subarray(i * 4, i * 4 + 4), anchor * 4);
    });
    this.#held = anchors;
    return { classes: this.#classes, boxes: this.#boxes, positives };
  }
}

/** Anchors assigned once for each picture in each view. */
class Assignments {
  readonly #config: DecidedConfig;
  readonly #spec: AnchorSpec;
  readonly #store: FeatureStore;
  readonly #known = new Map<string, FewTargets>();

  constructor(config: DecidedConfig, spec: AnchorSpec, store: FeatureStore) {
    this.#config = config;
    this.#spec = spec;
    this.#store = store;
  }

  of(image: number, view: number): FewTargets {
    const key = `${image}/${view}`;
    const few = this.#known.get(key) ?? this.#assign(image, view);
    this.#known.set(key, few);
    return few;
  }

  #assign(image: number, view: number): FewTargets {
    const objects = this.#store.objects(image, view);
    const given = fromBoxes(objects.map(({ box }) => box));
    const match = assignAnchors(given, this.#spec, this.#config.match);
    const { classes, boxes, positives } = anchorTargets(match, given, objects.map(({ classIndex }) => classIndex), this.#spec); // prettier-ignore
    const found: number[] = [];
    classes.forEach((own, anchor) => own === background || found.push(anchor));
    const anchors = Int32Array.from(found);
    return {
      anchors,
      classes: anchors.map((anchor) => classes[anchor]!),
      boxes: Float32Array.from(
        Array.from(anchors).flatMap((anchor) => [...boxes.subarray(anchor * 4, anchor * 4 + 4)]),
      ),
      positives,
    };
  }
}
