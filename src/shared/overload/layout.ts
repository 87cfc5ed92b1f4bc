// Owns the layout of the shared table of overload control: which word is what, who writes it, and what a reader may rely on.
// Must never hold code that changes it.

/** Upstreams in a plan that may have a limit; a plan in force and one being prepared have slots at once, and SlotNames gives out none below 2. */
const OVERLOAD_UPSTREAMS_MAX = 1000;
export const OVERLOAD_SLOTS_MAX = 2 * OVERLOAD_UPSTREAMS_MAX + 2;

/*
 * Layout (8-byte words; everything starts as zero, which means: nothing known, nobody there). `ints` are the same bytes as 32-bit words.
 *
 *   header, 8 words
 *     0  WORKERS  worker indexes                                   written once by allocate()
 *   doorbells, one 32-bit word a worker (its own cache line: 16 ints)
 *     counts how often others had something for the worker         writers: all (atomic add, notify); that worker waits on it (Atomics.waitAsync)
 *   slot record, 64 words
 *     int 0  LOCK     who moves the limit: worker index + 1; 0 for nobody     by compare-and-swap; the primary when that worker's thread is gone
 *     int 2  LIMIT    the limit in force, requests                            who holds LOCK; of several targets, any worker: target-table.ts
 *     int 3  SHED_AT  when somebody was refused last, monotonicMs() in s; 0 for never       all (plain)
 *     int 4.. WAITERS a bit for each worker with somebody in line             that worker (atomic or, and); the primary when its thread is gone
 *     8..    STATE    limit-state.ts, doubles                                 who holds LOCK
 *   flows, FLOW_SLOTS of 2 words each: key (int 0), finish (double)           flow-ranks.ts
 *   cell, for each worker, CELL_WORDS words
 *     int 0  IN_FLIGHT  places that the worker holds                          that worker (atomic add); the primary when its thread is gone
 *     int 1  APART      calls that it holds no place for                      the same
 *     int 2  WAITING    of its line                                           the same
 *     int 3  HEAD_CLASS class of who is next in its line                      that worker
 *     2      HEAD_TAG   tag of who is next in its line                        that worker
 *     3      ACCRUED_AT when its places were last added to TOTAL_HELD, monotonicMs()  that worker
 *     4      HEAD_AT    when it has said last who is next in its line, monotonicMs()  that worker: each tick while somebody waits
 *     8..    TOTALS     what its calls have shown, ever: limit-state.ts       that worker; readers take differences
 *     28..   COUNTS     who was refused and who waited, ever                  that worker
 *
 * Ordering. A place is taken by adding to the own cell and then summing all cells, both sequentially consistent: of two workers that take at the
 * same moment the later sum has both, so the limit is never passed; both may see too much, and then both step back and try again within a tick.
 * The cells are the only truth about what is in flight, so a worker that ends between any two stores leaves nothing but its cell and
 * its bit of WAITERS, which clearWorker() empties: a bit has one owner and no history, so that no two can make it wrong between them. Totals are doubles written by one thread and read by others: they do not tear on 64-bit machines, and one that is
 * some calls old only moves these calls into the next window. The integral of places in use is brought up to date by the reader: it then holds whatever
 * the worker did in between but for some microseconds of a place.
 */
export const HEADER_WORDS = 8;
export const WORKERS = 0;
export const BELL_INTS = 16;
export const RECORD_WORDS = 64;
export const LOCK = 0;
export const LIMIT = 2;
export const SHED_AT = 3;
export const WAITERS = 4;
/** Workers in one 32-bit word of WAITERS, of which there are 12. */
export const WAITERS_BITS = 32;
export const STATE = 8;
export const FLOW_SLOTS = 1024;
export const FLOW_WORDS = 2;
/** Classes of priority. */
export const PRIORITY_CLASSES = 6;
export const CELL_WORDS = 48;
export const IN_FLIGHT = 0;
export const APART = 1;
export const WAITING = 2;
export const HEAD_CLASS = 3;
export const HEAD_TAG = 2;
export const ACCRUED_AT = 3;
export const HEAD_AT = 4;
export const TOTALS = 8;
export const COUNTS = 28;
/** Of COUNTS, doubles: refused with the line full by class, refused after waiting by class, then these. */
export const REFUSED_LIMIT = PRIORITY_CLASSES;
export const WAITED = 2 * PRIORITY_CLASSES;
export const WAITED_MS = WAITED + 1;
export const SHADOWED = WAITED + 2;
export const COUNT_WORDS = WAITED + 3;
