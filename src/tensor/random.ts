/** All there is of a {@link Random}: four whole numbers below 2^32, fit for JSON. */
export type RandomState = readonly [a: number, b: number, c: number, counter: number];

/**
 * A small, fast, seedable generator (sfc32 of the PractRand suite: 128 bits of state, 32 a draw). The same seed gives
 * the same numbers on every machine.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter: number;

  /**
   * @param seed any finite number
   * @param stream further numbers that make the sequence another one, such as an epoch and an index
   */
  constructor(seed: number, ...stream: readonly number[]) {
    let [a, b, c] = [0x9e3779b9, 0x243f6a88, 0xb7e15162];
    words[0] = 0;
    for (const number of [seed, ...stream]) {
      words[0] = number;
      for (const half of [bits[0]!, bits[1]!]) {
        a = mix(a ^ half);
        b = mix((b + a) | 0);
        c = mix(c ^ b);
      }
    }
    this.#a = a;
    this.#b = b;
    this.#c = c;
    this.#counter = 1;
    for (let warmUp = 0; warmUp < 12; warmUp++) this.uint32();
  }

  /**
   * A generator that goes on where `state` was taken.
   *
   * @throws {RangeError} if it is not four whole numbers below 2^32
   */
  static from(state: RandomState): Random {
    if (state.length !== 4 || state.some((word) => !Number.isInteger(word) || word < 0 || word > 0xffffffff))
      throw new RangeError(`a random state is four whole numbers below 2^32, not [${state.join(", ")}]`);
    const random = new Random(0);
    random.state = state;
    return random;
  }

  /** Where the generator stands; setting it goes there. */
  get state(): RandomState {
    return [this.#a >>> 0, this.#b >>> 0, this.#c >>> 0, this.#counter >>> 0];
  }

  set state([a, b, c, counter]: RandomState) {
    [this.#a, this.#b, this.#c, this.#counter] = [a | 0, b | 0, c | 0, counter | 0];
  }

  /** A whole number from 0 to 2^32 - 1. */
  uint32(): number {
    const result = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + result) | 0;
    return result >>> 0;
  }

  /** A number in [min, max), a multiple of 2^-32 of their distance; without arguments in [0, 1). */
  uniform(min = 0, max = 1): number {
    return min + (max - min) * (this.uint32() / 0x100000000);
  }

  /** A whole number in [0, below), for `below` up to 2^32; 0 where `below` is 1 or less. */
  integer(below: number): number {
    return Math.floor(this.uniform() * Math.max(1, below));
  }

  /** True with this probability. It always takes one draw, so what follows does not depend on the probability. */
  chance(probability: number): boolean {
    return this.uniform() < probability;
  }

  /** A number of the normal distribution with mean 0 and standard deviation 1 (Box and Muller; two draws). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** The numbers 0 to `count - 1` in random order (Fisher and Yates). */
  permutation(count: number): Uint32Array {
    const order = Uint32Array.from({ length: count }, (_, index) => index);
    for (let last = count - 1; last > 0; last--) {
      const other = this.integer(last + 1);
      [order[last], order[other]] = [order[other]!, order[last]!];
    }
    return order;
  }
}

const words = new Float64Array(1);
const bits = new Uint32Array(words.buffer);

/** A bijection of 32-bit words in which every bit of the input moves half the bits of the output (murmur3's last step). */
function mix(word: number): number {
  let h = word | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
