// Owns how large a limit is, in the units of the table, and what a decision is asked and answered with. No shared memory here.
import type { SipHash } from "../base/sip-hash.ts";
import { BACKLOG_TICKS_MAX, KIND_CONCURRENCY, KIND_QUOTA, KIND_RATE, type LimitKind, TICKS_PER_MS } from "./limit-layout.ts";

/** How a limit is shared: not at all, reconciled now and then, or only what Redis granted. */
export const MODE_LOCAL = 0;
export const MODE_FLEET = 1;
export const MODE_STRICT = 2;
export type LimitMode = typeof MODE_LOCAL | typeof MODE_FLEET | typeof MODE_STRICT;

/** Verdicts. */
export const PASSED = 1;
export const REFUSED = 0;
/** Neither the table nor its overflow area has a slot for the key: to be refused, never let through. */
export const NO_ROOM = -1;
/** Strict: Redis has to grant first. */
export const NO_GRANT = -2;
/** Fleet: the bucket has room, but this instance has spent its share of it. The fleet has to be told first, which was asked for. */
export const NO_SHARE = -3;
export type Verdict = typeof PASSED | typeof REFUSED | typeof NO_ROOM | typeof NO_GRANT | typeof NO_SHARE;

/** Parts into which the keys of one limit fall that find no slot: each part shares one bucket of the overflow area. */
export const OVERFLOW_SHARES = 16;

/** Sets tags of common buckets apart from those of callers: without the hash's key nobody finds a text whose tag is one of them. */
const OVERFLOW_MARK = 0x6f766572;

/** Made once for a limit, a tier or a claim's value; shared by all decisions. */
export interface LimitSize {
  readonly kind: LimitKind;
  readonly mode: LimitMode;
  /** Burst, units in a period, or units held at once. */
  readonly capacity: number;
  /** `rate`: ticks of bucket time that one unit costs, a whole number of at least 1; else 1. */
  readonly unit: number;
  /** `rate`: units in a millisecond; else 0. */
  readonly perMs: number;
}

/** Longest time (ms) that a whole burst may take to come back. */
export const TOLERANCE_MS_MAX = 30 * 86_400_000;
/** Fastest rate: one unit costs a tick or more. Rates are kept to a tick: at 100,000/s to 0.02 %. */
export const UNITS_PER_MS_MAX = TICKS_PER_MS / 2;
export const UNITS_MAX = 2 ** 31;

/**
 * A GCRA bucket (virtual scheduling, ITU-T I.371 annex A): `burst` units at once, `count` in `periodMs` in the long run.
 * Both are held within the bounds above, so that arithmetic in ticks is exact; the configuration refuses what would be cut.
 */
export function rateSize(rate: { readonly count: number; readonly periodMs: number }, burst: number, mode: LimitMode): LimitSize {
  const unit = Math.max(1, Math.round((rate.periodMs * TICKS_PER_MS) / rate.count));
  const capacity = Math.max(1, Math.min(Math.floor(burst), Math.floor((TOLERANCE_MS_MAX * TICKS_PER_MS) / unit), UNITS_MAX));
  return { kind: KIND_RATE, mode, capacity, unit: Math.min(unit, BACKLOG_TICKS_MAX), perMs: rate.count / rate.periodMs };
}

/** Units in one period. */
export const quotaSize = (units: number, mode: LimitMode): LimitSize => ({
  kind: KIND_QUOTA,
  mode,
  capacity: Math.min(units, UNITS_MAX),
  unit: 1,
  perMs: 0,
});

/** Units held at once, in this instance. */
export const concurrencySize = (units: number): LimitSize => ({
  kind: KIND_CONCURRENCY,
  mode: MODE_LOCAL,
  capacity: units,
  unit: 1,
  perMs: 0,
});

/** What tells a limit's buckets from those of all others. */
export interface LimitIdentity {
  /** Hashes the limit's keys: no other limit has its key. */
  readonly hash: SipHash;
  /** Tags of the limit's {@link OVERFLOW_SHARES} common buckets, high and low by turns. */
  readonly overflow: Int32Array;
}

/** @param hash of this limit only */
export function limitIdentity(hash: SipHash): LimitIdentity {
  const overflow = new Int32Array(OVERFLOW_SHARES * 2);
  for (let share = 0; share < OVERFLOW_SHARES; share++) {
    hash.hashBytes(Uint8Array.of(share));
    overflow[share * 2] = hash.high ^ OVERFLOW_MARK;
    overflow[share * 2 + 1] = hash.low;
  }
  return { hash, overflow };
}

/** One question to the table, filled in by whoever asks and used again: a decision allocates nothing. */
export class LimitAsk {
  // Asked.
  identity: LimitIdentity;
  size: LimitSize;
  /** Tag of the bucket, int32 halves. */
  high = 0;
  low = 0;
  /** Units wanted: a whole number of at least 1. */
  cost = 1;
  /** `quota`: the period's start (epoch seconds) and end (epoch ms), and units of it that are gone already (rolling). */
  periodStartS = 0;
  periodEndMs = 0;
  carried = 0;
  /** `quota` that rolls: start (epoch seconds; 0 for none) and tag of the period before, whose use is carried over. */
  beforeStartS = 0;
  beforeHigh = 0;
  beforeLow = 0;
  /** Takes what the bucket has without regard to this instance's share of it: for limits that refuse nobody. */
  beyondShare = false;
  // Answered.
  verdict: Verdict = REFUSED;
  /** Where the bucket is; -1 when it has no slot. */
  slot = -1;
  /** The slot's tag: the bucket's own, or that of its share of keys in the overflow area. */
  slotHigh = 0;
  slotLow = 0;
  /** What was taken: ticks or units. 0 when nothing was. */
  taken = 0;
  /** After the decision: ticks of backlog (`rate`), or units used or held. */
  level = 0;

  constructor(identity: LimitIdentity, size: LimitSize) {
    this.identity = identity;
    this.size = size;
  }

  /** Tag of the bucket that the key has in the overflow area. */
  get overflowHigh(): number {
    return this.identity.overflow[(this.high >>> 28) * 2] ?? 0;
  }

  get overflowLow(): number {
    return this.identity.overflow[(this.high >>> 28) * 2 + 1] ?? 0;
  }

  /** Whole units that are left after the decision. */
  get left(): number {
    const { capacity, unit, kind } = this.size;
    if (kind === KIND_RATE) return Math.max(0, Math.floor((capacity * unit - this.level) / unit));
    return Math.max(0, capacity - this.carried - this.level);
  }

  /** Time (ms) until what was refused could pass if nobody else came; for a quota see its period. */
  get waitMs(): number {
    const { capacity, unit } = this.size;
    return Math.max(0, this.level + this.cost * unit - capacity * unit) / TICKS_PER_MS;
  }

  /** Time (ms) until a `rate` bucket is as good as new. */
  get refillMs(): number {
    return this.level / TICKS_PER_MS;
  }
}
