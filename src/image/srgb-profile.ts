/**
 * Whether an ICC profile says what is taken for granted without one: that the numbers are sRGB. Most embedded profiles do
 * (half of COCO's photographs have one), and converting by them costs as much time as decoding the picture, to change a
 * few pixels by one level.
 *
 * Asked of profiles of three curves and three colorants; `false` for those with tables (A2B0), for what cannot be read, and
 * for none.
 *
 * Source: ICC.1:2022, sections 7.2, 7.3, 10.6 (`curv`), 10.18 (`para`) and 10.31 (`XYZ `); IEC 61966-2-1 for sRGB.
 */
export function isSrgbProfile(profile: Uint8Array | undefined): boolean {
  if (profile === undefined) return false;
  try {
    const view = new DataView(profile.buffer, profile.byteOffset, profile.byteLength);
    if (text(view, 16) !== "RGB " || text(view, 20) !== "XYZ ") return false;
    const tags = readTags(view);
    if (tags.has("A2B0")) return false;
    return ["r", "g", "b"].every((colour, c) => {
      const colorant = readXyz(tags.get(`${colour}XYZ`)!);
      const curve = readCurve(tags.get(`${colour}TRC`)!);
      return (
        colorant.every((value, i) => Math.abs(value - srgbColorants[c]![i]!) < 0.003) && isSrgbCurve(curve)
      );
    });
  } catch {
    return false; // a tag is missing, or reaches beyond the end
  }
}

/** Of sRGB's red, green and blue: XYZ as a profile has them, adapted to the D50 white by Bradford's matrix. */
const srgbColorants = [
  [0.4361, 0.2225, 0.0139],
  [0.3851, 0.7169, 0.0971],
  [0.1431, 0.0606, 0.7141],
] as const;

/** From a channel's value to its light, both from 0 to 1. */
type Curve = (value: number) => number;

/** Of every level of 8 bits, within half a level. */
function isSrgbCurve(curve: Curve): boolean {
  for (let level = 0; level < 256; level++) {
    const light = curve(level / 255);
    const value = light <= 0.0031308 ? 12.92 * light : 1.055 * light ** (1 / 2.4) - 0.055;
    if (!(Math.abs(value * 255 - level) < 0.5)) return false;
  }
  return true;
}

const headerBytes = 128;
const mostTags = 100;

/** The parts of a profile by their names. */
function readTags(view: DataView): Map<string, DataView> {
  const count = Math.min(view.getUint32(headerBytes), mostTags);
  return new Map(
    Array.from({ length: count }, (_, i) => {
      const at = headerBytes + 4 + 12 * i;
      const start = view.byteOffset + view.getUint32(at + 4);
      return [text(view, at), new DataView(view.buffer, start, view.getUint32(at + 8))];
    }),
  );
}

function readXyz(tag: DataView): number[] {
  return [8, 12, 16].map((at) => (text(tag, 0) === "XYZ " ? fixed(tag, at) : NaN));
}

function readCurve(tag: DataView): Curve {
  const type = text(tag, 0);
  if (type === "para" && tag.getUint16(8) === 3) {
    const [g, a, b, c, d] = [12, 16, 20, 24, 28].map((at) => fixed(tag, at)) as [number, number, number, number, number]; // prettier-ignore
    return (value) => (value >= d ? (a * value + b) ** g : c * value);
  }
  const count = type === "curv" ? tag.getUint32(8) : 0;
  if (count < 2) return () => NaN; // a line, or a mere power: not sRGB
  return (value) => {
    const place = value * (count - 1);
    const below = Math.min(Math.floor(place), count - 2);
    const [low, high] = [below, below + 1].map((i) => tag.getUint16(12 + 2 * i) / 65535) as [number, number];
    return low + (high - low) * (place - below);
  };
}

/** A number of 16 bits before and 16 after the point. */
function fixed(view: DataView, at: number): number {
  return view.getInt32(at) / 65536;
}

function text(view: DataView, at: number): string {
  return String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(at + i)));
}
