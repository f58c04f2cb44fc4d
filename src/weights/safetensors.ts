import { WeightsError } from "../errors.ts";
import type { DType, Shape, Tensor } from "../tensor/index.ts";
import { bytesPerElement, elementCount, tensor } from "../tensor/index.ts";
import type { Checkpoint, LazyTensor } from "./checkpoint.ts";
import { bfloat16ToFloat32, bytesOf, checkedCount, tensorFromBytes, uint32ToInt64 } from "./little-endian.ts";
import { printable } from "./printable.ts";

/** The longest header that is read, as in the reference implementation. */
const maxHeaderBytes = 100_000_000;

const remedy = "it is damaged or not safetensors: fetch or convert it again";

interface StoredType {
  /** What the tensor is read as: the same type where we have it, else the next that holds all its values. */
  readonly dtype: DType;
  readonly bytes: number;
  readonly decode?: (bytes: Uint8Array, shape: Shape) => Tensor;
}

const storedTypes: ReadonlyMap<string, StoredType> = new Map<string, StoredType>([
  ["F64", { dtype: "float64", bytes: 8 }],
  ["F32", { dtype: "float32", bytes: 4 }],
  ["F16", { dtype: "float16", bytes: 2 }],
  [
    "BF16",
    {
      dtype: "float32",
      bytes: 2,
      decode: (bytes, shape) => tensor("float32", shape, bfloat16ToFloat32(bytes)),
    },
  ],
  ["I64", { dtype: "int64", bytes: 8 }],
  // Values from 2^63 on would turn negative; no weight file has them.
  ["U64", { dtype: "int64", bytes: 8 }],
  ["I32", { dtype: "int32", bytes: 4 }],
  [
    "U32",
    { dtype: "int64", bytes: 4, decode: (bytes, shape) => tensor("int64", shape, uint32ToInt64(bytes)) },
  ],
  ["I16", { dtype: "int16", bytes: 2 }],
  ["U16", { dtype: "uint16", bytes: 2 }],
  ["I8", { dtype: "int8", bytes: 1 }],
  ["U8", { dtype: "uint8", bytes: 1 }],
  ["BOOL", { dtype: "bool", bytes: 1 }],
]);

const names: Readonly<Record<DType, string>> = {
  float64: "F64",
  float32: "F32",
  float16: "F16",
  int64: "I64",
  int32: "I32",
  int16: "I16",
  int8: "I8",
  uint16: "U16",
  uint8: "U8",
  bool: "BOOL",
};

/** True if `bytes` may be safetensors: a header length that the file can hold, then `{`. */
export function looksLikeSafetensors(bytes: Uint8Array): boolean {
  return bytes.byteLength > 8 && bytes[8] === 0x7b && headerLength(bytes) <= bytes.byteLength - 8;
}

function headerLength(bytes: Uint8Array): number {
  return Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true));
}

/**
 * The tensors and metadata of a safetensors file. Tensors are views of `bytes` made when read (a copy only where
 * unaligned); bfloat16 is read as float32 and unsigned 32- and 64-bit integers as int64.
 *
 * @param source the file's name, for messages
 * @throws {WeightsError} unless header, shapes and offsets are consistent and cover the file without holes
 */
export function readSafetensors(bytes: Uint8Array, source = "safetensors"): Checkpoint {
  const refuse = (what: string): never => {
    throw new WeightsError(`${what} (${source})`, remedy);
  };
  if (bytes.byteLength < 8)
    refuse(`a safetensors file starts with 8 bytes of length, this has ${bytes.byteLength}`);
  const length = headerLength(bytes);
  if (length > bytes.byteLength - 8)
    refuse(
      `the safetensors header claims ${length} bytes, the file has ${bytes.byteLength - 8} after its length`,
    );
  if (length > maxHeaderBytes) refuse(`the safetensors header of ${length} bytes is over ${maxHeaderBytes}`);

  const header = parseHeader(bytes.subarray(8, 8 + length), refuse);
  const body = bytes.subarray(8 + length);
  const tensors = new Map<string, LazyTensor>();
  const spans: { name: string; begin: number; end: number }[] = [];
  let metadata: Record<string, string> = {};
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") {
      metadata = readStrings(entry, refuse);
      continue;
    }
    const { stored, shape, begin, end } = readEntry(name, entry, body.byteLength, refuse);
    spans.push({ name, begin, end });
    tensors.set(name, {
      dtype: stored.dtype,
      shape,
      read: () => {
        const own = body.subarray(begin, end);
        return stored.decode?.(own, shape) ?? tensorFromBytes(stored.dtype, shape, own);
      },
    });
  }
  // Without holes or overlaps nothing can hide in the file, and a name given twice shows as a hole.
  spans.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let position = 0;
  for (const { name, begin, end } of spans) {
    if (begin !== position)
      refuse(
        `tensor ${printable(name)} begins at byte ${begin} of the data, but the one before it ends at ${position}`,
      );
    position = end;
  }
  if (position !== body.byteLength)
    refuse(`the tensors end at byte ${position} of the data, the file at ${body.byteLength}`);
  return { format: "safetensors", source, tensors, metadata };
}

function parseHeader(bytes: Uint8Array, refuse: (what: string) => never): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    refuse("the safetensors header is not JSON");
  }
  if (!isRecord(header)) return refuse("the safetensors header is not a JSON object");
  return header;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function readStrings(entry: unknown, refuse: (what: string) => never): Record<string, string> {
  if (!isRecord(entry)) return refuse("__metadata__ is not an object");
  const result: [string, string][] = [];
  for (const [key, value] of Object.entries(entry)) {
    if (typeof value !== "string") return refuse(`metadata ${printable(key)} is not a string`);
    result.push([key, value]);
  }
  return Object.fromEntries(result);
}

function readEntry(
  name: string,
  entry: unknown,
  available: number,
  refuse: (what: string) => never,
): { stored: StoredType; shape: Shape; begin: number; end: number } {
  if (!isRecord(entry)) return refuse(`tensor ${printable(name)} has no description`);
  const { dtype, shape, data_offsets: offsets } = entry;
  const stored = typeof dtype === "string" ? storedTypes.get(dtype) : undefined;
  if (stored === undefined)
    return refuse(
      `tensor ${printable(name)} has element type ${printable(dtype)}, known are ${[...storedTypes.keys()].join(", ")}`,
    );
  if (!Array.isArray(shape)) return refuse(`tensor ${printable(name)} has no shape`);
  const [begin, end] = Array.isArray(offsets) && offsets.length === 2 ? (offsets as unknown[]) : [];
  if (!isOffset(begin) || !isOffset(end) || end < begin)
    return refuse(`tensor ${printable(name)} has offsets ${printable(offsets)}`);
  if (end > available)
    return refuse(`tensor ${printable(name)} ends at byte ${end} of the data, the file at ${available}`);
  const count = checkedCount(shape, Number.MAX_SAFE_INTEGER / 8);
  if (count === undefined)
    return refuse(`tensor ${printable(name)} has the impossible shape ${printable(shape)}`);
  if (count * stored.bytes !== end - begin)
    return refuse(
      `tensor ${printable(name)} of ${printable(dtype)} ${printable(shape)} needs ${count * stored.bytes} bytes, its offsets span ${end - begin}`,
    );
  return { stored, shape: shape as number[], begin, end };
}

function isOffset(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/** What {@link safetensorsChunks} takes: named tensors, in memory or lazy. */
export type NamedTensors = Iterable<readonly [string, Tensor | LazyTensor]>;

/**
 * A safetensors file in pieces, for streaming to disk: the header, then each tensor's bytes. A lazy tensor is read
 * when its piece is asked for, so only one is in memory at a time. Larger element types come first, which keeps every
 * tensor aligned; tensors of one element size stay in the given order.
 *
 * @throws {WeightsError} if a name is given twice or is `__metadata__`
 */
export function* safetensorsChunks(
  tensors: NamedTensors,
  metadata: Readonly<Record<string, string>> = {},
): Generator<Uint8Array, void, undefined> {
  const entries = [...tensors].sort(([, a], [, b]) => bytesPerElement(b.dtype) - bytesPerElement(a.dtype));
  const header = new Map<string, unknown>();
  if (Object.keys(metadata).length > 0) header.set("__metadata__", metadata);
  let position = 0;
  for (const [name, { dtype, shape }] of entries) {
    if (name === "__metadata__" || header.has(name))
      throw new WeightsError(
        `tensor name ${name} cannot be written twice (safetensors)`,
        "rename one of the tensors",
      );
    const end = position + elementCount(shape) * bytesPerElement(dtype);
    header.set(name, { dtype: names[dtype], shape, data_offsets: [position, end] });
    position = end;
  }
  const text = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const padded = Math.ceil(text.byteLength / 8) * 8;
  const start = new Uint8Array(8 + padded).fill(0x20);
  new DataView(start.buffer).setBigUint64(0, BigInt(padded), true);
  start.set(text, 8);
  yield start;
  for (const [, entry] of entries) yield bytesOf("read" in entry ? entry.read() : entry);
}

/**
 * A safetensors file in one piece; see {@link safetensorsChunks}. No tensors give a valid, empty file.
 *
 * @throws {WeightsError} if a name is given twice or is `__metadata__`
 */
export function writeSafetensors(
  tensors: NamedTensors,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const chunks = [...safetensorsChunks(tensors, metadata)];
  const result = new Uint8Array(chunks.reduce((total, chunk) => total + chunk.byteLength, 0));
  let position = 0;
  for (const chunk of chunks) {
    result.set(chunk, position);
    position += chunk.byteLength;
  }
  return result;
}
