import type { Refuse } from "./byte-reader.ts";
import { ByteReader, utf8 } from "./byte-reader.ts";
import { crc32 } from "./crc32.ts";
import { printable } from "./printable.ts";

const localHeader = 0x04034b50;
const centralHeader = 0x02014b50;
const endRecord = 0x06054b50;
const end64Record = 0x06064b50;
const end64Locator = 0x07064b50;

/** True if `bytes` begin as a zip file does. */
export function looksLikeZip(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && bytes[0] === 0x50 && bytes[1] === 0x4b && bytes[2] === 3 && bytes[3] === 4;
}

/** An entry's bytes; checks their CRC where the archive has one. */
export type ReadEntry = () => Uint8Array;

/**
 * The stored (not compressed) entries of a zip archive, by name; reading one gives a view, not a copy. Zip64 is
 * understood. Reads the central directory at the end, so an archive that was cut short is refused.
 */
export function readZip(bytes: Uint8Array, refuse: Refuse): Map<string, ReadEntry> {
  const { count, offset } = findDirectory(bytes, refuse);
  const reader = new ByteReader(bytes, refuse, offset);
  const entries = new Map<string, ReadEntry>();
  // Every turn takes at least 46 bytes, so a count that lies ends at the end of the file.
  for (let i = 0; i < count; i++) {
    if (reader.u32() !== centralHeader) refuse("the zip directory is broken");
    reader.skip(6);
    const method = reader.u16();
    reader.skip(4);
    const expected = reader.u32();
    let packed = reader.u32();
    let size = reader.u32();
    const nameLength = reader.u16();
    const extraLength = reader.u16();
    const commentLength = reader.u16();
    reader.skip(8);
    let start = reader.u32();
    const name = utf8(reader.take(nameLength));
    const extra = new ByteReader(reader.take(extraLength), refuse);
    reader.skip(commentLength);
    while (extra.remaining >= 4) {
      const id = extra.u16();
      const field = new ByteReader(extra.take(extra.u16()), refuse);
      if (id !== 1) continue; // Zip64: each field is there only where its short form is full.
      if (size === 0xffffffff) size = field.u64();
      if (packed === 0xffffffff) packed = field.u64();
      if (start === 0xffffffff) start = field.u64();
    }
    entries.set(name, () => {
      if (method !== 0 || packed !== size)
        refuse(`${printable(name)} is compressed, as PyTorch never writes it`);
      const data = entryData(bytes, start, size, refuse);
      if (expected !== 0 && crc32(data) !== expected) refuse(`the checksum of ${printable(name)} is wrong`);
      return data;
    });
  }
  return entries;
}

function entryData(bytes: Uint8Array, start: number, size: number, refuse: Refuse): Uint8Array {
  const reader = new ByteReader(bytes, refuse, start);
  if (reader.u32() !== localHeader) refuse(`no zip entry begins at byte ${start}`);
  reader.skip(22);
  const nameLength = reader.u16();
  const extraLength = reader.u16();
  reader.skip(nameLength + extraLength);
  return reader.take(size);
}

function findDirectory(bytes: Uint8Array, refuse: Refuse): { count: number; offset: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const last = bytes.length - 22;
  for (let at = last; at >= Math.max(0, last - 65535); at--) {
    if (view.getUint32(at, true) !== endRecord) continue;
    const locator = at - 20;
    if (locator >= 0 && view.getUint32(locator, true) === end64Locator) {
      const reader = new ByteReader(bytes, refuse, new ByteReader(bytes, refuse, locator + 8).u64());
      if (reader.u32() !== end64Record) refuse("the zip64 directory is broken");
      reader.skip(28);
      const count = reader.u64();
      reader.skip(8);
      return { count, offset: reader.u64() };
    }
    const reader = new ByteReader(bytes, refuse, at + 10);
    const count = reader.u16();
    reader.skip(4);
    return { count, offset: reader.u32() };
  }
  return refuse("the zip directory at the end of the file is missing");
}
