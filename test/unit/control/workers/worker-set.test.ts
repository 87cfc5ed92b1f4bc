import { Worker } from "node:worker_threads";
import { expect, test, vi } from "vitest";
import { WorkerSet } from "../../../../src/control/workers/worker-set.ts";
import { createLog } from "../../../../src/observe/log.ts";
import type { PlanBundle } from "../../../../src/plan/messages.ts";
import type { Plan } from "../../../../src/plan/plan.ts";

const WITHIN = { timeout: 8000 };
const ENTRY = new URL("../../../support/workers/scripted-worker.ts", import.meta.url);

/** @param script what the scripted worker does with this plan; '' serves it */
function bundle(version: number, script = ""): PlanBundle {
  // The scripted worker and WorkerSet look at nothing else.
  const plan = { version, drainTimeoutMs: 1000, upstreams: [{ name: script }] } as unknown as Plan;
  return { plan, endpoints: new Map(), keys: new Map() };
}

function workerSet(workers: number, atOnce = workers) {
  const lines: string[] = [];
  const released: number[] = [];
  /** What happened, in order: threads by name as they start, seats as they serve. */
  const events: (string | number)[] = [];
  const memory = new SharedArrayBuffer(8);
  const set = new WorkerSet({
    thread: (name) => {
      events.push(name);
      return new Worker(ENTRY, { name });
    },
    workers,
    atOnce,
    listening: (seat) => events.push(seat),
    testHooks: true,
    log: createLog({ output: { write: (text) => lines.push(text) } }),
    memory: (cells) => ({
      workerIndex: cells,
      health: memory,
      breakers: memory,
      overload: memory,
      limits: memory,
      limitHashKey: new Uint8Array(16),
      metrics: memory,
      logRing: memory,
      replay: new SharedArrayBuffer(8),
      responses: memory,
      overloadTargets: memory,
      purges: memory,
      cacheLeases: memory,
      cacheReasons: memory,
      tier: null,
      bodyBudget: memory,
      bodyCounts: memory,
      connections: memory,
      proxiedCounts: memory,
      heartbeat: memory,
    }),
    released: (cells) => released.push(cells),
    unknownKey: async () => ({ ok: true, restMs: 0 }),
  });
  return { set, lines, released, events };
}

const versions = (set: WorkerSet) => set.status().map((each) => `${each.state} ${each.version}`);

test("all serve the first plan, then the next", async () => {
  const { set } = workerSet(2);
  await set.start(bundle(1));
  expect(versions(set)).toEqual(["ready 1", "ready 1"]);
  expect(set.status().map((each) => each.kernelThread)).toEqual([100, 101]);
  expect(await set.publish(bundle(2))).toEqual({ ok: true });
  expect(versions(set)).toEqual(["ready 2", "ready 2"]);
  expect(await set.drain(100)).toEqual({ cut: 6, stuck: [] });
});

test("a first plan that one worker refuses or dies of is an error", async () => {
  for (const [script, message] of [
    ["refuse@1", /worker 1: as the script says/],
    ["die@0", /worker 0: it died/],
  ] as const) {
    const { set } = workerSet(2);
    await expect(set.start(bundle(1, script))).rejects.toThrow(message);
    await set.drain(0);
  }
});

test("not more start at once than are allowed; the rest follow when one serves", async () => {
  const { set, events } = workerSet(3, 1);
  await set.start(bundle(1));
  expect(events.slice(0, 4)).toEqual(["sluice-worker-0", 0, "sluice-worker-1", "sluice-worker-2"]);
  expect(versions(set)).toEqual(["ready 1", "ready 1", "ready 1"]);
  await set.drain(0);
});

test("when the first cannot serve, or all are told to end, none follows", async () => {
  const refusing = workerSet(2, 1);
  await expect(refusing.set.start(bundle(1, "refuse@0"))).rejects.toThrow(/worker 0: as the script says/);
  expect(refusing.events).toEqual(["sluice-worker-0"]);
  await refusing.set.drain(0);
  const stopped = workerSet(2, 1);
  const starting = stopped.set.start(bundle(1));
  await Promise.all([starting, stopped.set.drain(0)]);
  expect(stopped.events).not.toContain("sluice-worker-1");
});

test("a plan that one worker refuses takes effect nowhere", async () => {
  const { set } = workerSet(2);
  await set.start(bundle(1));
  expect(await set.publish(bundle(2, "refuse@1"))).toEqual({ ok: false, problems: ["as the script says"] });
  expect(versions(set)).toEqual(["ready 1", "ready 1"]);
  expect(await set.publish(bundle(3))).toEqual({ ok: true });
  expect(versions(set)).toEqual(["ready 3", "ready 3"]);
  await set.drain(0);
});

test("a plan that kills workers is refused, and the dead are replaced with the old one", async () => {
  const { set, released } = workerSet(2);
  await set.start(bundle(1));
  expect(await set.publish(bundle(2, "die@1"))).toMatchObject({ ok: false, problems: [expect.stringContaining("died twice")] });
  await vi.waitFor(() => expect(versions(set)).toEqual(["ready 1", "ready 1"]), WITHIN);
  expect(set.status().map((each) => each.restarts)).toEqual([0, 2]);
  expect(released).toEqual([1, 2]);
  await set.drain(0);
});

test("a failed worker is replaced at once, with cells of its own while the old one finishes", async () => {
  const { set, lines, released } = workerSet(2);
  await set.start(bundle(1));
  await set.publish(bundle(2));
  expect(set.disturb(0, { kind: "crash" })).toBe(true);
  await vi.waitFor(() => expect(set.status()[0]).toMatchObject({ restarts: 1, state: "ready", version: 2 }), WITHIN);
  expect(set.status().map((each) => each.cells)).toEqual([2, 1]);
  expect(released).toEqual([]);
  expect(lines.join("")).toContain("crash asked for");
  await set.drain(0);
  expect(released.sort()).toEqual([0, 1, 2]);
});

test("a crash loop waits before the next start", async () => {
  const { set, lines } = workerSet(1);
  await set.start(bundle(1));
  for (const restarts of [1, 2]) {
    set.disturb(0, { kind: "crash" });
    await vi.waitFor(() => expect(set.status()[0]).toMatchObject({ restarts, state: "ready" }), WITHIN);
  }
  expect(lines.join("")).toContain("keeps dying");
  await set.drain(0);
});
