/** Steps that the pace is taken from: enough to be calm, few enough to follow what else the machine does. */
const recent = 30;

/** How quick a run is, and how long it will still take. */
export class Pace {
  readonly steps: number;
  readonly #picturesPerStep: number;
  readonly #valPictures: number;
  #stepMs: number[] = [];
  #waitedMs: number[] = [];
  #evaluationMs: number | undefined;
  #stepsPerEvaluation: number;

  constructor(run: {
    readonly steps: number;
    readonly picturesPerStep: number;
    readonly valPictures: number;
    readonly stepsPerEvaluation: number;
  }) {
    this.steps = run.steps;
    this.#picturesPerStep = run.picturesPerStep;
    this.#valPictures = run.valPictures;
    this.#stepsPerEvaluation = run.stepsPerEvaluation;
  }

  /** A step was taken: its whole time, and how much of it was waiting for pictures. */
  step(ms: number, waitedMs: number): void {
    this.#stepMs = [...this.#stepMs, ms].slice(-recent);
    this.#waitedMs = [...this.#waitedMs, waitedMs].slice(-recent);
  }

  /** An evaluation took place. */
  evaluation(ms: number): void {
    this.#evaluationMs = ms;
  }

  /** The pace after `step` steps in all. */
  told(step: number): { imagesPerSecond: number; secondsLeft: number; waiting: number } {
    const total = sum(this.#stepMs);
    const stepMs = total / this.#stepMs.length;
    const left = this.steps - step;
    // Until one was seen: a picture's evaluation is about a third of its training.
    const evaluationMs = this.#evaluationMs ?? (this.#valPictures * stepMs) / this.#picturesPerStep / 3;
    const evaluations = Math.ceil(left / this.#stepsPerEvaluation);
    return {
      imagesPerSecond: Number(((this.#picturesPerStep * 1000) / stepMs).toPrecision(3)),
      secondsLeft: Math.round((left * stepMs + evaluations * evaluationMs) / 1000),
      waiting: Number((sum(this.#waitedMs) / total).toFixed(3)),
    };
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
