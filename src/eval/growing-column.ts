/** A column of doubles whose length is not known beforehand. */
export class GrowingColumn {
  #values: Float64Array = new Float64Array(1024);
  length = 0;

  push(value: number): void {
    if (this.length === this.#values.length) {
      const larger = new Float64Array(this.#values.length * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.length++] = value;
  }

  /** A copy of exactly the values pushed. */
  finish(): Float64Array {
    return this.#values.slice(0, this.length);
  }
}
