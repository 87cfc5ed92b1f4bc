// Owns the actions behind POST /debug/... with SLUICE_TEST_HOOKS=1: make a worker throw or block. Never reachable without it.
import type { WorkerSet } from "../workers/worker-set.ts";

/** Longest block a test may ask for, ms. */
const BLOCK_MS_MAX = 120_000;

/** `crash?worker=0`, `block?worker=0&ms=5000`. */
export function testActions(workers: WorkerSet): (action: string, query: URLSearchParams) => Promise<unknown> | null {
  return (action, query) => {
    const seat = Number(query.get("worker") ?? 0);
    if (action === "crash") return Promise.resolve({ done: workers.disturb(seat, { kind: "crash" }) });
    if (action !== "block") return null;
    const ms = Math.min(BLOCK_MS_MAX, Number(query.get("ms") ?? 1000));
    return Promise.resolve({ done: workers.disturb(seat, { kind: "block", ms }) });
  };
}
