// Owns which single-use values (nonces) were seen lately, for all workers of the instance. Must never let one through twice, and never forget one early:
// in doubt (two workers at once, no room) a value counts as seen.
//
// Layout: 8 bytes start (seconds, whole instance), 32 bytes key, 24 unused; then buckets of 32 slots of 64 bits: 40 bits of the value's digest, 24 bits of
// the second (modulo 2^24) until which it is kept; 0 is free. The bucket is chosen by 32 other bits of the digest. The digest is keyed, so that nobody
// outside can fill one bucket or make two values meet; of values kept in one bucket two meet with a probability of 2^-35, and then a good one is refused.
// Written and read by all workers. A slot is only ever changed by compare-and-exchange, from free or ended to a new value.
//
// Why no value passes twice: a worker scans the bucket, puts its value into a free slot by compare-and-exchange, and scans again. All accesses are
// sequentially consistent. Of two workers with the same value, whoever put it second finds the other's in its second scan, in whatever slot that stands.
// Both may find each other; then neither passes.
import { hash } from "node:crypto";
import { earlyRandomBytes } from "../base/random-bytes.ts";

const HEADER_BYTES = 64;
const KEY_BYTES = 32;
const BUCKET_SLOTS = 32;
/** 8 MiB, of which only what is written to takes memory. Some 400,000 values at once: beyond, one in a million meets a full bucket. */
const SLOTS = 2 ** 20;
const SECOND_BITS = 24n;
const SECOND_MASK = 2 ** 24 - 1;
/** Nothing is kept longer than this, seconds: what seems to be was put there a whole turn of the counter ago. */
export const KEPT_S_MAX = 86_400;
/** Others who may get in between before it is given up. */
const ATTEMPTS_MAX = 2 * BUCKET_SLOTS;

/** @property full there is no room: it cannot be told */
export type Seen = "new" | "seen" | "full";

export class ReplaySet {
  readonly buffer: SharedArrayBuffer;
  /** Date.now() / 1000 when it was made, rounded up: of what was seen before that it knows nothing. */
  readonly startedS: number;
  private readonly slots: BigInt64Array;
  private readonly key: string;
  private readonly buckets: number;

  /** @param slots a power of two */
  static allocate(slots = SLOTS): SharedArrayBuffer {
    const buffer = new SharedArrayBuffer(HEADER_BYTES + slots * 8);
    new BigInt64Array(buffer)[0] = BigInt(Math.ceil(Date.now() / 1000));
    new Uint8Array(buffer, 8, KEY_BYTES).set(earlyRandomBytes(KEY_BYTES));
    return buffer;
  }

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.startedS = Number(new BigInt64Array(buffer)[0]);
    this.key = Buffer.from(Uint8Array.from(new Uint8Array(buffer, 8, KEY_BYTES))).toString("base64");
    this.slots = new BigInt64Array(buffer, HEADER_BYTES);
    this.buckets = this.slots.length / BUCKET_SLOTS;
  }

  /**
   * Takes a value, if nobody has.
   * @param untilS the last second at which it must still be known; at most {@link KEPT_S_MAX} from now
   */
  take(value: string, untilS: number, nowS: number): Seen {
    const digest = hash("sha256", this.key + value, "buffer");
    const first = (digest.readUInt32LE(0) % this.buckets) * BUCKET_SLOTS;
    const tag = BigInt(digest.readUIntLE(4, 5));
    const mine = BigInt.asIntN(64, (tag << SECOND_BITS) | BigInt(untilS & SECOND_MASK || 1));
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const slot = this.scan(first, tag, nowS, -1);
      if (slot === SEEN) return "seen";
      if (slot === NO_ROOM) return "full";
      const before = Atomics.load(this.slots, slot);
      if (isKept(before, nowS) || Atomics.compareExchange(this.slots, slot, before, mine) !== before) continue;
      return this.scan(first, tag, nowS, slot) === SEEN ? "seen" : "new";
    }
    return "full";
  }

  /** @param own a slot not to look at. @returns the first free slot, {@link SEEN} or {@link NO_ROOM} */
  private scan(first: number, tag: bigint, nowS: number, own: number): number {
    let free = NO_ROOM;
    for (let slot = first; slot < first + BUCKET_SLOTS; slot++) {
      if (slot === own) continue;
      const entry = Atomics.load(this.slots, slot);
      if (!isKept(entry, nowS)) {
        if (free === NO_ROOM) free = slot;
        if (entry === 0n) return free; // values take the first free slot and never give it back empty: behind this one all are
      } else if (BigInt.asUintN(40, entry >> SECOND_BITS) === tag) return SEEN;
    }
    return free;
  }
}

const NO_ROOM = -1;
const SEEN = -2;

function isKept(entry: bigint, nowS: number): boolean {
  if (entry === 0n) return false;
  const left = (Number(BigInt.asUintN(24, entry)) - nowS) & SECOND_MASK;
  return left <= KEPT_S_MAX;
}
