// Owns consistent hashing, with bounded loads when asked for. Must never send a key anywhere but along its ring walk.

import { hash32 } from "../../../base/hash32.ts";
import type { HashOn } from "../../../plan/plan.ts";
import type { TargetHealth } from "../../../shared/target-health.ts";
import type { RequestView } from "../../routing/request-view.ts";
import type { Member } from "../endpoint-set.ts";
import type { Endpoint } from "../upstream.ts";
import { type Balancer, isTried, memberAt } from "./balancer.ts";
import { hashKey } from "./hash-key.ts";
import { HashRing } from "./hash-ring.ts";
import { WeightedRandom } from "./random.ts";

/** What hashing needs to know. */
export interface HashOptions {
  readonly health: TargetHealth;
  readonly hashOn: HashOn;
  /** c of the paper: a member takes at most c times its fair share. Above 1; null for no bound. */
  readonly loadFactor: number | null;
  random(): number;
}

/** Spreads the hash of a key once more (2^32 / golden ratio), so that whether a member is warm enough for it says nothing of where it lies on the ring. */
const WARM_MIX = 0x9e3779b1;

/**
 * A key belongs to the first member clockwise on the ring that is available, so that it stays there while the member does. A warming member takes
 * as many of its keys as it has of its weight, by their hash: each comes back once.
 *
 * With a load factor it must also have room (Mirrokni, Thorup and Zadimoghaddam, Consistent Hashing with Bounded Loads, 2016): with m requests under
 * way, a member of weight w takes at most ceil(c * (m + 1) * w / W). On a quiet gateway that is one: while one request of a key is under way, the next
 * goes elsewhere. Each worker bounds what it sends itself. The sums are then bounded too, up to one request for each worker, and no thread has to
 * read the others' counts. Slow start works through the bound: a warming member has less room. Exchanges without a key are spread at random.
 *
 * A member at its in-flight limit is passed over in the same way: its keys go to the next on the ring that has room, and come back when it has some.
 */
export class ConsistentHash implements Balancer {
  readonly #options: HashOptions;
  readonly #keyless: WeightedRandom;
  #all: readonly Member[] | null = null;
  #ring = new HashRing([]);
  #available: readonly Member[] = [];
  #weightSum = 0;
  /** Part of its weight that the warmest member has: that one takes all its keys, so that no walk goes on for long when all are warming. */
  #warmest = 1;
  /** Requests under way from this worker, kept by {@link begin} and {@link done}. */
  #underWay = 0;
  /** Walks so far: who was met in this one is not looked at again. */
  #walks = 0;

  constructor(options: HashOptions) {
    this.#options = options;
    this.#keyless = new WeightedRandom(options.random);
  }

  rebuild(available: readonly Member[], all: readonly Member[]): void {
    if (all !== this.#all) {
      this.#all = all;
      this.#ring = new HashRing(all);
    }
    this.#available = available;
    this.#keyless.rebuild(available);
    this.#weightSum = 0;
    this.#warmest = 0;
    for (const member of available) {
      this.#weightSum += member.weight;
      this.#warmest = Math.max(this.#warmest, member.weight / member.plan.weight);
    }
  }

  /** A request of this upstream begins or ends in this worker. */
  count(change: 1 | -1): void {
    this.#underWay += change;
  }

  pick(x: RequestView, tried: readonly Endpoint[] | null): Member {
    const key = hashKey(x, this.#options.hashOn);
    return key === "" ? this.#keyless.pick(x, tried) : this.#walk(hash32(key), tried);
  }

  #walk(hash: number, tried: readonly Endpoint[] | null): Member {
    const ring = this.#ring;
    const start = ring.locate(hash);
    const { loadFactor } = this.#options;
    const coldness = ((Math.imul(hash, WARM_MIX) >>> 0) / 4294967296) * this.#warmest;
    const share = loadFactor === null ? 0 : (loadFactor * (this.#underWay + 1)) / this.#weightSum;
    const walk = ++this.#walks;
    let full: Member | null = null;
    let triedBefore: Member | null = null;
    let left = this.#available.length;
    for (let position = start; left > 0 && position < start + ring.length; position += 1) {
      const member = ring.ownerAt(position);
      if (member === undefined || !member.available || member.walk === walk) continue;
      member.walk = walk;
      left -= 1;
      if (isTried(member, tried)) triedBefore ??= member;
      else if (loadFactor === null ? coldness * member.plan.weight >= member.weight : !this.#hasRoom(member, share)) full ??= member;
      else if (full === null ? !member.passesOver() : !member.full) return member;
      else full ??= member;
    }
    return full ?? triedBefore ?? memberAt(this.#available, 0);
  }

  #hasRoom(member: Member, share: number): boolean {
    return this.#options.health.ownInFlight(member.slot) < Math.ceil(share * member.weight);
  }
}
