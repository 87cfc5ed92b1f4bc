// Owns which worker asks an origin for what: the others follow it instead of asking too. Must never keep anybody from asking for longer than its holder lives:
// the primary frees what a dead worker held.
//
// Layout: SLOTS words of 32 bits: bits 31..9 of a key's hash, bits 8..0 1 + index of the worker that asks; 0 for free. Writers: all (compare and exchange);
// primary when a worker is gone. Two keys whose bits are equal count as one: who is sent to a worker that does not ask for his key is told so, and asks himself.

const SLOTS = 2 ** 14;
/** Slots where a key may stand, from the one of its hash on. */
const WAYS = 4;
const OWNER_MASK = 0x1ff;

/** @property kind mine: this worker asks, until it gives the lease back. other: that worker does. full: nobody can be told; go on without */
export type Lease =
  | { readonly kind: "mine"; readonly slot: number }
  | { readonly kind: "other"; readonly worker: number }
  | { readonly kind: "full" };

const FULL: Lease = { kind: "full" };

export class Leases {
  readonly #words: Int32Array;
  readonly #owner: number;

  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(SLOTS * 4);
  }

  /** @param worker index; -1 for the primary */
  constructor(buffer: SharedArrayBuffer, worker = -1) {
    this.#words = new Int32Array(buffer);
    this.#owner = worker + 1;
  }

  /** @param high and low of the key's hash */
  take(high: number, low: number): Lease {
    const tag = high & ~OWNER_MASK;
    let free = -1;
    for (let way = 0; way < WAYS; way++) {
      const slot = (low + way) & (SLOTS - 1);
      const word = Atomics.load(this.#words, slot);
      if (word === 0) {
        if (free < 0) free = slot;
      } else if ((word & ~OWNER_MASK) === tag) return this.#of(word);
    }
    if (free < 0) return FULL;
    const before = this.swap(free, tag | this.#owner);
    if (before === 0) return this.#alone(tag, low, free);
    return (before & ~OWNER_MASK) === tag ? this.#of(before) : FULL;
  }

  /** @returns what stood there: 0 when the slot is taken now */
  protected swap(slot: number, word: number): number {
    return Atomics.compareExchange(this.#words, slot, 0, word);
  }

  /** Another worker may have taken another slot for the same key meanwhile. At least one of the two sees the other, and steps back. */
  #alone(tag: number, low: number, own: number): Lease {
    for (let way = 0; way < WAYS; way++) {
      const slot = (low + way) & (SLOTS - 1);
      const word = Atomics.load(this.#words, slot);
      if (slot === own || word === 0 || (word & ~OWNER_MASK) !== tag) continue;
      this.give(own);
      return this.#of(word);
    }
    return { kind: "mine", slot: own };
  }

  /** This worker follows others only: what it asks itself, it knows, and here it asks for another key of the same bits. */
  #of(word: number): Lease {
    const owner = word & OWNER_MASK;
    return owner === this.#owner ? FULL : { kind: "other", worker: owner - 1 };
  }

  /** Gives back what {@link take} gave. */
  give(slot: number): void {
    Atomics.store(this.#words, slot, 0);
  }

  /** Leases of a worker that is gone. For the primary. */
  clearWorker(worker: number): void {
    for (let slot = 0; slot < SLOTS; slot++) {
      const word = Atomics.load(this.#words, slot);
      if (word !== 0 && (word & OWNER_MASK) === worker + 1) Atomics.compareExchange(this.#words, slot, word, 0);
    }
  }
}
