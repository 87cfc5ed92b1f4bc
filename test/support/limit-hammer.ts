// Owns a worker thread that hammers a shared table of limits as a real worker would. Started by limit-table-threads.test.ts only.
import { parentPort, workerData } from "node:worker_threads";
import { concurrencySize, MODE_LOCAL, PASSED, rateSize } from "../../src/shared/limit-size.ts";
import { LimitTable } from "../../src/shared/limit-table.ts";
import { askFor, EPOCH_MS, identity } from "./limit-table.ts";
import { seededRandom } from "./upstreams.ts";

const SPINS_BEFORE_SLEEP = 5000;

/** What a thread is told to do. */
export interface HammerTask {
  readonly buffer: SharedArrayBuffer;
  /** Word 0 counts arrivals at rounds that all begin together, word 1 is the clock in ms, word 2 says stop. */
  readonly gate: SharedArrayBuffer;
  readonly threads: number;
  readonly worker: number;
  /**
   * `free`: random keys and costs, the clock moves on now and then. `rounds`: all threads at the same keys, new ones in each round, the clock stands.
   * `for-ever`: spends, holds and gives back until it is killed.
   */
  readonly kind: "free" | "rounds" | "for-ever";
  readonly rounds: number;
  readonly keys: number;
  readonly count: number;
  readonly burst: number;
  /** How far the clock goes between two rounds, ms. */
  readonly stepMs: number;
}

/** What it saw: one row for each decision. */
export interface HammerReport {
  readonly key: Int32Array;
  readonly nowMs: Int32Array;
  readonly cost: Int32Array;
  readonly passed: Uint8Array;
  /** Backlog in ticks: after the decision when it passed, as seen when not. */
  readonly level: Float64Array;
}

// Only started with this data.
const task = workerData as HammerTask;
const gate = new Int32Array(task.gate);
const table = new LimitTable(task.buffer, task.worker);
const random = seededRandom(task.worker + 1);
const limit = identity(1);
const size = rateSize({ count: task.count, periodMs: 1000 }, task.burst, MODE_LOCAL);

function allThere(round: number): void {
  Atomics.add(gate, 0, 1);
  Atomics.notify(gate, 0);
  // Spinning makes them start within nanoseconds; sleeping after a while lets the others have the cores.
  for (let spin = 0; Atomics.load(gate, 0) < task.threads * (round + 1); spin += 1) {
    if (spin > SPINS_BEFORE_SLEEP) Atomics.wait(gate, 0, Atomics.load(gate, 0), 1);
  }
}

function record(rows: number): HammerReport & { at: number } {
  return {
    key: new Int32Array(rows),
    nowMs: new Int32Array(rows),
    cost: new Int32Array(rows),
    passed: new Uint8Array(rows),
    level: new Float64Array(rows),
    at: 0,
  };
}

function decide(report: ReturnType<typeof record>, asks: readonly ReturnType<typeof askFor>[], key: number, cost: number): void {
  const ask = asks[key % asks.length];
  if (ask === undefined) throw new Error("no such key");
  const nowMs = Atomics.load(gate, 1);
  table.setNow(nowMs, EPOCH_MS);
  ask.cost = cost;
  const verdict = table.spend(ask);
  report.key[report.at] = key;
  report.nowMs[report.at] = nowMs;
  report.cost[report.at] = cost;
  report.passed[report.at] = verdict === PASSED ? 1 : 0;
  report.level[report.at++] = ask.level;
}

function free(): HammerReport {
  const report = record(task.rounds);
  const asks = Array.from({ length: task.keys }, (_, i) => askFor(limit, `key ${i}`, size));
  allThere(0);
  for (let i = 0; i < task.rounds; i++) {
    if (random() < 0.02) Atomics.add(gate, 1, 1);
    decide(report, asks, Math.floor(random() * task.keys), 1 + Math.floor(random() * 2));
  }
  return report;
}

/** In each round a key is asked for as often as its burst by every thread, all threads at once. */
function rounds(): HammerReport {
  const report = record(task.rounds * task.keys * task.burst);
  for (let round = 0; round < task.rounds; round++) {
    const asks = Array.from({ length: task.keys }, (_, i) => askFor(limit, `key ${round * task.keys + i}`, size));
    allThere(round * 3);
    for (let i = 0; i < task.keys * task.burst; i++) decide(report, asks, round * task.keys + (i % task.keys), 1);
    allThere(round * 3 + 1);
    if (task.worker === 0) Atomics.store(gate, 1, (round + 1) * task.stepMs); // nobody decides now
    allThere(round * 3 + 2);
  }
  return report;
}

/** Asks for keys of a small set that are gone and made anew all the time, and holds places. */
function forEver(): void {
  const asks = Array.from({ length: task.keys }, (_, i) => askFor(limit, `key ${i}`, size));
  const held = Array.from({ length: 8 }, (_, i) => askFor(identity(2), `held ${i}`, concurrencySize(1000)));
  parentPort?.postMessage("running");
  for (;;) {
    table.setNow(Atomics.load(gate, 1), EPOCH_MS);
    const ask = asks[Math.floor(random() * asks.length)];
    const place = held[Math.floor(random() * held.length)];
    if (ask === undefined || place === undefined) return;
    table.spend(ask);
    if (table.spend(place) === PASSED && random() < 0.99) table.release(place.slot);
    if (random() < 0.001) Atomics.add(gate, 1, 300);
  }
}

if (task.kind === "for-ever") forEver();
else parentPort?.postMessage(task.kind === "free" ? free() : rounds());
