import type { Random } from "../tensor/random.ts";

/**
 * Share of the first of two pictures, drawn from the distribution Beta(alpha, alpha): near 0.5 for a large `alpha`, near
 * 0 or 1 for a small one.
 *
 * @param alpha above 0
 * @see Zhang et al. 2018 (mixup); for detection, all boxes of both pictures are kept (Zhang et al. 2019, bag of freebies)
 */
export function mixRatio(alpha: number, random: Random): number {
  const first = gamma(alpha, random);
  const second = gamma(alpha, random);
  return first + second === 0 ? 0.5 : first / (first + second);
}

/** Lays `other` over `image` in place: `ratio` of the first, the rest of the second. Both of one length. */
export function mixInto(image: Float32Array, other: Float32Array, ratio: number): void {
  for (let at = 0; at < image.length; at++) image[at] = image[at]! * ratio + other[at]! * (1 - ratio);
}

/** A draw from the gamma distribution with this shape and scale 1 (Marsaglia and Tsang 2000). */
function gamma(shape: number, random: Random): number {
  if (shape < 1) return gamma(shape + 1, random) * (1 - random.uniform()) ** (1 / shape);
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = random.normal();
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - random.uniform()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
  }
}
