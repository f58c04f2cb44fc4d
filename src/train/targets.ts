import type { AnchorSpec, AnchorTargets } from "../detection/index.ts";
import { anchorAt, ignored } from "../detection/index.ts";
import { ShapeError } from "../errors.ts";
import { input, type Value } from "../graph/index.ts";
import { tensor, type Tensor } from "../tensor/index.ts";

/*
 * What a training step is told of its batch. Of the many thousand anchors only those that belong to a box, and those
 * that are ignored, are named: by their flat places in the network's maps. All others are background without a word.
 */

/** The inputs of one level of the pyramid; their first axes are as long as there are such anchors. */
export interface LevelTargets {
  /** `[P]` int64: places in the class map `[N, anchors · classes, h, w]` whose target is 1. */
  readonly positive: Value;
  /** `[I]` int64: places of the first class of anchors that are ignored. */
  readonly ignored: Value;
  /** `[4 P]` int64: places of ty, tx, th, tw in the box map, anchor by anchor. */
  readonly box: Value;
  /** `[4 P]`: what should be there. */
  readonly offset: Value;
  /** `[P, 4]`: the anchors, yMin, xMin, yMax, xMax. */
  readonly anchor: Value;
}

/** The names of a level's inputs. */
const names = ["positive", "ignored", "box", "offset", "anchor"] as const;

/** The inputs of a level, for a graph. */
export function levelInputs(level: number): LevelTargets {
  return {
    positive: input(`positive/${level}`, "int64", [`positives/${level}`]),
    ignored: input(`ignored/${level}`, "int64", [`ignored/${level}`]),
    box: input(`box/${level}`, "int64", [`positives/${level}·4`]),
    offset: input(`offset/${level}`, "float32", [`positives/${level}·4`]),
    anchor: input(`anchor/${level}`, "float32", [`positives/${level}`, 4]),
  };
}

/**
 * The tensors of those inputs for some pictures, by name.
 *
 * @param targets one for each picture, as `anchorTargets` gives them
 * @param classes how many classes the network tells apart
 * @throws {ShapeError} if a picture's targets are for another number of anchors, or name a class that is not there
 */
export function targetFeeds(
  targets: readonly AnchorTargets[],
  spec: AnchorSpec,
  classes: number,
): Record<string, Tensor> {
  const feeds: Record<string, Tensor> = {};
  for (const { classes: own } of targets)
    if (own.length !== spec.count)
      throw new ShapeError(`targets of ${own.length} anchors for a network of ${spec.count}`);
  for (const level of spec.levels) {
    const cells = level.height * level.width;
    const rows = {
      positive: [] as number[],
      ignored: [] as number[],
      box: [] as number[],
      offset: [] as number[],
      anchor: [] as number[],
    };
    targets.forEach(({ classes: own, boxes }, picture) => {
      for (let i = 0; i < cells * spec.perCell; i++) {
        const anchor = level.first + i;
        const index = own[anchor]!;
        if (index < 0 && index !== ignored) continue;
        if (index >= classes) throw new ShapeError(`class ${index} of a network that tells ${classes} apart`);
        const [cell, shape] = [Math.floor(i / spec.perCell), i % spec.perCell];
        const channel = (picture * spec.perCell + shape) * classes;
        if (index === ignored) {
          rows.ignored.push(channel * cells + cell);
          continue;
        }
        rows.positive.push((channel + index) * cells + cell);
        for (let k = 0; k < 4; k++) {
          rows.box.push(((picture * spec.perCell + shape) * 4 + k) * cells + cell);
          rows.offset.push(boxes[anchor * 4 + k]!);
        }
        rows.anchor.push(...anchorAt(spec, anchor));
      }
    });
    for (const name of names) {
      const values = rows[name];
      feeds[`${name}/${level.level}`] =
        name === "offset" || name === "anchor"
          ? tensor(
              "float32",
              name === "anchor" ? [values.length / 4, 4] : [values.length],
              Float32Array.from(values),
            )
          : tensor("int64", [values.length], BigInt64Array.from(values, BigInt));
    }
  }
  return feeds;
}
