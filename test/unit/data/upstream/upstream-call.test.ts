// UpstreamCall against a played transport, body and sink, and a played clock, in random orders of events: whatever happens in whatever order, each
// endpoint and breaker's leave is given back once, the sink is told one end, and no deadline is passed over.
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { ErrorCode } from "../../../../src/base/errors.ts";
import { TimerWheel, WHEEL_TICK_MS } from "../../../../src/base/timer-wheel.ts";
import { WorkerLoad } from "../../../../src/data/load/worker-load.ts";
import type { RequestView } from "../../../../src/data/routing/request-view.ts";
import {
  type BodySource,
  type BodySourceOwner,
  type CallFailure,
  type CallRequest,
  NO_BODY,
  newCallRecord,
  type UpgradeSink,
  WholeBody,
} from "../../../../src/data/upstream/call-request.ts";
import type { UpgradedResponse, Upstream, WireCall, WireError, WireHandler, WireRequest } from "../../../../src/data/upstream/upstream.ts";
import { UpstreamCall } from "../../../../src/data/upstream/upstream-call.ts";
import type { UpstreamPlan } from "../../../../src/plan/plan.ts";
import { PHASE } from "../../../../src/shared/breaker-word.ts";
import {
  breakers,
  Chance,
  health,
  OWN,
  PlayedBody,
  PlayedWire,
  played,
  randomUpstream,
  STAND_IN,
  TARGETS,
} from "../../../support/random-upstream.ts";

const SEEDS = 20_000;
/** 2 to 5 s on a machine that has nothing else to do. */
const TIMEOUT_MS = 60_000;
const STEPS_MAX = 150;
/** A deadline may be seen so much too late, ms. */
const LATE_MS = 2 * WHEEL_TICK_MS;

beforeEach(() => {
  vi.spyOn(performance, "now").mockImplementation(() => played.nowMs);
  vi.spyOn(Math, "random").mockImplementation(() => played.random());
});
afterEach(() => {
  vi.restoreAllMocks();
});

const CODES: readonly WireError["code"][] = [
  "connect_failed",
  "connect_timeout",
  "upstream_reset",
  "upstream_invalid",
  "upstream_tls",
  "overloaded",
  "upstream_upgrade_refused",
];
const STATUSES = [200, 200, 200, 204, 304, 404, 500, 502, 503, 503, 600];
/** One seed: a call, everything around it, and what must be true of it. */
class Play extends Chance implements CallRequest, UpgradeSink {
  readonly record = newCallRecord();
  readonly method: string;
  readonly body: BodySource;
  readonly played: PlayedBody | null;
  readonly timeouts = null;
  readonly boundsBody: boolean;
  readonly single: boolean;
  readonly via: CallRequest["via"];
  readonly view = {
    requestId: "r",
    path: "/",
    query: "",
    headers: [],
    clientInfo: () => ({ ip: "", scheme: "http" }),
  } as unknown as RequestView; // what balancing looks at
  readonly wheel = new TimerWheel(() => played.nowMs);
  readonly services: CallRequest["services"];
  readonly call: UpstreamCall;
  readonly plan: UpstreamPlan;
  readonly wires: PlayedWire[] = [];
  readonly log: string[] = [];
  readonly seed: number;
  private readonly throwing: boolean;
  private recorded = 0;
  private retries = 0;
  /** As recorded of the last attempt that ended. */
  private lastCode: ErrorCode | null = null;
  private faults = 0;
  /** Callbacks: a response that was not taken back; its state. */
  private headed = false;
  private ends = 0;
  private endThrew = false;
  private failures: CallFailure[] = [];
  private upgraded = false;
  private tunnelOver = false;
  /** Nothing may be told any more. */
  private silent = false;
  private waiting = false;
  private quietSinceMs = 0;
  /** When timeouts.total began to count. */
  private clockSinceMs = -1;

  constructor(seed: number) {
    super(seed);
    this.seed = seed;
    played.random = this.rnd;
    this.throwing = this.chance(0.2);
    this.method = this.pick(["GET", "GET", "GET", "PUT", "POST"]);
    this.boundsBody = this.chance(0.3);
    this.single = this.chance(0.05);
    this.played = this.chance(0.5) ? new PlayedBody(this.chance(0.7), (owner) => this.beginBody(owner)) : null;
    this.body = this.played ?? (this.chance(0.5) ? NO_BODY : new WholeBody(Buffer.from("whole")));
    this.via = this.chance(0.15) ? (_upstream, _endpoint, request, handler) => this.dispatch(request, handler) : null;
    this.services = {
      wheel: this.wheel,
      load: new WorkerLoad({ inFlight: 0, webSockets: 0 }),
      recordAttempt: (_slot, code) => {
        this.recorded++;
        this.lastCode = code;
      },
      recordRetry: () => void this.retries++,
      reportFault: (_message, error) => {
        if (!(error instanceof Error) || error.message !== "played") throw error; // a fault of ours
        this.faults++;
      },
    };
    const { plan, upstream } = randomUpstream(this, (request, handler) => this.dispatch(request, handler));
    this.plan = plan;
    this.call = new UpstreamCall(upstream, this, this);
  }

  // --- Surroundings ---

  private dispatch(_request: WireRequest, handler: WireHandler): WireCall {
    for (const wire of this.wires) this.must(wire.over, "an attempt begins while another is under way");
    const wire = new PlayedWire(handler);
    this.wires.push(wire);
    if (this.chance(0.5)) this.sendOut(wire);
    else wire.inLine = this.chance(0.3);
    return wire;
  }

  private sendOut(wire: PlayedWire): void {
    wire.sent = true;
    wire.inLine = false;
    wire.handler.wireSent();
  }

  private beginBody(owner: BodySourceOwner): boolean {
    const body = this.played as PlayedBody; // whose begin() this is
    const way = this.rnd();
    if (way < 0.3) body.done = true;
    else if (way < 0.35) owner.bodyRefused("body_too_large", "");
    else if (way < 0.4) {
      body.done = true;
      owner.bodyReady();
    }
    this.maybeThrow("body.begin");
    if (body.done) this.clockSinceMs = played.nowMs;
    return body.done || this.chance(0.3);
  }

  private maybeThrow(where: string): void {
    if (!this.throwing || !this.chance(0.05)) return;
    this.log.push(`${where} throws`);
    throw new Error("played");
  }

  // --- CallRequest ---

  prepare(_upstream: Upstream): WireRequest {
    this.must(!this.silent, "an attempt is made that nobody wants");
    this.maybeThrow("prepare");
    return { method: this.method, path: "/", headers: [], body: null, contentLength: 0 };
  }

  dispatched(): void {
    this.maybeThrow("dispatched");
  }

  // --- ResponseSink ---

  private hears(what: string): void {
    this.log.push(what);
    this.must(!this.silent, `${what} after the end`);
  }

  onHead(status: number): void {
    this.hears(`onHead ${status}`);
    this.must(!this.headed, "a second head that replaces nothing");
    this.headed = true;
    this.quietSinceMs = played.nowMs;
    const way = this.rnd();
    if (way < 0.02) {
      this.call.discard();
      this.log.push("discard");
      this.silent = true;
    } else if (way < 0.04) this.cancel();
    this.maybeThrow("onHead");
  }

  onData(): boolean {
    this.hears("onData");
    this.must(this.headed, "data before the head");
    this.quietSinceMs = played.nowMs;
    if (this.chance(0.01)) this.cancel();
    this.maybeThrow("onData");
    const room = this.chance(0.7);
    if (!room && !this.silent) this.waiting = true;
    return room;
  }

  onEnd(): void {
    this.hears("onEnd");
    this.must(this.headed, "an end before the head");
    this.ends++;
    this.silent = true;
    if (this.throwing && this.chance(0.1)) {
      this.silent = false; // it is told of the failure
      this.endThrew = true;
      throw new Error("played");
    }
  }

  onFailure(failure: CallFailure): void {
    this.hears(`onFailure ${failure.code}`);
    this.failures.push(failure);
    if (failure.overloadReason === "pool")
      this.must(this.lastCode === "overloaded", "an attempt that found no room in the pool counts against its target");
    this.silent = true;
    this.maybeThrow("onFailure");
  }

  takeBack(): boolean {
    this.hears("takeBack");
    this.maybeThrow("takeBack");
    if (!this.chance(0.8)) return false;
    this.headed = this.waiting = false;
    return true;
  }

  refusesUpgrade(): string {
    this.maybeThrow("refusesUpgrade");
    return this.chance(0.3) ? "no" : "";
  }

  onUpgrade(): void {
    this.hears("onUpgrade");
    this.upgraded = true;
    if (this.chance(0.2)) this.endTunnel();
    this.maybeThrow("onUpgrade");
  }

  private endTunnel(): void {
    this.log.push("tunnelEnded");
    this.tunnelOver = this.silent = true;
    this.call.tunnelEnded();
  }

  private cancel(): void {
    this.log.push("cancel");
    this.silent = true;
    this.waiting = false;
    this.call.cancel();
  }

  // --- The course ---

  run(): void {
    if (this.played === null) this.clockSinceMs = played.nowMs;
    this.call.start();
    this.check();
    for (let steps = Math.floor(this.rnd() * STEPS_MAX); steps > 0; steps--) {
      this.step();
      this.check();
    }
    if (this.call.active && this.chance(0.3)) this.cancel();
    this.windUp();
    this.checkEnd();
    this.wheel.stop();
  }

  private step(): void {
    const wire = this.wires.at(-1);
    const way = this.rnd();
    if (way < 0.2) this.pass(Math.floor(this.rnd() * this.pick([15, 15, 40, 120])));
    else if (way < 0.3 && this.played !== null) this.bodyStep(this.played);
    else if (way < 0.4 && this.waiting) this.resume();
    else if (way > 0.998) this.cancel();
    else if (way < 0.43 && this.upgraded && !this.tunnelOver) this.endTunnel();
    else if (wire !== undefined && !wire.over) this.wireStep(wire);
  }

  private resume(): void {
    this.waiting = false;
    this.quietSinceMs = played.nowMs;
    this.call.resume();
  }

  private pass(ms: number): void {
    played.nowMs += ms;
    this.log.push(`+${ms}`);
    const { wires, failures } = this;
    const attempts = wires.length;
    const between = this.call.active && attempts > 0 && wires.at(-1)?.over === true && !this.headed;
    this.wheel.advance();
    const code = between && wires.length === attempts ? failures[0]?.code : undefined;
    this.must(code !== "connect_timeout" && code !== "response_timeout", `${code} between two attempts`);
  }

  private bodyStep(body: PlayedBody): void {
    const { owner } = body;
    if (owner === null || this.silent) return;
    const way = this.rnd();
    body.stalledByUpstream = this.chance(0.3);
    if (way < 0.04) {
      this.log.push("bodyRefused");
      return owner.bodyRefused(this.pick<ErrorCode>(["body_too_large", "overloaded", "request_timeout"]), "");
    }
    if (way < 0.4) body.done = true;
    this.log.push(`body ${body.done ? "done" : "moved"}`);
    if (body.done) this.clockSinceMs = played.nowMs;
    owner.bodyReady();
    owner.bodyProgress();
  }

  private wireStep(wire: PlayedWire): void {
    const { handler } = wire;
    const way = this.rnd();
    if (way < 0.1) return this.failWire(wire);
    if (!wire.sent) return this.sendOut(wire);
    if (!wire.headed) {
      if (this.via !== null && this.chance(0.6)) return this.upgrade(wire);
      wire.headed = true;
      const fault = this.chance(0.05) ? "framing" : "";
      const retryAfter = this.pick(["", "", "0", "1", "999999"]);
      this.log.push(`head${fault}`);
      return handler.wireHead(this.pick(STATUSES), { headers: [], length: -1, retryAfter, fault });
    }
    if (wire.paused && this.chance(0.5)) return;
    if (way < 0.7) return handler.wireData(Buffer.from("data"));
    this.log.push("end");
    wire.over = true;
    wire.owed = wire.paused;
    handler.wireEnd(this.chance(0.3) ? { "grpc-status": "0" } : null);
  }

  private failWire(wire: PlayedWire): void {
    wire.over = true;
    const code = this.pick(wire.headed ? (["upstream_reset", "upstream_invalid"] as const) : CODES);
    this.log.push(`error ${code}`);
    wire.handler.wireError({ code, unsent: !wire.sent, reason: "played" });
  }

  private upgrade(wire: PlayedWire): void {
    wire.over = true;
    this.log.push("101");
    const taken = wire.handler.wireUpgraded?.({ rawHeaders: [] } as unknown as UpgradedResponse); // nobody looks at the socket
    this.must(taken === (this.upgraded && !this.tunnelOver && this.failures.length === 0), `the connection is ${taken ? "" : "not "}taken`);
  }

  /** The client sends the rest, takes what there is, and time passes: all comes to its end. */
  private windUp(): void {
    for (let i = 0; i < 200 && this.call.active; i++) {
      if (this.upgraded) this.endTunnel();
      if (this.played !== null && !this.played.done) this.bodyStep(this.played);
      if (this.waiting) this.resume();
      this.pass(50);
      this.check();
    }
    if (this.waiting) this.resume();
  }

  // --- What must be true ---

  private must(condition: boolean, what: string): void {
    if (!condition) throw new Error(`seed ${this.seed}: ${what}\n${this.log.join("\n")}`);
  }

  private inFlight(): number {
    return TARGETS.reduce((sum, slot) => sum + health.ownInFlight(slot), 0);
  }

  private check(): void {
    const { active } = this.call;
    const inFlight = this.inFlight();
    this.must(inFlight === 0 || inFlight === 1, `${inFlight} requests under way`);
    for (const slot of TARGETS) this.must(health.ownInFlight(slot) >= 0, "given back twice");
    this.must(this.ends + this.failures.length <= (this.endThrew ? 2 : 1), "two ends");
    this.must(active || inFlight === 0, "over, and still under way at a target");
    this.must(active || this.wheel.size === 0, "over, and a deadline still runs");
    this.must(active || this.wires.every(({ over }) => over), "over, and the transport was not told");
    this.must(active || this.silent, "over, and nobody was told");
    if (!active || this.upgraded) return;
    const { idleMs, totalMs, connectMs, attemptMs } = this.plan.timeouts;
    // Between two attempts the next one finds out.
    const between = this.wires.length > 0 && this.wires.at(-1)?.over === true;
    const bounded = totalMs > 0 && this.clockSinceMs >= 0 && !between && (!this.headed || this.boundsBody);
    this.must(!bounded || played.nowMs < this.clockSinceMs + totalMs + LATE_MS, "timeouts.total has passed");
    this.must(!this.headed || this.waiting || played.nowMs < this.quietSinceMs + idleMs + LATE_MS, "timeouts.idle has passed");
    const unheard = this.wires.at(-1)?.headed === false && (this.body.done || this.wires.at(-1)?.sent === false);
    this.must(!unheard || this.wheel.size === 1, `no deadline of ${connectMs} or ${attemptMs} ms runs`);
  }

  private checkEnd(): void {
    const { attempts, retry } = { attempts: this.record.attempts, retry: this.plan.retry };
    this.must(!this.call.active, "it does not come to an end");
    this.check();
    this.must(this.recorded === attempts, `${attempts} attempts, ${this.recorded} of them ended`);
    this.must(attempts <= 1 + (this.single ? 0 : retry.attempts), `${attempts} attempts`);
    this.must(attempts <= 1 + this.retries, "an attempt that is no retry");
    this.must(attempts <= 1 || this.body.replayable, "a body that cannot be sent again was");
    this.must(this.played === null || this.played.detached === this.recorded, "the body was not let go of");
    this.must(this.throwing || this.faults === 0, "a fault of its own");
    this.must(!this.wires.some(({ owed }) => owed), "a transport waits for ever to be told to go on");
    for (const slot of [...TARGETS, OWN, STAND_IN]) {
      const { phase, round } = breakers.read(slot);
      this.must(phase !== PHASE.halfOpen || round.taken === round.succeeded, `a trial of breaker ${slot} was not given back`);
    }
  }
}

it(
  "a call ends once and gives back what it took, in every order of events",
  () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      played.nowMs = 1000 + seed; // before a wheel begins
      new Play(seed).run();
    }
    expect(TARGETS.map((slot) => health.ownInFlight(slot))).toEqual([0, 0, 0, 0]);
  },
  TIMEOUT_MS,
);
