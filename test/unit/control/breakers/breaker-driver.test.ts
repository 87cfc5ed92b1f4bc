// Holds the way back of a breaker to its plan: the real opossum over a real table, only clock and timers faked.
import CircuitBreaker from "opossum";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { monotonicMs } from "../../../../src/base/clock.ts";
import { BreakerControl } from "../../../../src/control/breakers/breaker-control.ts";
import { BreakerDriver } from "../../../../src/control/breakers/breaker-driver.ts";
import { createLog } from "../../../../src/observe/log.ts";
import type { BreakerPlan } from "../../../../src/plan/plan.ts";
import { BreakerAdmin } from "../../../../src/shared/breaker-admin.ts";
import { type BreakerOutcome, BreakerTable, OUTCOME } from "../../../../src/shared/breaker-table.ts";
import { PHASE, PHASE_NAMES, REFUSED } from "../../../../src/shared/breaker-word.ts";
import { breakerPlan } from "../../../support/breaker-rig.ts";
import { endpoint, seededRandom, upstreamPlan } from "../../../support/upstreams.ts";

const SLOT = 1;

class Rig {
  readonly plan: BreakerPlan;
  readonly admin: BreakerAdmin;
  readonly worker: BreakerTable;
  readonly driver: BreakerDriver;
  readonly lines: Record<string, unknown>[] = [];

  constructor(plan: Partial<BreakerPlan> = {}) {
    this.plan = breakerPlan({ openForMs: 1000, maxOpenForMs: 4000, halfOpenRequests: 2, trialTimeoutMs: 500, recoveryMs: 3000, ...plan });
    const buffer = BreakerTable.allocate(2, 4);
    this.admin = new BreakerAdmin(buffer, -1, () => 0);
    this.worker = new BreakerTable(buffer, 0, () => 0);
    const log = createLog({ output: { write: (text) => this.lines.push(JSON.parse(text)) } });
    this.driver = new BreakerDriver(SLOT, { upstream: "users", target: "a" }, this.plan, {
      admin: this.admin,
      log,
      opossum: CircuitBreaker,
      now: monotonicMs,
    });
  }

  get state(): string {
    return PHASE_NAMES[this.admin.phase(SLOT)];
  }

  get said(): unknown[] {
    return this.lines.map((line) => line["message"]);
  }

  pass(): number {
    return this.worker.admit(SLOT, this.plan.recoveryMs, monotonicMs);
  }

  end(ticket: number, outcome: BreakerOutcome): void {
    this.worker.settle(SLOT, ticket, outcome, this.plan, monotonicMs());
  }

  /** What workers do, seen by the primary at once. @returns how many passed */
  async send(outcome: BreakerOutcome, count: number): Promise<number> {
    let passed = 0;
    for (let i = 0; i < count; i++) {
      const ticket = this.pass();
      if (ticket === REFUSED) continue;
      this.end(ticket, outcome);
      passed++;
    }
    await this.look();
    return passed;
  }

  /** The primary is woken; opossum's promises settle. */
  async look(): Promise<void> {
    this.driver.look();
    await vi.advanceTimersByTimeAsync(0);
  }
}

beforeEach(() => void vi.useFakeTimers({ now: 1_000_000 }));
afterEach(() => void vi.useRealTimers());

const later = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe("a plan that judges other calls", () => {
  it.each([
    ["open", 0],
    ["half-open", 1000],
  ])("closes a breaker that is %s and whose calls are not judged any more: no trial could ever close it", async (state, ms) => {
    const rig = new Rig({ scope: "both" });
    await rig.send(OUTCOME.failed, 10);
    await later(ms);
    expect(rig.state).toBe(state);
    rig.driver.plan = { ...rig.plan, scope: "upstream" };
    expect([rig.state, rig.pass() === REFUSED]).toEqual(["closed", false]);
    expect(rig.said.at(-1)).toBe("breaker closed: its calls are not judged any more");
    expect(vi.getTimerCount()).toBe(0);
  });

  it("closes one that requests under way open behind the change", async () => {
    const rig = new Rig({ scope: "both" });
    rig.driver.plan = { ...rig.plan, scope: "upstream" };
    await rig.send(OUTCOME.failed, 10);
    expect(rig.state).toBe("closed");
  });

  it("leaves an operator's order in force", async () => {
    const rig = new Rig({ scope: "both" });
    rig.driver.force("open");
    rig.driver.plan = { ...rig.plan, scope: "upstream" };
    expect(rig.state).toBe("forced open");
  });
});

describe("the way back", () => {
  it("open, half-open after openFor, recovering when all trials went well, closed after recovery", async () => {
    const rig = new Rig();
    await rig.send(OUTCOME.failed, 10);
    expect(rig.state).toBe("open");
    await later(999);
    expect(rig.state).toBe("open");
    await later(1);
    expect(rig.state).toBe("half-open");
    expect(await rig.send(OUTCOME.good, 1)).toBe(1);
    expect(rig.state).toBe("half-open");
    expect(await rig.send(OUTCOME.good, 5)).toBe(1);
    expect(rig.state).toBe("recovering");
    await later(2999);
    expect(rig.state).toBe("recovering");
    await later(1);
    expect(rig.state).toBe("closed");
    expect(rig.said).toEqual(["breaker opened", "breaker is half-open", "breaker is recovering", "breaker closed"]);
    expect(rig.lines[0]).toMatchObject({
      level: "warn",
      upstream: "users",
      target: "a",
      openForMs: 1000,
      openings: 1,
      total: 10,
      failed: 10,
      slow: 0,
    });
    expect(vi.getTimerCount()).toBe(0);
  });

  it("a failed trial opens it again, twice as long each time, up to the cap", async () => {
    const rig = new Rig();
    await rig.send(OUTCOME.failed, 10);
    for (const openForMs of [1000, 2000, 4000, 4000]) {
      await later(openForMs - 1);
      expect(rig.state).toBe("open");
      await later(1);
      expect(rig.state).toBe("half-open");
      await rig.send(OUTCOME.good, 1);
      await rig.send(OUTCOME.failed, 1);
      expect(rig.state).toBe("open");
    }
    expect(rig.lines.filter((line) => line["message"] === "breaker opened").map((line) => line["openForMs"])).toEqual([
      1000, 2000, 4000, 4000, 4000,
    ]);
  });

  it("a trial that fails before the primary has drawn breath is not missed", async () => {
    const rig = new Rig();
    await rig.send(OUTCOME.failed, 10);
    const begin = rig.admin.beginRound.bind(rig.admin);
    vi.spyOn(rig.admin, "beginRound").mockImplementation((...args) => {
      const word = begin(...args);
      rig.end(rig.pass(), OUTCOME.failed);
      return word;
    });
    await later(1000);
    await rig.look();
    expect(rig.state).toBe("open");
    vi.restoreAllMocks();
    await later(2000);
    expect(rig.state).toBe("half-open");
  });

  it("without recovery it closes at once; while recovering it can open again, and longer", async () => {
    const short = new Rig({ recoveryMs: 0 });
    await short.send(OUTCOME.failed, 10);
    await later(1000);
    await short.send(OUTCOME.good, 2);
    expect(short.state).toBe("closed");
    const rig = new Rig();
    await rig.send(OUTCOME.failed, 10);
    await later(1000);
    await rig.send(OUTCOME.good, 2);
    await later(1500);
    await rig.send(OUTCOME.failed, 10);
    expect(rig.state).toBe("open");
    await later(1600);
    // The recovery's timer is gone: it must not close what has opened since.
    expect([rig.state, rig.lines.at(-1)]).toMatchObject(["open", { openForMs: 2000 }]);
    await later(400);
    expect(rig.state).toBe("half-open");
  });

  it("an answer that breaks off at the last moment wins over the trials that went well", async () => {
    const rig = new Rig();
    await rig.send(OUTCOME.failed, 10);
    await later(1000);
    const [first, second] = [rig.pass(), rig.pass()];
    rig.end(first, OUTCOME.good);
    rig.end(second, OUTCOME.good);
    rig.driver.look();
    // opossum's promise has not settled yet.
    rig.worker.failAfterHead(SLOT, first & ~1, rig.plan, monotonicMs());
    await rig.look();
    expect(rig.state).toBe("open");
    await later(2000);
    expect(rig.state).toBe("half-open");
  });

  it("trials that nobody decides are given to others, once they had their time", async () => {
    const rig = new Rig();
    await rig.send(OUTCOME.failed, 10);
    await later(1000);
    const stuck = rig.pass();
    expect(await rig.send(OUTCOME.good, 5)).toBe(1);
    await later(500);
    expect(await rig.send(OUTCOME.good, 5)).toBe(0);
    await later(500);
    rig.end(stuck, OUTCOME.failed);
    expect(await rig.send(OUTCOME.good, 5)).toBe(1);
    expect(rig.state).toBe("recovering");
    expect(rig.said).toContain("breaker gives undecided trials to others");
  });

  it("waits for ever where nobody asks", async () => {
    const rig = new Rig();
    await rig.send(OUTCOME.failed, 10);
    await later(3_600_000);
    expect([rig.state, rig.said]).toEqual(["half-open", ["breaker opened", "breaker is half-open"]]);
  });

  it("keeps nothing of its rounds", async () => {
    const rig = new Rig({ maxOpenForMs: 1000, recoveryMs: 0 });
    for (let round = 0; round < 50; round++) {
      await rig.send(OUTCOME.failed, 10);
      await later(1000);
      await rig.send(OUTCOME.good, 2);
    }
    expect([rig.state, rig.admin.read(SLOT).opened, vi.getTimerCount()]).toEqual(["closed", 50, 0]);
    rig.driver.stop();
  });
});

describe("an operator", () => {
  it.each(["closed", "open", "half-open", "recovering"])(
    "forces it from %s, and nothing that was under way comes through",
    async (from) => {
      for (const order of ["open", "close"] as const) {
        const rig = new Rig();
        if (from !== "closed") await rig.send(OUTCOME.failed, 10);
        if (from === "half-open" || from === "recovering") await later(1000);
        if (from === "recovering") await rig.send(OUTCOME.good, 2);
        expect(rig.state).toBe(from);
        const trial = rig.pass();
        rig.driver.force(order);
        const forced = order === "open" ? "forced open" : "forced closed";
        expect(rig.state).toBe(forced);
        if (trial !== REFUSED) rig.end(trial, OUTCOME.failed);
        await rig.send(OUTCOME.failed, 50);
        await later(60_000);
        expect(rig.state).toBe(forced);
        expect(rig.pass() === REFUSED).toBe(order === "open");
        rig.driver.force("auto");
        expect([rig.state, vi.getTimerCount()]).toEqual(["closed", 0]);
        // And it works as ever.
        await rig.send(OUTCOME.failed, 10);
        expect(rig.state).toBe("open");
        await later(1000);
        await rig.send(OUTCOME.good, 2);
        expect(rig.state).toBe("recovering");
        rig.driver.stop();
      }
    },
  );

  it("giving back what was not forced changes nothing", async () => {
    const rig = new Rig();
    await rig.send(OUTCOME.failed, 10);
    rig.driver.force("auto");
    expect(rig.state).toBe("open");
    await later(1000);
    expect(rig.state).toBe("half-open");
  });
});

describe("over a long random life", () => {
  it.each([1, 2, 3])("opossum and the table never part (seed %i)", async (seed) => {
    const rig = new Rig({ trialTimeoutMs: 700 });
    const random = seededRandom(seed);
    const underWay: number[] = [];
    for (let step = 0; step < 6000; step++) {
      const dice = random();
      const ill = Math.floor(step / 200) % 2 === 0;
      if (dice < 0.5) {
        const ticket = rig.pass();
        if (ticket !== REFUSED) underWay.push(ticket);
      } else if (dice < 0.9 && underWay.length > 0) {
        const [ticket = REFUSED] = underWay.splice(Math.floor(random() * underWay.length), 1);
        if (random() < 0.1) rig.worker.giveBack(SLOT, ticket);
        else rig.end(ticket, ill && random() < 0.8 ? OUTCOME.failed : OUTCOME.good);
        if (random() < 0.7) await rig.look();
      } else if (dice < 0.905) {
        rig.driver.force((["open", "close", "auto"] as const)[Math.floor(random() * 3)] ?? "auto");
        rig.driver.force("auto");
      } else await later(random() * 400);
    }
    // Left alone by failures it comes back, from wherever it was.
    for (const ticket of underWay) rig.worker.giveBack(SLOT, ticket);
    for (let i = 0; i < 100 && rig.state !== "closed"; i++) {
      await rig.send(OUTCOME.good, 5);
      await later(500);
    }
    expect(rig.state).toBe("closed");
    const { opened, halfOpened, recovered, closed } = rig.admin.read(SLOT);
    for (const count of [opened, halfOpened, recovered, closed]) expect(count).toBeGreaterThan(1);
  });
});

describe("the breakers of a plan", () => {
  const upstreams = (part: Partial<BreakerPlan> = {}) => [
    upstreamPlan({ name: "users", breaker: breakerPlan({ minimumRequests: 1, openForMs: 60_000, ...part }) }),
    upstreamPlan({ name: "plain" }),
  ];
  const endpointsOf = (...names: string[]) =>
    new Map([
      ["users", names.map((name, i) => endpoint(name, i))],
      ["plain", [endpoint("z", 9)]],
    ]);

  it("follow plan and endpoints, keep their state, and are woken by workers", async () => {
    vi.useRealTimers();
    const buffer = BreakerTable.allocate(2);
    const worker = new BreakerTable(buffer, 0);
    const lines: string[] = [];
    const control = new BreakerControl({
      admin: new BreakerAdmin(buffer),
      log: createLog({ output: { write: (text) => lines.push(JSON.parse(text).message) } }),
    });
    control.update({ upstreams: upstreams() }, endpointsOf("a", "b"));
    const states = () => control.states().map(({ upstream, target, status }) => `${upstream}/${target ?? ""} ${status.state}`);
    expect(states()).toEqual(["users/ closed", "users/a closed", "users/b closed"]);
    expect(await control.force("users", "a", "close")).toBe(true);
    expect(await control.force("users", "c", "close")).toBe(false);
    expect(await control.force("plain", null, "close")).toBe(false);
    await control.force("users", "a", "auto");
    worker.settle(
      1,
      worker.admit(1, 0, monotonicMs),
      OUTCOME.failed,
      breakerPlan({ minimumRequests: 1, openForMs: 60_000 }),
      monotonicMs(),
    );
    await vi.waitFor(() => expect(lines).toContain("breaker opened"));
    control.update({ upstreams: upstreams({ halfOpenRequests: 9 }) }, endpointsOf("a", "b", "c"));
    expect(states()).toEqual(["users/ closed", "users/a closed", "users/b open", "users/c closed"]);
    control.update({ upstreams: [upstreamPlan({ name: "users" })] }, endpointsOf("a", "b", "c"));
    expect([states(), worker.phase(1)]).toEqual([[], PHASE.closed]);
    control.stop();
  });
});
