// Owns the numbers of requests: a prefix of the thread's own and a counter, base 36. Counts in the text itself, so that each id is one piece of memory:
// a sum of two strings would be put together anew by whoever reads its characters, and several do.

const [ZERO, NINE, A, Z] = [48, 57, 97, 122] as const;
/** Of 2^53 in base 36, with room. */
const DIGITS_MAX = 16;

export class RequestIds {
  readonly #bytes: Buffer;
  readonly #first: number;
  #end: number;

  /** @param prefix ASCII */
  constructor(prefix: string) {
    this.#bytes = Buffer.from(prefix + "0".repeat(DIGITS_MAX), "latin1");
    this.#first = prefix.length;
    this.#end = prefix.length + 1;
  }

  /** @returns the prefix and 1, 2, 3, ... */
  next(): string {
    const bytes = this.#bytes;
    let i = this.#end - 1;
    for (; i >= this.#first && bytes[i] === Z; i--) bytes[i] = ZERO;
    if (i >= this.#first)
      bytes[i] = bytes[i] === NINE ? A : bytes[i]! + 1; // i is inside the digits
    else {
      bytes[this.#first] = ZERO + 1; // behind it are zeros, and one more
      this.#end++;
    }
    return bytes.toString("latin1", 0, this.#end);
  }
}
