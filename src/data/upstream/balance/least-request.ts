// Owns least-request by the power of two choices. Must never scan all members on a first attempt.
import type { TargetHealth } from "../../../shared/target-health.ts";
import type { RequestView } from "../../routing/request-view.ts";
import type { Member } from "../endpoint-set.ts";
import type { Endpoint } from "../upstream.ts";
import { type Balancer, isTried, memberAt } from "./balancer.ts";
import { WeightedRandom } from "./random.ts";

/** Draws until the second differs from the first; after these its neighbour is taken. */
const SECOND_DRAWS_MAX = 3;
const NOBODY: readonly Endpoint[] = [];

/**
 * Two members are drawn by weight and the one with fewer requests under way for its weight serves (Mitzenmacher, The Power of Two Choices in
 * Randomized Load Balancing, 2001). Counts are those of all workers. A tie goes to the first draw, so an idle upstream is used exactly by weight.
 */
export class LeastRequest implements Balancer {
  readonly #health: TargetHealth;
  readonly #draws: WeightedRandom;
  #available: readonly Member[] = [];

  constructor(health: TargetHealth, random: () => number) {
    this.#health = health;
    this.#draws = new WeightedRandom(random);
  }

  rebuild(available: readonly Member[]): void {
    this.#available = available;
    this.#draws.rebuild(available);
  }

  pick(_x: RequestView, tried: readonly Endpoint[] | null): Member {
    const available = this.#available;
    const firstIndex = this.#draws.drawIndex();
    const first = memberAt(available, firstIndex);
    if (available.length === 1) return first;
    if (tried !== null && tried.length > 0) return this.#leastUntried(firstIndex, tried, first);
    const second = memberAt(available, this.#otherIndex(firstIndex));
    const chosen = this.#lessLoaded(second, first) ? second : first;
    if (!chosen.passesOver()) return chosen;
    const other = chosen === first ? second : first;
    return other.full ? this.#leastUntried(firstIndex, NOBODY, chosen) : other;
  }

  #otherIndex(firstIndex: number): number {
    for (let draw = 0; draw < SECOND_DRAWS_MAX; draw += 1) {
      const index = this.#draws.drawIndex();
      if (index !== firstIndex) return index;
    }
    return (firstIndex + 1) % this.#available.length;
  }

  /** Retries and full targets are rare: look at all, starting anywhere so that ties spread. Those with room come first. */
  #leastUntried(start: number, tried: readonly Endpoint[], fallback: Member): Member {
    let best: Member | null = null;
    let bestIsFull = false;
    for (let i = 0; i < this.#available.length; i += 1) {
      const member = memberAt(this.#available, (start + i) % this.#available.length);
      if (isTried(member, tried)) continue;
      const { full } = member;
      if (best !== null && (full === bestIsFull ? !this.#lessLoaded(member, best) : full)) continue;
      best = member;
      bestIsFull = full;
    }
    return best ?? fallback;
  }

  #lessLoaded(a: Member, b: Member): boolean {
    return this.#health.inFlight(a.slot) * b.weight < this.#health.inFlight(b.slot) * a.weight;
  }
}
