// Owns the workers' signs of life in shared memory: each worker beats its own cell, the primary reads all.
// Must never be the reason that a worker waits.
//
// Layout: 64 bytes (one cache line) a worker: BigInt64 at +0 time of the last beat, Int32 at +8 state, Int32 at +12 beats, Int32 at +16 the slot of the user's
// policy that the worker is in (0: none).
// Time is process.hrtime in nanoseconds: CLOCK_MONOTONIC, one clock for all threads (performance.now() is not: its origin
// is the thread's start). Writer: the worker of that index; the primary only between a worker's end and its replacement's
// start. Ordering: Atomics throughout (sequentially consistent): who sees a beat sees the state stored before it. Only the
// policy is stored plainly, twice for each of its calls: it is read when the worker has stood still for long.

const CELL_BYTES = 64;

/** Most workers an instance may have. */
export const WORKERS_MAX = 64;

/** What a worker says it does. */
export const WORKER_STATES = ["starting", "serving", "draining", "failed"] as const;
export type WorkerState = (typeof WORKER_STATES)[number];

/** Bytes of the shared buffer for that many workers. */
export function heartbeatBytes(workers: number): number {
  return workers * CELL_BYTES;
}

/** The heartbeats of all workers. Index out of range is a programming error (RangeError). */
export class Heartbeat {
  private readonly times: BigInt64Array;
  private readonly ints: Int32Array;
  /** How many workers there is room for. */
  readonly workers: number;

  constructor(shared: SharedArrayBuffer) {
    this.times = new BigInt64Array(shared);
    this.ints = new Int32Array(shared);
    this.workers = shared.byteLength / CELL_BYTES;
  }

  /** Worker: I am alive. Off the request path, from a timer. */
  beat(index: number): void {
    Atomics.store(this.times, this.timeAt(index), process.hrtime.bigint());
    Atomics.add(this.ints, this.intAt(index) + 1, 1);
  }

  /** Worker: what I do now; counts as a beat. */
  setState(index: number, state: WorkerState): void {
    Atomics.store(this.ints, this.intAt(index), WORKER_STATES.indexOf(state));
    this.beat(index);
  }

  /** Worker: the word (0) in which it notes the policy that it is in; 0 for none. */
  policyMark(index: number): Int32Array {
    return this.ints.subarray(this.intAt(index) + 2, this.intAt(index) + 3);
  }

  /** Metric slot of the user's policy that the worker is in; 0 for none. Means something only of a worker that stands still. */
  policySlot(index: number): number {
    return Atomics.load(this.ints, this.intAt(index) + 2);
  }

  /** Primary: prepare the cell for a new worker. */
  reset(index: number): void {
    for (const word of [2, 1, 0]) Atomics.store(this.ints, this.intAt(index) + word, 0);
    Atomics.store(this.times, this.timeAt(index), process.hrtime.bigint());
  }

  state(index: number): WorkerState {
    return WORKER_STATES[Atomics.load(this.ints, this.intAt(index))] ?? "failed";
  }

  /** Beats since the last reset (wraps after 2^31). */
  beats(index: number): number {
    return Atomics.load(this.ints, this.intAt(index) + 1);
  }

  /** Milliseconds since the last beat (or reset), never negative. */
  ageMs(index: number): number {
    const age = process.hrtime.bigint() - Atomics.load(this.times, this.timeAt(index));
    return age > 0n ? Number(age) / 1e6 : 0;
  }

  private timeAt(index: number): number {
    return (index * CELL_BYTES) / BigInt64Array.BYTES_PER_ELEMENT;
  }

  private intAt(index: number): number {
    return (index * CELL_BYTES + BigInt64Array.BYTES_PER_ELEMENT) / Int32Array.BYTES_PER_ELEMENT;
  }
}
