// Owns which upstream of a split a caller belongs to. Pure: equal in all workers, instances and restarts. Must never look at health: that is the upstream's.
import { hash32, mix32 } from "../../../base/hash32.ts";
import type { WeightedUpstream } from "../../../plan/plan.ts";
import type { RequestView } from "../../routing/request-view.ts";
import { hashKey } from "../../upstream/balance/hash-key.ts";
import type { StickyBy, StickySplitConfig } from "./config.ts";

interface Part {
  readonly upstream: number;
  readonly weight: number;
  readonly seed: number;
}

/**
 * Weighted rendezvous hashing (Thaler and Ravishankar 1996; weights by Schindelhauer and Schomaker 2005): each part draws -ln(u) / weight for the caller, u
 * being a hash of both, and the least wins. Each part's share is exactly its weight's, and when weights change, only those callers move whose part has lost
 * share, to one that has won: as few as any method could move. One logarithm a part.
 */
export class StickySplit {
  readonly #on: StickyBy;
  readonly #parts: readonly Part[];

  constructor(to: readonly WeightedUpstream[], { on, names }: StickySplitConfig) {
    this.#on = on;
    this.#parts = to.map(({ upstream, weight }, i) => ({ upstream, weight, seed: hash32(names[i] ?? "") }));
  }

  /** @returns the index of the caller's upstream; -1 when the request does not say who calls */
  choose(x: RequestView): number {
    const key = this.#on.kind === "consumer" ? (x.identity?.consumer ?? "") : hashKey(x, this.#on);
    if (key === "") return -1;
    const hash = hash32(key);
    let best = -1;
    let least = Number.POSITIVE_INFINITY;
    for (const { upstream, weight, seed } of this.#parts) {
      const drawn = -Math.log((mix32(hash ^ seed) + 0.5) / 4294967296) / weight;
      if (drawn >= least) continue;
      least = drawn;
      best = upstream;
    }
    return best;
  }
}
