// Where a routed exchange goes: the upstream by the route's weights, and the deadlines that hold there.
import type { TimeoutsPlan, WeightedUpstream } from "../../../plan/plan.ts";
import type { Route, Runtime } from "../../exchange/runtime.ts";
import type { Upstream } from "../../upstream/upstream.ts";

/** Chooses the upstream by the route's weights. */
export function chooseUpstream(runtime: Runtime, route: Route, to: readonly WeightedUpstream[]): Upstream {
  let index = (to[0] as WeightedUpstream).upstream; // the primary refuses an empty list
  if (to.length > 1) {
    let point = Math.random() * route.weightTotal;
    for (const choice of to) {
      index = choice.upstream;
      if ((point -= choice.weight) < 0) break;
    }
  }
  return runtime.upstreams[index] as Upstream; // indices come from the plan's own list
}

/** Deadlines of the exchange: the route's where it sets them, else the upstream's. */
export const timeoutsOf = (route: Route, upstream: Upstream): TimeoutsPlan =>
  route.timeouts === null ? upstream.plan.timeouts : { ...upstream.plan.timeouts, ...route.timeouts };
