// Owns the in-flight limits of targets, for all workers: how many are in flight to each, and what they have shown. Slots are those of target-health.
// Must never keep anybody from a target: a limit says where others come first. Whether an upstream has room is told by overload-table.ts.
import { TARGET_SLOTS_MAX } from "../target-health.ts";
import { LimitControl } from "./limit-control.ts";
import { addSample, addTotals, type Clocks, type LimitBounds, STATE_WORDS, TOTAL_BLOCKED, TOTAL_HELD, TOTAL_WORDS } from "./limit-state.ts";

const LINE_WORDS = 8;
const lines = (words: number): number => Math.ceil(words / LINE_WORDS) * LINE_WORDS;

/*
 * Layout (8-byte words; everything starts as zero, which means: nothing known, nobody there). `ints` are the same bytes as 32-bit words.
 *
 *   header, 8 words
 *     0  WORKERS  worker indexes                                   written once by allocate()
 *   record of each slot, whole cache lines
 *     int 0  LOCK        who moves the limit: worker index + 1; 0 for nobody     by compare-and-swap; the primary when that worker's thread is gone
 *     int 1  LIMIT       the limit in force, requests; 0: none yet               who holds LOCK
 *     int 2  GENERATION  times that the slot was given to another endpoint       primary
 *     8..    STATE       limit-state.ts, doubles                                 who holds LOCK
 *   cell, for each worker, whole cache lines
 *     int 0  IN_FLIGHT   requests that the worker has there and that take a place   that worker; the primary when its thread is gone
 *     1      ACCRUED_AT  when they were last added to TOTAL_HELD, monotonicMs()      that worker
 *     2..    TOTALS      what they have shown, ever: limit-state.ts                 that worker; readers take differences
 *     21     STEERED     requests that went elsewhere as it was at its limit, ever   that worker
 *
 * Ordering. There is none: each word has one writer, and readers accept sums that are some nanoseconds old, so that as many workers as choose a
 * target at the same moment may pass its limit by one each. The limit of the upstream, which is held exactly, bounds them all. Who still counts for
 * an endpoint whose slot is another's by now, sees it by GENERATION, and shows nothing; what it has in flight it gives back.
 */
const HEADER_WORDS = LINE_WORDS;
const WORKERS = 0;
const LOCK = 0;
const LIMIT = 1;
const GENERATION = 2;
const STATE = LINE_WORDS;
const RECORD_WORDS = STATE + lines(STATE_WORDS);
const IN_FLIGHT = 0;
const ACCRUED_AT = 1;
const TOTALS = 2;
const STEERED = TOTALS + TOTAL_WORDS;
const CELL_WORDS = lines(STEERED + 1);

/** A reading for people. */
export interface TargetReading {
  /** 0: none was needed yet. */
  readonly limit: number;
  /** Without streams, WebSockets and long polls. */
  readonly inFlight: number;
  /** ms; 0 for unknown. */
  readonly baseMs: number;
  /** Ever: requests that went elsewhere as it was at its limit, or would have if that were enforced. */
  readonly steered: number;
}

/** One thread's view of the whole table. */
export class TargetTable {
  readonly buffer: SharedArrayBuffer;
  readonly workers: number;
  readonly #ints: Int32Array;
  readonly #doubles: Float64Array;

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#ints = new Int32Array(buffer);
    this.#doubles = new Float64Array(buffer);
    this.workers = this.#ints[WORKERS] ?? 0;
  }

  static allocate(workers: number): SharedArrayBuffer {
    const words = HEADER_WORDS + TARGET_SLOTS_MAX * (RECORD_WORDS + workers * CELL_WORDS);
    const buffer = new SharedArrayBuffer(words * Float64Array.BYTES_PER_ELEMENT); // pages that no target uses are never touched
    new Int32Array(buffer)[WORKERS] = workers;
    return buffer;
  }

  /** Places of one target, as a worker uses them. @param enforced others are preferred while it is at its limit; else that is counted only */
  places(slot: number, worker: number, enforced: boolean): TargetPlaces {
    const record = this.#record(slot);
    return new TargetPlaces(this.#ints, this.#doubles, { record, workers: this.workers, worker, enforced });
  }

  read(slot: number): TargetReading {
    const record = this.#record(slot);
    let inFlight = 0;
    let steered = 0;
    for (let i = 0; i < this.workers; i++) {
      const cell = cellOf(record, i);
      inFlight += this.#ints[2 * cell + IN_FLIGHT] ?? 0;
      steered += this.#doubles[cell + STEERED] ?? 0;
    }
    const { baseMs } = new LimitControl(this.#doubles, record + STATE);
    return { limit: this.#ints[2 * record + LIMIT] ?? 0, inFlight, baseMs, steered };
  }

  /** Before a slot is given to another endpoint: nothing is known of it. Only while nothing is in flight there. Primary only. */
  reset(slot: number): void {
    const record = this.#record(slot);
    this.#doubles.fill(0, record + STATE, record + RECORD_WORDS);
    for (let i = 0; i < this.workers; i++) this.#doubles[cellOf(record, i) + STEERED] = 0;
    this.#ints[2 * record + LIMIT] = 0;
    Atomics.add(this.#ints, 2 * record + GENERATION, 1);
  }

  /** The thread of that worker is gone: it has nothing in flight. Primary only. @param slots those that were ever given out */
  clearWorker(worker: number, slots: Iterable<number>): void {
    for (const slot of slots) {
      const record = this.#record(slot);
      this.#ints[2 * cellOf(record, worker) + IN_FLIGHT] = 0;
      Atomics.compareExchange(this.#ints, 2 * record + LOCK, worker + 1, 0);
    }
  }

  #record(slot: number): number {
    return HEADER_WORDS + slot * (RECORD_WORDS + this.workers * CELL_WORDS);
  }
}

const cellOf = (record: number, worker: number): number => record + RECORD_WORDS + worker * CELL_WORDS;

interface Position {
  readonly record: number;
  readonly workers: number;
  readonly worker: number;
  readonly enforced: boolean;
}

/** One worker's view of one target's places. On the request path: no allocation, a plain load for each worker. */
export class TargetPlaces {
  /** Others are preferred while it is at its limit. */
  readonly enforced: boolean;
  readonly #ints: Int32Array;
  readonly #doubles: Float64Array;
  readonly #record: number;
  readonly #workers: number;
  readonly #worker: number;
  readonly #firstCell: number;
  readonly #endCell: number;
  readonly #own: number;
  /** TOTAL_WORDS of this worker. */
  readonly #totals: Float64Array;
  readonly #generation: number;
  readonly #control: LimitControl;

  /** @internal by TargetTable.places() */
  constructor(ints: Int32Array, doubles: Float64Array, { record, workers, worker, enforced }: Position) {
    this.#ints = ints;
    this.#doubles = doubles;
    this.#record = record;
    this.#workers = workers;
    this.#worker = worker;
    this.enforced = enforced;
    this.#firstCell = 2 * cellOf(record, 0) + IN_FLIGHT;
    this.#endCell = 2 * cellOf(record, workers) + IN_FLIGHT;
    this.#own = cellOf(record, worker);
    this.#totals = doubles.subarray(this.#own + TOTALS, this.#own + TOTALS + TOTAL_WORDS);
    this.#control = new LimitControl(doubles, record + STATE);
    this.#generation = Atomics.load(ints, 2 * record + GENERATION);
  }

  /** Requests that may be in flight before others are preferred; 0 before anybody has moved it. */
  get limit(): number {
    return this.#ints[2 * this.#record + LIMIT] ?? 0;
  }

  /** Of all workers. */
  get inFlight(): number {
    let sum = 0;
    for (let cell = this.#firstCell; cell < this.#endCell; cell += 2 * CELL_WORDS) sum += this.#ints[cell] ?? 0;
    return sum;
  }

  get baseMs(): number {
    return this.#control.baseMs;
  }

  get variation(): number {
    return this.#control.variation;
  }

  /** Others come before it. */
  get full(): boolean {
    return this.enforced && this.isFull();
  }

  /** It was chosen first. That somebody found it at its limit moves the limit. @returns whether so many times the limit are in flight there */
  found(times = 1): boolean {
    if (!this.isFull(1)) return false;
    const at = this.#own + TOTALS + TOTAL_BLOCKED;
    this.#doubles[at] = (this.#doubles[at] ?? 0) + 1;
    return times === 1 || this.isFull(times);
  }

  /** Somebody goes elsewhere for it, or would. */
  countSteered(): void {
    if (this.#isGone) return;
    this.#doubles[this.#own + STEERED] = (this.#doubles[this.#own + STEERED] ?? 0) + 1;
  }

  /** At its limit, or at so many times that: whether or not others are preferred then. */
  isFull(times = 1): boolean {
    const limit = this.#ints[2 * this.#record + LIMIT] ?? 0;
    return limit !== 0 && this.inFlight >= times * limit;
  }

  /** A request goes there. @param atMs monotonicMs() */
  begin(atMs: number): void {
    this.#change(1, atMs);
  }

  /** It is over, or is counted no more. Exactly once for each begin(). @param atMs monotonicMs() */
  end(atMs: number): void {
    this.#change(-1, atMs);
  }

  /** The time that places were in use counts as it passes, not when a call is over: a slow target would be the last to show it. */
  #change(by: 1 | -1, atMs: number): void {
    const cell = this.#own;
    const doubles = this.#doubles;
    const inFlight = this.#ints[2 * cell + IN_FLIGHT] ?? 0;
    this.#ints[2 * cell + IN_FLIGHT] = inFlight + by;
    const sinceMs = atMs - (doubles[cell + ACCRUED_AT] ?? 0);
    if (sinceMs <= 0) return; // a turn's time is that of its beginning
    doubles[cell + ACCRUED_AT] = atMs;
    if (inFlight > 0) this.#totals[TOTAL_HELD] = (this.#totals[TOTAL_HELD] ?? 0) + inFlight * sinceMs;
  }

  /** One answer. @param k class of its route */
  sample(k: number, latencyMs: number): void {
    if (this.#isGone) return;
    addSample(this.#totals, k, latencyMs);
  }

  /** One answer of which it is not known how much of its latency was the service's: it counts for throughput, and says that there was no queue. */
  sampleLate(k: number, latencyMs: number): void {
    this.sample(k, this.#control.baseOf(k) || latencyMs); // where nothing is known, too much: what is seen later lets it down quickly
  }

  /**
   * Moves the limit, when it is time and no other worker does.
   * @param sums TOTAL_WORDS, overwritten @param blocked ever: calls that found no place at any target
   */
  step(sums: Float64Array, blocked: number, clocks: Clocks, bounds: LimitBounds): void {
    if (this.#isGone || (this.limit !== 0 && clocks.nowMs < this.#control.dueMs)) return;
    const lock = 2 * this.#record + LOCK;
    if (Atomics.compareExchange(this.#ints, lock, 0, this.#worker + 1) !== 0) return;
    sums.fill(0);
    for (let i = 0; i < this.#workers; i++) {
      const cell = cellOf(this.#record, i);
      addTotals(sums, this.#doubles, cell + TOTALS);
      const sinceMs = clocks.nowMs - (this.#doubles[cell + ACCRUED_AT] ?? 0);
      if (sinceMs > 0) sums[TOTAL_HELD] = (sums[TOTAL_HELD] ?? 0) + (this.#ints[2 * cell + IN_FLIGHT] ?? 0) * sinceMs;
    }
    sums[TOTAL_BLOCKED] = (sums[TOTAL_BLOCKED] ?? 0) + blocked;
    this.#control.step(sums, clocks, bounds);
    this.#ints[2 * this.#record + LIMIT] = this.#control.limit(bounds);
    Atomics.store(this.#ints, lock, 0);
  }

  /** The slot is another endpoint's. */
  get #isGone(): boolean {
    return this.#ints[2 * this.#record + GENERATION] !== this.#generation;
  }
}

/** Mean of several targets' base latencies by what each can answer: Little's law over all of them, ms; 0 for unknown. */
export function meanBaseMs(targets: Iterable<{ readonly limit: number; readonly baseMs: number }>): number {
  let inFlight = 0;
  let pace = 0;
  for (const { limit, baseMs } of targets) {
    if (baseMs <= 0) continue;
    inFlight += limit;
    pace += limit / baseMs;
  }
  return pace === 0 ? 0 : inFlight / pace;
}
