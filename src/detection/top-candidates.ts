/**
 * The `limit` best of many (logit, key) pairs in little memory: of equal logits, the lower keys. As soon as twice as
 * many have come as may stay, the worse half is dropped and the threshold rises, so that most of what follows is
 * turned away by one comparison.
 */
export class TopCandidates {
  /** No logit below this can still be among the best. */
  threshold: number;
  readonly #limit: number;
  /** Highest key that a logit equal to the threshold may have; decided when there were too many of them. */
  #lastKey = Infinity;
  #logits: Float32Array;
  #keys: Float64Array;
  #count = 0;

  constructor(limit: number, threshold: number) {
    this.#limit = limit;
    this.threshold = threshold;
    const start = Math.min(2 * limit, 1024);
    this.#logits = new Float32Array(start);
    this.#keys = new Float64Array(start);
  }

  /** Takes a pair whose logit is at least the threshold; keys come once each, in any order. */
  offer(logit: number, key: number): void {
    if (logit === this.threshold && key > this.#lastKey) return;
    if (this.#count === this.#keys.length) {
      if (this.#count < 2 * this.#limit) this.#grow();
      else this.#drop();
    }
    this.#logits[this.#count] = logit;
    this.#keys[this.#count++] = key;
  }

  /** The best, best first. */
  best(): { logits: Float32Array; keys: Float64Array } {
    if (this.#count > this.#limit) this.#drop();
    return this.#sorted((a, b) => this.#logits[b]! - this.#logits[a]! || this.#keys[a]! - this.#keys[b]!);
  }

  /** The best, lowest key first. */
  inOrder(): { logits: Float32Array; keys: Float64Array } {
    if (this.#count > this.#limit) this.#drop();
    return this.#sorted((a, b) => this.#keys[a]! - this.#keys[b]!);
  }

  #sorted(compare: (a: number, b: number) => number): { logits: Float32Array; keys: Float64Array } {
    const order = Int32Array.from({ length: this.#count }, (_, i) => i).sort(compare);
    return {
      logits: Float32Array.from(order, (i) => this.#logits[i]!),
      keys: Float64Array.from(order, (i) => this.#keys[i]!),
    };
  }

  #grow(): void {
    const size = Math.min(2 * this.#keys.length, 2 * this.#limit);
    const logits = new Float32Array(size);
    const keys = new Float64Array(size);
    logits.set(this.#logits);
    keys.set(this.#keys);
    [this.#logits, this.#keys] = [logits, keys];
  }

  /** Keeps the `limit` best, in any order. */
  #drop(): void {
    const sorted = this.#logits.slice(0, this.#count).sort();
    const lowest = sorted[this.#count - this.#limit]!;
    const above = this.#count - upperBound(sorted, lowest);
    const equalKeys: number[] = [];
    for (let i = 0; i < this.#count; i++) if (this.#logits[i] === lowest) equalKeys.push(this.#keys[i]!);
    const lastKey = Float64Array.from(equalKeys).sort()[this.#limit - above - 1]!;
    let left = 0;
    for (let i = 0; i < this.#count; i++) {
      const logit = this.#logits[i]!;
      const key = this.#keys[i]!;
      if (logit < lowest || (logit === lowest && key > lastKey)) continue;
      this.#logits[left] = logit;
      this.#keys[left++] = key;
    }
    this.#count = left;
    this.threshold = lowest;
    this.#lastKey = lastKey;
  }
}

/** Index of the first number above `value` in ascending numbers. */
function upperBound(sorted: Float32Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}
