// Owns a worker thread that hammers one shared breaker as a real worker would. Started by breaker-table.test.ts only.
import { parentPort, workerData } from "node:worker_threads";
import { monotonicMs } from "../../src/base/clock.ts";
import { BreakerTable, OUTCOME } from "../../src/shared/breaker-table.ts";
import { isTrial, REFUSED } from "../../src/shared/breaker-word.ts";
import { breakerRules } from "./breaker-rig.ts";
import { seededRandom } from "./upstreams.ts";

/** What a thread is told to do. */
export interface BreakerTask {
  readonly buffer: SharedArrayBuffer;
  /** Word 0: the round that has begun, 0 for none, -1 for the end; word 1: threads that are done with it. */
  readonly gate: SharedArrayBuffer;
  readonly worker: number;
  /** race: take what there is. untidy: a part is given back. die: keeps what it took. fail: outcomes are failures. count: all good. */
  readonly kind: "race" | "untidy" | "die" | "fail" | "count";
  readonly tries: number;
}

/** What it saw, one entry a round. */
export interface BreakerReport {
  readonly passed: readonly number[];
  readonly succeeded: readonly number[];
  readonly opened: readonly number[];
  /** The first refusal of each round came after the breaker had opened, and nothing passed after it. */
  readonly passedAfterRefusal: number;
}

// Only started with this data.
const task = workerData as BreakerTask;
const table = new BreakerTable(task.buffer, task.worker);
const gate = new Int32Array(task.gate);
const rules = breakerRules({ minimumRequests: 50 });
const random = seededRandom(task.worker + 1);
const passed: number[] = [];
const succeeded: number[] = [];
const opened: number[] = [];
let passedAfterRefusal = 0;

function oneRound(): void {
  let [pass, good, open, refused] = [0, 0, 0, false];
  for (let i = 0; i < task.tries; i++) {
    const ticket = table.admit(0, rules.recoveryMs, monotonicMs);
    if (ticket === REFUSED) {
      refused = true;
      continue;
    }
    pass++;
    if (refused && !isTrial(ticket)) passedAfterRefusal++;
    if (task.kind === "die") continue;
    if (task.kind === "untidy" && random() < 0.7) table.giveBack(0, ticket);
    else if (task.kind === "fail") open += table.settle(0, ticket, OUTCOME.failed, rules, monotonicMs()) ? 1 : 0;
    else {
      table.settle(0, ticket, OUTCOME.good, rules, task.kind === "count" ? 1e6 : monotonicMs());
      good++;
    }
  }
  passed.push(pass);
  succeeded.push(good);
  opened.push(open);
}

for (let seen = 0; ; ) {
  Atomics.wait(gate, 0, seen);
  seen = Atomics.load(gate, 0);
  if (seen < 0) break;
  oneRound();
  Atomics.add(gate, 1, 1);
  Atomics.notify(gate, 1);
}
parentPort?.postMessage({ passed, succeeded, opened, passedAfterRefusal } satisfies BreakerReport);
