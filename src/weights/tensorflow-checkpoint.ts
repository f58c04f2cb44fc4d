import { WeightsError } from "../errors.ts";
import type { DType, Shape } from "../tensor/index.ts";
import { tensor } from "../tensor/index.ts";
import type { Refuse } from "./byte-reader.ts";
import { ByteReader, refuser, utf8 } from "./byte-reader.ts";
import type { Checkpoint, EmaChoice, LazyTensor, NamedBytes, PassedOver } from "./checkpoint.ts";
import { bfloat16ToFloat32, checkedCount, tensorFromBytes } from "./little-endian.ts";
import { printable } from "./printable.ts";
import { protobufFields, readVarint } from "./protobuf.ts";
import { maskedCrc32c, readTable } from "./sstable.ts";
import { fromTensorflowNames } from "./tensorflow-names.ts";

/** `DataType` of TensorFlow's `types.proto`, those that weights have. */
const elementTypes: Readonly<Record<number, { dtype: DType; bytes: number; brain?: true }>> = {
  1: { dtype: "float32", bytes: 4 },
  2: { dtype: "float64", bytes: 8 },
  3: { dtype: "int32", bytes: 4 },
  4: { dtype: "uint8", bytes: 1 },
  5: { dtype: "int16", bytes: 2 },
  6: { dtype: "int8", bytes: 1 },
  9: { dtype: "int64", bytes: 8 },
  10: { dtype: "bool", bytes: 1 },
  14: { dtype: "float32", bytes: 2, brain: true },
  19: { dtype: "float16", bytes: 2 },
};
const stringType = 7;

const objectGraphKey = "_CHECKPOINTABLE_OBJECT_GRAPH";
const averageSuffix = "/ExponentialMovingAverage";
const valueSuffix = "/.ATTRIBUTES/VARIABLE_VALUE";

/** An entry of the index (`BundleEntryProto`): where a tensor lies in the data files. */
interface Entry {
  readonly type: number;
  readonly shape: Shape;
  readonly shard: number;
  readonly offset: number;
  readonly size: number;
  readonly checksum: number;
  readonly sliced: boolean;
}

/**
 * The weights of a TensorFlow checkpoint of google/automl's EfficientDet, by names (TF1) or by objects (TF2), under
 * effdet's names and in PyTorch's layout. `index` is the `.index` file; `data` its `.data-00000-of-00001` files.
 *
 * @param ema the moving averages of the weights (`…/ExponentialMovingAverage`, or the optimiser's `average`) where
 *   there are any (`auto`)
 * @throws {WeightsError} if a file is damaged or missing, or they hold no EfficientDet
 */
export function readTensorflowCheckpoint(
  index: NamedBytes,
  data: readonly NamedBytes[],
  ema: EmaChoice = "auto",
): Checkpoint {
  const source = index.name;
  const refuse = refuser("a TensorFlow checkpoint", source);
  const table = readTable(index.bytes, refuse);
  const header = table.get("");
  if (header === undefined) return refuse("the index has no header, so it is no TensorFlow checkpoint");
  const shards = arrangeShards(header, data, source, refuse);
  const entries = new Map<string, Entry>();
  for (const [name, value] of table) if (name !== "") entries.set(name, parseEntry(value, refuse));

  const graph = entries.get(objectGraphKey);
  const names = graph === undefined ? undefined : objectNames(readString(graph, shards, refuse), refuse);
  const { variables, averages } = collectVariables(entries, names, shards, refuse);
  if (ema === "yes" && averages.size === 0)
    throw new WeightsError(
      `the checkpoint holds no moving average of the weights (${source})`,
      "leave out --ema yes",
    );
  const useAverages = ema !== "no" && averages.size > 0;
  if (useAverages) for (const [name, average] of averages) variables.set(name, average);
  const { tensors, passedOver } = fromTensorflowNames(variables);
  const other: PassedOver[] =
    averages.size === 0
      ? []
      : [
          {
            name: useAverages ? "plain values" : "moving averages",
            shape: [],
            reason: useAverages
              ? "the moving averages of the weights were taken instead; --ema no takes these"
              : "the plain weights were taken instead",
          },
        ];
  return {
    format: graph === undefined ? "tensorflow-1" : "tensorflow-2",
    source,
    tensors,
    metadata: {},
    ema: averages.size === 0 ? undefined : useAverages,
    passedOver: [...other, ...passedOver],
  };
}

function arrangeShards(
  header: Uint8Array,
  data: readonly NamedBytes[],
  source: string,
  refuse: Refuse,
): ReadonlyMap<number, NamedBytes> {
  let count = 1;
  for (const { number, value } of protobufFields(header, refuse)) {
    if (number === 1 && typeof value === "number") count = value;
    if (number === 2 && value !== 0) refuse("the numbers are not little-endian");
  }
  const shards = new Map<number, NamedBytes>();
  for (const file of data) {
    const [, shard] = /\.data-(\d{5})-of-\d{5}$/.exec(file.name) ?? [];
    if (shard !== undefined) shards.set(Number(shard), file);
  }
  if (shards.size < Math.min(count, 1))
    throw new WeightsError(
      `the data of the checkpoint are missing, only its index was given (${source})`,
      `put ${source.replace(/\.index$/, "")}.data-00000-of-${String(count).padStart(5, "0")} beside it`,
    );
  return shards;
}

function parseEntry(bytes: Uint8Array, refuse: Refuse): Entry {
  let [type, shard, offset, size, checksum, sliced] = [0, 0, 0, 0, 0, false];
  const shape: number[] = [];
  for (const { number, value } of protobufFields(bytes, refuse)) {
    if (number === 2 && typeof value !== "number") {
      for (const dim of protobufFields(value, refuse))
        if (dim.number === 2 && typeof dim.value !== "number") {
          let length = 0;
          for (const part of protobufFields(dim.value, refuse))
            if (part.number === 1 && typeof part.value === "number") length = part.value;
          shape.push(length);
        }
    } else if (number === 7) sliced = true;
    else if (typeof value === "number") {
      if (number === 1) type = value;
      if (number === 3) shard = value;
      if (number === 4) offset = value;
      if (number === 5) size = value;
      if (number === 6) checksum = value;
    }
  }
  return { type, shape, shard, offset, size, checksum, sliced };
}

function entryBytes(entry: Entry, shards: ReadonlyMap<number, NamedBytes>, refuse: Refuse): Uint8Array {
  const file = shards.get(entry.shard);
  if (file === undefined) return refuse(`data file number ${entry.shard} is missing`);
  return new ByteReader(file.bytes, refuse, entry.offset).take(entry.size);
}

/** The single text of a scalar string tensor: its length, a checksum of that, then the text. */
function readString(entry: Entry, shards: ReadonlyMap<number, NamedBytes>, refuse: Refuse): Uint8Array {
  if (entry.type !== stringType || entry.shape.length !== 0) refuse("the graph of objects is no text");
  const reader = new ByteReader(entryBytes(entry, shards, refuse), refuse);
  const length = readVarint(reader, refuse);
  reader.skip(4);
  return reader.take(length);
}

/** The official name of each checkpoint key, from the `TrackableObjectGraph`. */
function objectNames(graph: Uint8Array, refuse: Refuse): Map<string, string> {
  const names = new Map<string, string>();
  for (const node of protobufFields(graph, refuse)) {
    if (node.number !== 1 || typeof node.value === "number") continue;
    for (const attribute of protobufFields(node.value, refuse)) {
      if (attribute.number !== 2 || typeof attribute.value === "number") continue;
      let [fullName, key] = ["", ""];
      for (const { number, value } of protobufFields(attribute.value, refuse)) {
        if (typeof value === "number") continue;
        if (number === 2) fullName = utf8(value);
        if (number === 3) key = utf8(value);
      }
      if (fullName !== "") names.set(key, fullName);
    }
  }
  return names;
}

function collectVariables(
  entries: ReadonlyMap<string, Entry>,
  names: ReadonlyMap<string, string> | undefined,
  shards: ReadonlyMap<number, NamedBytes>,
  refuse: Refuse,
): { variables: Map<string, LazyTensor>; averages: Map<string, LazyTensor> } {
  const variables = new Map<string, LazyTensor>();
  const averages = new Map<string, LazyTensor>();
  for (const [key, entry] of entries) {
    const variable = lazyVariable(key, entry, shards, refuse);
    if (variable === undefined) continue;
    const slot =
      names && /^(.+)\/\.OPTIMIZER_SLOT\/.+\/average\/\.ATTRIBUTES\/VARIABLE_VALUE$/.exec(key)?.[1];
    if (slot) averages.set(names.get(slot + valueSuffix) ?? slot, variable);
    else {
      const name = names?.get(key) ?? key;
      if (name.endsWith(averageSuffix)) averages.set(name.slice(0, -averageSuffix.length), variable);
      else variables.set(name, variable);
    }
  }
  return { variables, averages };
}

function lazyVariable(
  key: string,
  entry: Entry,
  shards: ReadonlyMap<number, NamedBytes>,
  refuse: Refuse,
): LazyTensor | undefined {
  const type = Object.hasOwn(elementTypes, entry.type) ? elementTypes[entry.type] : undefined;
  if (type === undefined) return undefined;
  const { shape } = entry;
  const count = checkedCount(shape, entry.size / type.bytes);
  if (!entry.sliced && (count === undefined || count * type.bytes !== entry.size))
    refuse(`${printable(key)} of shape [${printable(shape.join(", "))}] has ${entry.size} bytes`);
  return {
    dtype: type.dtype,
    shape,
    read: () => {
      if (entry.sliced) refuse(`${printable(key)} is stored in slices, which are not read here`);
      const bytes = entryBytes(entry, shards, refuse);
      if (maskedCrc32c(bytes) !== entry.checksum) refuse(`the checksum of ${printable(key)} is wrong`);
      return type.brain
        ? tensor("float32", shape, bfloat16ToFloat32(bytes))
        : tensorFromBytes(type.dtype, shape, bytes);
    },
  };
}
