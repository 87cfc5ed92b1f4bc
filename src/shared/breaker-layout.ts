// Owns the layout of the shared table of circuit breakers: which word is what, who writes it, and what a reader may rely on.
// Must never hold code that changes it: breaker-table.ts (all threads) and breaker-admin.ts (primary) do.
import { TARGET_SLOTS_MAX } from "./target-health.ts";

/** Upstreams with a breaker in one plan. */
export const BREAKER_UPSTREAMS_MAX = 1000;
/** Slots of upstreams: those of the plan in force and of one being prepared (SlotNames gives out no slot below 2). */
export const UPSTREAM_SLOTS_MAX = 2 * BREAKER_UPSTREAMS_MAX + 2;
/** A target's breaker has the slot of its target-health; upstreams' follow. */
export const upstreamBreakerSlot = (index: number): number => TARGET_SLOTS_MAX + index;
export const BREAKER_SLOTS_MAX = TARGET_SLOTS_MAX + UPSTREAM_SLOTS_MAX;

/*
 * Layout (32-bit words; everything starts as zero, which means: closed, nothing counted)
 *
 *   header, 32 words
 *     0  WORKERS   worker indexes                                    written once by allocate()
 *     1  SLOTS     number of slots                                   written once by allocate()
 *     16 CHANGES   counts changes that others must hear of (a cache line of its own); primary waits on it (Atomics.waitAsync)
 *   slot record, 64 words = four cache lines
 *     0  STATE         breaker-word.ts                               writers: all, by compare-and-swap only
 *     1  ROUND         trials of a half-open round                   writer: primary, before STATE becomes half-open
 *     2  LEVEL         openings in a row                             writer: who opened; primary (0, when it closed)
 *     3  IN_A_ROW      failures in a row, where the rules count them writers: all (atomic add; 0 at a good outcome); primary (0)
 *     4-5  openUntil   float64, monotonicMs()                        writer: who opened
 *     6-7  since       float64, monotonicMs() of the last change     writer: who changed STATE
 *     16 OPENED, 17 HALF_OPENED, 18 RECOVERED, 19 CLOSED             changes to that phase ever, modulo 2^32 (atomic add)
 *     20 TRIALS, 21 REJECTED, 22 FALLBACKS                           ever, modulo 2^32 (atomic add)
 *     32..55 window    rolling-window.ts                             writers: all
 *   cells, slot after slot, 1 word for each (slot, worker)
 *     HELD             trials that this worker has under way: epoch << 8 | count     writer: that worker; primary when its thread is gone
 *
 * Ordering. STATE is the truth and changes by one compare-and-swap (sequentially consistent), so of any number of threads that want a change
 * one makes it, and a trial is given out exactly once. Hot readers load it plainly, as an atomic load costs a call: it does not tear, and
 * an old one is as old as the cache, nanoseconds. The winner writes openUntil, since, LEVEL and counts afterwards, then adds to CHANGES
 * and wakes the primary: whoever has seen the new CHANGES sees them too. A reader in between sees the new phase with old times, which only
 * makes a Retry-After too short. A winner that died in between leaves times of the past: the primary, which looks now and then without being
 * woken, then ends the phase early.
 *
 * A dead worker. It writes HELD before it takes a trial and after it has settled one, so that clearWorker() gives back all it held; one that
 * died between two of these stores makes for one trial more, never for one that nobody can take.
 */
export const WORD_BYTES = 4;
export const HEADER_WORDS = 32;
export const WORKERS = 0;
export const SLOTS = 1;
export const CHANGES = 16;
export const SLOT_WORDS = 64;
export const ROUND = 1;
export const LEVEL = 2;
export const IN_A_ROW = 3;
export const OPEN_UNTIL_F64 = 2;
export const SINCE_F64 = 3;
export const OPENED = 16;
export const HALF_OPENED = 17;
export const RECOVERED = 18;
export const CLOSED = 19;
export const TRIALS = 20;
export const REJECTED = 21;
export const FALLBACKS = 22;
export const WINDOW = 32;
export const HELD_SHIFT = 8;
export const HELD_MASK = 0xff;
