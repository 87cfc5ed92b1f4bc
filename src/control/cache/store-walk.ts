// Owns going over all that is stored, in slices: between two of them workers store and the primary does its other work. One walk after the other.
import type { ObjectView, ResponseStore } from "../../shared/cache/store.ts";

/** Buckets of the index for which the store is held at once: some 4,000 objects, less than a millisecond. */
const SLICE_BUCKETS = 512;
/** Tries to get hold of the store, and the wait between two (ms): whoever holds it for longer has died, and is found out by then. */
const TRIES_MAX = 200;
const RETRY_MS = 25;
/** Walks that wait for their turn. */
const WAITING_MAX = 64;

/** The store could not be had, or too many want to walk. */
export class WalkRefused extends Error {}

export class StoreWalk {
  readonly #store: ResponseStore;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(store: ResponseStore) {
    this.#store = store;
  }

  /**
   * @param isToGo see ResponseStore.removeWhere
   * @returns how many went
   * @throws WalkRefused when it is not finished: what was asked for may still be there
   */
  run(isToGo: (object: ObjectView) => boolean): Promise<number> {
    if (this.#waiting >= WAITING_MAX) return Promise.reject(new WalkRefused(`${WAITING_MAX} walks over the store wait already`));
    this.#waiting++;
    const done = this.#last.then(() => this.#walk(isToGo)).finally(() => this.#waiting--);
    this.#last = done.catch(() => {});
    return done;
  }

  async #walk(isToGo: (object: ObjectView) => boolean): Promise<number> {
    const store = this.#store;
    let gone = 0;
    let tries = 0;
    for (let bucket = 0; bucket < store.buckets; ) {
      const removed = store.removeWhere(bucket, SLICE_BUCKETS, isToGo);
      if (removed < 0) {
        if (++tries >= TRIES_MAX) throw new WalkRefused("the store could not be had in time");
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        continue;
      }
      tries = 0;
      gone += removed;
      bucket += SLICE_BUCKETS;
      await new Promise((resolve) => setImmediate(resolve));
    }
    return gone;
  }
}
