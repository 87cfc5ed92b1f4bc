// The store and the leases among real threads, some of which are killed at any point: in the middle of a copy, of a move, with the lock, with pins.
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { afterEach, expect, it } from "vitest";
import { layoutIn } from "../../../../src/shared/cache/layout.ts";
import { Leases } from "../../../../src/shared/cache/leases.ts";
import { ResponseStore } from "../../../../src/shared/cache/store.ts";
import { GATE, type HammerTask, LEASE_KEYS, OWNERS } from "../../../support/cache-hammer.ts";
import { auditAccounts } from "../../../support/store-audit.ts";
import { until } from "../../../support/until.ts";
import { seededRandom } from "../../../support/upstreams.ts";

const THREADS = 4;
const KEYS = 400;
const KILLS = Number(process.env["CACHE_KILLS"] ?? 24);
/** Writes of all threads between two kills. */
const WRITES_BETWEEN = 400;
const TIMEOUT_MS = 120_000;

const running = new Set<Worker>();
afterEach(async () => {
  await Promise.all([...running].map((thread) => thread.terminate()));
  running.clear();
});

it("give every reader whole bytes of the key that it asked for, while writers, removers and killed threads do their worst", {
  timeout: TIMEOUT_MS,
}, async () => {
  const store = ResponseStore.allocate(2 * 1024 * 1024, THREADS, new Uint8Array(16).fill(3));
  const leases = Leases.allocate();
  const gateBuffer = new SharedArrayBuffer((GATE.leased + LEASE_KEYS) * 4);
  const gate = new Int32Array(gateBuffer);
  const primary = new ResponseStore(store);
  primary.accounts.open(OWNERS, new Set());
  const withinLimits = (): boolean =>
    OWNERS.every(({ owner }) => {
      const { occupiedBytes, limitBytes } = primary.accounts.counts(owner) ?? expect.fail("the owner has an account");
      return limitBytes === null || occupiedBytes <= limitBytes;
    });
  const faults: unknown[] = [];
  const ends: unknown[] = [];
  let seed = 0;
  const begin = (worker: number): Worker => {
    const workerTask: HammerTask = { store, leases, gate: gateBuffer, worker, seed: ++seed, keys: KEYS };
    const thread = new Worker(new URL("../../../support/cache-hammer.ts", import.meta.url), { workerData: workerTask });
    thread.on("message", (message) => (typeof message === "string" ? faults : ends).push(message));
    thread.on("error", (error) => faults.push(error));
    running.add(thread);
    return thread;
  };
  const threads = Array.from({ length: THREADS }, (_, worker) => begin(worker));
  const random = seededRandom(11);
  const writes = (): number => Atomics.load(gate, GATE.writes);
  for (let kill = 0; kill < KILLS; kill++) {
    const goal = writes() + Math.floor(WRITES_BETWEEN * (0.5 + random()));
    await until("threads write", () => writes() >= goal || faults.length > 0 || !withinLimits(), TIMEOUT_MS);
    expect(withinLimits()).toBe(true);
    const worker = Math.floor(random() * THREADS);
    const victim = threads[worker] as Worker;
    running.delete(victim);
    await victim.terminate();
    primary.clearWorker(worker);
    for (let key = 0; key < LEASE_KEYS; key++) Atomics.compareExchange(gate, GATE.leased + key, worker + 1, 0);
    new Leases(leases).clearWorker(worker);
    threads[worker] = begin(worker);
    expect(faults).toEqual([]);
  }
  Atomics.store(gate, GATE.stop, 1);
  await Promise.all(threads.map((thread) => once(thread, "exit")));
  running.clear();
  expect(faults).toEqual([]);
  expect(ends).toEqual(threads.map(() => ({ pinned: 0 })));
  expect(Atomics.load(gate, GATE.hits)).toBeGreaterThan(1000);
  const { pins, pinMarks } = layoutIn(store);
  expect(new Int32Array(store).subarray(pins, pinMarks).every((word) => word === 0)).toBe(true);
  expect(auditAccounts(store)).toEqual([]);
  // What is counted is what is there.
  const { objects } = primary.counts();
  expect(primary.removeWhere(0, primary.buckets, () => true)).toBe(objects);
  expect(primary.counts()).toMatchObject({ objects: 0, bytes: 0 });
  expect(auditAccounts(store)).toEqual([]);
});
