// Owns how much each flow of one upstream has had lately, for all workers: start-time fair queueing (Goyal, Vin, Cheng 1996), which shares as
// deficit round robin does and keeps one number a flow, so that a tenant on one worker has what one on another has.
// Must never know who waits. Writers race plainly: at worst a flow is one request ahead or behind.
import { FLOW_SLOTS, FLOW_WORDS } from "./layout.ts";

/** Places in which a flow may be. */
const PROBES = 8;

/** One thread's view of an upstream's flows. */
export class FlowRanks {
  readonly #ints: Int32Array;
  readonly #doubles: Float64Array;
  readonly #at: number;
  readonly #virtualAt: number;

  /** @param at word of the first flow. @param virtualAt word of the virtual time */
  constructor(buffer: ArrayBufferLike, at: number, virtualAt: number) {
    this.#ints = new Int32Array(buffer);
    this.#doubles = new Float64Array(buffer);
    this.#at = at;
    this.#virtualAt = virtualAt;
  }

  /** Smaller comes first. @param key 32 bits, not 0 */
  tag(key: number): number {
    return Math.max(this.virtual, this.finish(key));
  }

  /** When it has paid for what it had, in virtual time. */
  finish(key: number): number {
    const word = this.#find(key);
    return word < 0 ? 0 : (this.#doubles[word + 1] ?? 0);
  }

  /** One request of the flow was let through. @param weight of its tier */
  served(key: number, weight: number): void {
    const { virtual } = this;
    let word = this.#find(key);
    let start = virtual;
    if (word >= 0) start = Math.max(virtual, this.#doubles[word + 1] ?? 0);
    else word = this.#claim(key, virtual);
    this.#doubles[this.#virtualAt] = start;
    this.#doubles[word + 1] = start + 1 / weight;
  }

  /** Virtual time: how far those are who owe nothing. */
  get virtual(): number {
    return this.#doubles[this.#virtualAt] ?? 0;
  }

  #word(key: number, probe: number): number {
    return this.#at + (((key >>> 0) + probe) % FLOW_SLOTS) * FLOW_WORDS;
  }

  #find(key: number): number {
    for (let i = 0; i < PROBES; i++) {
      const word = this.#word(key, i);
      if (this.#ints[2 * word] === key) return word;
    }
    return -1;
  }

  /** A place of a flow that is owed nothing and owes nothing; where there is none, the one that owes least is shared. */
  #claim(key: number, virtual: number): number {
    let best = this.#word(key, 0);
    for (let i = 0; i < PROBES; i++) {
      const word = this.#word(key, i);
      const finish = this.#doubles[word + 1] ?? 0;
      if (finish <= virtual) {
        this.#ints[2 * word] = key;
        return word;
      }
      if (finish < (this.#doubles[best + 1] ?? 0)) best = word;
    }
    this.#ints[2 * best] = key;
    return best;
  }
}

/** FNV-1a, never 0. @param flow name of a flow */
export function flowKey(flow: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < flow.length; i++) hash = Math.imul(hash ^ flow.charCodeAt(i), 0x01000193);
  hash ^= hash >>> 15;
  return hash | 0 || 1;
}
