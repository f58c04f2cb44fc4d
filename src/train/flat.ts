import { elementCount, tensor, type Shape, type Tensor } from "../tensor/index.ts";

/** Elements of a row. Every variable starts on a row of its own; the rest of its last row stays zero. */
export const rowLength = 256;

/** Rows that are taken together: half a megabyte, so that what is computed of them stays in the processor's cache. */
export const chunkRows = 512;

/**
 * Where many variables lie in one array: each in rows of its own, so that one operation reaches all of them, and what
 * belongs to a variable (a norm, whether it decays) is one number a row.
 */
export class FlatLayout {
  readonly names: readonly string[];
  readonly shapes: readonly Shape[];
  /** First row of each variable. */
  readonly firstRows: readonly number[];
  /** Rows in all: whole chunks; what no variable needs stays zero. */
  readonly rows: number;

  constructor(variables: readonly { readonly name: string; readonly shape: Shape }[]) {
    this.names = variables.map(({ name }) => name);
    this.shapes = variables.map(({ shape }) => shape);
    let rows = 0;
    this.firstRows = this.shapes.map((shape) => {
      const first = rows;
      rows += Math.ceil(elementCount(shape) / rowLength);
      return first;
    });
    this.rows = Math.ceil(rows / chunkRows) * chunkRows;
  }

  /** An array of zeros for all variables, `[rows, rowLength]`. */
  allocate(): Tensor<"float32"> {
    return tensor("float32", [this.rows, rowLength], new Float32Array(this.rows * rowLength));
  }

  /** The variables as tensors over the same memory, by name. */
  views(flat: Tensor<"float32">): Map<string, Tensor<"float32">> {
    return new Map(
      this.names.map((name, i) => {
        const start = this.firstRows[i]! * rowLength;
        const shape = this.shapes[i]!;
        return [name, tensor("float32", shape, flat.data.subarray(start, start + elementCount(shape)))];
      }),
    );
  }

  /** An array cut into its chunks, over the same memory; `columns`: its elements a row. */
  chunks(flat: Tensor<"float32">, columns = rowLength): Tensor<"float32">[] {
    const size = chunkRows * columns;
    return Array.from({ length: this.rows / chunkRows }, (_, i) =>
      tensor("float32", [chunkRows, columns], flat.data.subarray(i * size, (i + 1) * size)),
    );
  }

  /** A number for each variable as one for each of its rows, `[rows, 1]`; 0 for rows of no variable. */
  perRow(value: (variable: number) => number): Tensor<"float32"> {
    const data = new Float32Array(this.rows);
    this.shapes.forEach((shape, i) => {
      const first = this.firstRows[i]!;
      data.fill(value(i), first, first + Math.ceil(elementCount(shape) / rowLength));
    });
    return tensor("float32", [this.rows, 1], data);
  }
}
