import { create, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { bytesPerElement, float32ToHalf, tensor, type DType, type Tensor } from "../tensor/index.ts";
import {
  graphNodes,
  graphParameters,
  nameOf,
  onnxType,
  type Dialect,
  type Dim,
  type EmitContext,
  type Graph,
  type OnnxAttribute,
  type OnnxAttributes,
  type Value,
} from "../graph/index.ts";
import {
  AttributeProto_AttributeType,
  ModelProtoSchema,
  type AttributeProtoSchema,
  type NodeProtoSchema,
  type TensorProtoSchema,
  type ValueInfoProtoSchema,
} from "./generated/onnx_pb.ts";

export interface OnnxOptions {
  /** Default 17, which every ONNX Runtime since 1.12 reads. */
  readonly opset?: number;
  /** `onnx` (the default): standard operators only. `onnxruntime`: its contributed ones too, where they are faster. */
  readonly dialect?: Dialect;
  /**
   * Says that the engine will run the nodes as they are written, and how many channels its own layout keeps together
   * (8 or 16): convolutions of one channel each and sums of products are then written in that layout. Such a model runs
   * on the machine it was written for only.
   */
  readonly channelBlock?: number;
  /** Key–value pairs of the model's metadata. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** How kernels are stored. Half precision is widened when the model is loaded; arithmetic stays float32. */
  readonly storage?: "float32" | "float16";
  /** Constants of at least this many bytes go to a file beside the model; default: none, unless the whole exceeds 2 GB. */
  readonly externalData?: { readonly file: string; readonly minimumBytes?: number };
}

/** A model as ONNX. `external` is the content of the file of large constants, in pieces that need not be copied together. */
export interface OnnxModel {
  readonly model: Uint8Array<ArrayBuffer>;
  readonly external?: { readonly file: string; readonly chunks: readonly Uint8Array[] };
}

/** ONNX's own limit: a protobuf message has at most 2 GB. */
const largestMessage = 2 ** 31 - 1;

/**
 * Writes a graph as an ONNX model. Constants that are one tensor are one initialiser, however often they are read;
 * parameters that are still unbound become inputs by their names.
 */
export function toOnnx(graph: Graph, options: OnnxOptions = {}): OnnxModel {
  const emitter = new Emitter(options);
  return emitter.model(graph);
}

class Emitter {
  readonly #options: OnnxOptions;
  readonly #opset: number;
  readonly #nodes: MessageInitShape<typeof NodeProtoSchema>[] = [];
  readonly #initialisers: { name: string; tensor: Tensor }[] = [];
  readonly #names = new Map<Value, string>();
  readonly #tensors = new Map<Tensor, string>();
  readonly #small = new Map<string, string>();
  readonly #domains = new Set<string>([""]);
  readonly #kernels = new Set<Tensor>();
  readonly #computed = new Map<string, string[]>();
  readonly #renamed = new Map<string, string>();
  /** Of ours, which the nodes belong to that are written now. */
  #operation = "";
  /** Names that users gave, which no node or constant may take. */
  readonly #given = new Set<string>();
  #next = 0;

  constructor(options: OnnxOptions) {
    this.#options = options;
    this.#opset = options.opset ?? 17;
  }

  model(graph: Graph): OnnxModel {
    const inputs = [...graph.inputs, ...graphParameters(graph)];
    for (const name of [...inputs.map(nameOf), ...Object.keys(graph.outputs)]) this.#given.add(name!);
    const fallbacks = graph.inputs.flatMap(({ source }) =>
      source.kind === "input" && source.fallback ? [{ name: source.name, tensor: source.fallback }] : [],
    );
    const valueInfo: MessageInitShape<typeof ValueInfoProtoSchema>[] = [];
    for (const node of graphNodes(graph)) {
      if (node.op.properties.multiplyAdds)
        for (const value of node.inputs)
          if (value.source.kind === "constant" && value.shape.length > 1)
            this.#kernels.add(value.source.tensor);
      const context: EmitContext = {
        inputs: node.inputs.map((value) => this.#nameOf(value)),
        types: node.inputs,
        outputs: node.outputs,
        attributes: node.attributes,
        dialect: this.#options.dialect ?? "onnx",
        opset: this.#opset,
        channelBlock: this.#options.channelBlock ?? 0,
        node: (operator, names, attributes, domain) => this.#node(operator, names, 1, attributes, domain)[0]!,
        nodes: (operator, names, count, attributes, domain) =>
          this.#node(operator, names, count, attributes, domain),
        constant: (tensor) => this.#constant(tensor),
      };
      this.#operation = node.op.name;
      const names = [node.op.emit(context)].flat();
      node.outputs.forEach((value, i) => {
        this.#names.set(value, names[i]!);
        if (value.shape.every((dim) => typeof dim === "number"))
          valueInfo.push(info(names[i]!, value.dtype, value.shape));
      });
    }
    const outputs = Object.entries(graph.outputs).map(([name, value]) => {
      this.#output(name, value);
      return info(name, value.dtype, value.shape);
    });
    this.#rename(valueInfo);
    const half = this.#options.storage === "float16";
    const stored = this.#initialisers.map(({ name, tensor }) => ({
      name,
      tensor: half ? this.#halved(tensor) : tensor,
    }));
    const widenings = this.#widenings(stored);
    stored.push(...fallbacks); // an input's own value: it may not go by another name
    const bytes = stored.reduce((sum, { tensor }) => sum + sizeBytes(tensor), 0);
    const external =
      this.#options.externalData ??
      (bytes > largestMessage - 2 ** 24 ? { file: "model.onnx.data" } : undefined);
    const chunks: Uint8Array[] = [];
    let offset = 0;
    const initializer = stored.map(({ name, tensor }): MessageInitShape<typeof TensorProtoSchema> => {
      const head = { name, dims: tensor.shape.map(BigInt), dataType: onnxType(tensor.dtype) };
      const rawData = new Uint8Array(
        tensor.data.buffer as ArrayBuffer,
        tensor.data.byteOffset,
        tensor.data.byteLength,
      );
      if (!external || rawData.length < (external.minimumBytes ?? 1024)) return { ...head, rawData };
      const entries = { location: external.file, offset: String(offset), length: String(rawData.length) };
      chunks.push(rawData);
      offset += rawData.length;
      return {
        ...head,
        dataLocation: 1,
        externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
      };
    });
    const proto = create(ModelProtoSchema, {
      irVersion: this.#opset >= 21 ? 10n : 8n,
      producerName: "efficientdet",
      opsetImport: [...this.#domains].map((domain) => ({
        domain,
        version: domain === "" ? BigInt(this.#opset) : 1n,
      })),
      metadataProps: Object.entries(this.#options.metadata ?? {}).map(([key, value]) => ({ key, value })),
      graph: {
        name: "efficientdet",
        node: [...widenings, ...this.#nodes],
        input: inputs.map((value) => info(this.#nameOf(value), value.dtype, value.shape)),
        output: outputs,
        initializer,
        valueInfo,
      },
    });
    return {
      model: toBinary(ModelProtoSchema, proto) as Uint8Array<ArrayBuffer>,
      external: external && { file: external.file, chunks },
    };
  }

  #nameOf(value: Value): string {
    const { source } = value;
    if (source.kind === "input" || source.kind === "parameter") return source.name;
    if (source.kind === "constant") return this.#constant(source.tensor);
    return this.#names.get(value)!;
  }

  #constant(tensor: Tensor): string {
    const known = this.#tensors.get(tensor);
    if (known !== undefined) return known;
    const key =
      tensor.data.length <= 16 ? `${tensor.dtype}[${tensor.shape.join()}]${tensor.data.join()}` : undefined;
    const equal = key === undefined ? undefined : this.#small.get(key);
    if (equal !== undefined) return equal;
    const name = this.#free(`constant_${this.#initialisers.length}`);
    this.#initialisers.push({ name, tensor });
    this.#tensors.set(tensor, name);
    if (key !== undefined) this.#small.set(key, name);
    return name;
  }

  /** Adds a node, unless there is one that computes the same. */
  #node(
    operator: string,
    inputs: readonly string[],
    count: number,
    attributes: OnnxAttributes = {},
    domain = "",
  ): string[] {
    const key = `${domain}:${operator}(${inputs.join()})${count}${JSON.stringify(attributes)}`;
    const known = this.#computed.get(key);
    if (known) return known;
    this.#domains.add(domain);
    const id = this.#next++;
    const output = Array.from({ length: count }, (_, i) =>
      this.#free(count === 1 ? `${operator}_${id}` : `${operator}_${id}_${i}`),
    );
    const attribute = Object.entries(attributes).flatMap(([name, value]) =>
      value === undefined ? [] : [attributeProto(name, value)],
    );
    this.#nodes.push({
      opType: operator,
      domain,
      name: `${this.#operation}/${operator}_${id}`, // profiles are read by it
      input: [...inputs],
      output,
      attribute,
    });
    this.#computed.set(key, output);
    return output;
  }

  #free(name: string): string {
    return this.#given.has(name) ? this.#free(`${name}_`) : name;
  }

  /** A computed value takes its output's name; what has one already, or is not computed, is copied under it. */
  #output(name: string, value: Value): void {
    const inner = this.#nameOf(value);
    if (value.source.kind === "node" && !this.#renamed.has(inner)) this.#renamed.set(inner, name);
    else this.#nodes.push({ opType: "Identity", name, input: [inner], output: [name] });
  }

  #rename(valueInfo: MessageInitShape<typeof ValueInfoProtoSchema>[]): void {
    const now = (name: string): string => this.#renamed.get(name) ?? name;
    for (const node of this.#nodes) {
      node.input = node.input!.map(now);
      node.output = node.output!.map(now);
    }
    for (let i = valueInfo.length - 1; i >= 0; i--)
      if (this.#renamed.has(valueInfo[i]!.name!)) valueInfo.splice(i, 1);
  }

  /** Kernels in half precision; not biases, nor anchors, whose pixels would be half a pixel off. */
  #halved(source: Tensor): Tensor {
    return this.#kernels.has(source)
      ? tensor("float16", source.shape, float32ToHalf(source.data as Float32Array))
      : source;
  }

  /** Stored under a name of its own; what reads the kernel reads the widened one. */
  #widenings(stored: { name: string; tensor: Tensor }[]): MessageInitShape<typeof NodeProtoSchema>[] {
    return stored.flatMap((entry) => {
      if (entry.tensor.dtype !== "float16") return [];
      const name = entry.name;
      entry.name = this.#free(`${name}_half`);
      return [
        {
          opType: "Cast",
          name: `widen_${name}`,
          input: [entry.name],
          output: [name],
          attribute: [attributeProto("to", { int: 1 })],
        },
      ];
    });
  }
}

function sizeBytes(tensor: Tensor): number {
  return tensor.data.length * bytesPerElement(tensor.dtype);
}

function attributeProto(name: string, value: OnnxAttribute): MessageInitShape<typeof AttributeProtoSchema> {
  if ("int" in value) return { name, type: AttributeProto_AttributeType.INT, i: BigInt(value.int) };
  if ("float" in value) return { name, type: AttributeProto_AttributeType.FLOAT, f: value.float };
  if ("ints" in value) return { name, type: AttributeProto_AttributeType.INTS, ints: value.ints.map(BigInt) };
  if ("floats" in value)
    return { name, type: AttributeProto_AttributeType.FLOATS, floats: [...value.floats] };
  return { name, type: AttributeProto_AttributeType.STRING, s: new TextEncoder().encode(value.text) };
}

function info(
  name: string,
  dtype: DType,
  shape: readonly Dim[],
): MessageInitShape<typeof ValueInfoProtoSchema> {
  const dim = shape.map((size) => ({
    value:
      typeof size === "number"
        ? ({ case: "dimValue", value: BigInt(size) } as const)
        : ({ case: "dimParam", value: size } as const),
  }));
  return {
    name,
    type: { value: { case: "tensorType", value: { elemType: onnxType(dtype), shape: { dim } } } },
  };
}
