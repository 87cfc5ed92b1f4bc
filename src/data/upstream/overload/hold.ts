// One call at the gate of an upstream, and what it holds there: its place, and that at a target. Must never decide what it gets: the gate does.
import { monotonicMs } from "../../../base/clock.ts";
import { nowMs } from "../../../base/turn-clock.ts";
import type { OverloadPlan } from "../../../plan/overload-plan.ts";
import { CLASSES } from "../../../shared/overload/limit-state.ts";
import type { TargetPlaces } from "../../../shared/overload/target-table.ts";
import type { RequestView } from "../../routing/request-view.ts";
import type { Gate } from "./gate.ts";
import type { Place, Waiter } from "./line.ts";
import type { TargetLimits } from "./target-limits.ts";

/** Of this thread's performance.now(), in monotonicMs(). */
const ORIGIN_MS = monotonicMs() - performance.now();

/** Why it was refused. */
export type GateReason = "limit" | "line";

/** Who wants a place. */
export interface GateCall {
  readonly view: RequestView;
  readonly background: boolean;
  /** It had a place, and wants one for a further attempt. */
  readonly retrying: boolean;
  /** Limits of the upstream's targets; null where one for all of it is enough. */
  readonly targets: TargetLimits | null;
  /** Declared length of its body, bytes; -1 unknown. */
  readonly bodyBytes: number;
  /** performance.now() ms; 0 for none. */
  readonly deadlineMs: number;
  /** It has waited, and has a place now. */
  admitted(): void;
  refused(reason: GateReason, detail: string): void;
}

/** Where a call stands at the gate. */
export const NOWHERE = 0;
export const IN_LINE = 1;
export const IN_FLIGHT = 2;
/** It takes its time: it holds no place. */
export const APART = 3;

/** One call at a gate, from enter() to leave(). */
export class Hold implements Waiter {
  readonly gate: Gate;
  readonly plan: OverloadPlan;
  readonly call: GateCall;
  /** Class of its route. */
  readonly k: number;
  // Of the line; worked out when it must wait.
  flow = "";
  weight = 1;
  priority = 0;
  bytes = 0;
  deadlineMs = 0;
  sinceMs = 0;
  place: Place | null = null;
  /** @internal of the gate */ state = NOWHERE;
  /** @internal Where it takes a place; null: nowhere, or where that is not counted. */ target: TargetPlaces | null = null;
  /** @internal */ heldSinceMs = 0;
  /** @internal */ next: Hold | null = null;
  /** @internal */ previous: Hold | null = null;

  constructor(gate: Gate, plan: OverloadPlan, call: GateCall) {
    this.gate = gate;
    this.plan = plan;
    this.call = call;
    this.k = (call.view.route?.id ?? 0) % CLASSES;
  }

  get waits(): boolean {
    return this.state === IN_LINE;
  }

  /** It is over, or gives up: its place is free. Idempotent. */
  leave(): void {
    if (this.state !== NOWHERE) this.gate.leave(this);
  }

  /** An attempt is made there. @param places null: they are not counted @param startedMs nowMs() */
  goesTo(places: TargetPlaces | null, startedMs: number): void {
    if (places === null || this.state !== IN_FLIGHT) return;
    this.target = places;
    places.begin(startedMs + ORIGIN_MS);
  }

  /** The attempt is over. Idempotent. */
  leavesTarget(): void {
    const { target } = this;
    if (target === null) return;
    this.target = null;
    target.end(nowMs() + ORIGIN_MS);
  }

  /** The service has answered it, for the first time. @param ms that it took */
  answered(ms: number): void {
    if (this.state === IN_FLIGHT) this.gate.answered(this, ms);
  }

  /** It will take its time, and that says nothing: an event stream, a WebSocket. */
  standApart(): void {
    if (this.state === IN_FLIGHT) this.gate.standApart(this);
  }
}
