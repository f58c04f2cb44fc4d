const bits = new Uint32Array(1);
const float = new Float32Array(bits.buffer);

/** The nearest half-precision number (ties to even) as its 16 bits; overflow gives an infinity, NaN stays NaN. */
export function toHalfBits(value: number): number {
  float[0] = value;
  const x = bits[0]!;
  const sign = (x >>> 16) & 0x8000;
  const exponent = (x >>> 23) & 0xff;
  const mantissa = x & 0x7fffff;
  if (exponent === 0xff) return sign | 0x7c00 | (mantissa ? 0x200 : 0);
  const e = exponent - 112;
  if (e >= 31) return sign | 0x7c00;
  if (e <= 0) {
    if (e < -10) return sign;
    const full = mantissa | 0x800000;
    const shift = 14 - e;
    return sign | roundedShift(full, shift);
  }
  return sign | ((e << 10) + roundedShift(mantissa, 13));
}

function roundedShift(value: number, shift: number): number {
  const half = 2 ** (shift - 1);
  const quotient = Math.floor(value / 2 ** shift);
  const rest = value - quotient * 2 ** shift;
  return quotient + (rest > half || (rest === half && quotient % 2 === 1) ? 1 : 0);
}

/** The number that 16 bits of half precision stand for. */
export function fromHalfBits(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 0x1f;
  const mantissa = half & 0x3ff;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 31) return mantissa ? NaN : sign * Infinity;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

let table: Float32Array | undefined;

/** Half-precision bits to float32, element by element, into a new array. */
export function halfToFloat32(source: Uint16Array): Float32Array {
  table ??= Float32Array.from({ length: 65536 }, (_, half) => fromHalfBits(half));
  const result = new Float32Array(source.length);
  for (let i = 0; i < source.length; i++) result[i] = table[source[i]!]!;
  return result;
}

/** float32 to half-precision bits, element by element, into a new array. */
export function float32ToHalf(source: Float32Array): Uint16Array {
  const result = new Uint16Array(source.length);
  for (let i = 0; i < source.length; i++) result[i] = toHalfBits(source[i]!);
  return result;
}
