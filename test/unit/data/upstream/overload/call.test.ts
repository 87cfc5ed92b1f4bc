// A call at the gates of its upstream and of the one that stands in: where it must have a place, what it gives back, what it teaches.
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { TimerWheel } from "../../../../../src/base/timer-wheel.ts";
import { WorkerLoad } from "../../../../../src/data/load/worker-load.ts";
import {
  type BodySource,
  type CallFailure,
  type CallRequest,
  NO_BODY,
  newCallRecord,
  type ResponseSink,
} from "../../../../../src/data/upstream/call-request.ts";
import { Gate } from "../../../../../src/data/upstream/overload/gate.ts";
import { Hold } from "../../../../../src/data/upstream/overload/hold.ts";
import { createUpstream, type LiveUpstream } from "../../../../../src/data/upstream/select.ts";
import type { WireHandler } from "../../../../../src/data/upstream/upstream.ts";
import { UpstreamCall } from "../../../../../src/data/upstream/upstream-call.ts";
import type { OverloadPlan } from "../../../../../src/plan/overload-plan.ts";
import type { BreakerPlan, UpstreamPlan } from "../../../../../src/plan/plan.ts";
import { BreakerAdmin } from "../../../../../src/shared/breaker-admin.ts";
import { BreakerTable, OUTCOME } from "../../../../../src/shared/breaker-table.ts";
import { OverloadTable } from "../../../../../src/shared/overload/overload-table.ts";
import { TargetTable } from "../../../../../src/shared/overload/target-table.ts";
import { TargetHealth } from "../../../../../src/shared/target-health.ts";
import { PlayedBody, PlayedWire } from "../../../../support/random-upstream.ts";
import { typicalExchange } from "../../../../support/recorded-exchange.ts";
import { endpoint, upstreamPlan } from "../../../../support/upstreams.ts";

/** One place, and nobody waits for it. */
const ONE: OverloadPlan = {
  slot: 2,
  shadow: false,
  minimum: 1,
  maximum: 1,
  queue: { length: 0, bytes: 1e6, flows: 10, waitMs: 100 },
  fairBy: "none",
  tiers: {},
};
const OWN_SLOT = 0;
const STAND_IN_SLOT = 1;
const BREAKER: BreakerPlan = {
  slot: 10,
  scope: "target",
  errorRate: 0.5,
  consecutiveFailures: 0,
  minimumRequests: 1,
  windowMs: 10_000,
  slowCallMs: 0,
  slowCallRate: 0.5,
  openForMs: 1000,
  maxOpenForMs: 1000,
  halfOpenRequests: 1,
  trialTimeoutMs: 1000,
  recoveryMs: 0,
  failures: { statuses: [], conditions: [] },
  fallback: { kind: "upstream", name: "stand-in" },
};

let atMs = 0;
beforeEach(() => {
  atMs = 10_000;
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  vi.spyOn(performance, "now").mockImplementation(() => atMs);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** Upstreams whose transport sends at once, and answers when it is told to. */
class Stage {
  readonly table = new OverloadTable(OverloadTable.allocate(1));
  readonly gate = new Gate(ONE, { upstreams: this.table, targets: new TargetTable(TargetTable.allocate(1)) }, 0);
  readonly breakers = new BreakerAdmin(BreakerTable.allocate(1, 16), 0, () => 0);
  readonly failures: CallFailure[] = [];
  readonly statuses: number[] = [];
  readonly wires: PlayedWire[] = [];
  readonly #health = new TargetHealth(TargetHealth.allocate(1, 16), 0);

  upstream(slot: number, part: Partial<UpstreamPlan>): LiveUpstream {
    return createUpstream(upstreamPlan({ name: `upstream ${slot}`, ...part }), [endpoint(`t${slot}`, slot)], {
      health: this.#health,
      breakers: this.breakers,
      gate: this.gate,
      poolFor: () => ({
        dispatch: (_request, handler) => this.#send(handler),
        classify: () => "success",
        close() {},
        stats: { connected: 0, running: 0, queued: 0 },
      }),
      now: () => 0, // windows of the retry budget do not end
      random: () => 0,
    });
  }

  #send(handler: WireHandler): PlayedWire {
    const wire = new PlayedWire(handler);
    this.wires.push(wire);
    handler.wireSent();
    return wire;
  }

  call(upstream: LiveUpstream, body: BodySource = NO_BODY): UpstreamCall {
    const request: CallRequest = {
      services: {
        wheel: new TimerWheel(() => atMs),
        load: new WorkerLoad({ inFlight: 0, webSockets: 0 }),
        recordAttempt() {},
        recordRetry() {},
        reportFault: (_message, error) => {
          throw error;
        },
      },
      record: newCallRecord(),
      view: typicalExchange(),
      method: "GET",
      body,
      timeouts: null,
      boundsBody: false,
      single: false,
      via: null,
      prepare: () => ({ method: "GET", path: "/", headers: [], body: null, contentLength: 0 }),
      dispatched() {},
    };
    const sink: ResponseSink = {
      onHead: (status) => void this.statuses.push(status),
      onData: () => true,
      onEnd() {},
      onFailure: (failure) => void this.failures.push(failure),
      takeBack: () => false,
    };
    const call = new UpstreamCall(upstream, request, sink);
    call.start();
    return call;
  }

  answer(status: number): void {
    const { handler } = this.wires.at(-1) as PlayedWire; // something was sent
    handler.wireHead(status, { headers: [], length: 0, retryAfter: "", fault: "" });
  }

  /** Somebody else takes the place. */
  taken(): Hold {
    const view = typicalExchange();
    const other = { view, background: false, retrying: false, targets: null, bodyBytes: 0, deadlineMs: 0, admitted() {}, refused() {} };
    const hold = new Hold(this.gate, ONE, other);
    expect(this.gate.enter(hold)).toBe(true);
    return hold;
  }

  get inFlight(): number {
    return this.table.read(ONE.slot).inFlight;
  }
}

it("a call whose own upstream has no gate needs a place at the one that stands in, and gives it back", () => {
  const stage = new Stage();
  const own = stage.upstream(OWN_SLOT, { breaker: BREAKER });
  const standIn = stage.upstream(STAND_IN_SLOT, { overload: ONE });
  if (own.breaker !== null) own.breaker.standIn = standIn;
  const ticket = stage.breakers.admit(OWN_SLOT, 0, () => atMs);
  stage.breakers.settle(OWN_SLOT, ticket, OUTCOME.failed, BREAKER, atMs); // opens the target's, which is found out only when one is chosen
  const other = stage.taken();
  stage.call(own);
  expect(stage.wires).toHaveLength(0);
  expect(stage.failures).toMatchObject([{ code: "overloaded", overloadReason: "limit" }]);
  other.leave();
  stage.call(own);
  expect(stage.wires).toHaveLength(1);
  expect(stage.inFlight).toBe(1);
  stage.answer(200);
  stage.wires[0]?.handler.wireEnd(null);
  expect(stage.inFlight).toBe(0);
});

it("retries that find no place in the line use up nothing of the retry budget", () => {
  const stage = new Stage();
  const retry = { ...upstreamPlan().retry, statuses: [{ min: 503, max: 503 }], budget: 0.001 };
  const upstream = stage.upstream(OWN_SLOT, { overload: ONE, retry });
  for (let i = 0; i < 300; i++) {
    const call = stage.call(upstream);
    stage.answer(503);
    const other = stage.taken();
    atMs += 1000; // it has waited for its time
    call.onDeadline();
    other.leave();
    atMs += 2000; // retries go on after a refusal
  }
  expect(stage.statuses).toEqual([]);
  expect(stage.failures).toHaveLength(300);
  expect(stage.failures.every(({ code }) => code === "overloaded")).toBe(true);
});

it("a service that times out while it does not take the request's body teaches no latency", () => {
  const stage = new Stage();
  const upstream = stage.upstream(OWN_SLOT, { overload: ONE, retry: { ...upstreamPlan().retry, attempts: 0 } });
  for (let i = 0; i < 40; i++) {
    const body = new PlayedBody(false, () => true);
    body.stalledByUpstream = true;
    const call = stage.call(upstream, body);
    atMs += 1000;
    call.onDeadline();
  }
  expect(stage.failures.every(({ code }) => code === "response_timeout")).toBe(true);
  expect(stage.failures).toHaveLength(40);
  const places = stage.table.places(ONE.slot, 0);
  places.step({ nowMs: performance.now() + 1e6, wallMs: 1e12 }, ONE);
  expect(places.baseMs).toBe(0);
});
