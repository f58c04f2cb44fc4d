/**
 * How far a detection and an object overlap: intersection over union, or, for a crowd region, over the
 * detection's own area.
 *
 * Boxes are rows of `[N, 4]`: x, y, width, height. 0 where they only touch, so also for a box without area.
 * The sums are those of the reference (`maskApi.c: bbIou`), in its order: results agree to the last bit.
 */
export function overlapXywh(
  detections: ArrayLike<number>,
  d: number,
  objects: ArrayLike<number>,
  g: number,
  crowd: boolean,
): number {
  const p = d * 4;
  const q = g * 4;
  const dx = detections[p]!;
  const dw = detections[p + 2]!;
  const gx = objects[q]!;
  const gw = objects[q + 2]!;
  const width = Math.min(dw + dx, gw + gx) - Math.max(dx, gx);
  if (width <= 0) return 0;
  const dy = detections[p + 1]!;
  const dh = detections[p + 3]!;
  const gy = objects[q + 1]!;
  const gh = objects[q + 3]!;
  const height = Math.min(dh + dy, gh + gy) - Math.max(dy, gy);
  if (height <= 0) return 0;
  const shared = width * height;
  return shared / (crowd ? dw * dh : dw * dh + gw * gh - shared);
}
