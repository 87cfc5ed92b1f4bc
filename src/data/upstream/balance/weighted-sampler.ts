// Owns drawing an index with given probabilities in constant time. Pure; randomness comes from outside.

/**
 * Walker's alias method, built as Vose describes (A Linear Algorithm for Generating Random Numbers with a Given Distribution, 1991): n columns
 * of equal width, each shared by at most two indexes. One random number gives column and side.
 */
export class WeightedSampler {
  readonly #keep: Float64Array;
  readonly #alias: Uint32Array;

  /** @param weights above 0, at least one. */
  constructor(weights: readonly number[]) {
    const count = weights.length;
    this.#keep = new Float64Array(count).fill(1);
    this.#alias = new Uint32Array(count);
    const sum = weights.reduce((a, b) => a + b, 0);
    const scaled = weights.map((weight) => (weight * count) / sum);
    const small: number[] = [];
    const large: number[] = [];
    scaled.forEach((value, index) => {
      (value < 1 ? small : large).push(index);
    });
    while (small.length > 0 && large.length > 0) {
      const less = small.pop() ?? 0;
      const more = large.pop() ?? 0;
      this.#keep[less] = scaled[less] ?? 1;
      this.#alias[less] = more;
      const rest = (scaled[more] ?? 0) + (scaled[less] ?? 0) - 1;
      scaled[more] = rest;
      (rest < 1 ? small : large).push(more);
    }
  }

  /** @param random in [0, 1). @returns an index with the probability of its weight. */
  draw(random: number): number {
    const position = random * this.#keep.length;
    const column = Math.floor(position);
    return position - column < (this.#keep[column] ?? 1) ? column : (this.#alias[column] ?? column);
  }
}
