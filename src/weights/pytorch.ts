import { WeightsError } from "../errors.ts";
import type { Refuse } from "./byte-reader.ts";
import { ByteReader, latin1, refuser } from "./byte-reader.ts";
import type { Checkpoint, EmaChoice, LazyTensor, PassedOver } from "./checkpoint.ts";
import { runPickle } from "./pickle.ts";
import { printable } from "./printable.ts";
import type { StorageReference } from "./pytorch-objects.ts";
import { lazyTensor, pytorchHost, TensorReference } from "./pytorch-objects.ts";
import { looksLikeZip, readZip } from "./zip.ts";

/** Both forms begin with these numbers as pickled whole numbers of 10 and 2 bytes. */
const magic = 0x1950a86a20f9469cfc6cn;
const legacyStart = [0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9];

/** True if `bytes` begin as `torch.save` writes, in either form. */
export function looksLikePytorch(bytes: Uint8Array): boolean {
  return looksLikeZip(bytes) || isLegacy(bytes);
}

function isLegacy(bytes: Uint8Array): boolean {
  return bytes[0] === 0x80 && legacyStart.every((byte, i) => bytes[2 + i] === byte);
}

/** Where training programs keep the weights, in order of preference. */
const plainKeys = ["state_dict", "model", "model_state_dict"];
const averageKeys = ["state_dict_ema", "model_ema", "ema_state_dict", "ema"];

/**
 * A checkpoint of `torch.save`: a state dict, or a training checkpoint that holds one; in today's zip form or the form
 * before PyTorch 1.6. The pickle in it is read as data: nothing is imported or called, and a class that weights do not
 * need is refused.
 *
 * @param source the file's name, for messages
 * @param ema which weights of a training checkpoint: the moving average where there is one (`auto`)
 * @throws {WeightsError} if it is damaged, holds code, or holds no tensors
 */
export function readPytorch(bytes: Uint8Array, source = "checkpoint", ema: EmaChoice = "auto"): Checkpoint {
  const refuse = refuser("a PyTorch checkpoint", source);
  const legacy = !looksLikeZip(bytes);
  const { root, bytesOf } = legacy ? readLegacy(bytes, refuse) : readZipForm(bytes, refuse);
  const chosen = chooseWeights(root, ema, source);
  const tensors = new Map<string, LazyTensor>();
  for (const [name, value] of chosen.entries) {
    if (typeof name !== "string") return refuse("the weights have a name that is no text");
    if (value instanceof TensorReference) tensors.set(name, lazyTensor(value, bytesOf));
  }
  return {
    format: legacy ? "pytorch-legacy" : "pytorch",
    source,
    tensors,
    metadata: chosen.metadata,
    ema: chosen.ema,
    passedOver: chosen.passedOver,
  };
}

interface Unpickled {
  readonly root: unknown;
  readonly bytesOf: (storage: StorageReference) => Uint8Array;
}

function readZipForm(bytes: Uint8Array, refuse: Refuse): Unpickled {
  const entries = readZip(bytes, refuse);
  const pickleName = [...entries.keys()].find((name) => name.endsWith("/data.pkl") || name === "data.pkl");
  if (pickleName === undefined) return refuse("the zip file has no data.pkl, so it is no PyTorch checkpoint");
  const folder = pickleName.slice(0, -"data.pkl".length);
  const byteOrder = entries.get(`${folder}byteorder`);
  if (byteOrder !== undefined && latin1(byteOrder().subarray(0, 8)).trim() !== "little")
    refuse("the numbers are not little-endian");
  const host = pytorchHost(new Map(), refuse);
  const root = runPickle(new ByteReader(entries.get(pickleName)!(), refuse), host, refuse);
  const checked = new Map<string, Uint8Array>();
  return {
    root,
    bytesOf: ({ key, length, type }) => {
      const known = checked.get(key);
      if (known !== undefined) return known;
      const read = entries.get(`${folder}data/${key}`) ?? refuse(`storage ${printable(key)} is missing`);
      const data = read();
      if (data.byteLength < length * type.bytes)
        refuse(`storage ${printable(key)} has ${data.byteLength} bytes, not ${length * type.bytes}`);
      checked.set(key, data);
      return data;
    },
  };
}

function readLegacy(bytes: Uint8Array, refuse: Refuse): Unpickled {
  const reader = new ByteReader(bytes, refuse);
  const storages = new Map<string, StorageReference>();
  const host = pytorchHost(storages, refuse);
  if (runPickle(reader, host, refuse) !== magic) refuse("it does not begin as torch.save writes");
  const protocol = runPickle(reader, host, refuse);
  if (protocol !== 1001) refuse("its protocol number is not 1001");
  const system = runPickle(reader, host, refuse);
  if (!(system instanceof Map) || system.get("little_endian") !== true)
    refuse("the numbers are not little-endian");
  const root = runPickle(reader, host, refuse);
  const keys = runPickle(reader, host, refuse);
  if (!Array.isArray(keys)) return refuse("the list of storages is missing");
  const data = new Map<string, Uint8Array>();
  for (const key of keys as unknown[]) {
    const storage = typeof key === "string" ? storages.get(key) : undefined;
    if (storage === undefined || typeof key !== "string")
      return refuse("a storage is listed that no tensor has");
    const length = reader.u64();
    if (length !== storage.length)
      refuse(`storage ${printable(key)} has ${length} elements here and ${storage.length} in the pickle`);
    data.set(key, reader.take(length * storage.type.bytes));
  }
  return {
    root,
    bytesOf: ({ key }) => data.get(key) ?? refuse(`storage ${printable(key)} is missing`),
  };
}

interface ChosenWeights {
  readonly entries: ReadonlyMap<unknown, unknown>;
  readonly ema: boolean | undefined;
  readonly metadata: Record<string, string>;
  readonly passedOver: readonly PassedOver[];
}

function isStateDict(value: unknown): value is Map<unknown, unknown> {
  if (!(value instanceof Map)) return false;
  for (const item of value.values()) if (item instanceof TensorReference) return true;
  return false;
}

function chooseWeights(root: unknown, ema: EmaChoice, source: string): ChosenWeights {
  if (isStateDict(root)) {
    if (ema === "yes")
      throw new WeightsError(
        `the file has one set of weights, no moving average (${source})`,
        "leave out --ema yes",
      );
    return { entries: root, ema: undefined, metadata: {}, passedOver: [] };
  }
  const outer = root instanceof Map ? (root as Map<unknown, unknown>) : new Map<unknown, unknown>();
  const find = (keys: readonly string[]) => keys.find((key) => isStateDict(outer.get(key)));
  const plain = find(plainKeys);
  const average = find(averageKeys);
  if (ema === "yes" && average === undefined)
    throw new WeightsError(
      `the checkpoint holds no moving average of the weights (${source})`,
      "leave out --ema yes",
    );
  const key = ema === "no" ? plain : (average ?? plain);
  if (key === undefined)
    throw new WeightsError(
      `no state dict was found in the checkpoint (${source})`,
      `save it with torch.save(model.state_dict(), …), or under the key ${plainKeys[0]}`,
    );
  const passedOver = [...outer.keys()].flatMap((other) =>
    typeof other !== "string" || other === key
      ? []
      : [{ name: printable(other), shape: [], reason: reasonFor(other) }],
  );
  const arch = outer.get("arch");
  return {
    entries: outer.get(key) as Map<unknown, unknown>,
    ema: average === undefined ? undefined : key === average,
    metadata: typeof arch === "string" ? { architecture: arch } : {},
    passedOver,
  };
}

function reasonFor(key: string): string {
  if (plainKeys.includes(key))
    return "the moving average of the weights was taken instead; --ema no takes these";
  if (averageKeys.includes(key)) return "the plain weights were taken instead";
  return "training state, not weights";
}
