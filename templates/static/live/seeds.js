// numpy.random.RandomState(seed).randn(count): the latents by which generators' pictures are known everywhere.
//
// MT19937 (Matsumoto & Nishimura 1998, seeded by init_genrand), doubles of 53 bits, and Marsaglia's polar method as
// numpy's legacy generator has it, which gives a pair's second deviate first.

const SIZE = 624;
const MIDDLE = 397;

export class RandomState {
  #words = new Uint32Array(SIZE);
  #place = SIZE;
  #spare = null;

  /** @param {number} seed 0 to 2 ** 32 - 1 */
  constructor(seed) {
    const words = this.#words;
    words[0] = seed;
    for (let i = 1; i < SIZE; i++) {
      words[i] = Math.imul(1812433253, words[i - 1] ^ (words[i - 1] >>> 30)) + i;
    }
  }

  /** The next 32 bits. */
  word() {
    if (this.#place === SIZE) this.#twist();
    let y = this.#words[this.#place++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  #twist() {
    const words = this.#words;
    for (let i = 0; i < SIZE; i++) {
      const y = (words[i] & 0x80000000) | (words[(i + 1) % SIZE] & 0x7fffffff);
      words[i] = words[(i + MIDDLE) % SIZE] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.#place = 0;
  }

  /** Uniform in [0, 1), 53 bits. */
  uniform() {
    const high = this.word() >>> 5;
    const low = this.word() >>> 6;
    return (high * 2 ** 26 + low) / 2 ** 53;
  }

  /** Unit normal. */
  normal() {
    if (this.#spare !== null) {
      const spare = this.#spare;
      this.#spare = null;
      return spare;
    }
    let x, y, square;
    do {
      x = 2 * this.uniform() - 1;
      y = 2 * this.uniform() - 1;
      square = x * x + y * y;
    } while (square >= 1 || square === 0);
    const scale = Math.sqrt((-2 * Math.log(square)) / square);
    this.#spare = scale * x;
    return scale * y;
  }
}

/** A seed's latents, as float32: in double precision Math.log may differ from numpy's in the last place. */
export function latents(seed, count) {
  const state = new RandomState(seed);
  return Float32Array.from({ length: count }, () => state.normal());
}
