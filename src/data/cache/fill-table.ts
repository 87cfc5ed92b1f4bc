// Owns which questions to origins are under way in this worker, and which are not worth waiting for. Bounded in number, bytes and time.
import type { Fill } from "./fill.ts";
import { PieceBudget } from "./growing-body.ts";

/** Bytes that a worker keeps of responses whose length is not known yet. */
const PIECE_BYTES_MAX = 64 * 1024 * 1024;
/** Validations of a worker at once of which nobody waits for the answer. */
const REFRESHES_MAX = 256;
/** Keys whose answer was not to be stored, and how long (ms) their requests go on by themselves: then one is tried again. */
const UNCACHEABLE_MAX = 10_000;
const UNCACHEABLE_MS = 10_000;

export class FillTable {
  readonly pieces = new PieceBudget(PIECE_BYTES_MAX);
  readonly #fills = new Map<string, Fill>();
  /** Until when, performance.now() ms; oldest first. */
  readonly #uncacheable = new Map<string, number>();

  get(id: string): Fill | undefined {
    return this.#fills.get(id);
  }

  set(id: string, fill: Fill): void {
    this.#fills.set(id, fill);
  }

  /** Its answer is there, or will not come. Another that has its id stays. */
  delete(id: string, fill: object): void {
    if (this.#fills.get(id) === fill) this.#fills.delete(id);
  }

  get size(): number {
    return this.#fills.size;
  }

  mayRefresh(): boolean {
    return this.#fills.size < REFRESHES_MAX;
  }

  isUncacheable(key: string): boolean {
    const until = this.#uncacheable.get(key);
    if (until === undefined) return false;
    if (performance.now() < until) return true;
    this.#uncacheable.delete(key);
    return false;
  }

  rememberUncacheable(key: string): void {
    this.#uncacheable.delete(key);
    if (this.#uncacheable.size >= UNCACHEABLE_MAX) {
      for (const oldest of this.#uncacheable.keys()) {
        this.#uncacheable.delete(oldest);
        break;
      }
    }
    this.#uncacheable.set(key, performance.now() + UNCACHEABLE_MS);
  }
}
