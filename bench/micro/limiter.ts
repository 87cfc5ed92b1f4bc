// Measures what a decision of the table of limits costs (aim: well under 1 us with its key), by number of keys and threads, and its memory.
// Run: node bench/micro/limiter.ts [decisions]. A test runs it with few decisions, so that it cannot rot.
import { randomBytes } from "node:crypto";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { monotonicMs } from "../../src/base/clock.ts";
import { SIP_KEY_BYTES, SipHash } from "../../src/base/sip-hash.ts";
import { limitLayout, OVERFLOW_SLOTS, slotCount } from "../../src/shared/limit-layout.ts";
import { LimitAsk, limitIdentity, MODE_LOCAL, PASSED, rateSize } from "../../src/shared/limit-size.ts";
import { LimitTable } from "../../src/shared/limit-table.ts";

const CELLS = 4;
/** Slots for each number of keys: the default, and the most. */
const slotsFor = (keys: number): number => (keys > 100_000 ? 2 ** 20 : 2 ** 18);

/** One row of the result. */
export interface LimiterCost {
  readonly keys: number;
  readonly threads: number;
  /** Nanoseconds a decision and thread, the bucket's tag being known. */
  readonly decideNs: number;
  /** With hashing the caller's name, and reading the clock. */
  readonly wholeNs: number;
  /** Heap growth a decision, garbage included. */
  readonly bytes: number;
  /** Decisions that passed; the rest found the bucket empty or the table full. */
  readonly passed: number;
  /** Memory of the table that was touched, MiB. */
  readonly residentMib: number;
}

interface Task {
  readonly buffer: SharedArrayBuffer;
  readonly key: Uint8Array;
  readonly keys: number;
  readonly decisions: number;
  readonly worker: number;
}

type Measured = Pick<LimiterCost, "decideNs" | "wholeNs" | "bytes" | "passed">;

function measure({ buffer, key, keys, decisions, worker }: Task): Measured {
  const table = new LimitTable(buffer, worker);
  const hash = new SipHash(key);
  const ask = new LimitAsk(limitIdentity(hash), rateSize({ count: 1_000_000, periodMs: 1000 }, 1_000_000_000, MODE_LOCAL));
  const names = Array.from({ length: Math.min(keys, 4096) }, (_, i) => `consumer-${i}`);
  const tags = new Int32Array(keys * 2);
  for (let i = 0; i < keys; i++) {
    hash.hash(`consumer-${i}`);
    tags[i * 2] = hash.high;
    tags[i * 2 + 1] = hash.low;
  }
  let passed = 0;
  const decide = (count: number): void => {
    let at = worker;
    for (let i = 0; i < count; i++) {
      at = (at + 7919) % keys;
      ask.high = tags[at * 2]!;
      ask.low = tags[at * 2 + 1]!;
      if (table.spend(ask) === PASSED) passed++;
    }
  };
  const whole = (count: number): void => {
    for (let i = 0; i < count; i++) {
      table.setNow(monotonicMs(), 0);
      hash.hash(names[i % names.length]!);
      ask.high = hash.high;
      ask.low = hash.low;
      if (table.spend(ask) === PASSED) passed++;
    }
  };
  const perCall = (run: (count: number) => void): number => {
    const startNs = process.hrtime.bigint();
    run(decisions);
    return Number(process.hrtime.bigint() - startNs) / decisions;
  };
  table.setNow(monotonicMs(), 0);
  decide(Math.max(keys, decisions >> 2));
  whole(decisions >> 2);
  passed = 0;
  table.setNow(monotonicMs(), 0);
  const decideNs = perCall(decide);
  const heapBefore = process.memoryUsage().heapUsed;
  decide(1000);
  const bytes = (process.memoryUsage().heapUsed - heapBefore) / 1000;
  return { decideNs, bytes, wholeNs: perCall(whole), passed };
}

/** @param decisions timed in each thread */
export async function benchLimiter(
  decisions: number,
  keyCounts: readonly number[],
  threadCounts: readonly number[],
): Promise<LimiterCost[]> {
  const rows: LimiterCost[] = [];
  for (const keys of keyCounts)
    for (const threads of threadCounts) {
      const buffer = LimitTable.allocate(slotsFor(keys), CELLS, monotonicMs());
      const key = new Uint8Array(randomBytes(SIP_KEY_BYTES));
      const before = process.memoryUsage.rss();
      const tasks = Array.from({ length: threads }, (_, worker): Task => ({ buffer, key, keys, decisions, worker }));
      const all = threads === 1 ? tasks.map(measure) : await Promise.all(tasks.map(inThread));
      const mean = (of: (each: Measured) => number): number => all.reduce((sum, each) => sum + of(each), 0) / all.length;
      const residentMib = (process.memoryUsage.rss() - before) / 2 ** 20;
      rows.push({
        keys,
        threads,
        decideNs: mean((each) => each.decideNs),
        wholeNs: mean((each) => each.wholeNs),
        bytes: mean((each) => each.bytes),
        passed: mean((each) => each.passed),
        residentMib,
      });
    }
  return rows;
}

function inThread(task: Task): Promise<Measured> {
  return new Promise((resolve, reject) => {
    const thread = new Worker(new URL(import.meta.url), { workerData: task });
    thread.once("message", resolve);
    thread.once("error", reject);
  });
}

if (!isMainThread && workerData !== null)
  parentPort?.postMessage(measure(workerData as Task)); // only started by inThread
else if (import.meta.main) {
  for (const row of await benchLimiter(Number(process.argv[2] ?? 2_000_000), [1, 1000, 1_000_000], [1, 2])) {
    console.log(
      `${String(row.keys).padStart(8)} keys, ${row.threads} ${row.threads === 1 ? "thread " : "threads"}  decide ${row.decideNs.toFixed(0).padStart(4)} ns, with hash and clock ${row.wholeNs.toFixed(0).padStart(4)} ns, ${row.bytes.toFixed(0).padStart(3)} bytes of garbage, process grew ${row.residentMib.toFixed(0)} MiB`,
    );
  }
  for (const slots of [2 ** 18, 2 ** 20]) {
    const layout = limitLayout(slotCount(slots), OVERFLOW_SLOTS, CELLS);
    console.log(
      `${slots} slots: ${((layout.journal * 4) / 2 ** 20).toFixed(1)} MiB for buckets, ${(layout.bytes / 2 ** 20).toFixed(0)} MiB in all, touched only where used`,
    );
  }
}
