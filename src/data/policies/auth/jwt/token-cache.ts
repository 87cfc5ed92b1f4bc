// Owns remembering by token: a map that is bounded in entries and bytes and forgets what was not asked for longest, roughly.
// Two generations do that without a list to keep: the young one fills up, becomes the old one, and what is asked for moves over.

/** What an entry costs whatever its key: map slots, objects of fixed size. */
const ENTRY_BYTES = 400;

/**
 * A token is looked up by its last characters, which are a signature's, and then compared whole: V8 hashes a string that it has not seen at
 * 2 ns a character, and each request brings a new one. Measured: 0.3 us instead of 2 for 900 characters. Whoever sends tokens that end
 * alike makes them push each other out, no more.
 */
const TAIL_CHARS = 32;

interface Entry<V> {
  readonly key: string;
  readonly value: V;
}

export class TokenCache<V> {
  readonly #entriesMax: number;
  readonly #bytesMax: number;
  readonly #bytesPerChar: number;
  #young = new Map<string, Entry<V>>();
  #old = new Map<string, Entry<V>>();
  #youngBytes = 0;

  /**
   * @param bounds for both generations together
   * @param bytesPerChar what an entry costs for each character of its key, about: the key itself, and what of the value grows with it
   */
  constructor(bounds: { readonly entries: number; readonly bytes: number }, bytesPerChar: number) {
    this.#entriesMax = Math.max(1, Math.floor(bounds.entries / 2));
    this.#bytesMax = bounds.bytes / 2;
    this.#bytesPerChar = bytesPerChar;
  }

  /** Entries held. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get(key: string): V | undefined {
    const tail = key.slice(-TAIL_CHARS);
    const entry = this.#young.get(tail);
    if (entry !== undefined && entry.key === key) return entry.value;
    return this.#old.size === 0 ? undefined : this.#fromOld(tail, key);
  }

  set(key: string, value: V): void {
    const cost = key.length * this.#bytesPerChar + ENTRY_BYTES;
    if (cost > this.#bytesMax) return;
    if (this.#young.size >= this.#entriesMax || this.#youngBytes + cost > this.#bytesMax) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#youngBytes = 0;
    }
    // A copy: what the listener gives may be a slice that keeps a whole request alive.
    const own = Buffer.from(key, "latin1").toString("latin1");
    this.#young.set(own.slice(-TAIL_CHARS), { key: own, value });
    this.#youngBytes += cost;
  }

  delete(key: string): void {
    const tail = key.slice(-TAIL_CHARS);
    for (const map of [this.#young, this.#old]) if (map.get(tail)?.key === key) map.delete(tail);
  }

  #fromOld(tail: string, key: string): V | undefined {
    const entry = this.#old.get(tail);
    if (entry === undefined || entry.key !== key) return undefined;
    this.#old.delete(tail);
    this.set(key, entry.value);
    return entry.value;
  }
}
