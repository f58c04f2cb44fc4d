import { crc32, deflateSync } from "node:zlib";

/** A piece of a PNG file: length, name, content, checksum. */
function pngChunk(name: string, content: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(name, "latin1"), content]);
  const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(content.length);
  checksum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, checksum]);
}

/** A valid black-and-white PNG of any size: 20,000×20,000 are 49 kB of file and 1.2 GB of pixels. */
export function pngOfSize(width: number, height: number, data?: Uint8Array): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([1, 0, 0, 0, 0], 8);
  const rows = data ?? deflateSync(Buffer.alloc((Math.ceil(width / 8) + 1) * height));
  const signature = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
  return Buffer.concat([
    signature,
    pngChunk("IHDR", header),
    pngChunk("IDAT", rows),
    pngChunk("IEND", Buffer.alloc(0)),
  ]);
}

/** A GIF whose screen and only frame claim a size; its data is one clear code and the end. */
export function gifOfSize(width: number, height: number): Buffer {
  const size = Buffer.alloc(4);
  size.writeUInt16LE(width, 0);
  size.writeUInt16LE(height, 2);
  const palette = Buffer.from([0, 0, 0, 255, 255, 255]);
  return Buffer.concat([
    Buffer.from("GIF89a", "latin1"), size, Buffer.from([0x80, 0, 0]), palette,
    Buffer.from([0x2c, 0, 0, 0, 0]), size, Buffer.from([0, 2, 2, 0x4c, 0x01, 0, 0x3b]),
  ]); // prettier-ignore
}

/** A lossless WebP whose header claims a size (up to 16,384); its data is zeros. */
export function webpOfSize(width: number, height: number): Buffer {
  const bits = Buffer.alloc(4);
  bits.writeUInt32LE(((width - 1) | ((height - 1) << 14)) >>> 0);
  const payload = Buffer.concat([Buffer.from([0x2f]), bits, Buffer.alloc(59)]);
  const [length, riff] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32LE(payload.length);
  riff.writeUInt32LE(payload.length + 12);
  return Buffer.concat([Buffer.from("RIFF"), riff, Buffer.from("WEBPVP8L"), length, payload]);
}

/** A deflated one-bit TIFF in a single strip that claims a size; `pages` makes its directories point round in a circle. */
export function tiffOfSize(width: number, height: number, { circle = false } = {}): Buffer {
  const strip = deflateSync(Buffer.alloc(1_000_000));
  const entries: readonly (readonly [tag: number, value: number])[] = [
    [256, width], [257, height], [258, 1], [259, 8], [262, 1], [273, 8], [277, 1], [278, height], [279, strip.length],
  ]; // prettier-ignore
  const directory = Buffer.alloc(2 + entries.length * 12 + 4);
  directory.writeUInt16LE(entries.length);
  for (const [i, [tag, value]] of entries.entries()) {
    directory.writeUInt16LE(tag, 2 + i * 12);
    directory.writeUInt16LE(4, 4 + i * 12);
    directory.writeUInt32LE(1, 6 + i * 12);
    directory.writeUInt32LE(value, 10 + i * 12);
  }
  const start = Buffer.from("II*\0\0\0\0\0", "latin1");
  start.writeUInt32LE(8 + strip.length, 4);
  if (circle) directory.writeUInt32LE(8 + strip.length, directory.length - 4);
  return Buffer.concat([start, strip, directory]);
}

/** A drawing that would run a script, read a file and ask a server, if anything rendered it. */
export const hostileSvg = `<?xml version="1.0"?>
<!DOCTYPE svg [<!ENTITY secret SYSTEM "file:///etc/passwd"><!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="100000" height="100000" onload="alert(1)">
  <script>fetch("http://127.0.0.1:9/")</script>
  <image xlink:href="file:///etc/passwd"/><text>&secret;&b;</text>
</svg>
`;
