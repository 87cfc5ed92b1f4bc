// Owns how many bytes of request bodies all workers together hold. Must never let them hold more than the bound, and never be the reason that a worker waits.
//
// Layout: 64 bytes (one cache line) a worker: Int32 at +0 the steps of STEP_BYTES that the worker has reserved, the rest unused.
// Writer: the worker of that index; the primary only between a worker's end and its replacement's start. Readers: all workers.
// Ordering: a worker adds to its own cell and then sums all cells, both sequentially consistent (Atomics). Of two workers that reserve at the same
// moment the later sum has both, so that the bound is never passed; both may see too much, and then both are refused.
// A worker reserves in steps and counts bytes within them by itself: a body that comes and goes touches no shared memory.

const CELL_WORDS = 16;
/** What is reserved at once, bytes. A worker keeps at most one step more than it needs. */
const STEP_BYTES = 64 * 1024;

/** Bytes of the shared buffer for that many workers. */
export const bodyBudgetBytes = (workers: number): number => workers * CELL_WORDS * Int32Array.BYTES_PER_ELEMENT;

/** One thread's view. */
export class BodyBudget {
  /** Bytes that this worker holds. */
  held = 0;
  readonly #cells: Int32Array;
  readonly #own: number;
  #reserved = 0;

  /** @param workerIndex -1 for a thread that only looks and clears (the primary) */
  constructor(buffer: SharedArrayBuffer, workerIndex = -1) {
    this.#cells = new Int32Array(buffer);
    this.#own = workerIndex * CELL_WORDS;
  }

  /** Bytes reserved by all workers. */
  get reservedBytes(): number {
    let steps = 0;
    for (let at = 0; at < this.#cells.length; at += CELL_WORDS) steps += Atomics.load(this.#cells, at);
    return steps * STEP_BYTES;
  }

  /** @param boundBytes for all workers together. @returns false when that would be passed; then nothing is taken */
  take(bytes: number, boundBytes: number): boolean {
    this.held += bytes;
    if (this.held <= this.#reserved || this.#reserve(boundBytes)) return true;
    this.held -= bytes;
    return false;
  }

  /** @param bytes of those taken */
  give(bytes: number): void {
    this.held -= bytes;
    const spare = Math.floor((this.#reserved - this.held) / STEP_BYTES) - 1;
    if (spare > 0) this.#change(-spare);
  }

  /** The worker that had these cells is gone. */
  clearWorker(index: number): void {
    Atomics.store(this.#cells, index * CELL_WORDS, 0);
  }

  #reserve(boundBytes: number): boolean {
    const steps = Math.ceil((this.held - this.#reserved) / STEP_BYTES);
    this.#change(steps);
    if (this.reservedBytes <= boundBytes) return true;
    this.#change(-steps);
    return false;
  }

  #change(steps: number): void {
    this.#reserved += steps * STEP_BYTES;
    Atomics.add(this.#cells, this.#own, steps);
  }
}
