// Owns small tables of limits for tests, on a clock that the test turns, and the sequential algorithm that decisions are held to.
import { SipHash } from "../../src/base/sip-hash.ts";
import { TICKS_PER_MS } from "../../src/shared/limit-layout.ts";
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
