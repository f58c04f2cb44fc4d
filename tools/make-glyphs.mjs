// Writes src/image/glyphs.ts: outlines of the label font, from a WOFF file of TrueType outlines.
// Usage: npm pack roboto-fontface@0.10.0 (Apache-2.0), unpack it, then
//        node tools/make-glyphs.mjs package/fonts/roboto/Roboto-Medium.woff src/image/glyphs.ts
import { readFileSync, writeFileSync } from "node:fs";
import { inflateSync } from "node:zlib";

const [, , source, target] = process.argv;
const ranges = [
  [0x20, 0x7e],
  [0xa0, 0x17f],
  [0x192, 0x192],
  [0x218, 0x21b],
  [0x386, 0x3ce],
  [0x400, 0x45f],
  [0x490, 0x491],
  [0x1e80, 0x1e85],
  [0x1ea0, 0x1ef9],
  [0x2013, 0x2014],
  [0x2018, 0x201e],
  [0x2020, 0x2022],
  [0x2026, 0x2026],
  [0x2030, 0x2030],
  [0x2039, 0x203a],
  [0x20ac, 0x20ac],
  [0x2122, 0x2122],
  [0x2212, 0x2212],
];

const file = readFileSync(source);
const tables = {};
for (let i = 0, at = 44; i < file.readUInt16BE(12); i++, at += 20) {
  const tag = file.toString("latin1", at, at + 4);
  const [offset, packed, size] = [4, 8, 12].map((o) => file.readUInt32BE(at + o));
  const bytes = file.subarray(offset, offset + packed);
  tables[tag] = packed < size ? inflateSync(bytes) : bytes;
}
const { head, hhea, hmtx, cmap, loca, glyf, maxp } = tables;
const unitsPerEm = head.readUInt16BE(18);
const longLoca = head.readInt16BE(50) === 1;
const metrics = hhea.readUInt16BE(34);
const offsetOf = (glyph) => (longLoca ? loca.readUInt32BE(glyph * 4) : loca.readUInt16BE(glyph * 2) * 2);
const advanceOf = (glyph) => hmtx.readUInt16BE(Math.min(glyph, metrics - 1) * 4);

function glyphOf(code) {
  for (let i = 0; i < cmap.readUInt16BE(2); i++) {
    const at = cmap.readUInt32BE(4 + i * 8 + 4);
    if (cmap.readUInt16BE(at) !== 4) continue;
    const segments = cmap.readUInt16BE(at + 6) / 2;
    for (let s = 0; s < segments; s++) {
      const end = cmap.readUInt16BE(at + 14 + s * 2);
      if (code > end) continue;
      const start = cmap.readUInt16BE(at + 16 + (segments + s) * 2);
      if (code < start) return 0;
      const delta = cmap.readUInt16BE(at + 16 + (2 * segments + s) * 2);
      const rangeAt = at + 16 + (3 * segments + s) * 2;
      const range = cmap.readUInt16BE(rangeAt);
      if (range === 0) return (code + delta) & 0xffff;
      const glyph = cmap.readUInt16BE(rangeAt + range + (code - start) * 2);
      return glyph === 0 ? 0 : (glyph + delta) & 0xffff;
    }
  }
  return 0;
}

/** Contours of points [x, y, on the curve]. */
function outline(glyph) {
  if (offsetOf(glyph) === offsetOf(glyph + 1)) return [];
  let at = offsetOf(glyph);
  const count = glyf.readInt16BE(at);
  at += 10;
  if (count < 0) return composite(at);
  const ends = Array.from({ length: count }, (_, i) => glyf.readUInt16BE(at + i * 2));
  at += count * 2;
  at += 2 + glyf.readUInt16BE(at);
  const total = ends.at(-1) + 1;
  const flags = [];
  while (flags.length < total) {
    const flag = glyf[at++];
    flags.push(flag);
    if (flag & 8) for (let repeat = glyf[at++]; repeat > 0; repeat--) flags.push(flag);
  }
  const axis = (short, same) => {
    let value = 0;
    return flags.map((flag) => {
      if (flag & short) value += flag & same ? glyf[at++] : -glyf[at++];
      else if (!(flag & same)) {
        value += glyf.readInt16BE(at);
        at += 2;
      }
      return value;
    });
  };
  const xs = axis(2, 16);
  const ys = axis(4, 32);
  let first = 0;
  return ends.map((end) => {
    const contour = [];
    for (let i = first; i <= end; i++) contour.push([xs[i], ys[i], flags[i] & 1]);
    first = end + 1;
    return contour;
  });
}

function composite(at) {
  const contours = [];
  for (let flags = 32; flags & 32;) {
    flags = glyf.readUInt16BE(at);
    const part = glyf.readUInt16BE(at + 2);
    at += 4;
    let dx, dy;
    if (flags & 1) {
      dx = glyf.readInt16BE(at);
      dy = glyf.readInt16BE(at + 2);
      at += 4;
    } else {
      dx = glyf.readInt8(at);
      dy = glyf.readInt8(at + 1);
      at += 2;
    }
    if (!(flags & 2)) throw new Error("point-matched composite");
    let [a, b, c, d] = [1, 0, 0, 1];
    const f = () => {
      const v = glyf.readInt16BE(at) / 16384;
      at += 2;
      return v;
    };
    if (flags & 8) a = d = f();
    else if (flags & 64) {
      a = f();
      d = f();
    } else if (flags & 128) {
      a = f();
      b = f();
      c = f();
      d = f();
    }
    for (const contour of outline(part))
      contours.push(contour.map(([x, y, on]) => [a * x + c * y + dx, b * x + d * y + dy, on]));
  }
  return contours;
}

const bytes = [];
const varint = (value) => {
  while (value > 127) {
    bytes.push((value & 127) | 128);
    value = Math.floor(value / 128);
  }
  bytes.push(value);
};
const zigzag = (value) => varint(value < 0 ? -2 * value - 1 : 2 * value);
const scale = (v) => Math.round((v * 1024) / unitsPerEm);
let last = 0,
  count = 0;
for (const [from, to] of ranges)
  for (let code = from; code <= to; code++) {
    const glyph = glyphOf(code);
    if (glyph === 0) continue;
    count++;
    varint(code - last);
    last = code;
    varint(scale(advanceOf(glyph)));
    const contours = outline(glyph);
    varint(contours.length);
    for (const contour of contours) {
      varint(contour.length);
      let [px, py] = [0, 0];
      for (const [x, y, on] of contour) {
        const [sx, sy] = [scale(x), scale(y)];
        const dx = sx - px;
        varint((dx < 0 ? -2 * dx - 1 : 2 * dx) * 2 + on);
        zigzag(sy - py);
        [px, py] = [sx, sy];
      }
    }
  }
const text = Buffer.from(bytes).toString("base64");
const chunks = text
  .match(/.{1,4000}/g)
  .map((chunk) => `  "${chunk}"`)
  .join(" +\n");
writeFileSync(
  target,
  `// Made by tools/make-glyphs.mjs; not edited by hand.
/**
 * Outlines of ${count} glyphs of Roboto Medium (copyright Google, Apache License 2.0, from roboto-fontface 0.10.0), packed:
 * see font.ts for the form.
 */
// prettier-ignore
export const packedGlyphs =
${chunks};
`,
);
console.log(count, "glyphs", bytes.length, "bytes", text.length, "characters", {
  capHeight: tables["OS/2"].readInt16BE(88),
  xHeight: tables["OS/2"].readInt16BE(86),
  asc: hhea.readInt16BE(4),
  desc: hhea.readInt16BE(6),
  unitsPerEm,
  glyphs: maxp.readUInt16BE(4),
});
