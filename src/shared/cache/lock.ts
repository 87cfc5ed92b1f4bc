// Owns the one lock of the response store: held for microseconds, by whoever stores, moves or removes an object. Readers never take it.
// Must never be waited for without a bound: a thread that dies with it is told by the primary, which empties the store.
import { HEAD } from "./layout.ts";

/** Looks at the lock before its thread sleeps. */
const SPINS = 200;
/** How long one sleep may be, ms, and how many there are: then the caller goes on without. */
const SLEEP_MS = 1;
const SLEEPS_MAX = 20;

export class StoreLock {
  readonly #words: Int32Array;
  readonly #owner: number;

  /** @param index of the worker; -1 for the primary */
  constructor(words: Int32Array, index: number) {
    this.#words = words;
    this.#owner = index + 2;
  }

  /** @returns false when it could not be had in time: nothing may be changed then */
  take(): boolean {
    const words = this.#words;
    for (let spin = 0; spin < SPINS; spin++) {
      if (Atomics.compareExchange(words, HEAD.lock, 0, this.#owner) === 0) return true;
    }
    for (let sleep = 0; sleep < SLEEPS_MAX; sleep++) {
      const holder = Atomics.load(words, HEAD.lock);
      if (holder !== 0) Atomics.wait(words, HEAD.lock, holder, SLEEP_MS);
      if (Atomics.compareExchange(words, HEAD.lock, 0, this.#owner) === 0) return true;
    }
    return false;
  }

  give(): void {
    Atomics.store(this.#words, HEAD.lock, 0);
    Atomics.notify(this.#words, HEAD.lock, 1);
  }

  /** Takes it from a thread that is gone. @param index of that worker. @returns whether it held it: what it was at is half done */
  inherit(index: number): boolean {
    return Atomics.compareExchange(this.#words, HEAD.lock, index + 2, this.#owner) === index + 2;
  }
}
