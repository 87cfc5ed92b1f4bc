// Measures what a decision of the table of limits costs (aim: well under 1 us with its key), by number of keys and threads, and its memory.
// Run: node bench/micro/limiter.ts [decisions] for threads and memory, node bench/micro/run.ts limiter for what one thread does.
import { randomBytes } from "node:crypto";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { monotonicMs } from "../../src/base/clock.ts";
import { SIP_KEY_BYTES, SipHash } from "../../src/base/sip-hash.ts";
import { limitLayout, OVERFLOW_SLOTS, slotCount } from "../../src/shared/limit-layout.ts";
import { LimitAsk, type LimitSize, limitIdentity, MODE_LOCAL, PASSED, rateSize } from "../../src/shared/limit-size.ts";
import { LimitTable } from "../../src/shared/limit-table.ts";
import { buildPolicy, responseHead, TestExchange } from "../../test/support/exchange.ts";
import { caller, limitResources } from "../../test/support/limit-route.ts";
import type { Micro } from "./measure.ts";

const CELLS = 4;
/** Slots for each number of keys: the default, and the most. */
const slotsFor = (keys: number): number => (keys > 100_000 ? 2 ** 20 : 2 ** 18);

/** Never used up. */
const ample = (): LimitSize => rateSize({ count: 100_000_000, periodMs: 1000 }, 2 ** 31, MODE_LOCAL);

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
  const ask = new LimitAsk(limitIdentity(hash), ample());
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

/** A table in which every key has its slot, and asks for keys of it in no order. */
function deciding(keys: number): (count: number) => number {
  const table = new LimitTable(LimitTable.allocate(slotsFor(keys), CELLS, monotonicMs()), 0);
  const hash = new SipHash(new Uint8Array(randomBytes(SIP_KEY_BYTES)));
  const ask = new LimitAsk(limitIdentity(hash), ample());
  const tags = Int32Array.from({ length: keys * 2 }, () => randomBytes(4).readInt32LE());
  let at = 0;
  table.setNow(monotonicMs(), 0);
  const decide = (count: number): number => {
    let passed = 0;
    for (let i = 0; i < count; i++) {
      at = (at + 7919) % keys;
      ask.high = tags[at * 2]!;
      ask.low = tags[at * 2 + 1]!;
      if (table.spend(ask) === PASSED) passed++;
    }
    if (passed !== count) throw new Error(`${count - passed} of ${count} decisions did not pass`);
    return passed;
  };
  decide(keys); // every key has its slot
  return decide;
}

/** A request through the policy: its key, the decision, the header fields, the end. */
function limiting(limits: readonly unknown[]): (count: number) => number {
  const policy = buildPolicy("rateLimit", limits, { resources: limitResources() });
  const x = new TestExchange({ ip: "203.0.113.7" });
  x.identity = caller("acme");
  const head = responseHead();
  return (count) => {
    for (let i = 0; i < count; i++) {
      if ((policy.onRequest?.(x) ?? policy.onIdentified?.(x)) !== undefined) throw new Error("refused");
      head.headers.length = 0;
      policy.onResponse?.(x, head);
      policy.onFinish?.(x);
    }
    return head.headers.length;
  };
}

export const MICRO: readonly Micro[] = [
  { name: "decide, 1 key", prepare: () => deciding(1) },
  { name: "decide, 1,000 keys", prepare: () => deciding(1000) },
  { name: "decide, 100,000 keys", prepare: () => deciding(100_000) },
  {
    name: "hash a name of 13 characters",
    prepare: () => {
      const hash = new SipHash(new Uint8Array(randomBytes(SIP_KEY_BYTES)));
      return (count) => {
        let sum = 0;
        for (let i = 0; i < count; i++) {
          hash.hash("consumer-4711");
          sum ^= hash.low;
        }
        return sum;
      };
    },
  },
  {
    name: "policy, per ip, no header fields",
    prepare: () => limiting([{ per: "ip", rate: "100000000/s", burst: 1_000_000_000, headers: false }]),
  },
  { name: "policy, per consumer", prepare: () => limiting([{ per: "consumer", rate: "100000000/s", burst: 1_000_000_000 }]) },
  {
    name: "policy, per consumer, ip and concurrency",
    prepare: () =>
      limiting([
        { per: "consumer", rate: "100000000/s", burst: 1_000_000_000 },
        { per: "ip", rate: "100000000/s", burst: 1_000_000_000 },
        { per: "consumer", concurrency: 100 },
      ]),
  },
];

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
