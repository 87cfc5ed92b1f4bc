// Owns how a hot function is timed: batches long enough for the clock, rounds in turn over all benchmarks of a file, medians with their spread.
import v8 from "node:v8";

/** One hot function. */
export interface Micro {
  readonly name: string;
  /**
   * Makes what it needs. @returns what runs it `count` times and gives a number that depends on the work, so that it is not left out.
   * Either throws when a result is wrong: a fast wrong answer is no answer.
   */
  prepare(): (count: number) => number;
}

/** Nanoseconds a call. */
export interface MicroCost {
  readonly name: string;
  readonly medianNs: number;
  readonly minNs: number;
  readonly maxNs: number;
  /** A tenth of the rounds was slower, a tenth was faster. */
  readonly lowNs: number;
  readonly highNs: number;
  /** Heap growth a call, garbage included, bytes. */
  readonly bytes: number;
}

export interface MicroOptions {
  readonly rounds: number;
  /** Time of one batch, ms. */
  readonly batchMs: number;
  /** For the just-in-time compiler, before anything is counted, ms. */
  readonly warmMs: number;
}

export const DEFAULTS: MicroOptions = { rounds: 60, batchMs: 2, warmMs: 150 };

interface Subject {
  readonly name: string;
  readonly run: (count: number) => number;
  readonly count: number;
  readonly ns: number[];
  readonly bytes: number[];
}

/** @returns in the order of `micros`. */
export function measure(micros: readonly Micro[], options: MicroOptions = DEFAULTS): readonly MicroCost[] {
  const subjects = micros.map(({ name, prepare }): Subject => {
    const run = prepare();
    return { name, run, count: warm(run, options), ns: [], bytes: [] };
  });
  // In turn, so that noise of the machine meets all alike.
  for (let round = 0; round < options.rounds; round++) for (const subject of subjects) once(subject);
  return subjects.map(({ name, ns, bytes }) => {
    const sorted = ns.toSorted((a, b) => a - b);
    const at = (part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN;
    const heap = bytes.toSorted((a, b) => a - b);
    return { name, medianNs: at(0.5), minNs: at(0), maxNs: at(1), lowNs: at(0.1), highNs: at(0.9), bytes: heap[heap.length >> 1] ?? 0 };
  });
}

/** @returns how many calls fill a batch. */
function warm(run: (count: number) => number, { batchMs, warmMs }: MicroOptions): number {
  const endMs = performance.now() + warmMs;
  let count = 16;
  do {
    const startMs = performance.now();
    use(run(count));
    const tookMs = performance.now() - startMs;
    if (tookMs < batchMs / 2) count *= 2;
    else count = Math.max(16, Math.round((count * batchMs) / Math.max(tookMs, 0.001)));
  } while (performance.now() < endMs);
  return count;
}

function once({ run, count, ns, bytes }: Subject): void {
  const heapBefore = v8.getHeapStatistics().used_heap_size;
  const start = process.hrtime.bigint();
  use(run(count));
  ns.push(Number(process.hrtime.bigint() - start) / count);
  const grown = v8.getHeapStatistics().used_heap_size - heapBefore;
  if (grown >= 0) bytes.push(grown / count); // less than nothing: a collection fell into the batch
}

function use(result: number): void {
  if (Number.isNaN(result)) throw new Error("the result is used, so that the work is done");
}
