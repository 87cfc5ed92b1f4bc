// Owns the surroundings of a call to an upstream that a test plays by chance: clock, transport, body, and an upstream with health, breakers and retries.
import type { BodySource, BodySourceOwner } from "../../src/data/upstream/call-request.ts";
import { createUpstream, type LiveUpstream } from "../../src/data/upstream/select.ts";
import type { Pool, WireCall, WireHandler } from "../../src/data/upstream/upstream.ts";
import type { BreakerPlan, RetryCondition, UpstreamPlan } from "../../src/plan/plan.ts";
import { BreakerAdmin } from "../../src/shared/breaker-admin.ts";
import { BreakerTable, OUTCOME } from "../../src/shared/breaker-table.ts";
import { TargetHealth } from "../../src/shared/target-health.ts";
import { endpoint, seededRandom, upstreamPlan } from "./upstreams.ts";

/** The clock, ms, and what Math.random is. */
export const played = { nowMs: 1000, random: Math.random };

/** Slots of the targets: the last is that of the upstream that stands in. */
export const TARGETS = [0, 1, 2, 3];
/** Slots of the upstreams' own breakers. */
export const [OWN, STAND_IN] = [10, 11];

export const health = new TargetHealth(TargetHealth.allocate(1, 16), 0);
export const breakers = new BreakerAdmin(BreakerTable.allocate(1, 16), 0, () => 0);

/** Numbers by a seed. */
export class Chance {
  readonly rnd: () => number;

  constructor(seed: number) {
    this.rnd = seededRandom(seed);
  }

  chance(part: number): boolean {
    return this.rnd() < part;
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.rnd() * list.length)] as T; // never empty
  }
}

/** A transport's part, held to its side of the interface. */
export class PlayedWire implements WireCall {
  inLine = false;
  sent = false;
  headed = false;
  /** No callback may follow. */
  over = false;
  /** wireEnd came while it was paused: resume() or cancel() is owed. */
  owed = false;
  paused = false;
  readonly handler: WireHandler;

  constructor(handler: WireHandler) {
    this.handler = handler;
  }
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = this.owed = false;
  }
  cancel(): void {
    this.over = true;
    this.owed = false;
  }
  discard(): void {
    this.over = true;
  }
}

/** A client's body that is on its way. */
export class PlayedBody implements BodySource {
  readonly contentLength = -1;
  readonly replayable: boolean;
  done = false;
  stalledByUpstream = false;
  owner: BodySourceOwner | null = null;
  attempts = 0;
  detached = 0;
  private readonly onBegin: (owner: BodySourceOwner) => boolean;

  constructor(replayable: boolean, onBegin: (owner: BodySourceOwner) => boolean) {
    this.replayable = replayable;
    this.onBegin = onBegin;
  }
  begin(owner: BodySourceOwner): boolean {
    this.owner = owner;
    return this.onBegin(owner);
  }
  forAttempt(): Buffer {
    this.attempts++;
    return Buffer.from("body");
  }
  detach(): void {
    this.detached++;
  }
}

const CONDITIONS: readonly RetryCondition[] = ["connect-failure", "reset", "timeout"];

function breakerPlan(by: Chance, slot: number): BreakerPlan {
  return {
    slot,
    scope: by.pick(["both", "upstream", "target"] as const),
    errorRate: 0.5,
    consecutiveFailures: by.pick([0, 0, 2]),
    minimumRequests: by.pick([1, 100]),
    windowMs: 10_000,
    slowCallMs: by.pick([0, 20]),
    slowCallRate: 0.5,
    openForMs: 100,
    maxOpenForMs: 100,
    halfOpenRequests: 2,
    trialTimeoutMs: 1000,
    recoveryMs: 0,
    failures: { statuses: [{ min: 500, max: 599 }], conditions: ["connect-failure", "timeout", "reset", "invalid"] },
    fallback: by.pick([null, { kind: "respond", config: null }, { kind: "upstream", name: "stand-in" }] as const),
  };
}

function bringUp(
  by: Chance,
  plan: UpstreamPlan,
  { slots, dispatch }: { readonly slots: readonly number[]; readonly dispatch: Pool["dispatch"] },
): LiveUpstream {
  const pool: Pool = {
    dispatch,
    classify: (status) => (status >= 500 ? "failure" : "success"),
    close() {},
    stats: { connected: 0, running: 0, queued: 0 },
  };
  return createUpstream(
    plan,
    slots.map((slot) => endpoint(`t${slot}`, slot)),
    { health, breakers, poolFor: () => pool, now: () => played.nowMs, random: () => by.rnd() },
  );
}

/** Forgets what earlier seeds left. */
function prepareShared(by: Chance): void {
  const down = by.chance(0.02);
  for (const slot of TARGETS) {
    health.reset(slot);
    if (down || by.chance(0.05)) health.setDown(slot, true, played.nowMs);
  }
  for (const slot of [...TARGETS, OWN, STAND_IN]) breakers.reset(slot);
}

/** Some that it judges are open, or have a few trials to give out. */
function beginWithBreaker(by: Chance, plan: BreakerPlan | null, targets: readonly number[]): void {
  if (plan === null) return;
  const judged = [...(plan.scope === "target" ? [] : [plan.slot]), ...(plan.scope === "upstream" ? [] : targets)];
  for (const slot of judged) {
    if (!by.chance(slot === plan.slot ? 0.4 : 0.15)) continue;
    const ticket = breakers.admit(slot, 0, () => played.nowMs);
    breakers.settle(slot, ticket, OUTCOME.failed, { ...plan, minimumRequests: 1 }, played.nowMs); // opens it
    if (by.chance(0.7)) breakers.beginRound(slot, by.pick([1, 2]), played.nowMs);
  }
}

/** An upstream in some state, whatever earlier ones left. @param dispatch of its pools */
export function randomUpstream(by: Chance, dispatch: Pool["dispatch"]): { readonly plan: UpstreamPlan; readonly upstream: LiveUpstream } {
  const breaker = by.chance(0.5);
  const plan = upstreamPlan({
    name: "own",
    timeouts: { connectMs: 100, attemptMs: by.pick([50, 200]), idleMs: by.pick([50, 300]), totalMs: by.pick([0, 100, 400]) },
    retry: {
      attempts: by.pick([0, 2, 3]),
      on: CONDITIONS.filter(() => by.chance(0.85)),
      statuses: [500, 502, 503].filter(() => by.chance(0.85)).map((status) => ({ min: status, max: status })),
      backoffBaseMs: by.pick([1, 30]),
      backoffMaxMs: 60,
      budget: by.pick([0, 1, 1, 1]),
      nonIdempotent: by.chance(0.3),
      bufferBytes: 1024,
    },
    breaker: breaker ? breakerPlan(by, OWN) : null,
  });
  prepareShared(by);
  const upstream = bringUp(by, plan, { slots: [0, 1, 2], dispatch });
  beginWithBreaker(by, plan.breaker, [0, 1, 2]);
  if (upstream.breaker !== null && plan.breaker?.fallback?.kind === "upstream") {
    const other = { ...plan, name: "stand-in", breaker: by.chance(0.5) ? breakerPlan(by, STAND_IN) : null };
    const standIn = bringUp(by, other, { slots: [3], dispatch });
    upstream.breaker.standIn = standIn;
    if (standIn.breaker !== null && other.breaker?.fallback?.kind === "upstream") standIn.breaker.standIn = upstream; // each for the other
    beginWithBreaker(by, other.breaker, [3]);
  }
  return { plan, upstream };
}
