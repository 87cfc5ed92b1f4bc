// Owns the memory layout of the table of limits and its size: where which word lies, what the bits of a slot mean. No decisions here.
// The protocol by which threads use it is written down in limit-slots.ts, the arithmetic of limits in limit-table.ts.

/*
 * Layout of the one SharedArrayBuffer. Everything starts as zero, which means: free, never used. N = slots + overflow slots.
 *
 *   header, 128 words of 64 bits, in 32-bit words
 *     0 SLOTS, 1 OVERFLOW, 2 CELLS   sizes                                          written once by allocate()
 *     4-5 BASE       float64, monotonicMs() that is tick 0                           written once by allocate()
 *     16 FULL        decisions that found no idle slot and went to the overflow area, modulo 2^32   writers: all (atomic add)
 *     32 REFUSED     decisions that found no idle slot even there: refused, modulo 2^32             writers: all (atomic add)
 *     48 CONNECTED   1 while the fleet's Redis answers                               writer: primary
 *     49 FLEET_SIZE  instances, 0 until there is a fleet                             writer: primary
 *     50 SYNC_MS     interval of the reconciliation                                  writer: primary
 *     51 FLEET_CHANGES  moves after each change of the three                         writer: primary
 *     64 WANTED      counts grants asked for (strict): the reconciliation may wait for it to move   writers: all (atomic add, notify)
 *     80 IN_USE, 81 ACTIVE   slots that belong to a key, and those that are not idle, at the last whole sweep   writer: primary
 *   slots, two 64-bit words each, N of them: see below
 *   journal, CELLS x N words of 32 bits: units of concurrency that this worker holds in that slot   writer: that worker; primary when it is gone
 *   fleet records, 8 words of 64 bits each, N of them: see limit-fleet.ts. Never touched (so never resident) without a fleet.
 *   dirty bits, one a slot: the fleet record has news. Writers: all (atomic or), primary (atomic and)
 *
 *   A slot:
 *     IDENTITY  bits 63..56 generation, 55..32 the tag's low half without its lowest 8 bits, 31..0 the tag's high half
 *     STATE     bits 63..62 always 0 (so that the word is a finite float64 and one plain load reads all of it), 61..54 generation,
 *               53..52 kind, 51..0 value
 *   A slot belongs to the tag of its identity only if both generations are equal and the kind is not FREE. The 8 bits of the tag that
 *   are not stored are the lowest bits of the slot's group number: identity and place together are the whole 64-bit tag.
 *   Kinds and values: FREE: 0, or 1 + index of a thread that is claiming the slot. RATE: theoretical arrival time in ticks modulo 2^52. QUOTA: hour (of Unix
 *   time) from which on the counter is void in bits 51..32, units used in 31..0. CONCURRENCY: units held in 31..0.
 *
 * Groups. A tag may live in any of the 8 slots of two groups; the number of groups is a power of two. The overflow area is a small table of
 * its own behind the first, with the same rules.
 */

/** Slots of a group. */
export const WAYS = 8;
/** The lowest 8 bits of a tag are those of both its groups, so there are at least 512: two for each. */
export const LIMIT_SLOTS_MIN = 512 * WAYS;
export const LIMIT_SLOTS_MAX = 2 ** 20;
export const LIMIT_SLOTS_DEFAULT = 2 ** 18;
/** Slots of the overflow area: room for so many (limit, share) pairs, see overflowTag() in limit-table.ts. */
export const OVERFLOW_SLOTS = LIMIT_SLOTS_MIN;
/** Workers that can have their own journal: as many as target-health has. */
export const LIMIT_CELLS_MAX = 256;

export const HEADER_WORDS64 = 128;
export const SLOT_WORDS64 = 2;
export const FLEET_WORDS64 = 8;

/** 32-bit words of the header. */
export const HEAD = {
  slots: 0,
  overflow: 1,
  cells: 2,
  full: 16,
  refused: 32,
  connected: 48,
  fleetSize: 49,
  syncMs: 50,
  fleetChanges: 51,
  wanted: 64,
  inUse: 80,
  active: 81,
} as const;
/** 64-bit word of the header. */
export const HEAD_BASE_F64 = 2;

/** Kinds of a slot. */
export const KIND_FREE = 0;
export const KIND_RATE = 1;
export const KIND_QUOTA = 2;
export const KIND_CONCURRENCY = 3;
export type LimitKind = typeof KIND_RATE | typeof KIND_QUOTA | typeof KIND_CONCURRENCY;

/** In the upper half of IDENTITY. */
export const TAG_MASK = 0xffffff;
/** In the upper half of STATE. */
export const GENERATION_SHIFT = 22;
export const KIND_SHIFT = 20;
export const VALUE_MASK = 0xfffff;

/** Bucket time: one tick is 2^-18 ms, some 4 ns. Values of 2^52 ticks go round in 198 days; half of that is the longest backlog that can be told from the past. */
export const TICKS_PER_MS = 2 ** 18;
export const TICKS_MODULO = 2 ** 52;
/** Longest backlog: 45 days, well within half of the way round. */
export const BACKLOG_TICKS_MAX = 45 * 86_400_000 * TICKS_PER_MS;

/** Where the parts begin, in 64-bit words (slots, fleet) and 32-bit words (journal, dirty). */
export interface LimitLayout {
  readonly slots: number;
  readonly overflow: number;
  readonly cells: number;
  readonly journal: number;
  readonly fleet: number;
  readonly dirty: number;
  readonly bytes: number;
}

export function limitLayout(slots: number, overflow: number, cells: number): LimitLayout {
  const all = slots + overflow;
  const journal64 = HEADER_WORDS64 + all * SLOT_WORDS64;
  const fleet = journal64 + Math.ceil((all * cells) / 2);
  const dirty64 = fleet + all * FLEET_WORDS64;
  return { slots, overflow, cells, journal: journal64 * 2, fleet, dirty: dirty64 * 2, bytes: dirty64 * 8 + Math.ceil(all / 64) * 8 };
}

/** @returns the least allowed number of slots that is not below `wanted`. */
export function slotCount(wanted: number): number {
  let slots = LIMIT_SLOTS_MIN;
  while (slots < wanted) slots *= 2;
  return slots;
}

/**
 * @param slots wanted; rounded up to a power of two. @param cells worker indexes.
 * @param baseMs monotonicMs() that is tick 0: a test begins anywhere in the round. @throws RangeError beyond the bounds.
 */
export function allocateLimits(slots: number, cells: number, baseMs: number): SharedArrayBuffer {
  if (slots > LIMIT_SLOTS_MAX) throw new RangeError(`limit table: ${slots} slots, at most ${LIMIT_SLOTS_MAX}`);
  if (cells < 1 || cells > LIMIT_CELLS_MAX) throw new RangeError(`limit table: ${cells} workers, at most ${LIMIT_CELLS_MAX}`);
  const layout = limitLayout(slotCount(slots), OVERFLOW_SLOTS, cells);
  const buffer = new SharedArrayBuffer(layout.bytes);
  const words = new Int32Array(buffer, 0, HEADER_WORDS64 * 2);
  words[HEAD.slots] = layout.slots;
  words[HEAD.overflow] = layout.overflow;
  words[HEAD.cells] = cells;
  new Float64Array(buffer, 0, HEADER_WORDS64)[HEAD_BASE_F64] = baseMs;
  return buffer;
}
