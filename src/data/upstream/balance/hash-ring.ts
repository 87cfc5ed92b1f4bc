// Owns the ring of consistent hashing: points, lookup, walk. Must never know load or health: the caller accepts or refuses members.

import { hash32 } from "../../../base/hash32.ts";
import type { Member } from "../endpoint-set.ts";

/** Points for each unit of weight: the share of an endpoint then varies by some 1/sqrt(160) = 8 % (one sigma). */
const POINTS_PER_WEIGHT = 160;
/** Points of one ring, 6 bytes each. Beyond it every endpoint keeps the first half (quarter ...) of its points. */
export const RING_POINTS_MAX = 65_536;

/**
 * Points depend on an endpoint's key and weight only, not on the list's order or length: adding one of n endpoints moves about 1/n of the keys,
 * all of them to it; losing one moves only its own (Karger et al., Consistent Hashing and Random Trees, 1997). Built over all endpoints,
 * healthy or not, so that health never moves the keys of healthy endpoints.
 */
export class HashRing {
  readonly #members: readonly Member[];
  readonly #points: Uint32Array;
  readonly #owners: Uint16Array;

  constructor(members: readonly Member[]) {
    this.#members = members.filter((member) => member.plan.weight > 0).sort((a, b) => (a.plan.key < b.plan.key ? -1 : 1));
    const counts = pointCounts(this.#members);
    // A point and its owner in one exact integer (32 + 16 bits), so that the native numeric sort orders both; ties go to the lower key.
    const packed = new Float64Array(counts.reduce((a, b) => a + b, 0));
    let next = 0;
    this.#members.forEach((member, owner) => {
      for (let i = 0; i < (counts[owner] ?? 0); i += 1) packed[next++] = hash32(`${member.plan.key}|${i}`) * 0x10000 + owner;
    });
    packed.sort();
    this.#points = Uint32Array.from(packed, (value) => Math.floor(value / 0x10000));
    this.#owners = Uint16Array.from(packed, (value) => value % 0x10000);
  }

  get length(): number {
    return this.#points.length;
  }

  /** @returns the position of the first point at or after the hash; wraps to 0. */
  locate(hash: number): number {
    let low = 0;
    let high = this.#points.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#points[middle] ?? 0) < hash) low = middle + 1;
      else high = middle;
    }
    return low === this.#points.length ? 0 : low;
  }

  /** @param position may go on beyond the end by less than a turn. */
  ownerAt(position: number): Member | undefined {
    const length = this.#points.length;
    return this.#members[this.#owners[position < length ? position : position - length] ?? 0];
  }
}

function pointCounts(members: readonly Member[]): number[] {
  const wanted = members.map((member) => member.plan.weight * POINTS_PER_WEIGHT);
  let divisor = 1;
  while (wanted.reduce((sum, points) => sum + Math.max(1, Math.round(points / divisor)), 0) > RING_POINTS_MAX) divisor *= 2;
  return wanted.map((points) => Math.max(1, Math.round(points / divisor)));
}
