import type { Shape, Tensor } from "../tensor/index.ts";
import { elementCount, halfToFloat32, tensor } from "../tensor/index.ts";
import type { Refuse } from "./byte-reader.ts";
import { latin1 } from "./byte-reader.ts";
import { FlatBuffer } from "./flatbuffer.ts";
import { checkedCount, tensorFromBytes } from "./little-endian.ts";
import { printable } from "./printable.ts";

/** What an operation is to the structure of a detector. `same` gives out what came in, in another number format. */
export type TfliteKind = "conv" | "depthwise" | "add" | "pool" | "resize" | "same" | "postprocess" | "other";

const builtins: Readonly<Record<number, TfliteKind>> = {
  0: "add",
  3: "conv",
  4: "depthwise",
  6: "same", // dequantize
  17: "pool",
  19: "same", // relu
  21: "same", // relu6
  97: "resize",
  106: "add", // add_n
  114: "same", // quantize
};
const customBuiltin = 32;

/** An operation; tensors by their number, −1 for an input that is left out. */
export interface TfliteOperation {
  readonly kind: TfliteKind;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
}

/** A tensor of the graph; a constant where `constant` is given. */
export interface TfliteTensor {
  readonly name: string;
  readonly shape: Shape;
  readonly type: "float32" | "float16" | "int8" | "uint8" | "int32" | "other";
  /** The constant's values as float32: dequantised as the interpreter does, `(q − zero) · scale`. */
  readonly constant?: () => Tensor<"float32">;
}

/** The first subgraph of a TFLite file. */
export interface TfliteModel {
  readonly tensors: readonly TfliteTensor[];
  readonly operations: readonly TfliteOperation[];
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
}

/** `TensorType` of TFLite's schema. */
const types: Readonly<Record<number, TfliteTensor["type"]>> = {
  0: "float32",
  1: "float16",
  2: "int32",
  3: "uint8",
  9: "int8",
};
const typeBytes = { float32: 4, float16: 2, int32: 4, uint8: 1, int8: 1 } as const;

/** True if `bytes` carry the identifier of a TFLite file. */
export function looksLikeTflite(bytes: Uint8Array): boolean {
  return bytes.byteLength >= 8 && latin1(bytes.subarray(4, 8)) === "TFL3";
}

/**
 * The tensors and operations of a TFLite file.
 *
 * @see `schema.fbs` of TensorFlow Lite, whose field numbers these are
 */
export function readTfliteModel(bytes: Uint8Array, refuse: Refuse): TfliteModel {
  if (!looksLikeTflite(bytes)) refuse("the file has no TFL3 identifier");
  const model = new FlatBuffer(bytes, refuse).root();
  const codes = model.tables(1).map((code): TfliteKind => {
    // Numbers up to 127 stand in the old field too; newer ones only in the new.
    const builtin = Math.max(code.i8(0), code.i32(3));
    if (builtin === customBuiltin)
      return code.text(1) === "TFLite_Detection_PostProcess" ? "postprocess" : "other";
    return Object.hasOwn(builtins, builtin) ? builtins[builtin]! : "other";
  });
  const [graph] = model.tables(2);
  if (graph === undefined) return refuse("the file has no graph");
  const buffers = model.tables(4).map((buffer) => {
    const inside = buffer.bytes(0);
    const [offset, size] = [buffer.i64(1), buffer.i64(2)];
    if (inside !== undefined || offset <= 1) return inside;
    // Files of over 2 GB keep their data after the structure.
    if (size < 0 || offset + size > bytes.byteLength) refuse(`a buffer of ${size} bytes at byte ${offset}`);
    return bytes.subarray(offset, offset + size);
  });

  const tensors = graph.tables(0).map((table): TfliteTensor => {
    const shape = table.i32s(0);
    const code = table.i8(1);
    const type = Object.hasOwn(types, code) ? types[code]! : "other";
    const name = table.text(3);
    const data = buffers[table.u32(2)];
    if (data === undefined || data.byteLength === 0 || type === "other") return { name, shape, type };
    const quantization = table.table(4);
    const scales = quantization?.f32s(2) ?? [];
    const zeros = quantization?.i64s(3) ?? [];
    const axis = quantization?.i32(6) ?? 0;
    const size = checkedCount(shape, data.byteLength / typeBytes[type]);
    if (size === undefined || size * typeBytes[type] !== data.byteLength)
      refuse(
        `tensor ${printable(name)} of shape [${printable(shape.join(", "))}] has ${data.byteLength} bytes of ${type}`,
      );
    return {
      name,
      shape,
      type,
      constant: () => {
        if (type === "float16")
          return tensor(
            "float32",
            shape,
            halfToFloat32(tensorFromBytes("float16", shape, data).data as Uint16Array),
          );
        const raw = tensorFromBytes(type, shape, data);
        return type === "float32"
          ? (raw as Tensor<"float32">)
          : dequantized(raw as Tensor<"int8" | "uint8" | "int32">, scales, zeros, axis, name, refuse);
      },
    };
  });
  const valid = (index: number) => Number.isInteger(index) && index >= -1 && index < tensors.length;
  const operations = graph.tables(3).map((table): TfliteOperation => {
    const [inputs, outputs] = [table.i32s(1), table.i32s(2)];
    if (![...inputs, ...outputs].every(valid)) refuse("an operation names a tensor that is not there");
    return { kind: codes[table.u32(0)] ?? refuse("an operation has no code"), inputs, outputs };
  });
  const [inputs, outputs] = [graph.i32s(1), graph.i32s(2)];
  if (![...inputs, ...outputs].every((index) => valid(index) && index >= 0))
    refuse("the graph names a tensor that is not there");
  return { tensors, operations, inputs, outputs };
}

function dequantized(
  { shape, data }: Tensor<"int8" | "uint8" | "int32">,
  scales: readonly number[],
  zeros: readonly number[],
  axis: number,
  name: string,
  refuse: Refuse,
): Tensor<"float32"> {
  const channels = scales.length === 1 ? 1 : (shape[axis] ?? 0);
  if (scales.length === 0 || scales.length !== channels || zeros.length > channels)
    refuse(`tensor ${printable(name)} has ${scales.length} scales for ${channels} channels`);
  const inner = scales.length === 1 ? data.length : elementCount(shape.slice(axis + 1));
  const result = new Float32Array(data.length);
  for (let i = 0; i < data.length; i++) {
    const channel = Math.floor(i / inner) % channels;
    result[i] = (data[i]! - (zeros[zeros.length === 1 ? 0 : channel] ?? 0)) * scales[channel]!;
  }
  return tensor("float32", shape, result);
}
