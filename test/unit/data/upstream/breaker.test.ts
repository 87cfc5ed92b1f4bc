// Holds the worker's side of breakers: what counts as what, who is chosen, and when nobody is.
import { describe, expect, it } from "vitest";
import { benchBreaker } from "../../../../bench/micro/breaker.ts";
import { ERROR_CODES, type ErrorCode } from "../../../../src/base/errors.ts";
import { UpstreamBreaker } from "../../../../src/data/upstream/breaker.ts";
import { createUpstream } from "../../../../src/data/upstream/select.ts";
import type { Endpoint } from "../../../../src/data/upstream/upstream.ts";
import type { Balance, BreakerPlan } from "../../../../src/plan/plan.ts";
import { BreakerAdmin } from "../../../../src/shared/breaker-admin.ts";
import { BreakerTable, OUTCOME } from "../../../../src/shared/breaker-table.ts";
import { PHASE, REFUSED } from "../../../../src/shared/breaker-word.ts";
import { breakerPlan } from "../../../support/breaker-rig.ts";
import { typicalExchange } from "../../../support/recorded-exchange.ts";
import { endpoints, inertPool, Rig, upstreamPlan } from "../../../support/upstreams.ts";

const x = typicalExchange();
const newTickets = () => ({ upstreamTicket: REFUSED, targetTicket: REFUSED, answered: true });

describe("what counts as a failure", () => {
  const TARGET = 3;
  /** Counts of the upstream's and the target's window after one attempt. */
  function countsOf(plan: Partial<BreakerPlan>, attempt: (breaker: UpstreamBreaker, tickets: ReturnType<typeof newTickets>) => void) {
    const admin = new BreakerAdmin(BreakerTable.allocate(2), 0);
    const rules = breakerPlan({ scope: "both", ...plan });
    const breaker = new UpstreamBreaker(rules, admin, () => 1000);
    const tickets = newTickets();
    if (!breaker.tryAcquire(tickets) || !breaker.tryAcquireTarget(TARGET, tickets)) throw new Error("refused");
    attempt(breaker, tickets);
    const [whole, target] = [rules.slot, TARGET].map((slot) => admin.counts(slot, rules.windowMs, 1000));
    return { whole, target };
  }
  const counts = (total: number, failed: number, slow = 0) => ({ whole: { total, failed, slow }, target: { total, failed, slow } });

  it.each([
    [200, 0],
    [404, 0],
    [499, 0],
    [500, 1],
    [503, 1],
    [599, 1],
  ])("status %i: %i", (status, failed) => {
    expect(countsOf({}, (breaker, tickets) => breaker.onHead(tickets, TARGET, status, 1))).toEqual(counts(1, failed));
    const only429 = { failures: { statuses: [{ min: 429, max: 429 }], conditions: [] } };
    expect(countsOf(only429, (breaker, tickets) => breaker.onHead(tickets, TARGET, status, 1))).toEqual(counts(1, 0));
    expect(countsOf(only429, (breaker, tickets) => breaker.onHead(tickets, TARGET, 429, 1))).toEqual(counts(1, 1));
  });

  it("codes, by condition; those of the gateway and the client are none", () => {
    const failing = (conditions: BreakerPlan["failures"]["conditions"]): ErrorCode[] =>
      ERROR_CODES.filter((code) => {
        const { whole } = countsOf({ failures: { statuses: [], conditions } }, (breaker, tickets) =>
          breaker.onComplete(tickets, TARGET, "failure", code, 1),
        );
        return whole?.failed === 1;
      });
    expect(failing(["connect-failure"]).sort()).toEqual(["connect_failed", "connect_timeout", "upstream_tls"]);
    expect(failing(["timeout"]).sort()).toEqual(["connect_timeout", "response_timeout", "total_timeout", "upstream_idle_timeout"]);
    expect(failing(["reset"]).sort()).toEqual(["upstream_aborted", "upstream_reset"]);
    expect(failing(["invalid"]).sort()).toEqual(["upstream_invalid", "upstream_upgrade_refused"]);
    expect(failing([])).toEqual([]);
  });

  it("slow is what took slowCall or longer, failed or not; without it nothing is", () => {
    const slow = { slowCallMs: 100, slowCallRate: 0.5 };
    const at = (ms: number, status = 200, plan: Partial<BreakerPlan> = slow) =>
      countsOf(plan, (breaker, tickets) => breaker.onHead(tickets, TARGET, status, ms));
    expect([at(99), at(100), at(100, 500), at(1e6, 200, {})]).toEqual([counts(1, 0), counts(1, 0, 1), counts(1, 1, 1), counts(1, 0)]);
  });

  it("a neutral end is none; an answer that breaks off turns from good to bad, and a bad one is not counted twice", () => {
    for (const outcome of ["neutral", "unasked"] as const)
      expect(countsOf({}, (breaker, tickets) => breaker.onComplete(tickets, TARGET, outcome, "overloaded", 1e6))).toEqual(counts(0, 0));
    const answered = (status: number, outcome: "success" | "failure" | "neutral", code: ErrorCode | null) =>
      countsOf({}, (breaker, tickets) => {
        breaker.onHead(tickets, TARGET, status, 1);
        breaker.onComplete(tickets, TARGET, outcome, code, 1);
      });
    expect(answered(200, "success", null)).toEqual(counts(1, 0));
    expect(answered(200, "neutral", null)).toEqual(counts(1, 0));
    expect(answered(200, "failure", "upstream_aborted")).toEqual(counts(1, 1));
    expect(answered(500, "failure", null)).toEqual(counts(1, 1));
    expect(answered(500, "failure", "upstream_aborted")).toEqual(counts(1, 1));
  });

  it("the scope says who is judged", () => {
    const scoped = (scope: BreakerPlan["scope"]) => countsOf({ scope }, (breaker, tickets) => breaker.onHead(tickets, TARGET, 500, 1));
    expect([scoped("upstream").whole?.total, scoped("upstream").target?.total]).toEqual([1, 0]);
    expect([scoped("target").whole?.total, scoped("target").target?.total]).toEqual([0, 1]);
  });
});

describe("choosing", () => {
  const BALANCES: Balance[] = ["round-robin", "least-request", "random", "hash"];
  const rig = (balance: Balance, plan: Partial<BreakerPlan> = {}, weights = [1, 1, 1]) =>
    new Rig(upstreamPlan({ balance, hashOn: { kind: "path" }, breaker: breakerPlan({ minimumRequests: 1, ...plan }) }), endpoints(weights));
  const take = (at: Rig, tried: readonly Endpoint[] | null = null) => {
    const tickets = newTickets();
    return { endpoint: at.upstream.take(x, tried, tickets), tickets };
  };
  const open = (at: Rig, slot: number) => {
    const rules = breakerPlan({ minimumRequests: 1 });
    at.breakers.settle(
      slot,
      at.breakers.admit(slot, 0, () => at.nowMs),
      OUTCOME.failed,
      rules,
      at.nowMs,
    );
  };

  it.each(BALANCES)("%s: an open target is not chosen; when all are open, nobody is, and the breakers are the reason", (balance) => {
    const at = rig(balance);
    open(at, 0);
    open(at, 2);
    for (let i = 0; i < 20; i++) expect(take(at).endpoint?.plan.key).toBe("b");
    expect(at.health.inFlight(1)).toBe(20);
    open(at, 1);
    at.nowMs += 300;
    const { endpoint, tickets } = take(at);
    expect([endpoint, at.upstream.closedForMs(tickets)]).toEqual([null, 700]);
  });

  it.each(BALANCES)("%s: a half-open target gets its trials and not one more; the others serve on", (balance) => {
    const at = rig(balance);
    open(at, 0);
    at.breakers.beginRound(0, 3, at.nowMs);
    const chosen = Array.from({ length: 200 }, () => take(at).endpoint?.plan.key);
    // Consistent hashing sends the one key of this exchange to one target, and beyond its bound to the next.
    if (balance !== "hash") expect(chosen.filter((key) => key === "a")).toHaveLength(3);
    expect(chosen.filter((key) => key === "a").length).toBeLessThanOrEqual(3);
    expect(chosen).not.toContain(undefined);
    for (const slot of [1, 2]) open(at, slot);
    while (take(at).endpoint !== null);
    expect(at.breakers.read(0).round).toMatchObject({ taken: 3 });
    expect(at.upstream.closedForMs(newTickets())).toBe(1000);
  });

  it("a retry goes to one that was tried when the other has no trial left", () => {
    const at = rig("round-robin", {}, [1, 1]);
    open(at, 0);
    at.breakers.beginRound(0, 1, at.nowMs);
    const b = at.named("b");
    expect(take(at, [b]).endpoint?.plan.key).toBe("a");
    expect(take(at, [b]).endpoint?.plan.key).toBe("b");
    open(at, 1);
    expect(take(at, [b]).endpoint).toBe(null);
  });

  it("the upstream's own trial is given back when there is no target to go to", () => {
    const at = rig("random", { scope: "both" });
    const { slot } = breakerPlan();
    open(at, slot);
    at.breakers.beginRound(slot, 1, at.nowMs);
    for (const each of [0, 1, 2]) at.health.setDown(each, true, at.nowMs);
    const { endpoint, tickets } = take(at);
    expect([endpoint, at.upstream.closedForMs(tickets)]).toEqual([null, -1]);
    at.health.setDown(1, false, at.nowMs);
    expect(take(at).endpoint?.plan.key).toBe("b");
    const refused = take(at);
    expect([refused.endpoint, at.upstream.closedForMs(refused.tickets)]).toEqual([null, 1000]);
    expect(at.upstream.breaker?.refuses()).toBe(true);
  });

  it("health is the reason when no target is both healthy and stopped", () => {
    const at = rig("random");
    for (const slot of [0, 1]) open(at, slot);
    at.health.setDown(2, true, at.nowMs);
    const stopped = take(at);
    expect([stopped.endpoint, at.upstream.closedForMs(stopped.tickets)]).toEqual([null, 1000]);
    for (const slot of [0, 1]) at.health.setDown(slot, true, at.nowMs);
    const down = take(at);
    expect([down.endpoint, at.upstream.closedForMs(down.tickets)]).toEqual([null, -1]);
  });

  it("an open breaker is no last resort, an ejection is", () => {
    const passive = { consecutiveFailures: 1, ejectForMs: 1e6, maxEjected: 0.5 };
    const plan = upstreamPlan({ health: { active: null, passive }, breaker: breakerPlan({ minimumRequests: 1 }) });
    const at = new Rig(plan, endpoints([1, 1]));
    at.attempt("a", "failure");
    open(at, 1);
    expect(take(at).endpoint?.plan.key).toBe("a");
    open(at, 0);
    expect(take(at).endpoint).toBe(null);
  });

  it("forced open, nobody passes; forced closed, everybody does", () => {
    const at = rig("random");
    at.breakers.force(breakerPlan().slot, PHASE.forcedOpen, at.nowMs);
    expect([take(at).endpoint, at.upstream.breaker?.refuses()]).toEqual([null, true]);
    at.breakers.force(breakerPlan().slot, PHASE.forcedClosed, at.nowMs);
    for (const slot of [0, 1, 2]) at.breakers.force(slot, PHASE.forcedClosed, at.nowMs);
    for (const slot of [0, 1, 2]) open(at, slot);
    expect(take(at).endpoint).not.toBe(null);
  });
});

it("a breaker without its table is an error, not no breaker", () => {
  const { health } = new Rig(upstreamPlan(), endpoints([1]));
  const deps = { health, poolFor: inertPool, now: () => 0, random: () => 0 };
  expect(createUpstream(upstreamPlan(), endpoints([1]), deps).breaker).toBe(null);
  expect(() => createUpstream(upstreamPlan({ breaker: breakerPlan() }), endpoints([1]), deps)).toThrow("table of breakers");
});

it("the benchmark runs", async () => {
  const costs = await benchBreaker(1);
  expect(costs).toHaveLength(9);
  // A few microseconds of CPU time may be none by the kernel's clock: that it runs to its end is what is shown.
  for (const { ns, bytes } of costs) expect([Number.isFinite(ns), Number.isFinite(bytes)]).toEqual([true, true]);
});
