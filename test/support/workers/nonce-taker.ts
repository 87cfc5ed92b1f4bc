// A thread that takes values from a shared replay set, all its siblings the same ones, and says which it got.
import { parentPort, workerData } from "node:worker_threads";
import { ReplaySet } from "../../../src/shared/replay-set.ts";

interface Task {
  readonly buffer: SharedArrayBuffer;
  /** All threads wait here until the last has come. */
  readonly gate: Int32Array;
  readonly threads: number;
  readonly values: number;
}

const { buffer, gate, threads, values } = workerData as Task; // as the test sends it
const set = new ReplaySet(buffer);
if (Atomics.add(gate, 0, 1) === threads - 1) Atomics.notify(gate, 0);
for (let here = Atomics.load(gate, 0); here < threads; here = Atomics.load(gate, 0)) Atomics.wait(gate, 0, here);
const taken: number[] = [];
for (let i = 0; i < values; i++) if (set.take(`value ${i}`, 1010, 1000) === "new") taken.push(i);
parentPort?.postMessage(taken);
