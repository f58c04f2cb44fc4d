import type { DType, Shape, Tensor } from "../tensor/index.ts";
import { allocate, bytesPerElement, elementCount, tensor } from "../tensor/index.ts";
import type { Refuse } from "./byte-reader.ts";
import { latin1 } from "./byte-reader.ts";
import type { LazyTensor } from "./checkpoint.ts";
import { bfloat16ToFloat32, checkedCount, tensorFromBytes } from "./little-endian.ts";
import type { PickleHost } from "./pickle.ts";
import { PickleGlobal, PickleObject, PickleTuple } from "./pickle.ts";
import { printable } from "./printable.ts";

/** How PyTorch stores elements: a type of ours, or bfloat16, which is read as float32. */
interface ElementType {
  readonly dtype: DType;
  readonly bytes: number;
  readonly brain?: true;
}

const element = (dtype: DType): ElementType => ({ dtype, bytes: bytesPerElement(dtype) });
const bfloat16: ElementType = { dtype: "float32", bytes: 2, brain: true };

const storageTypes: ReadonlyMap<string, ElementType> = new Map([
  ["torch.DoubleStorage", element("float64")],
  ["torch.FloatStorage", element("float32")],
  ["torch.HalfStorage", element("float16")],
  ["torch.BFloat16Storage", bfloat16],
  ["torch.LongStorage", element("int64")],
  ["torch.IntStorage", element("int32")],
  ["torch.ShortStorage", element("int16")],
  ["torch.CharStorage", element("int8")],
  ["torch.ByteStorage", element("uint8")],
  ["torch.BoolStorage", element("bool")],
  // The elements of an untyped storage are bytes; its tensors say what they are.
  ["torch.storage.UntypedStorage", element("uint8")],
]);

const elementTypes: ReadonlyMap<string, ElementType> = new Map([
  ["torch.float64", element("float64")],
  ["torch.float32", element("float32")],
  ["torch.float16", element("float16")],
  ["torch.bfloat16", bfloat16],
  ["torch.int64", element("int64")],
  ["torch.int32", element("int32")],
  ["torch.int16", element("int16")],
  ["torch.int8", element("int8")],
  ["torch.uint8", element("uint8")],
  ["torch.bool", element("bool")],
]);

/** Classes of training settings and the like, which are kept as data and never looked at. */
const inert: ReadonlySet<string> = new Set([
  "argparse.Namespace",
  "types.SimpleNamespace",
  "collections.Counter",
  "collections.defaultdict",
  "builtins.int",
  "builtins.float",
  "builtins.list",
  "builtins.dict",
  "builtins.set",
  "__builtin__.set",
  "pathlib.PosixPath",
  "pathlib.WindowsPath",
  "numpy.dtype",
  "numpy.ndarray",
  "numpy.core.multiarray.scalar",
  "numpy.core.multiarray._reconstruct",
  "numpy._core.multiarray.scalar",
  "numpy._core.multiarray._reconstruct",
  "torch.device",
  "torch.Size",
  "torch.torch_version.TorchVersion",
]);

const makers: ReadonlySet<string> = new Set([
  "collections.OrderedDict",
  "_codecs.encode",
  "torch._utils._rebuild_tensor",
  "torch._utils._rebuild_tensor_v2",
  "torch._utils._rebuild_tensor_v3",
  "torch._utils._rebuild_parameter",
]);

/** A run of bytes that tensors are views of, by its key in the file. */
export interface StorageReference {
  readonly key: string;
  readonly type: ElementType;
  /** In elements of its type. */
  readonly length: number;
}

/** A tensor of a pickle: a view of a storage. */
export class TensorReference {
  readonly storage: StorageReference;
  readonly type: ElementType;
  /** In elements. */
  readonly offset: number;
  readonly shape: Shape;
  readonly strides: readonly number[];
  constructor(
    storage: StorageReference,
    type: ElementType,
    offset: number,
    shape: Shape,
    strides: readonly number[],
  ) {
    this.storage = storage;
    this.type = type;
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
  }
}

function isStorage(value: unknown): value is StorageReference {
  return (
    typeof value === "object" && value !== null && "key" in value && "type" in value && "length" in value
  );
}

function wholeNumbers(value: unknown): number[] | undefined {
  const items =
    value instanceof PickleTuple
      ? value.items
      : value instanceof PickleObject && value.args[0] instanceof PickleTuple
        ? value.args[0].items
        : undefined;
  return items?.every((item) => Number.isSafeInteger(item) && (item as number) >= 0)
    ? (items as number[])
    : undefined;
}

/** The few classes that PyTorch checkpoints are made of, as data. `storages` collects the storages that are named. */
export function pytorchHost(storages: Map<string, StorageReference>, refuse: Refuse): PickleHost {
  const rebuild = (args: readonly unknown[], type?: ElementType): TensorReference => {
    const [storage, offset, size, stride] = args;
    if (!isStorage(storage)) return refuse("the pickle makes a tensor without a storage");
    const shape = wholeNumbers(size);
    const strides = wholeNumbers(stride);
    if (shape === undefined || strides?.length !== shape.length || !Number.isSafeInteger(offset))
      return refuse("the pickle makes a tensor whose sizes are no whole numbers");
    const own = type ?? storage.type;
    const available = Math.floor((storage.length * storage.type.bytes) / own.bytes);
    const count = checkedCount(shape, available);
    const last = shape.reduce((sum, length, axis) => sum + (length - 1) * strides[axis]!, offset as number);
    if (count === undefined || (offset as number) < 0 || (count > 0 && !(last < available)))
      return refuse(
        `a tensor of shape [${printable(shape.join(", "))}] does not fit its storage of ${available} elements`,
      );
    return new TensorReference(storage, own, offset as number, shape, strides);
  };
  return {
    allows: (global) =>
      makers.has(global) || storageTypes.has(global) || elementTypes.has(global) || inert.has(global),
    call: (global, args) => {
      switch (global) {
        case "collections.OrderedDict": {
          const pairs: unknown[] = Array.isArray(args[0]) ? args[0] : [];
          return new Map(
            pairs.flatMap((pair): [unknown, unknown][] => {
              const items: readonly unknown[] =
                pair instanceof PickleTuple ? pair.items : Array.isArray(pair) ? pair : [];
              return items.length === 2 ? [[items[0], items[1]]] : [];
            }),
          );
        }
        case "_codecs.encode":
          return typeof args[0] === "string"
            ? Uint8Array.from(args[0], (character) => character.charCodeAt(0))
            : refuse("the pickle encodes something that is no text");
        case "torch._utils._rebuild_tensor":
        case "torch._utils._rebuild_tensor_v2":
          return rebuild(args);
        case "torch._utils._rebuild_tensor_v3": {
          const dtype = args[6];
          const type = dtype instanceof PickleGlobal ? elementTypes.get(dtype.name) : undefined;
          return type === undefined
            ? refuse("the pickle makes a tensor of an unknown type")
            : rebuild(args, type);
        }
        case "torch._utils._rebuild_parameter":
          return args[0] instanceof TensorReference
            ? args[0]
            : refuse("the pickle makes a parameter of no tensor");
        default:
          return inert.has(global)
            ? new PickleObject(global, args)
            : refuse(`the pickle calls ${printable(global)}, which makes no data`);
      }
    },
    persistent: (id) => {
      const [tag, kind, key, , length, view = null] = id instanceof PickleTuple ? id.items : [];
      const type = kind instanceof PickleGlobal ? storageTypes.get(kind.name) : undefined;
      const text = key instanceof Uint8Array ? latin1(key) : key;
      if (
        (tag !== "storage" && !(tag instanceof Uint8Array && latin1(tag) === "storage")) ||
        type === undefined ||
        view !== null ||
        typeof text !== "string" ||
        !Number.isSafeInteger(length) ||
        (length as number) < 0
      )
        return refuse("the pickle refers to something that is no storage of a known type");
      const known = storages.get(text);
      if (known !== undefined) return known;
      const storage: StorageReference = { key: text, type, length: length as number };
      storages.set(text, storage);
      return storage;
    },
  };
}

/** A tensor of a pickle, read when asked for. `bytesOf` gives a storage's bytes. */
export function lazyTensor(
  reference: TensorReference,
  bytesOf: (storage: StorageReference) => Uint8Array,
): LazyTensor {
  const { type, shape } = reference;
  return {
    dtype: type.dtype,
    shape,
    read: () => gather(reference, bytesOf(reference.storage)),
  };
}

function gather({ type, offset, shape, strides }: TensorReference, bytes: Uint8Array): Tensor {
  const count = elementCount(shape);
  const decode = (own: Uint8Array, ownShape: Shape): Tensor =>
    type.brain
      ? tensor("float32", ownShape, bfloat16ToFloat32(own))
      : tensorFromBytes(type.dtype, ownShape, own);
  if (isContiguous(shape, strides))
    return decode(bytes.subarray(offset * type.bytes, (offset + count) * type.bytes), shape);
  const all = decode(bytes, [Math.floor(bytes.byteLength / type.bytes)]);
  const data = allocate(type.dtype, count);
  const index = new Array<number>(shape.length).fill(0);
  let from = offset;
  for (let to = 0; to < count; to++) {
    data[to] = all.data[from]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      from -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return tensor(type.dtype, shape, data);
}

/** C order, whatever the strides of dimensions of size 1 say. */
function isContiguous(shape: Shape, strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis]!;
  }
  return true;
}
