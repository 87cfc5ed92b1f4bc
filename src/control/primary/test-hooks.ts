// Owns the actions behind POST /debug/... with SLUICE_TEST_HOOKS=1: make a worker throw or block, or the primary block. Never reachable without it.
import type { WorkerSet } from "../workers/worker-set.ts";

/** Longest block a test may ask for, ms. */
const BLOCK_MS_MAX = 120_000;

/** Until the answer to whoever asks for it is out, ms. */
const BLOCK_AFTER_MS = 50;

/** `crash?worker=0`, `block?worker=0&ms=5000`, `block-primary?ms=5000`. */
export function testActions(workers: WorkerSet): (action: string, query: URLSearchParams) => Promise<unknown> | null {
  return (action, query) => {
    const seat = Number(query.get("worker") ?? 0);
    if (action === "crash") return Promise.resolve({ done: workers.disturb(seat, { kind: "crash" }) });
    const ms = Math.min(BLOCK_MS_MAX, Number(query.get("ms") ?? 1000));
    if (action === "block-primary") {
      setTimeout(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms), BLOCK_AFTER_MS);
      return Promise.resolve({ done: true });
    }
    if (action !== "block") return null;
    return Promise.resolve({ done: workers.disturb(seat, { kind: "block", ms }) });
  };
}
