// The one place where a request is turned away because the gateway itself has no room for it: code `overloaded`, with the reason.
// Says nothing about a target: whoever calls this has kept health, breaker and retry budget out of it.
import type { HeaderList } from "../../base/header-list.ts";
import type { OverloadReason } from "../../base/priorities.ts";
import { BACKGROUND } from "../../plan/overload-plan.ts";
import { spreadRetryAfter } from "../load/retry-after.ts";
import { explained } from "../load/worker-load.ts";
import { priorityOf } from "../upstream/overload/flow.ts";
import type { Exchange } from "./exchange.ts";
import type { Policy, Reply } from "./policy.ts";
import type { Route } from "./runtime.ts";

type Refusal = Extract<Reply, { readonly kind: "problem" }>;

/** @param detail for the log @returns the answer, 503 */
export function overloaded(x: Exchange, reason: OverloadReason, detail: string, headers?: HeaderList): Refusal {
  x.overloadReason = reason;
  const refusal = { kind: "problem", code: "overloaded", detail: `${reason}: ${detail}` } as const;
  return headers === undefined ? refusal : { ...refusal, headers };
}

/**
 * To be asked for a request beyond WorkerLoad.free, as soon as its route is known.
 * @returns why this worker, which has more to do than it can, does not take it; null when it does, or somebody decides later
 */
export function shedAtRoute(x: Exchange, { shed: { at, priority }, answersPreflight }: Route): Refusal | null {
  if (at === "never" || at === "miss") return null;
  if (x.isBackground) return refusalOf(x, BACKGROUND);
  if (x.method === "OPTIONS" && answersPreflight) return null; // a browser could make nothing of it
  if (at === "identity" && !x.runtime.services.load.closes(priority)) return null;
  return refusalOf(x, priority);
}

/** Of a request whose caller is known, if anybody is, and that is still to be worked on. @returns as {@link shedAtRoute} */
export function shedByCaller(x: Exchange): Refusal | null {
  const { plan, services } = x.runtime;
  if (services.inFlight <= services.load.free) return null;
  return refusalOf(x, x.isBackground ? BACKGROUND : priorityOf(x, plan.overload.tiers));
}

/** A step of routes whose callers' tiers have priorities: what shedAtRoute() could not know. Behind the authenticators. */
export const SHED_BY_CALLER: Policy = {
  name: "overload",
  phase: "identified",
  onRequest: (x) => (x.isBackground ? undefined : (shedByCaller(x) ?? undefined)), // background work has no caller: it was asked for at the route
};

function refusalOf(x: Exchange, priority: number): Refusal | null {
  const { load } = x.runtime.services;
  return load.refuses(priority) ? overloaded(x, "instance", explained(load), spreadRetryAfter()) : null;
}
