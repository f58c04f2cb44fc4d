import type { DType, Shape } from "../tensor/index.ts";
import { bytesPerElement, elementCount } from "../tensor/index.ts";
import type { Refuse } from "./byte-reader.ts";
import { ByteReader, latin1, utf8 } from "./byte-reader.ts";
import type { LazyTensor } from "./checkpoint.ts";
import { checkedCount, tensorFromBytes } from "./little-endian.ts";
import { printable } from "./printable.ts";

/**
 * A reader for the part of HDF5 that Keras writes: groups, and data sets of plain numbers in one piece.
 *
 * Written here rather than taken over: the HDF5 library (as WebAssembly) brings 4 MB, is loaded asynchronously, copies
 * each file into a file system of its own, and stops the whole module on some damaged files. Attributes, links,
 * compression and pieces ("chunks") are not needed for weights and are not read.
 *
 * @see the HDF5 file format specification, version 3.0
 */

const signature = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a];

/** Longest name and deepest path that are read; Keras stays far below both. */
const maxNameBytes = 1024;
const maxDepth = 64;

/** True if `bytes` begin as an HDF5 file does. */
export function looksLikeHdf5(bytes: Uint8Array): boolean {
  return signature.every((byte, i) => bytes[i] === byte);
}

interface Message {
  readonly type: number;
  readonly data: Uint8Array;
}

/** The data sets of a file by their path, without the leading slash. Numbers of other types than ours are left out. */
export function readHdf5(bytes: Uint8Array, refuse: Refuse): Map<string, LazyTensor> {
  const file = new Hdf5File(bytes, refuse);
  const datasets = new Map<string, LazyTensor>();
  const seen = new Set<number>();
  const open: { path: string; depth: number; address: number }[] = [
    { path: "", depth: 0, address: file.rootAddress },
  ];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { path, depth, address } = next;
    // Each object once: two links to one object, or a circle of them, cannot make the work grow.
    if (seen.has(address)) continue;
    seen.add(address);
    const messages = file.messages(address);
    if (messages.some(({ type }) => type === 0x08)) {
      const dataset = file.dataset(path, messages);
      if (dataset !== undefined) datasets.set(path, dataset);
      continue;
    }
    if (depth >= maxDepth) refuse(`groups lie ${maxDepth} deep at ${printable(path)}`);
    for (const [name, child] of file.links(path, messages))
      open.push({ path: path === "" ? name : `${path}/${name}`, depth: depth + 1, address: child });
  }
  return datasets;
}

class Hdf5File {
  readonly rootAddress: number;
  readonly #bytes: Uint8Array;
  readonly #refuse: Refuse;
  /** Messages, links and nodes that may still be read: honest ones take at least eight bytes each. */
  #budget: number;

  constructor(bytes: Uint8Array, refuse: Refuse) {
    this.#bytes = bytes;
    this.#refuse = refuse;
    this.#budget = 1024 + bytes.byteLength / 8;
    const reader = this.#at(8);
    const version = reader.u8();
    if (version > 3) refuse(`HDF5 superblock version ${version} is not known`);
    if (version < 2) reader.skip(4);
    const [offsets, lengths] = [reader.u8(), reader.u8()];
    if (offsets !== 8 || lengths !== 8)
      refuse(`HDF5 addresses of ${offsets} and lengths of ${lengths} bytes`);
    if (version < 2) {
      reader.skip(version === 0 ? 9 : 13);
      if (reader.u64() !== 0) refuse("the HDF5 data do not begin at the file's beginning");
      reader.skip(24 + 8); // free space, end of file, driver; then the root's name
    } else {
      reader.skip(1);
      if (reader.u64() !== 0) refuse("the HDF5 data do not begin at the file's beginning");
      reader.skip(16);
    }
    this.rootAddress = reader.u64();
  }

  #at(address: number): ByteReader {
    return new ByteReader(this.#bytes, this.#refuse, address);
  }

  #spend(): void {
    if (--this.#budget < 0) this.#refuse("its parts overlap, as in no honest HDF5 file");
  }

  #expect(reader: ByteReader, tag: string): void {
    if (latin1(reader.take(4)) !== tag) this.#refuse(`no ${tag} block at byte ${reader.position - 4}`);
  }

  /** The messages of an object header, of both versions, with their continuations. */
  messages(address: number): Message[] {
    const reader = this.#at(address);
    const messages: Message[] = [];
    const blocks: { start: number; length: number }[] = [];
    const modern = this.#bytes[address] === 0x4f; // "OHDR"
    let ordered = false;
    if (modern) {
      this.#expect(reader, "OHDR");
      if (reader.u8() !== 2) this.#refuse(`object header at byte ${address} has an unknown version`);
      const flags = reader.u8();
      ordered = (flags & 4) !== 0;
      reader.skip((flags & 0x20 ? 16 : 0) + (flags & 0x10 ? 4 : 0));
      const width = flags & 3;
      const length =
        width === 0 ? reader.u8() : width === 1 ? reader.u16() : width === 2 ? reader.u32() : reader.u64();
      blocks.push({ start: reader.position, length });
    } else {
      if (reader.u8() !== 1) this.#refuse(`object header at byte ${address} has an unknown version`);
      reader.skip(7);
      const length = reader.u32();
      reader.skip(4);
      blocks.push({ start: reader.position, length });
    }
    // The list of blocks grows while it is gone through; each continuation is paid for from the budget.
    for (const { start, length } of blocks) {
      const block = new ByteReader(this.#at(start).take(length), this.#refuse);
      const least = modern ? (ordered ? 6 : 4) : 8;
      while (block.remaining >= least) {
        this.#spend();
        const type = modern ? block.u8() : block.u16();
        const size = block.u16();
        const flags = block.u8();
        block.skip(modern ? (ordered ? 2 : 0) : 3);
        if (size > block.remaining)
          this.#refuse(`a message of ${size} bytes in a header with ${block.remaining} left`);
        const data = block.take(size);
        if (type === 0x10) {
          const pointer = new ByteReader(data, this.#refuse);
          const [next, bytes] = [pointer.u64(), pointer.u64()];
          // A block of the newer form begins with "OCHK" and ends with a checksum.
          if (modern && bytes < 8) this.#refuse("a header is continued by nothing");
          blocks.push(modern ? { start: next + 4, length: bytes - 8 } : { start: next, length: bytes });
        } else if (flags & 2) {
          // Shared with other objects: only committed data types are, which Keras does not make.
          messages.push({ type: -1, data });
        } else messages.push({ type, data });
      }
    }
    return messages;
  }

  /** Names and addresses of a group's members. */
  links(path: string, messages: readonly Message[]): [string, number][] {
    const links: [string, number][] = [];
    for (const { type, data } of messages) {
      const reader = new ByteReader(data, this.#refuse);
      if (type === 0x11) this.#readSymbols(reader.u64(), reader.u64(), links);
      else if (type === 0x06) this.#readLink(reader, links);
      else if (type === 0x02) {
        const flags = (reader.skip(1), reader.u8());
        if (flags & 1) reader.skip(8);
        if (this.#isAddress(reader.take(8)))
          this.#refuse(
            `group ${printable(path) || "/"} is stored in the dense form of newer HDF5, which is not read here`,
            "save the weights with Keras' save_weights, or with h5py's default libver",
          );
      }
    }
    return links;
  }

  #isAddress(bytes: Uint8Array): boolean {
    return bytes.some((byte) => byte !== 0xff);
  }

  #readLink(reader: ByteReader, links: [string, number][]): void {
    this.#spend();
    reader.skip(1);
    const flags = reader.u8();
    const kind = flags & 8 ? reader.u8() : 0;
    reader.skip((flags & 4 ? 8 : 0) + (flags & 16 ? 1 : 0));
    const width = flags & 3;
    const length =
      width === 0 ? reader.u8() : width === 1 ? reader.u16() : width === 2 ? reader.u32() : reader.u64();
    if (length > maxNameBytes) this.#refuse(`a name of ${length} bytes`);
    const name = utf8(reader.take(length));
    if (kind === 0) links.push([name, reader.u64()]);
  }

  /** The older form of a group: a B-tree of tables of symbols, whose names lie in a heap. */
  #readSymbols(treeAddress: number, heapAddress: number, links: [string, number][]): void {
    const heap = this.#at(heapAddress);
    this.#expect(heap, "HEAP");
    heap.skip(4);
    const heapSize = heap.u64();
    heap.skip(8);
    const names = this.#at(heap.u64()).take(heapSize);
    const nodes = [treeAddress];
    for (let address = nodes.pop(); address !== undefined; address = nodes.pop()) {
      this.#spend();
      const node = this.#at(address);
      const tag = latin1(node.take(4));
      if (tag === "TREE") {
        node.skip(2);
        const count = node.u16();
        node.skip(16);
        for (let i = 0; i < count; i++) {
          this.#spend();
          node.skip(8);
          nodes.push(node.u64());
        }
      } else if (tag === "SNOD") {
        node.skip(2);
        const count = node.u16();
        for (let i = 0; i < count; i++) {
          this.#spend();
          const name = this.#name(names, node.u64());
          const child = node.u64();
          const cached = node.u32();
          node.skip(20);
          if (cached !== 2) links.push([name, child]); // 2 is a symbolic link
        }
      } else this.#refuse(`no group node at byte ${address}`);
    }
  }

  #name(heap: Uint8Array, offset: number): string {
    if (offset >= heap.byteLength) this.#refuse(`a name at ${offset} of ${heap.byteLength} bytes`);
    const end = heap.subarray(offset, offset + maxNameBytes + 1).indexOf(0);
    if (end < 0) this.#refuse(`a name of over ${maxNameBytes} bytes`);
    return utf8(heap.subarray(offset, offset + end));
  }

  /** The tensor of a data set; undefined where its elements are no numbers of ours. */
  dataset(path: string, messages: readonly Message[]): LazyTensor | undefined {
    const find = (type: number) => messages.find((message) => message.type === type)?.data;
    const [space, elements, layout] = [find(0x01), find(0x03), find(0x08)];
    if (space === undefined || elements === undefined || layout === undefined) return undefined;
    const dtype = this.#elementType(elements);
    if (dtype === undefined) return undefined;
    const shape = this.#shape(space);
    const count = checkedCount(shape, this.#bytes.byteLength / bytesPerElement(dtype));
    const refuse = (what: string, hint?: string): never =>
      this.#refuse(`data set ${printable(path)} ${what}`, hint);
    if (count === undefined)
      return refuse(`has shape [${printable(shape.join(", "))}], more than the file can hold`);
    const size = elementCount(shape) * bytesPerElement(dtype);
    return {
      dtype,
      shape,
      read: () => tensorFromBytes(dtype, shape, this.#data(layout, size, refuse)),
    };
  }

  #data(layout: Uint8Array, size: number, refuse: Refuse): Uint8Array {
    const reader = new ByteReader(layout, this.#refuse);
    const version = reader.u8();
    let kind: number;
    if (version === 1 || version === 2) {
      reader.skip(1);
      kind = reader.u8();
      reader.skip(5);
    } else if (version === 3 || version === 4) kind = reader.u8();
    else return refuse(`has a layout of unknown version ${version}`);
    if (kind === 1) {
      const address = reader.take(8);
      if (!this.#isAddress(address)) return size === 0 ? address.subarray(0, 0) : refuse("holds no data");
      return this.#at(new ByteReader(address, this.#refuse).u64()).take(size);
    }
    if (kind === 0 && version >= 3) {
      const stored = reader.u16();
      return stored === size ? reader.take(size) : refuse(`has ${stored} bytes, not ${size}`);
    }
    return refuse(
      "is stored in pieces or compressed, which is not read here",
      "unpack it with HDF5's h5repack -f NONE -l CONTI, or save it with Keras' save_weights",
    );
  }

  #shape(space: Uint8Array): Shape {
    const reader = new ByteReader(space, this.#refuse);
    const version = reader.u8();
    const rank = reader.u8();
    if (version !== 1 && version !== 2) this.#refuse(`a data space of unknown version ${version}`);
    if (rank > 32) this.#refuse(`a data set of ${rank} dimensions`);
    reader.skip(version === 1 ? 6 : 2);
    return Array.from({ length: rank }, () => reader.u64());
  }

  #elementType(bytes: Uint8Array): DType | undefined {
    const reader = new ByteReader(bytes, this.#refuse);
    const kind = reader.u8() & 0x0f;
    const bits = reader.u8();
    reader.skip(2);
    const size = reader.u32();
    if (bits & 1) return undefined; // big-endian
    if (kind === 1) {
      reader.skip(5);
      const exponent = reader.u8();
      return ({ "2/5": "float16", "4/8": "float32", "8/11": "float64" } as const)[
        `${size}/${exponent}` as "2/5"
      ];
    }
    if (kind !== 0) return undefined;
    const signed = (bits & 8) !== 0;
    if (signed) return ({ 1: "int8", 2: "int16", 4: "int32", 8: "int64" } as const)[size as 1];
    return ({ 1: "uint8", 2: "uint16" } as const)[size as 1];
  }
}
