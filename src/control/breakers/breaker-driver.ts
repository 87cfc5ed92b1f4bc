// Owns the half-open scheduling of one breaker, in the primary: opossum's state machine, driven by the shared table, which follows its events.
// Must never open a breaker because of outcomes (workers do, at once), and never count a request.
import { EventEmitter } from "node:events";
import type CircuitBreaker from "opossum";
import type { Log } from "../../observe/log.ts";
import type { BreakerPlan } from "../../plan/plan.ts";
import type { BreakerAdmin } from "../../shared/breaker-admin.ts";
import { epochOf, PHASE, phaseOf } from "../../shared/breaker-word.ts";

/** Which breaker: an upstream's own, or a target's (the endpoint's key). */
export interface BreakerPlace {
  readonly upstream: string;
  readonly target: string | null;
}

export interface DriverDeps {
  readonly admin: BreakerAdmin;
  readonly log: Log;
  readonly opossum: typeof CircuitBreaker;
  /** monotonicMs() of base/clock.ts. */
  now(): number;
}

/** What an operator can say. */
export const BREAKER_ORDERS = ["open", "close", "auto"] as const;
export type BreakerOrder = (typeof BREAKER_ORDERS)[number];

interface Round {
  won(): void;
  lost(reason: Error): void;
}

/**
 * The machine is fired once a half-open round, not once a request: one call of its action is the round's trials, wherever they run. It keeps
 * the open time (`resetTimeout`, set anew for each opening), turns half-open, and closes or opens by the round's outcome. Its own rolling
 * statistics are not used, so its timers for them are off. Measured: bench/micro/breaker.ts.
 */
export class BreakerDriver {
  readonly slot: number;
  readonly place: BreakerPlace;
  readonly #deps: DriverDeps;
  /** opossum reads resetTimeout whenever it opens. */
  readonly #options: { resetTimeout: number };
  readonly #circuit: CircuitBreaker<[], void>;
  /** Moves the statistics' single bucket on, which would else grow with every round. */
  readonly #buckets = new EventEmitter();
  #plan: BreakerPlan;
  /** As seen last, or as we wrote it: what workers make of it at once is still to be seen. */
  #word: number;
  #round: Round | null = null;
  /** For a round that gets nowhere, or for the end of a recovery. */
  #timer: NodeJS.Timeout | null = null;
  #halting = false;

  constructor(slot: number, place: BreakerPlace, plan: BreakerPlan, deps: DriverDeps) {
    this.slot = slot;
    this.place = place;
    this.#plan = plan;
    this.#deps = deps;
    const options = {
      resetTimeout: plan.openForMs,
      timeout: false as const,
      rollingCountBuckets: 1,
      rollingPercentilesEnabled: false,
      enableSnapshots: false,
      rotateBucketController: this.#buckets,
    };
    this.#options = options;
    this.#circuit = new deps.opossum(() => this.#trials(), options);
    this.#circuit.on("halfOpen", () => this.#halfOpen());
    this.#circuit.on("close", () => this.#closed());
    this.#word = 0;
    this.look();
    if (phaseOf(this.#word) === PHASE.recovering) this.#recover();
  }

  set plan(plan: BreakerPlan) {
    if (plan.windowMs !== this.#plan.windowMs) this.#deps.admin.forgetCounts(this.slot);
    this.#plan = plan;
    const phase = this.#deps.admin.phase(this.slot);
    if (!this.#isJudged && (phase === PHASE.open || phase === PHASE.halfOpen || phase === PHASE.recovering)) this.#retire();
  }

  /** Whether the calls to its place decide about it. If not, no trial of it is ever decided either. */
  get #isJudged(): boolean {
    const { scope } = this.#plan;
    return scope === "both" || (scope === "target") === (this.place.target !== null);
  }

  #retire(): void {
    this.#halt();
    this.#word = this.#deps.admin.force(this.slot, PHASE.closed, this.#deps.now());
    this.#say("info", "breaker closed: its calls are not judged any more");
  }

  /** Takes note of what workers did. */
  look(): void {
    const { admin } = this.#deps;
    const before = this.#word;
    const word = admin.word(this.slot);
    if (word === before) return;
    this.#word = word;
    if (phaseOf(word) === PHASE.open && epochOf(word) !== epochOf(before)) this.#opened();
    else if (this.#round !== null && admin.isWon(this.slot)) this.#endRound().won();
  }

  /** An operator decides. */
  force(order: BreakerOrder): void {
    const { admin, now } = this.#deps;
    const phase = admin.phase(this.slot);
    const isForced = phase === PHASE.forcedOpen || phase === PHASE.forcedClosed;
    if (order === "auto" && !isForced) return;
    this.#halt();
    this.#word = admin.force(this.slot, order === "open" ? PHASE.forcedOpen : order === "close" ? PHASE.forcedClosed : PHASE.closed, now());
    this.#say("warn", order === "auto" ? "breaker is automatic again" : order === "open" ? "breaker forced open" : "breaker forced closed");
  }

  /** The breaker is no more. */
  stop(): void {
    this.#halt();
    this.#circuit.shutdown();
  }

  // --- Heard from the table ---

  #opened(): void {
    if (!this.#isJudged) return this.#retire(); // by a request that began under the plan before
    const { admin, now } = this.#deps;
    this.#clearTimer();
    const nowMs = now();
    const openForMs = Math.max(0, Math.round(admin.openUntilMs(this.slot) - nowMs));
    this.#options.resetTimeout = openForMs;
    const why = this.#round !== null ? { reason: "a trial failed" } : admin.counts(this.slot, this.#plan.windowMs, nowMs);
    this.#say("warn", "breaker opened", { openForMs, openings: admin.read(this.slot).openings, ...why });
    if (this.#round !== null) this.#endRound().lost(new Error("a trial failed"));
    else this.#circuit.open();
  }

  // --- Heard from opossum ---

  /** The action: opossum waits for the round as for one call. */
  #trials(): Promise<void> {
    return new Promise((won, lost) => {
      this.#round = { won, lost };
    });
  }

  #halfOpen(): void {
    const { admin, now } = this.#deps;
    const { halfOpenRequests, trialTimeoutMs } = this.#plan;
    const word = admin.beginRound(this.slot, halfOpenRequests, now());
    if (word === null) return this.look();
    this.#word = word;
    this.#circuit.fire().catch(ignore); // a lost round is no error
    this.#say("info", "breaker is half-open", { trials: halfOpenRequests });
    this.#watchRound(trialTimeoutMs, this.#word);
  }

  #closed(): void {
    const { admin, now } = this.#deps;
    this.#buckets.emit("rotate");
    if (this.#halting) return;
    this.#clearTimer();
    const word = admin.endRound(this.slot, this.#plan.recoveryMs, now());
    if (word === null) return this.look(); // an answer broke off at the last moment
    this.#word = word;
    if (this.#plan.recoveryMs === 0) return this.#say("info", "breaker closed");
    this.#say("info", "breaker is recovering", { recoveryMs: this.#plan.recoveryMs });
    this.#recover();
  }

  // --- Time ---

  /** Trials that nobody decides (a client that sends its body for ever) must not keep the upstream from coming back. */
  #watchRound(trialTimeoutMs: number, seen: number): void {
    this.#timer = setTimeout(() => {
      const { admin } = this.#deps;
      const word = admin.word(this.slot);
      if (word === seen) {
        const renewed = admin.renewRound(this.slot);
        if (renewed > 0) this.#say("info", "breaker gives undecided trials to others", { trials: renewed });
      }
      this.look();
      if (this.#round !== null) this.#watchRound(trialTimeoutMs, admin.word(this.slot));
    }, trialTimeoutMs);
  }

  #recover(): void {
    const { admin, now } = this.#deps;
    const leftMs = admin.sinceMs(this.slot) + this.#plan.recoveryMs - now();
    this.#timer = setTimeout(
      () => {
        const word = admin.close(this.slot, now());
        if (word === null) return this.look();
        this.#word = word;
        this.#say("info", "breaker closed");
      },
      Math.max(0, leftMs),
    );
  }

  #endRound(): Round {
    const round = this.#round;
    this.#round = null;
    if (round === null) throw new Error("there is no round");
    return round;
  }

  /** Back to rest without a word to the table. A round under way is forgotten, never settled. */
  #halt(): void {
    this.#clearTimer();
    this.#round = null;
    this.#halting = true;
    this.#circuit.close();
    this.#halting = false;
  }

  #clearTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #say(level: "info" | "warn", message: string, facts: Readonly<Record<string, unknown>> = {}): void {
    const { upstream, target } = this.place;
    this.#deps.log[level](message, { upstream, ...(target === null ? {} : { target }), ...facts });
  }
}

const ignore = (): void => {};
