// The gate in front of one upstream in one worker: who has a place, who waits for one, who is refused. One for each slot, whatever plan it serves.
// Must never choose a target or answer anybody: a call learns that it may go on, or that it may not.
import { monotonicMs } from "../../../base/clock.ts";
import { nowMs } from "../../../base/turn-clock.ts";
import { BACKGROUND, type OverloadPlan, RETRY } from "../../../plan/overload-plan.ts";
import { PRIORITY_CLASSES, REFUSED_LIMIT, SHADOWED, WAITED, WAITED_MS } from "../../../shared/overload/layout.ts";
import { CLASSES } from "../../../shared/overload/limit-state.ts";
import type { OverloadTable, Places } from "../../../shared/overload/overload-table.ts";
import type { TargetPlaces, TargetTable } from "../../../shared/overload/target-table.ts";
import type { OwnDelay } from "../../load/worker-load.ts";
import { flowOf, priorityOf, weightOf } from "./flow.ts";
import { APART, type GateReason, type Hold, IN_FLIGHT, IN_LINE, NOWHERE } from "./hold.ts";
import { Line, type Waiter } from "./line.ts";
import type { TargetLimits } from "./target-limits.ts";

/** Those in line are looked at this often, ms: how late one is refused, and how long a place can be free that nobody was woken for. */
const TICK_MS = 5;
/** And not more often, however often somebody comes or goes: it goes over all flows. Shorter than a tick, whose timer may be early. */
const EXPIRE_MS = 4;
/** The limit is looked at this often by each worker, ms. */
const LOOK_MS = 10;
/** A call that holds its place for longer, ms, or than so many base latencies, is a stream, a long poll or a large body: it is counted apart. */
const LONG_MS = 1000;
const LONG_BASES = 10;
/** Of a class of routes: the part of its calls that must have been long for all of them to be counted apart from the start. */
const LONG_PART = 0.5;
/** How fast that is learnt. */
const LONG_GAIN = 0.1;
/** Retries rest for so long after somebody was refused, ms. */
const SHEDDING_MS = 1000;
/** What a waiting request is taken for, bytes, besides its body's first part; and at most. Measured: 2.4 KB with HTTP/2 and few fields (test/acceptance/waiting-streams.ts). */
export const WAITER_BYTES = 4096;
const WAITER_BODY_BYTES_MAX = 65_536;
/** Of calls that are counted apart there are at most so many times the maximum of those in flight. */
const APART_TIMES_MAX = 4;

/** Shared memory of overload control. */
export interface OverloadTables {
  readonly upstreams: OverloadTable;
  readonly targets: TargetTable;
  /** How late the worker's own event loop is; left out: never. */
  readonly own?: OwnDelay;
}

/** Latencies are believed while this worker's event loop is late by less than this, ms, or than this part of them. */
const OWN_DELAY_MS = 5;
const OWN_DELAY_PART = 0.25;
const NEVER_LATE: OwnDelay = { delayMs: 0 };

export class Gate {
  readonly #places: Places;
  readonly #targetTable: TargetTable;
  readonly #worker: number;
  readonly #own: OwnDelay;
  readonly #line: Line;
  /** The plan of who came last, and the targets. */
  #plan: OverloadPlan;
  #targets: TargetLimits | null = null;
  /** Oldest first. */
  #oldest: Hold | null = null;
  #newest: Hold | null = null;
  /** By class of routes: which part of the calls is long. */
  readonly #long = new Float64Array(CLASSES);
  #nextLookMs = 0;
  #sheddingUntilMs = 0;
  #tick: NodeJS.Timeout | null = null;
  #pumping = false;
  #again = false;
  readonly #expired: Waiter[] = [];
  #expiredMs = 0;

  /** @param worker index of its cells */
  constructor(plan: OverloadPlan, { upstreams, targets, own = NEVER_LATE }: OverloadTables, worker: number) {
    this.#plan = plan;
    this.#targetTable = targets;
    this.#worker = worker;
    this.#own = own;
    this.#places = upstreams.places(plan.slot, worker);
    this.#line = new Line(plan.queue, this.#places.ranks);
    // What was counted for the line of a worker that had these cells is void.
    this.#publish(nowMs());
  }

  /** Somebody was refused lately: nothing should be tried again. */
  get shedding(): boolean {
    return this.#sheddingUntilMs !== 0 && nowMs() < this.#sheddingUntilMs;
  }

  /** Somebody waits. */
  get waiting(): number {
    return this.#line.size;
  }

  /** Of one of its targets. @param slot of target-health */
  placesOf(slot: number, { shadow }: OverloadPlan): TargetPlaces {
    return this.#targetTable.places(slot, this.#worker, !shadow);
  }

  /** @returns whether it may go on; else it has been told, or waits */
  enter(hold: Hold): boolean {
    const now = nowMs();
    if (this.#passes(hold, now)) return true;
    const places = this.#places;
    if (!places.anybodyWaits && places.take(places.limit, false)) {
      this.#hold(hold, now);
      return true;
    }
    places.blocked();
    this.#queue(hold, now);
    return hold.state === IN_FLIGHT;
  }

  /** Where nobody waits: an upstream that stands in for another. @returns whether it has a place; else it is counted, and has not been told */
  enterAtOnce(hold: Hold): boolean {
    const now = nowMs();
    if (this.#passes(hold, now)) return true;
    const places = this.#places;
    if (!this.#anybodyRunsAndWaits(now) && places.take(places.limit, false)) {
      this.#hold(hold, now);
      return true;
    }
    places.blocked();
    hold.priority = priorityAt(hold);
    this.#countRefused(hold, "limit");
    return false;
  }

  /** Whoever comes. @returns whether the limit is nothing to it: it takes long, or only counts */
  #passes(hold: Hold, now: number): boolean {
    const { plan } = hold;
    this.#plan = plan;
    this.#targets = hold.call.targets;
    const places = this.#places;
    if (now >= this.#nextLookMs) this.#look(now);
    if ((this.#long[hold.k] ?? 0) > LONG_PART && places.apart < APART_TIMES_MAX * plan.maximum) {
      hold.state = APART;
      hold.heldSinceMs = now;
      places.countApart(1);
      return true;
    }
    places.accrue(now);
    if (!plan.shadow) return false;
    if (!places.take(places.limit, true)) this.#shadowed();
    this.#hold(hold, now);
    return true;
  }

  #anybodyRunsAndWaits(now: number): boolean {
    const { anybodyWaits } = this.#places;
    return anybodyWaits && (this.#line.size > 0 || this.#places.before(PRIORITY_CLASSES, Number.POSITIVE_INFINITY, now) >= 0);
  }

  /** @internal by Hold */
  leave(hold: Hold): void {
    const { state } = hold;
    hold.leavesTarget();
    hold.state = NOWHERE;
    if (state === IN_LINE) {
      this.#line.remove(hold);
      return this.#publish(nowMs());
    }
    const now = nowMs();
    const heldMs = now - hold.heldSinceMs;
    if (state === APART) {
      this.#places.countApart(-1);
      if (heldMs < LONG_MS) this.#learnLong(hold.k, 0);
      return;
    }
    this.#unlink(hold);
    if (heldMs < LONG_MS) this.#learnLong(hold.k, 0);
    this.#places.accrue(now);
    this.#places.give();
    if (now >= this.#nextLookMs) this.#look(now);
    if (this.#places.anybodyWaits) this.pump();
  }

  /** @internal by Hold */
  answered(hold: Hold, ms: number): void {
    // What a response waited for this worker's own event loop is no latency of the service; how much that was is not known of each.
    const { delayMs } = this.#own;
    if (delayMs >= OWN_DELAY_MS && delayMs >= ms * OWN_DELAY_PART) {
      this.#places.sampleLate(hold.k, ms);
      hold.target?.sampleLate(hold.k, ms);
      return;
    }
    this.#places.sample(hold.k, ms);
    hold.target?.sample(hold.k, ms);
  }

  /** @internal by Hold */
  standApart(hold: Hold): void {
    this.#unlink(hold);
    hold.leavesTarget();
    hold.state = APART;
    this.#learnLong(hold.k, 1);
    this.#places.countApart(1);
    this.#places.accrue(nowMs());
    this.#places.give();
    if (this.#places.anybodyWaits) this.pump();
  }

  /** Gives free places to who is next, in this worker or another. */
  pump(): void {
    if (this.#pumping) {
      this.#again = true;
      return;
    }
    this.#pumping = true;
    try {
      do {
        this.#again = false;
        this.#give();
      } while (this.#again);
    } finally {
      this.#pumping = false;
    }
  }

  #give(): void {
    const places = this.#places;
    const line = this.#line;
    const now = nowMs();
    if (now - this.#expiredMs >= EXPIRE_MS) this.#expire(now);
    places.accrue(now);
    for (;;) {
      const headClass = line.nextClass(now);
      const other = places.before(headClass, line.size === 0 ? Number.POSITIVE_INFINITY : line.nextTag(now), now);
      if (other >= 0) {
        if (places.inFlight < places.limit) places.ring(other);
        break;
      }
      if (line.size === 0 || !places.take(places.limit, false)) break;
      const next = line.shift(now) as Hold | null;
      if (next === null) {
        places.give();
        break;
      }
      places.count(WAITED, 1);
      places.count(WAITED_MS, now - next.sinceMs);
      this.#publish(now);
      this.#hold(next, now);
      next.call.admitted();
    }
    this.#publish(now);
  }

  #queue(hold: Hold, now: number): void {
    const { plan, call } = hold;
    hold.flow = flowOf(call.view, plan);
    hold.weight = weightOf(call.view, plan);
    hold.priority = priorityAt(hold);
    hold.bytes = WAITER_BYTES + (call.bodyBytes < 0 ? WAITER_BODY_BYTES_MAX : Math.min(call.bodyBytes, WAITER_BODY_BYTES_MAX));
    hold.deadlineMs = call.deadlineMs;
    hold.state = IN_LINE;
    this.#line.bounds = plan.queue;
    const refused = this.#line.push(hold, now) as Hold | null;
    if (refused !== null) this.#refuse(refused, "line", "too many wait for a place at the upstream");
    this.#tick ??= setTimeout(this.#ticked, TICK_MS);
    if (hold.state === IN_LINE) this.pump();
  }

  readonly #ticked = (): void => {
    this.#tick = null;
    const now = nowMs();
    this.#look(now);
    this.pump();
    if (this.#line.size > 0) this.#tick ??= setTimeout(this.#ticked, TICK_MS);
  };

  #expire(now: number): void {
    this.#expiredMs = now;
    this.#line.expire(now, this.#expired);
    while (this.#expired.length > 0) this.#refuse(this.#expired.pop() as Hold, "limit", "the upstream has all that it can work on");
  }

  #refuse(hold: Hold, reason: GateReason, detail: string): void {
    hold.state = NOWHERE;
    this.#countRefused(hold, reason);
    hold.call.refused(reason, detail);
  }

  #countRefused(hold: Hold, reason: GateReason): void {
    this.#sheddingUntilMs = nowMs() + SHEDDING_MS;
    this.#places.shed(monotonicMs());
    this.#places.count((reason === "limit" ? REFUSED_LIMIT : 0) + Math.min(hold.priority, PRIORITY_CLASSES - 1), 1);
  }

  #shadowed(): void {
    const places = this.#places;
    places.blocked();
    const { limit } = places;
    const baseMs = this.#baseMs;
    // Who would have had to wait for longer than the line allows, at the pace that the limit stands for.
    const inLine = places.inFlight - limit;
    if (baseMs > 0 && (inLine / limit) * baseMs > this.#line.waitMs) places.count(SHADOWED, 1);
  }

  #publish(now: number): void {
    const line = this.#line;
    if (line.size === 0) this.#places.publish(0, PRIORITY_CLASSES, 0);
    else this.#places.publish(line.size, line.nextClass(now), line.nextTag(now));
  }

  #look(now: number): void {
    this.#nextLookMs = now + LOOK_MS;
    const shared = monotonicMs();
    const places = this.#places;
    if (this.#targets !== null) return this.#lookAtTargets(this.#targets, shared);
    this.#line.setPace(places.baseMs, places.variation);
    if (places.limit !== 0 && shared < places.dueMs) return;
    if (!places.step({ nowMs: shared, wallMs: Date.now() }, this.#plan)) return;
    if (this.#line.size > 0) this.pump();
  }

  #lookAtTargets(targets: TargetLimits, shared: number): void {
    const places = this.#places;
    const before = places.limit;
    const limit = targets.look({ nowMs: shared, wallMs: Date.now() }, this.#plan, places.blockedEver);
    places.setLimit(limit);
    this.#line.setPace(targets.baseMs, targets.variation);
    if (limit > before && this.#line.size > 0) this.pump();
  }

  get #baseMs(): number {
    return this.#targets === null ? this.#places.baseMs : this.#targets.baseMs;
  }

  // --- Calls that take long ---

  #hold(hold: Hold, now: number): void {
    hold.state = IN_FLIGHT;
    hold.heldSinceMs = now;
    hold.previous = this.#newest;
    if (this.#newest === null) this.#oldest = hold;
    else this.#newest.next = hold;
    this.#newest = hold;
  }

  #unlink(hold: Hold): void {
    if (hold.previous === null) this.#oldest = hold.next;
    else hold.previous.next = hold.next;
    if (hold.next === null) this.#newest = hold.previous;
    else hold.next.previous = hold.previous;
    hold.next = hold.previous = null;
  }

  /** Finds those that take long. To be called every half second. */
  lookForLong(): void {
    const now = nowMs();
    const longMs = Math.max(LONG_MS, LONG_BASES * this.#baseMs);
    const most = APART_TIMES_MAX * this.#plan.maximum;
    for (let hold = this.#oldest; hold !== null && now - hold.heldSinceMs >= longMs; hold = this.#oldest) {
      if (this.#places.apart >= most) break;
      this.standApart(hold);
    }
  }

  #learnLong(k: number, long: 0 | 1): void {
    const known = this.#long[k] ?? 0;
    if (known !== long) this.#long[k] = Math.abs(known - long) < 0.01 ? long : known + LONG_GAIN * (long - known);
  }
}

/** Class of priority of who does not get a place at once. */
const priorityAt = ({ plan, call }: Hold): number =>
  call.background ? BACKGROUND : call.retrying ? RETRY : priorityOf(call.view, plan.tiers);
