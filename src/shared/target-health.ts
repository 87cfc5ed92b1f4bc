// Owns the shared table of target health: who is down, who is ejected and until when, how many requests are under way.
// Must never decide what health means (probes and select.ts do) and never be reached for anything but one endpoint's slot.
import { CLOCK_SKEW_MS_MAX } from "../base/clock.ts";

/** Endpoints (address, upstream) that can be known at once, over all upstreams. */
export const TARGET_SLOTS_MAX = 4096;
/** Workers that can have their own in-flight cells. */
export const HEALTH_WORKERS_MAX = 256;
/** An endpoint that keeps failing is ejected for at most this many times `ejectForMs`. */
export const EJECT_MULTIPLIER_MAX = 10;

/*
 * Layout (32-bit words; everything starts as zero, which means: healthy, idle, never seen)
 *
 *   header, 128 words
 *     0  WORKERS   number of in-flight cells per slot       written once by allocate()
 *     1  SLOTS     number of slots                          written once by allocate()
 *     16 CHANGES   counts every change of DOWN, ejectedUntil or recoveredAt (a cache line of its own)
 *     32..95 LOCKS one ejection lock for each hash of an upstream's name: 0 free, else 1 + index of the worker that holds it
 *   slot record, 16 words = one cache line each
 *     0  DOWN          1 when active probes say so                       writer: primary
 *     1  CONSECUTIVE   passive failures since the last success           writers: all workers (atomic add, store 0)
 *     2  LEVEL         ejections in a row, the multiplier                writer: lock holder
 *     3  FAILURES      passive failures ever, modulo 2^32                writers: all workers (atomic add)
 *     4  EJECTIONS     ejections ever, modulo 2^32                       writer: lock holder
 *     6-7 ejectedUntil float64, monotonicMs()                            writer: lock holder; primary, to end one (see setDown)
 *     8-9 recoveredAt  float64, monotonicMs() of the last down -> up     writer: primary
 *   cells, slot after slot, 2 words for each (slot, worker)
 *     0  IN_FLIGHT     requests under way from this worker               writer: that worker only
 *     1  REQUESTS      requests ever begun by this worker, modulo 2^32   writer: that worker only
 *
 * Ordering. A writer changes the record with plain stores and then adds to CHANGES (sequentially consistent); a reader loads CHANGES and
 * then the record. So whoever sees the new CHANGES sees the new record, and whoever read a half-changed record sees CHANGES move later and
 * reads again. Aligned 32-bit stores never tear (ECMA-262, 29.11); aligned float64 stores do not tear on the 64-bit machines we run on.
 * Cells need no read-modify-write because each has one writer; readers sum them and accept that the sum is some nanoseconds old. A count for
 * each worker, and not one for all, is what makes a dead worker's requests reclaimable exactly: its cells are set to zero.
 *
 * `maxEjected` is a property of a set, so it is checked and changed under the upstream's lock, taken with compare-and-swap. The holder
 * counts the unavailable of the set and writes one ejectedUntil; an ejection that has run out (by any thread's clock: CLOCK_SKEW_MS_MAX) is
 * simply not counted, so nobody has to give anything back. Who cannot have the lock within LOCK_SPINS_MAX tries gives up: the next failure tries again. A worker that died holding a
 * lock is freed by clearWorker().
 */
const WORD_BYTES = 4;
const HEADER_WORDS = 128;
const WORKERS = 0;
const SLOTS = 1;
const CHANGES = 16;
const LOCKS = 32;
const LOCK_COUNT = 64;
const LOCK_SPINS_MAX = 500;
const SLOT_WORDS = 16;
const DOWN = 0;
const CONSECUTIVE = 1;
const LEVEL = 2;
const FAILURES = 3;
const EJECTIONS = 4;
const EJECTED_UNTIL_F64 = 3;
const RECOVERED_AT_F64 = 4;
const CELL_WORDS = 2;
const IN_FLIGHT = 0;
const REQUESTS = 1;
/** Holder number of a thread without a worker index (primary, tests). */
const PRIMARY_LOCK_OWNER = HEALTH_WORKERS_MAX + 1;

/** Everything known about a slot at one moment, for the admin listener. */
export interface SlotHealth {
  readonly down: boolean;
  /** monotonicMs(); 0 if never ejected. In the past when the ejection has run out. */
  readonly ejectedUntilMs: number;
  readonly consecutiveFailures: number;
  /** monotonicMs() of the last recovery seen by active probes; 0 for none. */
  readonly recoveredAtMs: number;
  readonly inFlight: number;
  /** Counters modulo 2^32 for each worker. */
  readonly requests: number;
  readonly failures: number;
  readonly ejections: number;
}

/** What {@link TargetHealth.eject} needs to know. */
export interface Ejection {
  readonly slot: number;
  /** Slots of all endpoints of the upstream: the set that `unavailableMax` is about. */
  readonly group: readonly number[];
  /** How many of the group may be unavailable (ejected, or down) after this ejection. */
  readonly unavailableMax: number;
  /** From {@link ejectionLock}. */
  readonly lock: number;
  readonly ejectForMs: number;
  readonly nowMs: number;
}

/** @returns the lock of an upstream: the same in every thread. Two upstreams may share one; that costs at most a deferred ejection. */
export function ejectionLock(upstreamName: string): number {
  let hash = 0;
  for (let i = 0; i < upstreamName.length; i += 1) hash = (Math.imul(hash, 31) + upstreamName.charCodeAt(i)) | 0;
  return (hash >>> 0) % LOCK_COUNT;
}

/** One thread's view of the table. The primary allocates; every worker opens it with its own index. */
export class TargetHealth {
  readonly buffer: SharedArrayBuffer;
  readonly slots: number;
  readonly workers: number;
  readonly #words: Int32Array;
  readonly #doubles: Float64Array;
  readonly #cells: number;
  readonly #cellStride: number;
  readonly #ownCell: number;
  readonly #lockOwner: number;

  /** @param workers number of worker indexes, at most HEALTH_WORKERS_MAX. @throws RangeError beyond the bounds. */
  static allocate(workers: number, slots: number = TARGET_SLOTS_MAX): SharedArrayBuffer {
    if (workers < 1 || workers > HEALTH_WORKERS_MAX)
      throw new RangeError(`target health: ${workers} workers, at most ${HEALTH_WORKERS_MAX}`);
    if (slots < 1 || slots > TARGET_SLOTS_MAX) throw new RangeError(`target health: ${slots} slots, at most ${TARGET_SLOTS_MAX}`);
    const words = HEADER_WORDS + slots * (SLOT_WORDS + workers * CELL_WORDS);
    const buffer = new SharedArrayBuffer(Math.ceil(words / 2) * 2 * WORD_BYTES);
    const header = new Int32Array(buffer);
    header[WORKERS] = workers;
    header[SLOTS] = slots;
    return buffer;
  }

  /** @param workerIndex this thread's cells; -1 for a thread that sends no requests (the primary): begin() and end() are not for it. */
  constructor(buffer: SharedArrayBuffer, workerIndex = -1) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
    this.#doubles = new Float64Array(buffer);
    this.workers = this.#words[WORKERS] ?? 0;
    this.slots = this.#words[SLOTS] ?? 0;
    if (workerIndex >= this.workers) throw new RangeError(`target health: worker index ${workerIndex} of ${this.workers}`);
    this.#cells = HEADER_WORDS + this.slots * SLOT_WORDS;
    this.#cellStride = this.workers * CELL_WORDS;
    this.#ownCell = this.#cells + workerIndex * CELL_WORDS;
    this.#lockOwner = workerIndex < 0 ? PRIMARY_LOCK_OWNER : workerIndex + 1;
  }

  /** Moves whenever a slot's availability changed other than by time. Compare for equality only (wraps). */
  changes(): number {
    return Atomics.load(this.#words, CHANGES);
  }

  // --- In-flight: worker only, hot ---

  /** A request to the slot begins. */
  begin(slot: number): void {
    const cell = this.#ownCell + slot * this.#cellStride;
    const words = this.#words;
    words[cell + IN_FLIGHT] = (words[cell + IN_FLIGHT] ?? 0) + 1;
    words[cell + REQUESTS] = (words[cell + REQUESTS] ?? 0) + 1;
  }

  /** A request to the slot is over. Exactly once for each begin(). */
  end(slot: number): void {
    const cell = this.#ownCell + slot * this.#cellStride;
    this.#words[cell + IN_FLIGHT] = (this.#words[cell + IN_FLIGHT] ?? 0) - 1;
  }

  /** Requests under way from this worker. */
  ownInFlight(slot: number): number {
    return this.#words[this.#ownCell + slot * this.#cellStride + IN_FLIGHT] ?? 0;
  }

  /** Requests under way from all workers. Cost grows with the number of workers: 8 cells a cache line. */
  inFlight(slot: number): number {
    let sum = 0;
    const first = this.#cells + slot * this.#cellStride;
    const end = first + this.#cellStride;
    for (let i = first; i < end; i += CELL_WORDS) sum += this.#words[i] ?? 0;
    return sum;
  }

  // --- Availability ---

  /** Active probes say down. */
  isDown(slot: number): boolean {
    return this.#words[this.#record(slot) + DOWN] === 1;
  }

  /** monotonicMs() until which passive health keeps it out; 0 or past: not ejected. */
  ejectedUntilMs(slot: number): number {
    return this.#doubles[(this.#record(slot) >> 1) + EJECTED_UNTIL_F64] ?? 0;
  }

  /** monotonicMs() at which active probes saw it come back; 0 for never. */
  recoveredAtMs(slot: number): number {
    return this.#doubles[(this.#record(slot) >> 1) + RECOVERED_AT_F64] ?? 0;
  }

  // --- Passive health: workers ---

  /** An attempt succeeded: failures in a row start anew. Writes only when there were some. */
  succeeded(slot: number): void {
    const word = this.#record(slot) + CONSECUTIVE;
    if (this.#words[word] !== 0) Atomics.store(this.#words, word, 0);
  }

  /** An attempt failed. @returns failures in a row over all workers, this one included. While ejected late failures count for nothing: 0. */
  failed(slot: number, nowMs: number): number {
    const record = this.#record(slot);
    Atomics.add(this.#words, record + FAILURES, 1);
    if (this.ejectedUntilMs(slot) > nowMs) return 0;
    return Atomics.add(this.#words, record + CONSECUTIVE, 1) + 1;
  }

  /**
   * Ejects the slot unless that makes too many of its group unavailable. The time is `ejectForMs` times the number of ejections in a row (at
   * most EJECT_MULTIPLIER_MAX); each `ejectForMs` that it then stayed in service takes one back.
   * @returns true when it was ejected now; false when it is ejected already, would be one too many, or the lock is busy (try at the next failure).
   */
  eject(ejection: Ejection): boolean {
    if (!this.#lock(ejection.lock)) return false;
    try {
      const { slot, nowMs } = ejection;
      if (this.ejectedUntilMs(slot) > nowMs) return false;
      let unavailable = 1;
      for (const other of ejection.group) if (other !== slot && this.#unavailable(other, nowMs - CLOCK_SKEW_MS_MAX)) unavailable += 1;
      if (unavailable > ejection.unavailableMax) return false;
      this.#writeEjection(slot, nowMs, ejection.ejectForMs);
      return true;
    } finally {
      Atomics.store(this.#words, LOCKS + ejection.lock, 0);
    }
  }

  // --- Primary ---

  /**
   * What active probes found. Who was down and is up again begins anew: an ejection from the time before it went down ends too. That is
   * written without the lock: against an ejection at the same moment either may win, and neither makes one too many unavailable.
   * @returns whether that is news.
   */
  setDown(slot: number, down: boolean, nowMs: number): boolean {
    const record = this.#record(slot);
    if ((this.#words[record + DOWN] === 1) === down) return false;
    if (!down) {
      this.#doubles[(record >> 1) + RECOVERED_AT_F64] = nowMs;
      this.#words[record + CONSECUTIVE] = 0;
      const ejectedUntil = (record >> 1) + EJECTED_UNTIL_F64;
      this.#doubles[ejectedUntil] = Math.min(this.#doubles[ejectedUntil] ?? 0, nowMs);
    }
    this.#words[record + DOWN] = down ? 1 : 0;
    Atomics.add(this.#words, CHANGES, 1);
    return true;
  }

  /** Forgets everything about a slot but what is in flight: before it is given to another endpoint. */
  reset(slot: number): void {
    const record = this.#record(slot);
    this.#words.fill(0, record, record + SLOT_WORDS);
    Atomics.add(this.#words, CHANGES, 1);
  }

  /** Reclaims a dead worker's in-flight counts and locks: after its thread is gone and before its replacement starts. */
  clearWorker(workerIndex: number): void {
    if (workerIndex < 0 || workerIndex >= this.workers) return;
    for (let slot = 0; slot < this.slots; slot += 1) {
      this.#words[this.#cells + slot * this.#cellStride + workerIndex * CELL_WORDS + IN_FLIGHT] = 0;
    }
    for (let lock = 0; lock < LOCK_COUNT; lock += 1) Atomics.compareExchange(this.#words, LOCKS + lock, workerIndex + 1, 0);
  }

  /** A reading for people; the fields may be some nanoseconds apart. */
  read(slot: number): SlotHealth {
    const record = this.#record(slot);
    let requests = 0;
    const first = this.#cells + slot * this.#cellStride;
    for (let i = first; i < first + this.#cellStride; i += CELL_WORDS) requests += (this.#words[i + REQUESTS] ?? 0) >>> 0;
    return {
      down: this.isDown(slot),
      ejectedUntilMs: this.ejectedUntilMs(slot),
      consecutiveFailures: this.#words[record + CONSECUTIVE] ?? 0,
      recoveredAtMs: this.recoveredAtMs(slot),
      inFlight: this.inFlight(slot),
      requests,
      failures: (this.#words[record + FAILURES] ?? 0) >>> 0,
      ejections: (this.#words[record + EJECTIONS] ?? 0) >>> 0,
    };
  }

  #record(slot: number): number {
    return HEADER_WORDS + slot * SLOT_WORDS;
  }

  #unavailable(slot: number, nowMs: number): boolean {
    return this.isDown(slot) || this.ejectedUntilMs(slot) > nowMs;
  }

  #lock(lock: number): boolean {
    for (let spin = 0; spin < LOCK_SPINS_MAX; spin += 1) {
      if (Atomics.compareExchange(this.#words, LOCKS + lock, 0, this.#lockOwner) === 0) return true;
    }
    return false;
  }

  #writeEjection(slot: number, nowMs: number, ejectForMs: number): void {
    const record = this.#record(slot);
    const words = this.#words;
    const inServiceMs = nowMs - this.ejectedUntilMs(slot);
    const forgiven = ejectForMs > 0 ? Math.floor(inServiceMs / ejectForMs) : 0;
    const level = Math.min(Math.max(0, (words[record + LEVEL] ?? 0) - forgiven) + 1, EJECT_MULTIPLIER_MAX);
    words[record + LEVEL] = level;
    words[record + EJECTIONS] = (words[record + EJECTIONS] ?? 0) + 1;
    this.#doubles[(record >> 1) + EJECTED_UNTIL_F64] = nowMs + ejectForMs * level;
    Atomics.store(words, record + CONSECUTIVE, 0);
    Atomics.add(words, CHANGES, 1);
  }
}
