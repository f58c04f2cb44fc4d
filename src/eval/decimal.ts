/** Powers of ten that a double holds exactly. */
const TENS = Float64Array.from({ length: 23 }, (_, power) => Number(`1e${power}`));

/**
 * The double nearest to `(high · 10^lowDigits + low) / 10^places`, or NaN where this quick way cannot tell.
 *
 * A JSON number of up to 18 digits comes apart into `high`, its first nine digits at most, and `low`, the nine after
 * them; making a string of it and parsing that takes ten times as long. Up to 15 digits both sides of one division
 * are exact, which then rounds correctly (Clinger 1990). Beyond, the quotient is computed to about 100 bits, and only
 * given out if every number within its error rounds to the same double.
 * @param digits how many digits there are, without leading zeros
 */
export function quickDecimal(
  high: number,
  low: number,
  lowDigits: number,
  digits: number,
  places: number,
): number {
  if (places > 22 || places < -22) return NaN;
  if (digits <= 15) {
    const whole = high * TENS[lowDigits]! + low;
    return places >= 0 ? whole / TENS[places]! : whole * TENS[-places]!;
  }
  if (digits > 18 || places <= 0) return NaN;
  const scale = TENS[lowDigits]!;
  const power = TENS[places]!;
  // The numerator as an unevaluated sum of two doubles: `high` has at most 30 bits, taken 17 at a time.
  const upper = Math.floor(high / 131072);
  const top = upper * scale * 131072;
  const bottom = (high - upper * 131072) * scale + low;
  const sum = top + bottom;
  const rest = bottom - (sum - top);
  const quotient = sum / power;
  const product = quotient * power;
  const error = productError(quotient, power, product);
  const correction = (sum - product - error + rest) / power;
  const below = quotient + correction * (1 - UNSURE);
  const above = quotient + correction * (1 + UNSURE);
  return below === above ? below : NaN;
}

/** Relative error that the correction may have, with a margin of two bits. */
const UNSURE = 2 ** -49;

/** `a · b − product` exactly, by Dekker's splitting, where `product` is the rounded `a · b`. */
function productError(a: number, b: number, product: number): number {
  const splitA = 134217729 * a;
  const highA = splitA - (splitA - a);
  const lowA = a - highA;
  const splitB = 134217729 * b;
  const highB = splitB - (splitB - b);
  const lowB = b - highB;
  return highA * highB - product + highA * lowB + lowA * highB + lowA * lowB;
}
