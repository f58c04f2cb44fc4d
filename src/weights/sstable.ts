import type { Refuse } from "./byte-reader.ts";
import { ByteReader, latin1, utf8 } from "./byte-reader.ts";
import { crc32c } from "./crc32.ts";
import { readVarint } from "./protobuf.ts";

/** The last eight bytes of a table. */
const magic = "\x57\xfb\x80\x8b\x24\x75\x47\xdb";

/** Far above what any checkpoint has; keeps a hostile table from making many long keys out of few bytes. */
const maxEntries = 200_000;
const maxKeyBytes = 1024;

/** True if `bytes` end as a table of LevelDB's format does. */
export function looksLikeTable(bytes: Uint8Array): boolean {
  return bytes.byteLength >= 48 && latin1(bytes.subarray(-8)) === magic;
}

/** TensorFlow's disguise for checksums that are stored beside what they check. */
export function maskedCrc32c(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** Keys and values of a sorted table in LevelDB's format, uncompressed, as TensorFlow writes it. */
export function readTable(bytes: Uint8Array, refuse: Refuse): Map<string, Uint8Array> {
  if (!looksLikeTable(bytes)) refuse("the end of the table is missing");
  const footer = new ByteReader(bytes.subarray(-48), refuse);
  readHandle(footer, refuse);
  const index = readBlock(bytes, readHandle(footer, refuse), refuse);
  const result = new Map<string, Uint8Array>();
  for (const [, handle] of blockEntries(index, refuse)) {
    const block = readBlock(bytes, readHandle(new ByteReader(handle, refuse), refuse), refuse);
    for (const [key, value] of blockEntries(block, refuse)) {
      result.set(key, value);
      if (result.size > maxEntries) refuse(`the table has over ${maxEntries} entries`);
    }
  }
  return result;
}

interface Handle {
  readonly offset: number;
  readonly size: number;
}

function readHandle(reader: ByteReader, refuse: Refuse): Handle {
  return { offset: readVarint(reader, refuse), size: readVarint(reader, refuse) };
}

function readBlock(bytes: Uint8Array, { offset, size }: Handle, refuse: Refuse): Uint8Array {
  const reader = new ByteReader(bytes, refuse, offset);
  const block = reader.take(size);
  const compression = reader.u8();
  if (reader.u32() !== maskedCrc32c(bytes.subarray(offset, offset + size + 1)))
    refuse(`the checksum of the block at byte ${offset} is wrong`);
  if (compression !== 0) refuse("the table is compressed, as TensorFlow never writes it");
  return block;
}

function* blockEntries(block: Uint8Array, refuse: Refuse): Generator<[string, Uint8Array], void, undefined> {
  if (block.byteLength < 4) refuse("a block without restart points");
  const restarts = new ByteReader(block, refuse, block.byteLength - 4).u32();
  const end = block.byteLength - 4 - 4 * restarts;
  if (end < 0) refuse(`a block of ${block.byteLength} bytes with ${restarts} restart points`);
  const reader = new ByteReader(block.subarray(0, end), refuse);
  let key = new Uint8Array(0);
  while (reader.remaining > 0) {
    const shared = readVarint(reader, refuse);
    const own = readVarint(reader, refuse);
    const length = readVarint(reader, refuse);
    if (shared > key.byteLength || shared + own > maxKeyBytes) refuse(`a key of ${shared} + ${own} bytes`);
    const next = new Uint8Array(shared + own);
    next.set(key.subarray(0, shared));
    next.set(reader.take(own), shared);
    key = next;
    yield [utf8(key), reader.take(length)];
  }
}
