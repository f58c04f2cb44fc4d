import { allocate, elementCount, float32, int64, tensor } from "../../tensor/index.ts";
import { full } from "../cotangents.ts";
import { constant, type Value } from "../ir.ts";
import { apply, defineOp, mismatch } from "../op.ts";
import { mul } from "./elementwise.ts";
import { reshape, take } from "./movement.ts";
import { averagePool2d } from "./pooling.ts";
import { matMul } from "./reduction.ts";

/**
 * Nearest-neighbour resize of `x [N, C, h, w]` to `[N, C, height, width]`: source row `⌊i · h / height⌋`
 * (TensorFlow's `resize_nearest_neighbor`).
 *
 * Whole multiples are ONNX's Resize; other ratios are two Gathers by indices computed here, exactly.
 */
export const resizeNearestOp = defineOp<{ height: number; width: number }>("resizeNearest", {
  infer: ([x], { height, width }) => {
    if (x!.shape.length !== 4) throw mismatch("resizeNearest", [x!], "it wants [N, C, h, w]");
    return { dtype: x!.dtype, shape: [x!.shape[0]!, x!.shape[1]!, height, width] };
  },
  evaluate: ([x], { height, width }, [type]) => {
    const [n, c, h, w] = x!.shape as [number, number, number, number];
    const [rows, columns] = [nearestIndices(h, height), nearestIndices(w, width)];
    const offsets: number[] = [];
    for (let plane = 0; plane < n * c; plane++)
      for (const y of rows) for (const z of columns) offsets.push((plane * h + y) * w + z);
    return take(x!, type!.shape as number[], offsets);
  },
  emit: (e) => {
    const { height, width } = e.attributes;
    const [, , h, w] = e.types[0]!.shape as number[];
    if (height % h! === 0 && width % w! === 0)
      return e.node(
        "Resize",
        [
          e.inputs[0]!,
          "",
          e.constant(tensor("float32", [4], Float32Array.of(1, 1, height / h!, width / w!))),
        ],
        {
          mode: { text: "nearest" },
          coordinate_transformation_mode: { text: "asymmetric" },
          nearest_mode: { text: "floor" },
        },
      );
    const rows = e.node("Gather", [e.inputs[0]!, e.constant(int64(nearestIndices(h!, height)))], {
      axis: { int: 2 },
    });
    return e.node("Gather", [rows, e.constant(int64(nearestIndices(w!, width)))], { axis: { int: 3 } });
  },
  gradient: ({ inputs: [x], outputs: [y], cotangent }) => [
    resizeNearestGradient(full(cotangent, y!.shape), x!.shape as number[]),
  ],
  properties: { movesData: true },
});

function nearestIndices(from: number, to: number): number[] {
  return Array.from({ length: to }, (_, i) => Math.min(Math.floor((i * from) / to), from - 1));
}

/** Nearest-neighbour resize of `x [N, C, h, w]`; `x` itself where it has that size. */
export function resizeNearest(x: Value, height: number, width: number): Value {
  return x.shape[2] === height && x.shape[3] === width ? x : apply(resizeNearestOp, [x], { height, width });
}

/** A linear map of one axis: for each element of the result, which elements it is made of, and how much of each. */
type Mixture = readonly (readonly [from: number, share: number])[][];

/** The transpose of resizing rows and columns by mixtures, as two matrix products: `rowsᵀ · dy · columns`. */
function transposedResize(
  dy: Value,
  [h, w]: readonly [number, number],
  rows: Mixture,
  columns: Mixture,
): Value {
  const matrix = (mixture: Mixture, size: number, transposed: boolean): Value => {
    const data = new Float32Array(mixture.length * size);
    mixture.forEach((parts, to) =>
      parts.forEach(
        ([from, share]) => (data[transposed ? from * mixture.length + to : to * size + from]! += share),
      ),
    );
    return constant(float32(data, [1, 1, ...(transposed ? [size, mixture.length] : [mixture.length, size])]));
  };
  return matMul(matMul(matrix(rows, h, true), dy), matrix(columns, w, false));
}

const nearestMixture = (from: number, to: number): Mixture => nearestIndices(from, to).map((i) => [[i, 1]]);

const bilinearMixture = (from: number, to: number): Mixture =>
  Array.from({ length: to }, (_, i) => {
    const place = Math.min(Math.max(((i + 0.5) * from) / to - 0.5, 0), from - 1);
    const low = Math.floor(place);
    return [[low, 1 - (place - low)], [Math.min(low + 1, from - 1), place - low]];
  }); // prettier-ignore

/** The cotangent of a nearest-neighbour resize's input `[N, C, h, w]`: sums over the copies of each element. */
function resizeNearestGradient(dy: Value, [n, c, h, w]: readonly number[]): Value {
  const [height, width] = dy.shape.slice(2) as [number, number];
  if (height % h! !== 0 || width % w! !== 0)
    return transposedResize(dy, [h!, w!], nearestMixture(h!, height), nearestMixture(w!, width));
  const kernel = [height / h!, width / w!] as const;
  const sum = mul(averagePool2d(dy, { kernel, stride: kernel, padding: "valid" }), kernel[0] * kernel[1]);
  return reshape(sum, [n!, c!, h!, w!]);
}

/**
 * Bilinear resize of `x [N, C, h, w]` to `[N, C, height, width]`, half-pixel centres, no antialias (TensorFlow's and
 * PyTorch's default).
 */
export const resizeBilinearOp = defineOp<{ height: number; width: number }>("resizeBilinear", {
  infer: ([x], { height, width }) => {
    if (x!.shape.length !== 4) throw mismatch("resizeBilinear", [x!], "it wants [N, C, h, w]");
    return { dtype: x!.dtype, shape: [x!.shape[0]!, x!.shape[1]!, height, width] };
  },
  evaluate: ([x], { height, width }, [type]) => {
    const [n, c, h, w] = x!.shape as [number, number, number, number];
    const [rows, columns] = [bilinearMixture(h, height), bilinearMixture(w, width)];
    const shape = type!.shape as number[];
    const data = allocate(x!.dtype, elementCount(shape)) as Float64Array;
    const source = x!.data as Float64Array;
    let at = 0;
    for (let plane = 0; plane < n * c; plane++)
      for (const row of rows)
        for (const column of columns) {
          let sum = 0;
          for (const [y, a] of row)
            for (const [z, b] of column) sum += a * b * source[(plane * h + y) * w + z]!;
          data[at++] = sum;
        }
    return tensor(x!.dtype, shape, data as never);
  },
  emit: (e) => {
    const { height, width } = e.attributes;
    const [n, c] = e.types[0]!.shape as number[];
    return e.node("Resize", [e.inputs[0]!, "", "", e.constant(int64([n!, c!, height, width]))], {
      mode: { text: "linear" },
      coordinate_transformation_mode: { text: "half_pixel" },
    });
  },
  gradient: ({ inputs: [x], outputs: [y], attributes: { height, width }, cotangent }) => {
    const [h, w] = x!.shape.slice(2) as [number, number];
    return [
      transposedResize(
        full(cotangent, y!.shape),
        [h, w],
        bilinearMixture(h, height),
        bilinearMixture(w, width),
      ),
    ];
  },
  properties: {},
});

/** Bilinear resize of `x [N, C, h, w]`; `x` itself where it has that size. */
export function resizeBilinear(x: Value, height: number, width: number): Value {
  return x.shape[2] === height && x.shape[3] === width ? x : apply(resizeBilinearOp, [x], { height, width });
}
