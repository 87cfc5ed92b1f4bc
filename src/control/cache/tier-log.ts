// Owns what workers know of the fleet's purges when they judge what lies in Redis: each order of the fleet's log is noted here in its turn, this instance's own
// are held from before they are carried out until the log has them. Primary only.
import type { TierPurges } from "../../shared/cache/tier-purges.ts";
import type { CacheControl } from "./cache-control.ts";
import type { PurgeOrder } from "./purge-order.ts";

export class TierLog {
  readonly #purges: TierPurges;
  readonly #cache: Pick<CacheControl, "named">;

  constructor(purges: TierPurges, cache: Pick<CacheControl, "named">) {
    this.#purges = purges;
    this.#cache = cache;
  }

  /** The log is another one, or was not followed for a while. @param floor number of the last order that is not noted again */
  begin(era: string, floor: number): void {
    this.#purges.begin(era, floor);
  }

  note(sequence: number, order: PurgeOrder): void {
    this.#purges.note(sequence, this.#cache.named(order));
  }

  /** All orders up to this one are noted. */
  reached(sequence: number): void {
    this.#purges.reached(sequence);
  }

  /** Before an order of this instance is carried out. @returns to be called once the log has it */
  hold(order: PurgeOrder): () => void {
    const named = this.#cache.named(order);
    this.#purges.hold(named);
    return () => this.#purges.release(named);
  }

  /** The log has a URL that workers have held so often: see TierPurges.holdUrl. */
  releaseUrl(number: number, times: number): void {
    this.#purges.releaseUrl(number, times);
  }
}
