// Owns tests of the shared health table and its slots: alone, and hammered by real threads.
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { CLOCK_SKEW_MS_MAX, monotonicMs } from "../../../src/base/clock.ts";
import { SlotTable } from "../../../src/shared/slot-table.ts";
import { ejectionLock, HEALTH_WORKERS_MAX, TARGET_SLOTS_MAX, TargetHealth } from "../../../src/shared/target-health.ts";
import type { HammerReport, HammerTask } from "../../support/health-hammer.ts";

const THREADS = 4;

/** Runs real threads against one table and gathers what they saw. */
async function hammer(
  buffer: SharedArrayBuffer,
  part: Pick<HammerTask, "kind" | "rounds" | "slots" | "unavailableMax">,
  threads = THREADS,
): Promise<HammerReport[]> {
  const gate = new SharedArrayBuffer(12);
  const reports = Array.from({ length: threads }, (_, worker) => {
    const workerData: HammerTask = { ...part, buffer, gate, threads, worker };
    const thread = new Worker(new URL("../../support/health-hammer.ts", import.meta.url), { workerData });
    return new Promise<HammerReport>((resolve, reject) => {
      thread.once("message", resolve);
      thread.once("error", reject);
    });
  });
  return Promise.all(reports);
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
const total = (reports: readonly HammerReport[], field: "left" | "begun", slot: number): number =>
  sum(reports.map((report) => report[field][slot] ?? 0));

describe("with real threads", () => {
  test("no count is lost, and a dead worker's are reclaimed to the last one", async () => {
    const buffer = TargetHealth.allocate(THREADS, 8);
    const primary = new TargetHealth(buffer);
    const reports = await hammer(buffer, { kind: "in-flight", rounds: 50_000, slots: 8, unavailableMax: 0 });
    for (let slot = 0; slot < 8; slot += 1) {
      expect(primary.inFlight(slot)).toBe(total(reports, "left", slot));
      expect(primary.read(slot).requests).toBe(total(reports, "begun", slot));
    }
    primary.clearWorker(1);
    const survivors = reports.filter((_, worker) => worker !== 1);
    for (let slot = 0; slot < 8; slot += 1) expect(primary.inFlight(slot)).toBe(total(survivors, "left", slot));
    for (const worker of [0, 2, 3]) primary.clearWorker(worker);
    for (let slot = 0; slot < 8; slot += 1) expect(primary.inFlight(slot)).toBe(0);
  });

  test("no failure is lost", async () => {
    const buffer = TargetHealth.allocate(THREADS, 2);
    await hammer(buffer, { kind: "failures", rounds: 50_000, slots: 2, unavailableMax: 0 });
    const primary = new TargetHealth(buffer);
    expect(primary.read(0).failures + primary.read(1).failures).toBe(THREADS * 50_000);
    expect(primary.read(0).consecutiveFailures).toBe(primary.read(0).failures);
  });

  test.each([0, 1, 4, 10])("everybody ejecting everybody: exactly %i of 10 are", async (unavailableMax) => {
    const buffer = TargetHealth.allocate(THREADS, 10);
    const reports = await hammer(buffer, { kind: "eject-for-good", rounds: 2000, slots: 10, unavailableMax });
    const primary = new TargetHealth(buffer);
    const ejected = Array.from({ length: 10 }, (_, slot) => slot).filter((slot) => primary.ejectedUntilMs(slot) > monotonicMs());
    expect(ejected).toHaveLength(unavailableMax);
    expect(sum(reports.map((report) => report.ejected))).toBe(unavailableMax);
  });

  test("of two that eject at the same moment, one may", async () => {
    const rounds = 3000;
    // Two threads, because they must really run at once; many slots, so that counting them takes time.
    const reports = await hammer(TargetHealth.allocate(2, 256), { kind: "eject-together", rounds, slots: 256, unavailableMax: 1 }, 2);
    const winners = Array<number>(rounds).fill(0);
    for (const round of reports.flatMap((report) => report.ejectedIn)) winners[round] = (winners[round] ?? 0) + 1;
    expect(Math.max(...winners)).toBe(1);
    expect(Math.min(...winners)).toBe(1);
  });

  test("ejections that lapse and come again never overlap beyond the limit", async () => {
    const buffer = TargetHealth.allocate(THREADS, 10);
    const reports = await hammer(buffer, { kind: "eject-and-lapse", rounds: 20_000, slots: 10, unavailableMax: 3 });
    expect(Math.max(...reports.map((report) => report.ejectedAtOnceMax))).toBeLessThanOrEqual(3);
    // The test means something only if there were many ejections, by several threads.
    expect(sum(reports.map((report) => report.ejected))).toBeGreaterThan(20);
    expect(reports.filter((report) => report.ejected > 0).length).toBeGreaterThan(1);
  });

  test("threads agree on the clock", async () => {
    const before = monotonicMs();
    const reports = await hammer(TargetHealth.allocate(THREADS, 1), { kind: "failures", rounds: 1, slots: 1, unavailableMax: 0 });
    const after = monotonicMs();
    for (const report of reports) {
      expect(report.nowMs).toBeGreaterThan(before - CLOCK_SKEW_MS_MAX);
      expect(report.nowMs).toBeLessThan(after + CLOCK_SKEW_MS_MAX);
    }
  });
});

describe("the table", () => {
  test("a dead worker's lock is freed, a living one's is not", () => {
    const buffer = TargetHealth.allocate(2, 2);
    const lock = ejectionLock("users");
    // As a thread leaves it that dies between taking and giving back: word 32 + lock holds 1 + its index.
    new Int32Array(buffer)[32 + lock] = 1 + 1;
    const health = new TargetHealth(buffer, 0);
    const eject = () => health.eject({ slot: 0, group: [0, 1], unavailableMax: 1, lock, ejectForMs: 10, nowMs: 5 });
    expect(eject()).toBe(false);
    health.clearWorker(0);
    expect(eject()).toBe(false);
    health.clearWorker(1);
    expect(eject()).toBe(true);
  });

  test("who was down and is up again is not ejected any more; being seen up all along ends no ejection", () => {
    const health = new TargetHealth(TargetHealth.allocate(1, 2), 0);
    for (const slot of [0, 1]) health.eject({ slot, group: [0, 1], unavailableMax: 2, lock: 0, ejectForMs: 1000, nowMs: 10 });
    health.setDown(0, true, 20);
    health.setDown(0, false, 30);
    health.setDown(1, false, 30);
    expect([health.ejectedUntilMs(0), health.ejectedUntilMs(1)]).toEqual([30, 1010]);
  });

  test("changes() moves with availability and with nothing else", () => {
    const health = new TargetHealth(TargetHealth.allocate(1, 2), 0);
    const moves = (act: () => unknown): boolean => {
      const before = health.changes();
      act();
      return health.changes() !== before;
    };
    expect(moves(() => health.begin(0))).toBe(false);
    expect(moves(() => health.failed(0, 0))).toBe(false);
    expect(moves(() => health.succeeded(0))).toBe(false);
    expect(moves(() => health.setDown(0, false, 1))).toBe(false);
    expect(moves(() => health.setDown(0, true, 1))).toBe(true);
    expect(moves(() => health.setDown(0, true, 1))).toBe(false);
    expect(moves(() => health.setDown(0, false, 2))).toBe(true);
    expect(moves(() => health.eject({ slot: 0, group: [0], unavailableMax: 1, lock: 0, ejectForMs: 1, nowMs: 1 }))).toBe(true);
    expect(moves(() => health.reset(0))).toBe(true);
    expect(health.recoveredAtMs(0)).toBe(0);
  });

  test("the last slot and the last worker have cells of their own", () => {
    const buffer = TargetHealth.allocate(HEALTH_WORKERS_MAX);
    const first = new TargetHealth(buffer, 0);
    const last = new TargetHealth(buffer, HEALTH_WORKERS_MAX - 1);
    last.begin(TARGET_SLOTS_MAX - 1);
    first.begin(TARGET_SLOTS_MAX - 1);
    first.setDown(TARGET_SLOTS_MAX - 1, true, 7);
    expect(last.inFlight(TARGET_SLOTS_MAX - 1)).toBe(2);
    expect(last.inFlight(TARGET_SLOTS_MAX - 2)).toBe(0);
    expect(last.isDown(TARGET_SLOTS_MAX - 1)).toBe(true);
    expect(last.isDown(TARGET_SLOTS_MAX - 2)).toBe(false);
  });

  test.each([
    ["no workers", () => TargetHealth.allocate(0)],
    ["too many workers", () => TargetHealth.allocate(HEALTH_WORKERS_MAX + 1)],
    ["too many slots", () => TargetHealth.allocate(1, TARGET_SLOTS_MAX + 1)],
    ["an index beyond the workers", () => new TargetHealth(TargetHealth.allocate(2), 2)],
  ])("%s is refused", (_, act) => {
    expect(act).toThrow(RangeError);
  });
});

describe("slots", () => {
  const table = (slots: number) => {
    const health = new TargetHealth(TargetHealth.allocate(1, slots), 0);
    return { health, table: new SlotTable(health) };
  };

  test("the same endpoint keeps slot and age while anybody holds it", () => {
    const { table: slots } = table(4);
    const held = slots.acquire("users", "http://10.0.0.1:80", 5);
    expect(slots.acquire("users", "http://10.0.0.1:80", 9)).toMatchObject({ slot: held?.slot, sinceMs: 5 });
    expect(slots.acquire("orders", "http://10.0.0.1:80", 9)?.slot).not.toBe(held?.slot);
    slots.release("users", "http://10.0.0.1:80");
    expect(slots.acquire("users", "http://10.0.0.1:80", 11)?.sinceMs).toBe(5);
    expect(slots.size).toBe(2);
  });

  test("released slots are reused last, oldest first, when idle, and clean", () => {
    const { health, table: slots } = table(3);
    const slotOf = (key: string) => slots.acquire("u", key, 0)?.slot;
    expect([slotOf("a"), slotOf("b")]).toEqual([0, 1]);
    health.setDown(0, true, 1);
    health.begin(1);
    slots.release("u", "b");
    slots.release("u", "a");
    expect(slotOf("c")).toBe(2);
    expect(slotOf("d")).toBe(0);
    expect(health.isDown(0)).toBe(false);
    expect(slotOf("e")).toBeUndefined();
    health.end(1);
    expect(slotOf("e")).toBe(1);
    slots.release("u", "nobody");
    expect(slots.size).toBe(3);
  });
});
