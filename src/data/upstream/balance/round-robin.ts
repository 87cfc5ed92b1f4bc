// Owns smooth weighted round-robin. Must never remember exchanges: only credits, kept in the members.
import type { RequestView } from "../../routing/request-view.ts";
import type { Member } from "../endpoint-set.ts";
import type { Endpoint } from "../upstream.ts";
import { type Balancer, equalWeights, instead, isTried, memberAt } from "./balancer.ts";

/**
 * Smooth weighted round-robin (nginx's algorithm, 2012): at every turn each member earns its weight, the richest serves and pays the sum
 * of all weights. Weights 5, 1, 1 give a a b a c a a and not a a a a a b c. Equal weights take turns, which is the same and costs
 * O(1) instead of O(members). Workers start at a random member so that they do not walk in step.
 */
export class RoundRobin implements Balancer {
  #available: readonly Member[] = [];
  #equal = true;
  #turn: number;
  #weightSum = 0;

  constructor(random: () => number) {
    this.#turn = Math.floor(random() * 0x7fffffff);
  }

  rebuild(available: readonly Member[]): void {
    this.#available = available;
    this.#equal = equalWeights(available);
    this.#turn %= available.length;
    this.#weightSum = 0;
    for (const member of available) this.#weightSum += member.weight;
  }

  pick(_x: RequestView, tried: readonly Endpoint[] | null): Member {
    const chosen = this.#equal ? this.#nextInTurn() : this.#richest();
    const available = this.#available;
    if (isTried(chosen, tried)) return instead(available, available.indexOf(chosen) + 1, tried, chosen);
    if (!chosen.passesOver()) return chosen;
    return this.#equal ? this.#turnOfAnother(chosen, tried) : this.#richestWithRoom(chosen, tried);
  }

  /** Who serves in its stead has had its turn, so that the next one does not fall to it again. */
  #turnOfAnother(chosen: Member, tried: readonly Endpoint[] | null): Member {
    const other = instead(this.#available, this.#turn + 1, tried, chosen);
    this.#turn = this.#available.indexOf(other);
    return other;
  }

  #nextInTurn(): Member {
    this.#turn += 1;
    if (this.#turn >= this.#available.length) this.#turn = 0;
    return memberAt(this.#available, this.#turn);
  }

  #richest(): Member {
    const available = this.#available;
    let best = memberAt(available, 0);
    for (let i = 0; i < available.length; i += 1) {
      const member = memberAt(available, i);
      member.credit += member.weight;
      if (member.credit > best.credit) best = member;
    }
    best.credit -= this.#weightSum;
    return best;
  }

  /** The turn once more, among those with room: the others neither earn nor pay in it, so that they are owed nothing later. */
  #richestWithRoom(chosen: Member, tried: readonly Endpoint[] | null): Member {
    const available = this.#available;
    let best: Member | null = null;
    let sum = 0;
    chosen.credit += this.#weightSum;
    for (const member of available) {
      if (member.full || isTried(member, tried)) member.credit -= member.weight;
      else {
        sum += member.weight;
        if (best === null || member.credit > best.credit) best = member;
      }
    }
    if (best === null) return chosen; // nobody has earned or paid
    best.credit -= sum;
    return best;
  }
}
