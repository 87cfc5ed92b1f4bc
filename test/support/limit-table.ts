// Owns small tables of limits for tests, on a clock that the test turns, and the sequential algorithm that decisions are held to.
import { SipHash } from "../../src/base/sip-hash.ts";
import { HEADER_WORDS64, KIND_FREE, KIND_SHIFT, SLOT_WORDS64, TICKS_PER_MS } from "../../src/shared/limit-layout.ts";
import { LimitAsk, type LimitIdentity, type LimitSize, limitIdentity } from "../../src/shared/limit-size.ts";
import { LimitTable } from "../../src/shared/limit-table.ts";

/** Any time: 2026-01-01T00:00:00Z. */
export const EPOCH_MS = 1_767_225_600_000;

/** The identity of a limit, by any small number. */
export function identity(of = 1): LimitIdentity {
  return limitIdentity(new SipHash(Uint8Array.from({ length: 16 }, (_, i) => (of >> ((i & 3) * 8)) + i)));
}

/** A question about one key of a limit. */
export function askFor(limit: LimitIdentity, key: string, size: LimitSize, cost = 1): LimitAsk {
  const ask = new LimitAsk(limit, size);
  limit.hash.hash(key);
  ask.high = limit.hash.high;
  ask.low = limit.hash.low;
  ask.cost = cost;
  return ask;
}

/** A table whose clock begins at 0 ms. @param baseMs where the ticks' round begins: -n begins n ms into it */
export function tableAt(options: { readonly slots?: number; readonly baseMs?: number; readonly cells?: number } = {}): LimitTable {
  const table = new LimitTable(LimitTable.allocate(options.slots ?? 4096, options.cells ?? 4, options.baseMs ?? 0), 0);
  table.setNow(0, EPOCH_MS);
  return table;
}

/** GCRA as virtual scheduling, one bucket, in ticks: what every decision must agree with. */
export class GcraOracle {
  tat = 0;
  readonly #size: LimitSize;

  constructor(size: LimitSize) {
    this.#size = size;
  }

  decide(nowMs: number, cost: number): boolean {
    const now = Math.floor(nowMs * TICKS_PER_MS);
    const next = Math.max(this.tat, now) + cost * this.#size.unit;
    if (next - now > this.#size.capacity * this.#size.unit) return false;
    this.tat = next;
    return true;
  }
}

/** Every slot of a table, as its two words say. */
export function slotsOf(
  buffer: SharedArrayBuffer,
): { readonly live: boolean; readonly kind: number; readonly low: number; readonly tag: string }[] {
  const words = new Int32Array(buffer);
  return Array.from({ length: words[0]! + words[1]! }, (_, slot) => {
    const at = (HEADER_WORDS64 + slot * SLOT_WORDS64) * 2;
    const [high = 0, identityHigh = 0, low = 0, state = 0] = words.subarray(at, at + 4);
    const kind = (state >>> KIND_SHIFT) & 3;
    return {
      live: kind !== KIND_FREE && state >>> 22 === identityHigh >>> 24,
      kind,
      low,
      tag: `${slot >> 12} ${high} ${identityHigh & 0xffffff}`,
    };
  });
}

/** One decision about a bucket, as its thread saw it. */
export interface Decision {
  readonly now: number;
  readonly cost: number;
  readonly passed: boolean;
  readonly level: number;
}

/**
 * Looks for one order of a bucket's decisions in which the sequential algorithm decides each the same. What passes leaves a later arrival time
 * than what passed before, so that order is the order of arrival times, and what was refused saw one of them.
 * @returns what does not fit
 */
export function misfits(decisions: readonly Decision[], unit: number, burst: number): string[] {
  const wrong: string[] = [];
  const arrivals = new Set<number>([0]);
  let arrival = 0;
  for (const { now, cost, level } of decisions.filter((each) => each.passed).sort((a, b) => a.now + a.level - (b.now + b.level))) {
    const next = Math.max(arrival, now) + cost * unit;
    if (next - now > burst * unit) wrong.push(`passed at ${now} over the burst`);
    if (next !== now + level) wrong.push(`passed at ${now} leaving ${now + level}, not ${next}`);
    arrivals.add((arrival = next));
  }
  for (const { now, cost, level } of decisions.filter((each) => !each.passed)) {
    if (level + cost * unit <= burst * unit) wrong.push(`refused at ${now} with room`);
    if (level > 0 && !arrivals.has(now + level)) wrong.push(`refused at ${now} for an arrival time ${now + level} that never was`);
  }
  return wrong;
}
