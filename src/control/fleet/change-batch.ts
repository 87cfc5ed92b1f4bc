// Owns telling the fleet which URLs unsafe requests have made untrue: gathered, and a few orders a second, however many requests there are, so that the log of purges
// reaches far back. Must never lose one: what finds no room makes everything void.
import { HELD_PLACES } from "../../shared/cache/tier-purges.ts";
import { EVERYTHING, type FleetTold, type PurgeOrder } from "../cache/purge-order.ts";

/** URLs in one order: an entry of the log is at most 12 KiB. */
const ORDER_URLS_MAX = 1024;
/** URLs that wait. */
const WAITING_MAX = 16_384;

export interface ChangeBatchOptions {
  /** Time between two orders, ms. */
  readonly intervalMs: number;
  /** @param settled called once, when the log has the order */
  publish(order: PurgeOrder, settled: () => void): Promise<FleetTold>;
  /** The log has what was held under this number so many times. */
  release(urlNumber: number, times: number): void;
}

export class ChangeBatch {
  readonly #options: ChangeBatchOptions;
  /** Number of a URL -> how often it was added. */
  #waiting = new Map<number, number>();
  /** The same for those that found no room, by their place: there are only so many. */
  #beyond = new Map<number, number>();
  #busy = false;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: ChangeBatchOptions) {
    this.#options = options;
  }

  /** @param numbers of URLs, as names.ts has them. Returns at once */
  add(numbers: readonly number[]): void {
    for (const number of numbers) {
      if (this.#waiting.has(number) || this.#waiting.size < WAITING_MAX) addTo(this.#waiting, number, 1);
      else addTo(this.#beyond, number & (HELD_PLACES - 1), 1);
    }
    this.#next();
  }

  /** Hands over all that waits. For the end. */
  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    while (this.#waiting.size > 0) this.#publish(() => {});
  }

  #next(): void {
    if (this.#busy || this.#waiting.size === 0) return;
    this.#busy = true;
    this.#publish(() => {
      this.#timer = setTimeout(() => {
        this.#busy = false;
        this.#next();
      }, this.#options.intervalMs);
      this.#timer.unref();
    });
  }

  #publish(settled: () => void): void {
    const { publish, release } = this.#options;
    const { order, held } = this.#beyond.size > 0 ? this.#takeAll() : this.#take();
    void publish(order, () => {
      for (const [number, times] of held) release(number, times);
      settled();
    });
  }

  #takeAll(): Batch {
    const held = this.#beyond;
    for (const [number, times] of this.#waiting) addTo(held, number & (HELD_PLACES - 1), times);
    this.#beyond = new Map();
    this.#waiting = new Map();
    return { order: EVERYTHING, held };
  }

  #take(): Batch {
    const held = new Map<number, number>();
    for (const [number, times] of this.#waiting) {
      if (held.size >= ORDER_URLS_MAX) break;
      held.set(number, times);
      this.#waiting.delete(number);
    }
    return { order: { ...EVERYTHING, everything: false, changed: [...held.keys()] }, held };
  }
}

/** @property held number of a URL -> how often it is held */
interface Batch {
  readonly order: PurgeOrder;
  readonly held: ReadonlyMap<number, number>;
}

function addTo(counts: Map<number, number>, key: number, times: number): void {
  counts.set(key, (counts.get(key) ?? 0) + times);
}
