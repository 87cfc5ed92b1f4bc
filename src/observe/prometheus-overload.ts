// The metrics of overload control. Names and labels are a contract with dashboards.
import type { InstanceState, OverloadStatus, TargetOverloadStatus } from "./instance-state.ts";
import type { Kind, Page } from "./prometheus-page.ts";
import type { Totals } from "./totals.ts";

/** No series of upstreams with `overload.mode: off`. */
export function renderOverload(page: Page, totals: Totals, state: InstanceState): void {
  const rows = state.upstreams.flatMap(({ name, overload }) => (overload === null ? [] : [{ labels: { upstream: name }, overload }]));
  const each = (name: string, kind: Kind, help: string, of: (overload: OverloadStatus) => number): void => {
    page.family(name, kind, help);
    for (const { labels, overload } of rows) page.sample(name, labels, of(overload));
  };
  each("sluice_overload_limit", "gauge", "Requests that may be in flight to the upstream; 0 before the first one.", (o) => o.limit);
  each("sluice_overload_in_flight", "gauge", "Requests that hold a place at the upstream.", (o) => o.inFlight);
  each("sluice_overload_apart", "gauge", "Streams, WebSockets and long polls, which take no place.", (o) => o.apart);
  each("sluice_overload_waiting", "gauge", "Requests in line for a place.", (o) => o.waiting);
  each("sluice_overload_base_seconds", "gauge", "Latency of the upstream without a queue, as far as it is known.", (o) => o.baseMs / 1000);
  page.family("sluice_overload_wait_seconds", "summary", "Time in line of requests that were let through.");
  for (const { labels, overload } of rows) {
    page.sample("sluice_overload_wait_seconds_sum", labels, overload.waitedMs / 1000);
    page.sample("sluice_overload_wait_seconds_count", labels, overload.waited);
  }
  page.family(
    "sluice_overload_refused_total",
    "counter",
    "Requests refused: the line was full (line), or no place came free in time (limit).",
  );
  for (const { labels, overload } of rows)
    for (const { reason, priority, count } of overload.refused)
      page.sample("sluice_overload_refused_total", { ...labels, reason, priority }, count);
  page.family(
    "sluice_overload_shed_total",
    "counter",
    "Requests of clients answered with 503 overloaded, by what there was no room in, their priority, and the tier of those who have one.",
  );
  for (const { tier, count, ...labels } of totals.refused())
    page.sample("sluice_overload_shed_total", tier === "" ? labels : { ...labels, tier }, count);
  each("sluice_overload_shadowed_total", "counter", "Requests that `mode: on` would have refused.", (o) => o.shadowed);
  renderTargetLimits(page, state);
}

/** No series of upstreams with one target: its limit is the upstream's. */
function renderTargetLimits(page: Page, { upstreams }: InstanceState): void {
  const rows = upstreams.flatMap(({ name, targets }) =>
    targets.flatMap(({ key, overload }) => (overload === null ? [] : [{ labels: { upstream: name, target: key }, overload }])),
  );
  const each = (name: string, kind: Kind, help: string, of: (overload: TargetOverloadStatus) => number): void => {
    page.family(name, kind, help);
    for (const { labels, overload } of rows) page.sample(name, labels, of(overload));
  };
  each(
    "sluice_overload_target_limit",
    "gauge",
    "Requests that may be in flight to the target before others are preferred.",
    (o) => o.limit,
  );
  each("sluice_overload_target_in_flight", "gauge", "Requests that hold a place at the target.", (o) => o.inFlight);
  each(
    "sluice_overload_target_base_seconds",
    "gauge",
    "Latency of the target without a queue, as far as it is known.",
    (o) => o.baseMs / 1000,
  );
  each(
    "sluice_overload_steered_total",
    "counter",
    "Requests that went to another target, or would have, as this one was at its limit.",
    (o) => o.steered,
  );
}
