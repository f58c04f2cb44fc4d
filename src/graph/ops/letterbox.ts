import { float32, int64, tensor } from "../../tensor/index.ts";
import type { Value } from "../ir.ts";
import { applyAll, defineOp, mismatch, type EmitContext } from "../op.ts";

interface LetterboxAttributes {
  readonly height: number;
  readonly width: number;
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly [key: string]: number | readonly number[];
}

/**
 * A picture of any size into the network's input (spec C1; automl `dataloader.py: InputProcessor`).
 *
 * From uint8 `[h, w, 3]` RGB: bilinear to `trunc(h · s), trunc(w · s)` with `s = min(H / h, W / w)`, all in float32,
 * half-pixel centres and no antialias; `(x − mean) / std`; placed at the top left of `[1, 3, H, W]`, the rest 0.
 * The second output is `1 / s` (float32, no dimensions): boxes times it are in pixels of the picture.
 *
 * Differs: a side that would shrink to nothing keeps one pixel, where automl has no answer.
 */
export const letterboxOp = defineOp<LetterboxAttributes>("letterbox", {
  infer: ([image], { height, width }) => {
    if (image!.dtype !== "uint8" || image!.shape.length !== 3 || image!.shape[2] !== 3)
      throw mismatch("letterbox", [image!], "it wants uint8 [h, w, 3]");
    return [
      { dtype: "float32", shape: [1, 3, height, width] },
      { dtype: "float32", shape: [] },
    ];
  },
  evaluate: ([image], { height, width, mean, std }) => {
    const [h, w] = image!.shape as [number, number, number];
    const scale = Math.fround(Math.min(Math.fround(height / h), Math.fround(width / w)));
    const [sh, sw] = [h, w].map((size) => Math.max(1, Math.trunc(Math.fround(size * scale)))) as [
      number,
      number,
    ];
    const out = new Float32Array(3 * height * width);
    const source = image!.data as Uint8Array;
    const span = (i: number, from: number, to: number): [number, number, number] => {
      const x = Math.min(Math.max(((i + 0.5) * from) / to - 0.5, 0), from - 1);
      return [Math.floor(x), Math.min(Math.floor(x) + 1, from - 1), x - Math.floor(x)];
    };
    for (let i = 0; i < sh; i++) {
      const [y0, y1, fy] = span(i, h, sh);
      for (let j = 0; j < sw; j++) {
        const [x0, x1, fx] = span(j, w, sw);
        for (let c = 0; c < 3; c++) {
          const at = (y: number, x: number): number => source[(y * w + x) * 3 + c]!;
          const top = at(y0, x0) * (1 - fx) + at(y0, x1) * fx;
          const bottom = at(y1, x0) * (1 - fx) + at(y1, x1) * fx;
          out[(c * height + i) * width + j] = (top * (1 - fy) + bottom * fy - mean[c]!) / std[c]!;
        }
      }
    }
    return [tensor("float32", [1, 3, height, width], out), float32([1 / scale], [])];
  },
  emit: emitLetterbox,
  gradient: "none",
  properties: {},
});

function emitLetterbox(e: EmitContext<LetterboxAttributes>): string[] {
  const { height, width, mean, std } = e.attributes;
  const ints = (...values: number[]): string => e.constant(int64(values));
  const image = e.inputs[0]!;
  const size = e.node("Slice", [e.node("Shape", [image]), ints(0), ints(2), ints(0)]);
  const sizeFloat = e.node("Cast", [size], { to: { int: 1 } });
  const ratios = e.node("Div", [e.constant(float32([height, width])), sizeFloat]);
  const scale =
    e.opset >= 18
      ? e.node("ReduceMin", [ratios, ints(0)], { keepdims: { int: 0 } })
      : e.node("ReduceMin", [ratios], { axes: { ints: [0] }, keepdims: { int: 0 } });
  const scaled = e.node("Max", [
    e.node("Cast", [e.node("Mul", [sizeFloat, scale])], { to: { int: 7 } }),
    ints(1),
  ]);
  // Normalised before the resize, as the reference does: the picture is smaller in bytes only after it, but a bilinear
  // mean of normalised values is the normalised mean, so the cheaper order (resize, then normalise) gives the same.
  const pixels = e.node("Cast", [e.node("Unsqueeze", [image, ints(0)])], { to: { int: 1 } });
  const target = e.node("Concat", [ints(1), scaled, ints(3)], { axis: { int: 0 } });
  const resized = e.node("Resize", [pixels, "", "", target], {
    mode: { text: "linear" },
    coordinate_transformation_mode: { text: "half_pixel" },
  });
  // Channels first before they are normalised: the engine is slow at operands that change from element to element.
  const channelsFirst = e.node("Transpose", [resized], { perm: { ints: [0, 3, 1, 2] } });
  const perChannel = (values: readonly number[]): string => e.constant(float32(values, [1, 3, 1, 1]));
  const centred = e.node("Sub", [channelsFirst, perChannel(mean)]);
  const normalised = e.node("Mul", [centred, perChannel(std.map((s) => 1 / s))]);
  const after = e.node("Sub", [ints(height, width), scaled]);
  const pads = e.node("Concat", [ints(0, 0, 0, 0, 0, 0), after], { axis: { int: 0 } });
  const padded = e.node("Pad", [normalised, pads, e.constant(float32([0], []))]);
  // The engine cannot infer the padded size; this states it.
  const input = e.node("Reshape", [padded, ints(1, 3, height, width)]);
  return [input, e.node("Reciprocal", [scale])];
}

/** A picture, uint8 `[h, w, 3]` of any size, into the network's input `[1, 3, height, width]`, and the factor back. */
export function letterbox(
  image: Value,
  options: { height: number; width: number; mean: readonly number[]; std: readonly number[] },
): { input: Value; imageScale: Value } {
  const [network, imageScale] = applyAll(letterboxOp, [image], { ...options });
  return { input: network!, imageScale: imageScale! };
}
