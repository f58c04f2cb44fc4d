import type { Runtime, RuntimeOptions, Session } from "../runtime/session.ts";
import { elementCount, float32, type Tensor } from "../tensor/index.ts";
import { rowLength, type FlatLayout } from "./flat.ts";
import {
  clipping,
  squaresGraph,
  updateGraph,
  type GradientOptions,
  type OptimiserOptions,
} from "./optimisers.ts";

/** The numbers that change from step to step. */
export interface StepNumbers {
  readonly learningRate: number;
  /** Steps before this one. */
  readonly step: number;
  /** What the moving average keeps; 1 where there is none. */
  readonly averageDecay: number;
}

/** Weights, optimiser state and moving average: an array each, by name. */
export type Arrays = Readonly<Record<string, Tensor<"float32">>>;

/** How the update is made. */
export interface UpdateOptions {
  readonly optimiser: OptimiserOptions;
  readonly gradient: GradientOptions;
  readonly averaged: boolean;
  /** A variable's own share of the learning rate, by its name. */
  readonly rateOf: (name: string) => number;
}

/**
 * New weights from old ones and their gradients, chunk by chunk: a dozen operations pass over each chunk while it is in the
 * cache, where on whole arrays each would fetch megabytes from memory.
 */
export class Update {
  readonly #layout: FlatLayout;
  readonly #options: UpdateOptions;
  readonly #squares: Session;
  readonly #update: Session;
  readonly #rowSquares: Tensor<"float32">;
  readonly #decay: readonly Tensor<"float32">[];

  private constructor(layout: FlatLayout, options: UpdateOptions, squares: Session, update: Session) {
    const { weightDecay = 4e-5 } = options.gradient;
    this.#layout = layout;
    this.#options = options;
    [this.#squares, this.#update] = [squares, update];
    this.#rowSquares = layout.perRow(() => 0);
    const decay = layout.perRow((i) => (layout.shapes[i]!.length === 4 ? weightDecay : 0));
    this.#decay = layout.chunks(decay, 1);
  }

  static async create(
    layout: FlatLayout,
    options: UpdateOptions,
    runtime: Runtime,
    runtimeOptions: RuntimeOptions,
  ): Promise<Update> {
    const squares = await runtime.compile(squaresGraph(options.optimiser), runtimeOptions);
    const update = await runtime.compile(updateGraph(options.optimiser, options.averaged), runtimeOptions);
    return new Update(layout, options, squares, update);
  }

  /**
   * @param now the arrays as they are; not changed
   * @param next where the new ones go; untouched if the gradients are not finite
   * @returns the norm of all gradients with weight decay, before clipping
   */
  async run(now: Arrays, next: Arrays, gradient: Tensor<"float32">, numbers: StepNumbers): Promise<number> {
    const layout = this.#layout;
    const gradients = layout.chunks(gradient);
    const before = chunksOf(layout, now);
    const squares = layout.chunks(this.#rowSquares, 1);
    for (const [i, chunk] of gradients.entries())
      await this.#squares.run(
        { gradient: chunk, weights: before[i]!.weights!, decay: this.#decay[i]! },
        { squares: float32(squares[i]!.data) },
      );
    const { factors, norm } = clipping(this.#variableSquares(), this.#options.gradient);
    if (!Number.isFinite(norm)) return norm;

    const after = chunksOf(layout, next);
    const factor = layout.chunks(
      layout.perRow((i) => factors[i]!),
      1,
    );
    const rate = layout.chunks(
      layout.perRow((i) => this.#options.rateOf(layout.names[i]!) * numbers.learningRate),
      1,
    );
    const scalars = {
      averageDecay: float32([numbers.averageDecay], []),
      step: float32([numbers.step], []),
    };
    for (const [i, chunk] of gradients.entries())
      await this.#update.run(
        {
          ...before[i],
          ...scalars,
          gradient: chunk,
          decay: this.#decay[i]!,
          factor: factor[i]!,
          rate: rate[i]!,
        },
        Object.fromEntries(Object.entries(after[i]!).map(([name, array]) => [`next/${name}`, array])),
      );
    return norm;
  }

  /** The sum of squares of each variable. */
  #variableSquares(): Float64Array {
    const { shapes, firstRows } = this.#layout;
    return Float64Array.from(shapes, (shape, i) => {
      const first = firstRows[i]!;
      const own = this.#rowSquares.data.subarray(first, first + Math.ceil(elementCount(shape) / rowLength));
      return own.reduce((sum, square) => sum + square, 0);
    });
  }

  async dispose(): Promise<void> {
    await this.#squares.dispose();
    await this.#update.dispose();
  }
}

/** For each chunk, its part of each array. */
function chunksOf(layout: FlatLayout, arrays: Arrays): Record<string, Tensor<"float32">>[] {
  const cut = Object.entries(arrays).map(([name, array]) => [name, layout.chunks(array)] as const);
  return Array.from({ length: cut[0]![1].length }, (_, i) =>
    Object.fromEntries(cut.map(([name, chunks]) => [name, chunks[i]!])),
  );
}
