import type { DType, Shape, Tensor } from "../tensor/index.ts";
import { allocate, bytesPerElement, tensor } from "../tensor/index.ts";

/**
 * The elements of `bytes`, little-endian, as a tensor: a view where the bytes are aligned, a copy where they are not.
 * `bytes` must be exactly as long as the shape says. (Every machine that Node and browsers run on is little-endian.)
 */
export function tensorFromBytes(dtype: DType, shape: Shape, bytes: Uint8Array): Tensor {
  const size = bytesPerElement(dtype);
  const length = bytes.byteLength / size;
  if (bytes.byteOffset % size !== 0) {
    const data = allocate(dtype, length);
    new Uint8Array(data.buffer).set(bytes);
    return tensor(dtype, shape, data);
  }
  const { buffer, byteOffset } = bytes;
  const data = (() => {
    switch (dtype) {
      case "float64":
        return new Float64Array(buffer, byteOffset, length);
      case "float32":
        return new Float32Array(buffer, byteOffset, length);
      case "float16":
      case "uint16":
        return new Uint16Array(buffer, byteOffset, length);
      case "int64":
        return new BigInt64Array(buffer, byteOffset, length);
      case "int32":
        return new Int32Array(buffer, byteOffset, length);
      case "int16":
        return new Int16Array(buffer, byteOffset, length);
      case "int8":
        return new Int8Array(buffer, byteOffset, length);
      case "uint8":
      case "bool":
        return new Uint8Array(buffer, byteOffset, length);
    }
  })();
  return tensor(dtype, shape, data);
}

/** The bytes of a tensor, little-endian, without copying. */
export function bytesOf({ data }: Tensor): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** bfloat16 (the upper half of a float32), 2 bytes each, as float32. */
export function bfloat16ToFloat32(bytes: Uint8Array): Float32Array {
  const result = new Float32Array(bytes.byteLength / 2);
  const bits = new Uint32Array(result.buffer);
  for (let i = 0; i < bits.length; i++) bits[i] = (bytes[2 * i]! << 16) | (bytes[2 * i + 1]! << 24);
  return result;
}

/** Unsigned 32-bit integers, 4 bytes each, as int64. */
export function uint32ToInt64(bytes: Uint8Array): BigInt64Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return BigInt64Array.from({ length: bytes.byteLength / 4 }, (_, i) => BigInt(view.getUint32(4 * i, true)));
}

/** The product of a shape, or undefined where a size is not a whole number from 0 or the product exceeds `limit`. */
export function checkedCount(shape: readonly unknown[], limit: number): number | undefined {
  let count = 1;
  let empty = false;
  for (const size of shape) {
    if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) return undefined;
    if (size === 0) empty = true;
    else count *= size;
    // Checked with zeros left out too, so that no intermediate product loses precision.
    if (count > Number.MAX_SAFE_INTEGER) return undefined;
  }
  if (empty) return 0;
  return count <= limit ? count : undefined;
}
