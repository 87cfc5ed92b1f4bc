// Owns a worker thread that hammers a shared TargetHealth table as a real worker would. Started by target-health.test.ts only.
import { parentPort, workerData } from "node:worker_threads";
import { monotonicMs } from "../../src/base/clock.ts";
import { ejectionLock, TargetHealth } from "../../src/shared/target-health.ts";
import { seededRandom } from "./upstreams.ts";

const SPINS_BEFORE_SLEEP = 5000;

/** What a thread is told to do. */
export interface HammerTask {
  readonly buffer: SharedArrayBuffer;
  /** Word 0 counts the threads that have come, word 1 opens; word 2 counts arrivals at rounds that all begin together. */
  readonly gate: SharedArrayBuffer;
  readonly threads: number;
  readonly worker: number;
  readonly kind: "in-flight" | "failures" | "eject-for-good" | "eject-and-lapse" | "eject-together";
  readonly rounds: number;
  readonly slots: number;
  readonly unavailableMax: number;
}

/** What it saw. */
export interface HammerReport {
  readonly left: readonly number[];
  readonly begun: readonly number[];
  readonly ejected: number;
  /** Rounds in which this thread ejected; only for `eject-together`. */
  readonly ejectedIn: readonly number[];
  /** Most endpoints that were certainly ejected at the same moment. */
  readonly ejectedAtOnceMax: number;
  readonly nowMs: number;
}

// Only started with this data.
const task = workerData as HammerTask;
const health = new TargetHealth(task.buffer, task.worker);
const random = seededRandom(task.worker + 1);
const group = Array.from({ length: task.slots }, (_, slot) => slot);
const left = group.map(() => 0);
const begun = group.map(() => 0);
let ejected = 0;
let ejectedAtOnceMax = 0;
const ejectedIn: number[] = [];

function allThere(): void {
  const gate = new Int32Array(task.gate);
  if (Atomics.add(gate, 0, 1) + 1 === task.threads) {
    Atomics.store(gate, 1, 1);
    Atomics.notify(gate, 1);
  } else Atomics.wait(gate, 1, 0);
}

function requestRound(slot: number): void {
  health.begin(slot);
  begun[slot] = (begun[slot] ?? 0) + 1;
  // A few never end: the thread "dies" with them.
  if (random() < 0.01) left[slot] = (left[slot] ?? 0) + 1;
  else health.end(slot);
}

function ejectRound(slot: number, ejectForMs: number): void {
  const nowMs = monotonicMs();
  if (health.eject({ slot, group, unavailableMax: task.unavailableMax, lock: ejectionLock("users"), ejectForMs, nowMs })) ejected += 1;
  const untils = group.map((other) => health.ejectedUntilMs(other));
  // Each was ejected before it was read, and those that still are now were so together.
  const afterMs = monotonicMs();
  ejectedAtOnceMax = Math.max(ejectedAtOnceMax, untils.filter((until) => until > afterMs).length);
}

/** All threads at the same time, each for a slot of its own, in a time of its own: earlier rounds' ejections are long over. */
function ejectTogetherRound(round: number): void {
  const gate = new Int32Array(task.gate);
  Atomics.add(gate, 2, 1);
  Atomics.notify(gate, 2);
  // Spinning makes them start within nanoseconds; sleeping after a while lets the other thread have the only core.
  for (let spin = 0; Atomics.load(gate, 2) < task.threads * (round + 1); spin += 1) {
    if (spin > SPINS_BEFORE_SLEEP) Atomics.wait(gate, 2, task.threads * (round + 1) - 1, 1);
  }
  const nowMs = (round + 1) * 1e6;
  const lock = ejectionLock("users");
  if (health.eject({ slot: task.worker, group, unavailableMax: task.unavailableMax, lock, ejectForMs: 1, nowMs })) ejectedIn.push(round);
}

allThere();
for (let round = 0; round < task.rounds; round += 1) {
  const slot = Math.floor(random() * task.slots);
  if (task.kind === "in-flight") requestRound(slot);
  else if (task.kind === "eject-together") ejectTogetherRound(round);
  else if (task.kind === "failures") health.failed(slot, 0);
  else ejectRound(slot, task.kind === "eject-for-good" ? 1e9 : 0.05);
}
parentPort?.postMessage({ left, begun, ejected, ejectedIn, ejectedAtOnceMax, nowMs: monotonicMs() } satisfies HammerReport);
