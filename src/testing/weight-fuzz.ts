import fc from "fast-check";
import { EfficientDetError } from "../errors.ts";
import { elementCount } from "../tensor/index.ts";
import type { NamedBytes } from "../weights/checkpoint.ts";
import { readHdf5 } from "../weights/hdf5.ts";
import { refuser } from "../weights/byte-reader.ts";
import { readCheckpoint } from "../weights/read-checkpoint.ts";
import { writeSafetensors } from "../weights/safetensors.ts";
import { maskedCrc32c } from "../weights/sstable.ts";
import { readZip } from "../weights/zip.ts";
import { weightFixture } from "./fixtures.ts";
import { mutated } from "./mutations.ts";
import { ruleTensor } from "./rule.ts";
import { tinyParameters } from "./tiny-detector.ts";

/** A parser and damaged files for it. */
export interface FuzzTarget {
  readonly name: string;
  readonly files: () => fc.Arbitrary<Uint8Array>;
  readonly read: (bytes: Uint8Array) => void;
}

/** Reads a file and all its tensors, as a conversion does. */
function readAll(files: readonly NamedBytes[]): void {
  for (const { shape, dtype, read } of readCheckpoint(files).tensors.values()) {
    const tensor = read();
    if (tensor.dtype !== dtype || tensor.data.length !== elementCount(shape))
      throw new Error("not as announced");
  }
}

const asFile = (name: string) => (bytes: Uint8Array) => readAll([{ name, bytes }]);

/** The table with the checksums of its blocks made right again, so that damage gets past them. */
function resealed(blocks: readonly Block[], damaged: Uint8Array): Uint8Array {
  const bytes = Uint8Array.from(damaged);
  for (const { offset, size } of blocks) {
    if (offset + size + 5 > bytes.length) continue;
    const crc = maskedCrc32c(bytes.subarray(offset, offset + size + 1));
    new DataView(bytes.buffer).setUint32(offset + size + 1, crc, true);
  }
  return bytes;
}

interface Block {
  readonly offset: number;
  readonly size: number;
}

function blocksOf(table: Uint8Array): Block[] {
  const varints = (bytes: Uint8Array, count: number): number[] => {
    const values: number[] = [];
    for (let at = 0; values.length < count;) {
      let [value, scale] = [0, 1];
      do {
        value += (bytes[at]! & 0x7f) * scale;
        scale *= 128;
      } while (bytes[at++]! & 0x80);
      values.push(value);
    }
    return values;
  };
  const [, , offset, size] = varints(table.subarray(-48), 4) as [number, number, number, number];
  // The first data block begins the file and ends where the index block or the next data block begins; both are
  // found by trying which length has the right checksum.
  const blocks = [{ offset, size }];
  const view = new DataView(table.buffer, table.byteOffset);
  for (let start = 0; start < offset;) {
    let end = start + 1;
    while (
      end + 5 <= offset &&
      view.getUint32(end + 1, true) !== maskedCrc32c(table.subarray(start, end + 1))
    )
      end++;
    if (end + 5 > offset) break;
    blocks.push({ offset: start, size: end - start });
    start = end + 5;
  }
  return blocks;
}

const cached = <T>(make: () => T): (() => T) => {
  let value: { made: T } | undefined;
  return () => (value ??= { made: make() }).made;
};

const safetensors = cached(() =>
  writeSafetensors(
    tinyParameters({ classes: 2, squeeze: true })
      .slice(0, 40)
      .map(({ name, shape }) => [name, ruleTensor(name, shape, "lite0")] as const),
    { model: "d0", classes: '["cat","dog"]' },
  ),
);

/** Every parser of the folder. Structure is damaged rather than numbers: where it lies is given as a range. */
export const fuzzTargets: readonly FuzzTarget[] = [
  { name: "safetensors", files: () => mutated(safetensors(), [0, 0.5]), read: asFile("x.safetensors") },
  {
    name: "PyTorch's older form (pickle)",
    files: () => mutated(weightFixture("tiny-legacy.pth").bytes, [0, 0.45]),
    read: asFile("x.pth"),
  },
  {
    name: "PyTorch's zip form",
    files: () => mutated(weightFixture("tiny-training.pth").bytes),
    read: asFile("x.pth"),
  },
  {
    name: "zip directories",
    files: () => mutated(weightFixture("tiny-training.pth").bytes, [0.6, 1]),
    read: (bytes) => {
      for (const entry of readZip(bytes, refuser("zip", "x.zip")).values()) entry();
    },
  },
  {
    name: "Keras .h5",
    files: () => mutated(weightFixture("tiny.h5").bytes),
    read: asFile("x.h5"),
  },
  {
    name: "HDF5 groups",
    // The end of the file has the headers of the layers' groups close together.
    files: () => mutated(weightFixture("tiny.h5").bytes.subarray(0, 20_000)),
    read: (bytes) => void readHdf5(bytes, refuser("HDF5", "x.h5")),
  },
  ...["tiny-tf1/model.ckpt-1234", "tiny-tf2/ckpt"].flatMap((stem): FuzzTarget[] => {
    const index = weightFixture(`${stem}.index`);
    const data = weightFixture(`${stem}.data-00000-of-00001`);
    return [
      {
        name: `${stem}: index with right checksums`,
        files: () => {
          const blocks = blocksOf(index.bytes);
          return mutated(index.bytes).map((bytes) => resealed(blocks, bytes));
        },
        read: (bytes) => readAll([{ name: index.name, bytes }, data]),
      },
      {
        name: `${stem}: index as damaged`,
        files: () => mutated(index.bytes),
        read: (bytes) => readAll([{ name: index.name, bytes }, data]),
      },
    ];
  }),
  {
    name: "TF2 data, the graph of objects",
    files: () => mutated(weightFixture("tiny-tf2/ckpt.data-00000-of-00001").bytes, [0.4, 1]),
    read: (bytes) =>
      readAll([weightFixture("tiny-tf2/ckpt.index"), { name: "tiny-tf2/ckpt.data-00000-of-00001", bytes }]),
  },
  ...["float", "half", "int8"].map((kind): FuzzTarget => ({
    name: `TFLite of ${kind} weights`,
    files: () => mutated(weightFixture(`tiny-lite-${kind}.tflite`).bytes),
    read: asFile("x.tflite"),
  })),
];

/** A damaged file may take this long: a hundred times what a whole one takes. */
const maxMs = 3_000;

/** Reads `cases` damaged files: each is refused with an error of ours or read; never a crash, never a hang. */
export function fuzz({ files, read }: FuzzTarget, cases: number, seed: number): void {
  fc.assert(
    fc.property(files(), (bytes) => {
      const start = performance.now();
      try {
        read(bytes);
      } catch (error) {
        if (!(error instanceof EfficientDetError)) throw error;
        if (error.code !== "E_WEIGHTS" || /[\n\r]/.test(error.message)) throw error;
      }
      if (performance.now() - start > maxMs) throw new Error(`took over ${maxMs} ms`);
    }),
    { numRuns: cases, seed },
  );
}
