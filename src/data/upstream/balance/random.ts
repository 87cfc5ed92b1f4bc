// Owns weighted random choice, also the fallback of hashing for exchanges without a key. Stateless between picks.
import type { RequestView } from "../../routing/request-view.ts";
import type { Member } from "../endpoint-set.ts";
import type { Endpoint } from "../upstream.ts";
import { type Balancer, equalWeights, instead, isTried, memberAt } from "./balancer.ts";
import { WeightedSampler } from "./weighted-sampler.ts";

/** Each member with the probability of its weight, in constant time. */
export class WeightedRandom implements Balancer {
  readonly #random: () => number;
  #available: readonly Member[] = [];
  /** null: weights are equal. */
  #sampler: WeightedSampler | null = null;

  constructor(random: () => number) {
    this.#random = random;
  }

  rebuild(available: readonly Member[]): void {
    this.#available = available;
    this.#sampler = equalWeights(available) ? null : new WeightedSampler(available.map((member) => member.weight));
  }

  /** @returns an index into the members of the last rebuild, by weight. */
  drawIndex(): number {
    return this.#sampler === null ? Math.floor(this.#random() * this.#available.length) : this.#sampler.draw(this.#random());
  }

  pick(_x: RequestView, tried: readonly Endpoint[] | null): Member {
    const index = this.drawIndex();
    const chosen = memberAt(this.#available, index);
    if (isTried(chosen, tried)) return instead(this.#available, index + 1, tried, chosen);
    return chosen.passesOver() ? instead(this.#available, this.drawIndex(), tried, chosen) : chosen; // not always to its neighbour
  }
}
