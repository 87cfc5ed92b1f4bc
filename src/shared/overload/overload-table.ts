// Owns the places of all upstreams, for all workers: who holds how many, what calls have shown, who is woken. Layout in layout.ts.
// Must never hold a call or know an upstream's name: slots are given out by the primary.

import { monotonicMs } from "../../base/clock.ts";
import { FlowRanks } from "./flow-ranks.ts";
import {
  ACCRUED_AT,
  APART,
  BELL_INTS,
  CELL_WORDS,
  COUNT_WORDS,
  COUNTS,
  FLOW_SLOTS,
  FLOW_WORDS,
  HEAD_AT,
  HEAD_CLASS,
  HEAD_TAG,
  HEADER_WORDS,
  IN_FLIGHT,
  LIMIT,
  LOCK,
  OVERLOAD_SLOTS_MAX,
  RECORD_WORDS,
  SHED_AT,
  STATE,
  TOTALS,
  WAITERS,
  WAITERS_BITS,
  WAITING,
  WORKERS,
} from "./layout.ts";
import { LimitControl } from "./limit-control.ts";
import { addSample, addTotals, type Clocks, type LimitBounds, TOTAL_BLOCKED, TOTAL_HELD, TOTAL_WORDS } from "./limit-state.ts";

const VIRTUAL = RECORD_WORDS - 1;
const FLOWS_WORDS = FLOW_SLOTS * FLOW_WORDS;
/** Who has not said for longer, ms, who is next in its line, does not run: free places are for others meanwhile. Many ticks of the gate. */
const HEAD_MS_MAX = 100;

/** A reading for people. */
export interface OverloadReading {
  /** 0: none was needed yet. */
  readonly limit: number;
  readonly inFlight: number;
  readonly apart: number;
  readonly waiting: number;
  /** ms; 0 for unknown. */
  readonly baseMs: number;
  /** When somebody was refused last, monotonicMs() in whole seconds; 0 for never. */
  readonly shedAtS: number;
  /** COUNT_WORDS: see layout.ts. */
  readonly counts: Float64Array;
}

const bellsAt = HEADER_WORDS;
const slotWords = (workers: number): number => RECORD_WORDS + FLOWS_WORDS + workers * CELL_WORDS;
const waitersAt = (record: number, worker: number): number => 2 * record + WAITERS + Math.floor(worker / WAITERS_BITS);
const bitOf = (worker: number): number => 1 << (worker % WAITERS_BITS);

/** One thread's view of the whole table. */
export class OverloadTable {
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
    const words = HEADER_WORDS + (workers * BELL_INTS) / 2 + OVERLOAD_SLOTS_MAX * slotWords(workers);
    const buffer = new SharedArrayBuffer(words * Float64Array.BYTES_PER_ELEMENT); // pages that no upstream uses are never touched
    new Int32Array(buffer)[WORKERS] = workers;
    return buffer;
  }

  /** Places of one upstream, as a worker uses them. @param worker its index; -1 for a thread that only looks */
  places(slot: number, worker: number): Places {
    return new Places(this.#ints, this.#doubles, { table: this, record: this.#record(slot), worker });
  }

  read(slot: number): OverloadReading {
    const record = this.#record(slot);
    const sum = (word: number) => {
      let total = 0;
      for (let i = 0; i < this.workers; i++) total += this.#ints[2 * this.cell(record, i) + word] ?? 0;
      return total;
    };
    const control = new LimitControl(this.#doubles, record + STATE);
    const counts = new Float64Array(COUNT_WORDS);
    for (let i = 0; i < this.workers; i++) {
      const at = this.cell(record, i) + COUNTS;
      for (let word = 0; word < COUNT_WORDS; word++) counts[word] = (counts[word] ?? 0) + (this.#doubles[at + word] ?? 0);
    }
    return {
      limit: this.#ints[2 * record + LIMIT] ?? 0,
      inFlight: sum(IN_FLIGHT),
      apart: sum(APART),
      waiting: sum(WAITING),
      baseMs: control.baseMs,
      shedAtS: this.#ints[2 * record + SHED_AT] ?? 0,
      counts,
    };
  }

  /** Before a slot is given to another upstream: nothing is known of it. What is held is given back by its holders. */
  reset(slot: number): void {
    const record = this.#record(slot);
    this.#doubles.fill(0, record + STATE, record + RECORD_WORDS + FLOWS_WORDS);
    for (let i = 0; i < this.workers; i++) {
      const cell = this.cell(record, i);
      this.#doubles.fill(0, cell + COUNTS, cell + COUNTS + COUNT_WORDS);
    }
    this.#ints[2 * record + SHED_AT] = 0;
    Atomics.store(this.#ints, 2 * record + LIMIT, 0);
  }

  /** The thread of that worker is gone: its places are free, its line is empty. Primary only. @param slots those in use */
  clearWorker(worker: number, slots: Iterable<number>): void {
    for (const slot of slots) {
      const record = this.#record(slot);
      const cell = 2 * this.cell(record, worker);
      Atomics.store(this.#ints, cell + WAITING, 0);
      Atomics.and(this.#ints, waitersAt(record, worker), ~bitOf(worker));
      Atomics.store(this.#ints, cell + IN_FLIGHT, 0);
      Atomics.store(this.#ints, cell + APART, 0);
      Atomics.compareExchange(this.#ints, 2 * record + LOCK, worker + 1, 0);
      for (let i = 0; i < this.workers; i++) if ((this.#ints[2 * this.cell(record, i) + WAITING] ?? 0) > 0) this.ring(i);
    }
  }

  /** Wakes a worker: 1 µs here, and the next turn of its event loop there. */
  ring(worker: number): void {
    const bell = this.#bell(worker);
    Atomics.add(this.#ints, bell, 1);
    Atomics.notify(this.#ints, bell);
  }

  /** Calls `rung` each time that somebody has rung for the worker, as long as the thread lives. */
  async listen(worker: number, rung: () => void): Promise<never> {
    const bell = this.#bell(worker);
    for (let heard = Atomics.load(this.#ints, bell); ; ) {
      const wait = Atomics.waitAsync(this.#ints, bell, heard);
      if (wait.async) await wait.value;
      heard = Atomics.load(this.#ints, bell);
      rung();
    }
  }

  /** @internal */
  cell(record: number, worker: number): number {
    return record + RECORD_WORDS + FLOWS_WORDS + worker * CELL_WORDS;
  }

  #bell(worker: number): number {
    return 2 * bellsAt + worker * BELL_INTS;
  }

  #record(slot: number): number {
    return HEADER_WORDS + (this.workers * BELL_INTS) / 2 + slot * slotWords(this.workers);
  }
}

interface Position {
  readonly table: OverloadTable;
  readonly record: number;
  readonly worker: number;
}

/** One worker's view of one upstream's places. On the request path: no allocation, some atomic loads. */
export class Places {
  readonly ranks: FlowRanks;
  readonly #ints: Int32Array;
  readonly #doubles: Float64Array;
  readonly #table: OverloadTable;
  readonly #worker: number;
  readonly #record: number;
  readonly #own: number;
  /** TOTAL_WORDS of this worker. */
  readonly #totals: Float64Array;
  /** First and last word. */
  readonly #waiters: number;
  readonly #waitersEnd: number;
  readonly #control: LimitControl;
  readonly #sums = new Float64Array(TOTAL_WORDS);
  /** Of this thread's performance.now(), in monotonicMs(). */
  readonly #originMs = monotonicMs() - performance.now();

  /** @internal by OverloadTable.places() */
  constructor(ints: Int32Array, doubles: Float64Array, { table, record, worker }: Position) {
    this.#ints = ints;
    this.#doubles = doubles;
    this.#table = table;
    this.#worker = worker;
    this.#record = record;
    this.#own = table.cell(record, worker);
    this.#waiters = waitersAt(record, 0);
    this.#waitersEnd = waitersAt(record, table.workers - 1);
    this.#totals = doubles.subarray(this.#own + TOTALS, this.#own + TOTALS + TOTAL_WORDS);
    this.#control = new LimitControl(doubles, record + STATE);
    this.ranks = new FlowRanks(table.buffer, record + RECORD_WORDS, record + VIRTUAL);
  }

  /** Requests that may be in flight; 0 before anybody has moved it. */
  get limit(): number {
    return this.#ints[2 * this.#record + LIMIT] ?? 0;
  }

  get baseMs(): number {
    return this.#control.baseMs;
  }

  get variation(): number {
    return this.#control.variation;
  }

  /** Some worker has somebody in line. */
  get anybodyWaits(): boolean {
    for (let word = this.#waiters; word <= this.#waitersEnd; word++) if (this.#ints[word] !== 0) return true;
    return false;
  }

  /** Of all workers. */
  get inFlight(): number {
    return this.#sum(IN_FLIGHT);
  }

  get apart(): number {
    return this.#sum(APART);
  }

  /** @returns whether there was one. @param always takes it in any case (and says whether there was one) */
  take(limit: number, always: boolean): boolean {
    const word = 2 * this.#own + IN_FLIGHT;
    Atomics.add(this.#ints, word, 1);
    if (this.#sum(IN_FLIGHT) <= limit) return true;
    if (!always) Atomics.sub(this.#ints, word, 1);
    return false;
  }

  give(): void {
    Atomics.sub(this.#ints, 2 * this.#own + IN_FLIGHT, 1);
  }

  countApart(by: 1 | -1): void {
    Atomics.add(this.#ints, 2 * this.#own + APART, by);
  }

  /** One answer of the service. @param k class of its route */
  sample(k: number, latencyMs: number): void {
    addSample(this.#totals, k, latencyMs);
  }

  /** One answer of which it is not known how much of its latency was the service's: it counts for throughput, and says that there was no queue. */
  sampleLate(k: number, latencyMs: number): void {
    this.sample(k, this.#control.baseOf(k) || latencyMs); // where nothing is known, too much: what is seen later lets it down quickly
  }

  /** Counts the time that this worker's places were in use: before their number changes. @param nowMs performance.now() of this thread, or a turn's */
  accrue(nowMs: number): void {
    const at = nowMs + this.#originMs;
    const doubles = this.#doubles;
    const sinceMs = at - (doubles[this.#own + ACCRUED_AT] ?? 0);
    if (sinceMs <= 0) return; // a turn's time is that of its beginning
    const inFlight = this.#ints[2 * this.#own + IN_FLIGHT] ?? 0;
    if (inFlight > 0) this.#totals[TOTAL_HELD] = (this.#totals[TOTAL_HELD] ?? 0) + inFlight * sinceMs;
    doubles[this.#own + ACCRUED_AT] = at;
  }

  blocked(): void {
    this.#totals[TOTAL_BLOCKED] = (this.#totals[TOTAL_BLOCKED] ?? 0) + 1;
  }

  /** Calls of all workers that found no place, ever. */
  get blockedEver(): number {
    let blocked = 0;
    for (let i = 0; i < this.#table.workers; i++) blocked += this.#doubles[this.#table.cell(this.#record, i) + TOTALS + TOTAL_BLOCKED] ?? 0;
    return blocked;
  }

  /** The limits of its targets come to this: there is none of its own. Any worker, plain: they find much the same. */
  setLimit(limit: number): void {
    Atomics.store(this.#ints, 2 * this.#record + LIMIT, limit);
  }

  /** Somebody is refused. @param nowMs monotonicMs() */
  shed(nowMs: number): void {
    this.#ints[2 * this.#record + SHED_AT] = Math.floor(nowMs / 1000);
  }

  /** @param word of COUNTS */
  count(word: number, by: number): void {
    this.#doubles[this.#own + COUNTS + word] = (this.#doubles[this.#own + COUNTS + word] ?? 0) + by;
  }

  /** When step() has something to do at the earliest, monotonicMs(). */
  get dueMs(): number {
    return this.#control.dueMs;
  }

  /** Moves the limit, when it is time and no other worker does. @param clocks nowMs is monotonicMs() @returns whether it was moved */
  step(clocks: Clocks, bounds: LimitBounds): boolean {
    const lock = 2 * this.#record + LOCK;
    if (Atomics.compareExchange(this.#ints, lock, 0, this.#worker + 1) !== 0) return false;
    const sums = this.#sums.fill(0);
    for (let i = 0; i < this.#table.workers; i++) {
      const cell = this.#table.cell(this.#record, i);
      addTotals(sums, this.#doubles, cell + TOTALS);
      const sinceMs = clocks.nowMs - (this.#doubles[cell + ACCRUED_AT] ?? 0);
      if (sinceMs > 0) sums[TOTAL_HELD] = (sums[TOTAL_HELD] ?? 0) + (this.#ints[2 * cell + IN_FLIGHT] ?? 0) * sinceMs;
    }
    // In time as well as in totals: who waits in a probe is let on when its first part is over.
    const moved = this.#control.step(sums, clocks, bounds);
    Atomics.store(this.#ints, 2 * this.#record + LIMIT, this.#control.limit(bounds));
    Atomics.store(this.#ints, lock, 0);
    return moved;
  }

  /**
   * The line of this worker now: while somebody waits each tick, also if nothing has changed, or others take the worker for one that does not run.
   * @param waiting how many @param headClass and headTag who is next
   */
  publish(waiting: number, headClass: number, headTag: number): void {
    const cell = this.#own;
    if (waiting > 0) this.#doubles[cell + HEAD_AT] = monotonicMs();
    this.#ints[2 * cell + HEAD_CLASS] = headClass;
    this.#doubles[cell + HEAD_TAG] = headTag;
    Atomics.store(this.#ints, 2 * cell + WAITING, waiting);
    const word = waitersAt(this.#record, this.#worker);
    const bit = bitOf(this.#worker);
    if ((((this.#ints[word] ?? 0) & bit) !== 0) === waiting > 0) return; // nobody else writes this bit while the worker lives
    if (waiting > 0) Atomics.or(this.#ints, word, bit);
    else Atomics.and(this.#ints, word, ~bit);
  }

  /** @returns the other worker whose next one comes before this one's, of those that run; -1 for none @param nowMs as accrue()'s */
  before(headClass: number, headTag: number, nowMs: number): number {
    const sinceMs = nowMs + this.#originMs - HEAD_MS_MAX;
    let best = -1;
    let bestClass = headClass;
    let bestTag = headTag;
    for (let i = 0; i < this.#table.workers; i++) {
      const cell = this.#table.cell(this.#record, i);
      if (i === this.#worker || (this.#ints[2 * cell + WAITING] ?? 0) <= 0) continue;
      if ((this.#doubles[cell + HEAD_AT] ?? 0) < sinceMs) continue;
      const each = this.#ints[2 * cell + HEAD_CLASS] ?? 0;
      const tag = this.#doubles[cell + HEAD_TAG] ?? 0;
      if (each > bestClass || (each === bestClass && tag >= bestTag)) continue;
      best = i;
      bestClass = each;
      bestTag = tag;
    }
    return best;
  }

  ring(worker: number): void {
    this.#table.ring(worker);
  }

  #sum(word: number): number {
    let sum = 0;
    for (let i = 0; i < this.#table.workers; i++) sum += Atomics.load(this.#ints, 2 * this.#table.cell(this.#record, i) + word);
    return sum;
  }
}
