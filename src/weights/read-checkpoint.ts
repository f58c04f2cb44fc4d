import { WeightsError } from "../errors.ts";
import { latin1 } from "./byte-reader.ts";
import type { Checkpoint, EmaChoice, LazyTensor, NamedBytes } from "./checkpoint.ts";
import { looksLikeHdf5 } from "./hdf5.ts";
import { readKeras } from "./keras.ts";
import { looksLikePytorch, readPytorch } from "./pytorch.ts";
import { looksLikeSafetensors, readSafetensors } from "./safetensors.ts";
import { looksLikeTable } from "./sstable.ts";
import { readTensorflowCheckpoint } from "./tensorflow-checkpoint.ts";
import { looksLikeTflite } from "./tflite-model.ts";
import { readTflite } from "./tflite.ts";

/** Options of {@link readCheckpoint}. */
export interface ReadCheckpointOptions {
  /** The file's name, for messages, where only its bytes are given. Default `weights`. */
  readonly source?: string;
  /** Which weights of a file that has their moving average too. Default `auto`: the average where there is one. */
  readonly ema?: EmaChoice;
}

/**
 * A weight file of any format that trained EfficientDets exist in, under effdet's names and in PyTorch's layout:
 * safetensors, `torch.save` (today's zip form, the older form, training checkpoints), Keras `.h5`, TensorFlow
 * checkpoints (1 and 2), TFLite. The format is told by the content, never by the name. Nothing in a file is executed,
 * and tensors are decoded only when read.
 *
 * @param input the file's bytes; for a TensorFlow checkpoint its `.index` and `.data-…` files with their names
 * @throws {WeightsError} if the file is damaged, hostile, or of no known format
 */
export function readCheckpoint(
  input: Uint8Array | NamedBytes | readonly NamedBytes[],
  { source = "weights", ema = "auto" }: ReadCheckpointOptions = {},
): Checkpoint {
  const files =
    input instanceof Uint8Array ? [{ name: source, bytes: input }] : "bytes" in input ? [input] : input;
  const index = files.find(({ bytes }) => looksLikeTable(bytes));
  if (index !== undefined) {
    const stem = index.name.replace(/\.index$/, "");
    // Where several checkpoints lie in one folder, only the files of this one are its data.
    const own = files.filter(({ name }) => name.startsWith(`${stem}.data-`));
    return readTensorflowCheckpoint(index, own.length > 0 ? own : files, ema);
  }
  const [file] = files;
  if (file === undefined)
    throw new WeightsError(
      "no weight file was given",
      "name a .safetensors, .pth, .h5, .index or .tflite file",
    );
  return withoutWrappers(readOne(file, ema));
}

function readOne({ name, bytes }: NamedBytes, ema: EmaChoice): Checkpoint {
  if (looksLikeTflite(bytes)) return readTflite(bytes, name, ema);
  if (looksLikeHdf5(bytes)) return readKeras(bytes, name, ema);
  if (looksLikePytorch(bytes)) return readPytorch(bytes, name, ema);
  if (looksLikeSafetensors(bytes)) return readSafetensors(bytes, name);
  // Told by the name only to say what is wrong with it.
  if (/\.safetensors$/i.test(name)) return readSafetensors(bytes, name);
  throw new WeightsError(`this is no weight file of a known format (${name})`, adviceFor(name, bytes));
}

function adviceFor(name: string, bytes: Uint8Array): string {
  const start = latin1(bytes.subarray(0, 64));
  if (bytes.byteLength === 0) return "the file is empty: fetch it again";
  if (start.startsWith("\x1f\x8b")) return "it is a gzip archive: unpack it first (gunzip, or tar -xzf)";
  if (/\.tar$/i.test(name)) return "it is an archive: unpack it first (tar -xf)";
  if (/^\s*<(!doctype|html)/i.test(start)) return "it is a web page: the download went wrong, fetch it again";
  if (start.startsWith("version https://git-lfs"))
    return "it is a pointer of Git LFS: fetch the file itself (git lfs pull)";
  if (/\.index$/.test(name)) return "it is cut short or no checkpoint index: fetch it again";
  if (/\.data-\d+-of-\d+$/.test(name)) return "name the .index file beside it instead";
  if (start.startsWith("model_checkpoint_path")) return "name the .index file beside it instead";
  return "known are safetensors, PyTorch .pth, Keras .h5, TensorFlow checkpoints (.index) and TFLite";
}

/** Names without what `DataParallel` (`module.`) and training benches (`model.`) put before them. */
function withoutWrappers(checkpoint: Checkpoint): Checkpoint {
  let { tensors } = checkpoint;
  for (const prefix of ["module.", "model."]) {
    // A bench holds the anchors beside the model, so not quite all names have the prefix.
    const wrapped = new RegExp(`^${prefix}(?:model\\.)?(?:backbone|fpn|class_net|box_net)\\.`);
    if (![...tensors.keys()].some((name) => wrapped.test(name))) continue;
    tensors = new Map<string, LazyTensor>(
      [...tensors].map(([name, value]) => [
        name.startsWith(prefix) ? name.slice(prefix.length) : name,
        value,
      ]),
    );
  }
  return tensors === checkpoint.tensors ? checkpoint : { ...checkpoint, tensors };
}
