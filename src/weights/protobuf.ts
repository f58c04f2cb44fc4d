import type { Refuse } from "./byte-reader.ts";
import { ByteReader } from "./byte-reader.ts";

/** A field of a protocol buffer as it stands in the file: a number, or bytes for text and inner messages. */
export interface ProtobufField {
  readonly number: number;
  readonly value: number | Uint8Array;
}

/** A number of seven bits a byte, the lowest first; over 2^53 is refused. */
export function readVarint(reader: ByteReader, refuse: Refuse): number {
  let value = 0;
  let scale = 1;
  for (let i = 0; i < 10; i++) {
    const byte = reader.u8();
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value <= Number.MAX_SAFE_INTEGER ? value : refuse(`the number ${value}`);
    scale *= 128;
  }
  return refuse("a number of over ten bytes");
}

/** The fields of a message, in order, without a schema. */
export function* protobufFields(
  bytes: Uint8Array,
  refuse: Refuse,
): Generator<ProtobufField, void, undefined> {
  const reader = new ByteReader(bytes, refuse);
  while (reader.remaining > 0) {
    const tag = readVarint(reader, refuse);
    const number = Math.floor(tag / 8);
    switch (tag % 8) {
      case 0:
        yield { number, value: readVarint(reader, refuse) };
        break;
      case 1:
        yield { number, value: reader.take(8) };
        break;
      case 2:
        yield { number, value: reader.take(readVarint(reader, refuse)) };
        break;
      case 5:
        yield { number, value: reader.u32() };
        break;
      default:
        refuse(`a field of wire type ${tag % 8}`);
    }
  }
}
