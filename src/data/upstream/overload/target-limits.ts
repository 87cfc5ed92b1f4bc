// The in-flight limits of one upstream's targets in one worker, and what they come to: how many may be in flight to all of them.
// Must never choose a target (balance/ does) or count a request.
import type { OverloadPlan } from "../../../plan/overload-plan.ts";
import { type Clocks, type LimitBounds, TOTAL_WORDS } from "../../../shared/overload/limit-state.ts";
import type { TargetPlaces } from "../../../shared/overload/target-table.ts";
import type { Member } from "../endpoint-set.ts";

/** A target has at most so many times its share of the upstream's `maximum`: a slow one must leave some to the others. */
const SHARE_MAX = 1.5;
/** Targets that one look goes over; of more than these each look sees the next ones. */
const LOOK_TARGETS = 64;

interface Limited {
  readonly member: Member;
  readonly places: TargetPlaces;
  /** How many it is taken to have room for: its limit, and while more than that is in flight since the limit fell, these. */
  room: number;
}

/** Of an upstream with several targets. */
export class TargetLimits {
  readonly #targets: readonly Limited[];
  readonly #weightSum: number;
  readonly #sums = new Float64Array(TOTAL_WORDS);
  readonly #bounds = { minimum: 1, maximum: 1, shadow: false };
  /** Who is looked at next; 0: a round begins. */
  #next = 0;
  // Of the round under way.
  #rooms = 0;
  #usable = 0;
  #limits = 0;
  #pace = 0;
  #variations = 0;
  // Of the last whole round.
  #limit = 0;
  /** Mean by what each target can answer: Little's law over all of them, ms; 0 for unknown. */
  baseMs = 0;
  /** As LimitControl's. */
  variation = 0;

  /** @param members those that serve at all, with their places @returns null where one limit is enough */
  static over(members: readonly Member[]): TargetLimits | null {
    const targets: Limited[] = [];
    for (const member of members) if (member.places !== null) targets.push({ member, places: member.places, room: 0 });
    return targets.length < 2 ? null : new TargetLimits(targets);
  }

  private constructor(targets: readonly Limited[]) {
    this.#targets = targets;
    this.#weightSum = targets.reduce((sum, { member }) => sum + member.plan.weight, 0);
  }

  /**
   * Moves the limits of those for whom it is time.
   * @param blocked ever: calls that found no place at the upstream
   * @returns how many may be in flight to all of them
   */
  look(clocks: Clocks, plan: OverloadPlan, blocked: number): number {
    const end = this.#limit === 0 ? this.#targets.length : Math.min(this.#targets.length, this.#next + LOOK_TARGETS);
    while (this.#next < end) this.#lookAt(this.#targets[this.#next++] as Limited, clocks, plan, blocked);
    if (end === this.#targets.length) this.#endRound();
    return Math.max(plan.minimum, Math.min(plan.maximum, this.#limit));
  }

  #lookAt(target: Limited, clocks: Clocks, plan: OverloadPlan, blocked: number): void {
    const { places, member } = target;
    places.step(this.#sums, blocked, clocks, this.#boundsOf(member, plan));
    const { limit, inFlight, baseMs } = places;
    target.room = Math.max(limit, Math.min(target.room, inFlight));
    this.#rooms += target.room;
    // A target that may not be chosen has no room, and takes none of the others'.
    if (member.available) this.#usable += target.room;
    else this.#usable += inFlight;
    this.#variations += places.variation;
    if (baseMs === 0) return;
    this.#limits += limit;
    this.#pace += limit / baseMs;
  }

  #endRound(): void {
    const some = this.#targets.some(({ member }) => member.available);
    this.#limit = some ? this.#usable : this.#rooms; // where there is none, that is told by who chooses
    this.baseMs = this.#pace === 0 ? 0 : this.#limits / this.#pace;
    this.variation = this.#variations / this.#targets.length;
    this.#next = this.#rooms = this.#usable = this.#limits = this.#pace = this.#variations = 0;
  }

  /** Its part of the upstream's, by weight. */
  #boundsOf({ plan: { weight } }: Member, { minimum, maximum, shadow }: OverloadPlan): LimitBounds {
    const part = weight / this.#weightSum;
    this.#bounds.minimum = Math.max(1, Math.ceil(minimum * part));
    this.#bounds.maximum = Math.max(this.#bounds.minimum, Math.ceil(Math.min(1, part * SHARE_MAX) * maximum));
    this.#bounds.shadow = shadow;
    return this.#bounds;
  }
}
