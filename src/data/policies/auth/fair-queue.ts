// Owns a bounded line in which sources have turns: one that brings many takes nobody else's, and when the line is full gives up its own last place.
// Must never let anybody wait for ever: whoever is in line is called, or told that he is not any more.

/** Sources that are looked at to find the one with the most places. */
const LOOKED_AT_MAX = 64;

/** @param called false: another took the place */
type Waiter = (called: boolean) => void;

export class FairQueue {
  readonly #max: number;
  /** In the order of their turns; none is empty. */
  readonly #sources = new Map<string, Waiter[]>();
  #length = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get length(): number {
    return this.#length;
  }

  /** @returns whether the turn came, later; null when there is no room */
  wait(source: string): Promise<boolean> | null {
    if (this.#length >= this.#max && !this.#makeRoom(source)) return null;
    return new Promise((resolve) => {
      this.#length++;
      const waiters = this.#sources.get(source);
      if (waiters === undefined) this.#sources.set(source, [resolve]);
      else waiters.push(resolve);
    });
  }

  /** Calls the next one. @returns false when nobody waits */
  next(): boolean {
    const [first] = this.#sources;
    if (first === undefined) return false;
    const [source, waiters] = first;
    const waiter = waiters.shift();
    this.#length--;
    this.#sources.delete(source);
    if (waiters.length > 0) this.#sources.set(source, waiters); // behind all others
    waiter?.(true);
    return true;
  }

  /** The newest of the source with the most places goes, if that is more than one ahead of who comes. */
  #makeRoom(source: string): boolean {
    const own = this.#sources.get(source)?.length ?? 0;
    let longest: Waiter[] = [];
    let looked = 0;
    for (const waiters of this.#sources.values()) {
      if (waiters.length > longest.length) longest = waiters;
      if (++looked === LOOKED_AT_MAX) break;
    }
    if (longest.length <= own + 1) return false;
    this.#length--;
    longest.pop()?.(false);
    return true;
  }
}
