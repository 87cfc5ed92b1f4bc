// The gate of an upstream: what it learns of latency and what not, who is let past whom, and what is counted of those who are not.
import { afterEach, expect, it, vi } from "vitest";
import { monotonicMs } from "../../../../../src/base/clock.ts";
import { Gate, type OverloadTables } from "../../../../../src/data/upstream/overload/gate.ts";
import { type GateCall, Hold } from "../../../../../src/data/upstream/overload/hold.ts";
import { type OverloadPlan, PRIORITIES } from "../../../../../src/plan/overload-plan.ts";
import { REFUSED_LIMIT, SHADOWED } from "../../../../../src/shared/overload/layout.ts";
import { OverloadTable, type Places } from "../../../../../src/shared/overload/overload-table.ts";
import { TargetTable } from "../../../../../src/shared/overload/target-table.ts";
import { typicalExchange } from "../../../../support/recorded-exchange.ts";

const PLAN: OverloadPlan = {
  slot: 2,
  shadow: false,
  minimum: 1,
  maximum: 100,
  queue: { length: 10, bytes: 1e6, flows: 10, waitMs: 100 },
  fairBy: "none",
  tiers: {},
};

const tablesOf = (workers: number): OverloadTables => ({
  upstreams: new OverloadTable(OverloadTable.allocate(workers)),
  targets: new TargetTable(TargetTable.allocate(workers)),
});

/** A call that notes what it is told. */
class Caller implements GateCall {
  readonly view = typicalExchange();
  readonly background = false;
  readonly retrying = false;
  readonly targets = null;
  readonly bodyBytes = 0;
  readonly deadlineMs = 0;
  told: "admitted" | "refused" | "" = "";

  admitted(): void {
    this.told = "admitted";
  }

  refused(): void {
    this.told = "refused";
  }
}

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** A gate whose worker's loop may be late, and a clock that is moved by hand. */
class Clocked {
  readonly own = { delayMs: 0 };
  readonly tables: OverloadTables;
  readonly gate: Gate;
  readonly places: Places;
  readonly holds: Hold[] = [];
  #atMs = performance.now();

  constructor(plan = PLAN, workers = 1) {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    vi.spyOn(performance, "now").mockImplementation(() => this.#atMs);
    this.tables = { ...tablesOf(workers), own: this.own };
    this.gate = new Gate(plan, this.tables, 0);
    this.places = this.tables.upstreams.places(plan.slot, 0);
    this.plan = plan;
  }

  readonly plan: OverloadPlan;

  pass(ms: number): void {
    this.#atMs += ms;
    this.places.step({ nowMs: monotonicMs(), wallMs: monotonicMs() }, this.plan);
  }

  enter(): boolean {
    const hold = new Hold(this.gate, this.plan, new Caller());
    this.holds.push(hold);
    return this.gate.enter(hold);
  }

  /** So many answers after so many ms each, one after the other, and time for the limit to be looked at. */
  answers(count: number, ms: number): void {
    for (let i = 0; i < count; i++) {
      expect(this.enter()).toBe(true);
      const hold = this.holds.pop();
      hold?.answered(ms);
      hold?.leave();
    }
    this.pass(2000);
  }

  /** For a while as many are in flight as may be, each is answered after so many ms, and somebody finds no place. */
  saturated(forMs: number, ms: number): void {
    while (this.places.inFlight < this.places.limit) expect(this.enter()).toBe(true);
    for (let i = 0; i < (this.holds.length * forMs) / ms; i++) this.holds[i % this.holds.length]?.answered(ms);
    this.places.blocked();
    this.pass(forMs);
  }
}

it.each([0, 4])("answers teach the base latency while the worker's own loop is %d ms late", (delayMs) => {
  const of = new Clocked();
  of.own.delayMs = delayMs;
  of.answers(40, 20);
  expect(of.places.baseMs).toBeCloseTo(20);
});

it.each([5, 15, 500])(
  "answers leave the base latency as it is while the loop is %d ms late: that they took long may be the worker's own doing",
  (delayMs) => {
    const of = new Clocked();
    of.answers(40, 10);
    of.own.delayMs = delayMs;
    for (let i = 0; i < 5; i++) of.answers(40, 20);
    expect(of.places.baseMs).toBeCloseTo(10);
  },
);

it("a base latency that was first seen while the loop was late is forgotten soon after", () => {
  const of = new Clocked();
  of.own.delayMs = 30;
  of.answers(40, 40);
  of.own.delayMs = 0;
  for (let i = 0; i < 15; i++) of.answers(40, 10);
  expect(of.places.baseMs).toBeLessThan(11);
});

it.each([0, 10])("the limit rises at a service that has room, also while the worker's own loop is %d ms late", (delayMs) => {
  const of = new Clocked({ ...PLAN, maximum: 1000 });
  of.own.delayMs = delayMs;
  of.answers(40, 30);
  const before = of.places.limit;
  for (let i = 0; i < 30; i++) of.saturated(100, 30);
  expect(of.places.limit).toBeGreaterThan(3 * before);
});

it("a worker that hangs while somebody waits in it keeps nobody else from free places", () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }); // no tick comes: the gate's worker does not run
  const startMs = performance.now();
  let passedMs = 0;
  vi.spyOn(performance, "now").mockImplementation(() => startMs + passedMs);
  const plan = { ...PLAN, maximum: 2 };
  const tables = tablesOf(2);
  const [runs, hangs] = [new Gate(plan, tables, 0), new Gate(plan, tables, 1)];
  const holds = [0, 1].map(() => new Hold(runs, plan, new Caller()));
  for (const hold of holds) expect(runs.enter(hold)).toBe(true);
  const stuck = new Caller();
  expect(hangs.enter(new Hold(hangs, plan, stuck))).toBe(false);
  for (const hold of holds) hold.leave();
  expect(runs.enter(new Hold(runs, plan, new Caller()))).toBe(true); // has its turn before the one of the same flow in the other worker
  const next = new Hold(runs, plan, new Caller());
  expect(runs.enter(next)).toBe(false); // now that one comes first, as its worker may just be busy
  next.leave();
  passedMs = 200;
  expect(runs.enter(new Hold(runs, plan, new Caller()))).toBe(true);
  expect(stuck.told).toBe("");
});

it("those who find no place at an upstream that stands in are counted as refused, keep retries away and let the limit rise", () => {
  const of = new Clocked({ ...PLAN, maximum: 1000 });
  of.answers(40, 30);
  const before = of.places.limit;
  const atOnce = (): boolean => {
    const hold = new Hold(of.gate, of.plan, new Caller());
    const entered = of.gate.enterAtOnce(hold);
    if (entered) of.holds.push(hold);
    return entered;
  };
  for (let i = 0; i < 30; i++) {
    while (atOnce());
    for (let n = 0; n < of.holds.length * 3; n++) of.holds[n % of.holds.length]?.answered(30);
    of.pass(100);
  }
  expect(of.places.limit).toBeGreaterThan(3 * before);
  expect(of.gate.shedding).toBe(true);
  const { counts, shedAtS } = of.tables.upstreams.read(PLAN.slot);
  expect(counts[REFUSED_LIMIT + PRIORITIES.indexOf("normal")]).toBe(30);
  expect(shedAtS).toBeGreaterThan(0);
});

it("an upstream that stands in counts in the shadow those who would have found no place", () => {
  const of = new Clocked({ ...PLAN, shadow: true, maximum: 2, queue: { ...PLAN.queue, waitMs: 1 } });
  of.answers(40, 30);
  for (let i = 0; i < 5; i++) expect(of.gate.enterAtOnce(new Hold(of.gate, of.plan, new Caller()))).toBe(true);
  expect(of.tables.upstreams.read(PLAN.slot)).toMatchObject({ inFlight: 5, shedAtS: 0 });
  expect(of.places.blockedEver).toBe(3);
  expect(of.tables.upstreams.read(PLAN.slot).counts[SHADOWED]).toBe(3);
});

it("a worker that hangs while somebody waits in it keeps nobody from an upstream that stands in", () => {
  const of = new Clocked({ ...PLAN, maximum: 1 }, 2);
  const hangs = new Gate(of.plan, of.tables, 1);
  expect(of.enter()).toBe(true);
  expect(hangs.enter(new Hold(hangs, of.plan, new Caller()))).toBe(false);
  of.holds[0]?.leave();
  expect(of.gate.enterAtOnce(new Hold(of.gate, of.plan, new Caller()))).toBe(false);
  of.pass(200);
  expect(of.gate.enterAtOnce(new Hold(of.gate, of.plan, new Caller()))).toBe(true);
});
