/** Four tables for a reflected polynomial: a byte and its three shifts, so that four bytes are taken at once. */
function tables(polynomial: number): readonly Uint32Array[] {
  const first = Uint32Array.from({ length: 256 }, (_, byte) => {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1;
    return value;
  });
  const all = [first];
  for (let k = 1; k < 4; k++) all.push(all[k - 1]!.map((value) => (value >>> 8) ^ first[value & 0xff]!));
  return all;
}

function checksum(polynomial: number): (bytes: Uint8Array) => number {
  let cached: readonly Uint32Array[] | undefined;
  return (bytes) => {
    const [t0, t1, t2, t3] = (cached ??= tables(polynomial)) as [
      Uint32Array,
      Uint32Array,
      Uint32Array,
      Uint32Array,
    ];
    let crc = 0xffffffff;
    let i = 0;
    for (const end = bytes.length - 3; i < end; i += 4) {
      crc ^= bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
      crc = t3[crc & 0xff]! ^ t2[(crc >>> 8) & 0xff]! ^ t1[(crc >>> 16) & 0xff]! ^ t0[crc >>> 24]!;
    }
    for (; i < bytes.length; i++) crc = (crc >>> 8) ^ t0[(crc ^ bytes[i]!) & 0xff]!;
    return ~crc >>> 0;
  };
}

/** CRC-32 as in zip files. */
export const crc32 = checksum(0xedb88320);

/** CRC-32C (Castagnoli), as in TensorFlow's checkpoints. */
export const crc32c = checksum(0x82f63b78);
