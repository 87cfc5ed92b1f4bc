// Owns remembering by token: a map that is bounded in entries and bytes and forgets what was not asked for longest, roughly.
// Two generations do that without a list to keep: the young one fills up, becomes the old one, and what is asked for moves over.

/** What an entry costs whatever its key: map slots, objects of fixed size. */
const ENTRY_BYTES = 400;

export class TokenCache<V> {
  readonly #entriesMax: number;
  readonly #bytesMax: number;
  readonly #bytesPerChar: number;
  #young = new Map<string, V>();
  #old = new Map<string, V>();
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
    const value = this.#young.get(key);
    if (value !== undefined) return value;
    return this.#old.size === 0 ? undefined : this.#fromOld(key);
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
    this.#young.set(Buffer.from(key, "latin1").toString("latin1"), value);
    this.#youngBytes += cost;
  }

  delete(key: string): void {
    this.#young.delete(key);
    this.#old.delete(key);
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
    this.#youngBytes = 0;
  }

  #fromOld(key: string): V | undefined {
    const value = this.#old.get(key);
    if (value === undefined) return undefined;
    this.#old.delete(key);
    this.set(key, value);
    return value;
  }
}
