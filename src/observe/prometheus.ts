// Owns the names of the metrics and their rendering in the Prometheus text format 0.0.4.
// Must never be called off a scrape: it walks all cells. Names and labels are a contract with dashboards.
// Source: https://prometheus.io/docs/instrumenting/exposition_formats/
import { ERRORS } from "../base/errors.ts";
import { PHASE, PHASE_NAMES } from "../shared/breaker-word.ts";
import { WORKER_STATES } from "../shared/heartbeat.ts";
import { CELL, type Cell, CLIENT_FAULTS, DECISIONS, LATENCY_BOUNDS_S, LEG_OUTCOMES, LIMIT_OUTCOMES } from "../shared/metric-layout.ts";
import type { BreakerStatus, FleetState, InstanceState, OthersBreakers, RedisConsumersState } from "./instance-state.ts";
import { renderCache } from "./prometheus-cache.ts";
import { renderOverload } from "./prometheus-overload.ts";
import { type Kind, type Labels, Page } from "./prometheus-page.ts";
import { type EndpointTotals, type PolicyTotals, type RouteTotals, STATUS_CLASSES, type Totals } from "./totals.ts";

export const PROMETHEUS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** @returns the whole exposition, ending in a line feed. */
export function renderPrometheus(totals: Totals, state: InstanceState): string {
  const page = new Page();
  const routes = totals.routes();
  renderRoutes(page, routes);
  renderCache(page, routes, state);
  page.family("sluice_errors_total", "counter", "Exchanges that ended with an error code of the gateway.");
  for (const [code, count] of totals.errors()) page.sample("sluice_errors_total", { code, source: ERRORS[code].source }, count);
  renderDeprecated(page, totals);
  renderTargets(page, totals, state);
  renderBreakers(page, state);
  renderOverload(page, totals, state);
  renderLimits(page, totals, state);
  renderDecisions(page, totals);
  renderLegs(page, totals);
  renderPolicies(page, totals);
  renderWorkers(page, totals, state);
  renderKeySources(page, state);
  renderInstance(page, totals, state);
  if (state.fleet !== null) renderFleet(page, state.fleet);
  if (state.redisConsumers !== null) renderRedisConsumers(page, state.redisConsumers);
  return page.text();
}

/** Series of a route appear with its first request. */
function renderRoutes(page: Page, all: readonly RouteTotals[]): void {
  const routes = all.filter((r) => r.requests > 0);
  page.family("sluice_requests_total", "counter", "Finished exchanges by route and status class; aborted: no status was sent.");
  for (const r of routes)
    STATUS_CLASSES.forEach((status, i) => {
      const count = r.byClass[i] ?? 0;
      if (count > 0) page.sample("sluice_requests_total", { route: r.route, status }, count);
    });
  page.family("sluice_request_duration_seconds", "histogram", "Whole exchange, first byte read to last byte written; WebSockets excluded.");
  for (const r of routes) renderHistogram(page, "sluice_request_duration_seconds", { route: r.route }, r);
  page.family("sluice_request_body_bytes_total", "counter", "Body bytes received from clients.");
  for (const r of routes) page.sample("sluice_request_body_bytes_total", { route: r.route }, r.bytesIn);
  page.family("sluice_response_body_bytes_total", "counter", "Body bytes sent to clients.");
  for (const r of routes) page.sample("sluice_response_body_bytes_total", { route: r.route }, r.bytesOut);
}

/** Series appear with the first call. */
function renderDeprecated(page: Page, { deprecated }: Totals): void {
  const name = "sluice_deprecated_requests_total";
  page.family(name, "counter", "Finished exchanges of deprecated routes by consumer; no consumer for callers that are not known.");
  for (const { route, consumer, count } of deprecated.all()) page.sample(name, consumer === "" ? { route } : { route, consumer }, count);
}

function renderHistogram(page: Page, name: string, labels: Labels, r: RouteTotals): void {
  let cumulative = 0;
  r.buckets.forEach((count, i) => {
    cumulative += count;
    page.sample(`${name}_bucket`, { ...labels, le: LATENCY_BOUNDS_S[i] ?? "+Inf" }, cumulative);
  });
  page.sample(`${name}_sum`, labels, r.durationSumMs / 1000);
  page.sample(`${name}_count`, labels, cumulative);
}

function renderTargets(page: Page, totals: Totals, state: InstanceState): void {
  const rows = state.upstreams.flatMap((upstream) =>
    upstream.targets.map((target) => ({
      labels: { upstream: upstream.name, target: target.key },
      target,
      counts: totals.endpoint(target.slot, `${upstream.name} ${target.key}`),
    })),
  );
  const each = (name: string, kind: Kind, help: string, value: (counts: EndpointTotals) => number): void => {
    page.family(name, kind, help);
    for (const { labels, counts } of rows) page.sample(name, labels, value(counts));
  };
  each("sluice_upstream_attempts_total", "counter", "Requests sent to a target, retries included.", (c) => c.attempts);
  each("sluice_upstream_retries_total", "counter", "Attempts that repeated one that this target failed.", (c) => c.retries);
  each("sluice_upstream_server_errors_total", "counter", "Responses of a target with status 500 or more.", (c) => c.serverErrors);
  page.family("sluice_upstream_failures_total", "counter", "Attempts without a usable response, by error code.");
  for (const { labels, counts } of rows)
    for (const [code, count] of counts.failures) page.sample("sluice_upstream_failures_total", { ...labels, code }, count);
  page.family("sluice_upstream_first_byte_seconds", "summary", "From dispatch to the response head.");
  for (const { labels, counts } of rows) {
    page.sample("sluice_upstream_first_byte_seconds_sum", labels, counts.firstByteSumMs / 1000);
    page.sample("sluice_upstream_first_byte_seconds_count", labels, counts.firstByteCount);
  }
  page.family("sluice_target_healthy", "gauge", "1 when the target may be chosen, 0 when it is down or ejected.");
  for (const { labels, target } of rows) page.sample("sluice_target_healthy", labels, target.healthy ? 1 : 0);
  page.family("sluice_target_in_flight", "gauge", "Requests under way to the target, of all workers.");
  for (const { labels, target } of rows) page.sample("sluice_target_in_flight", labels, target.inFlight);
}

interface BreakerRow {
  readonly labels: Labels;
  readonly breaker: BreakerStatus;
}

/** An upstream's own breaker has no target label. Upstreams without a breaker have no series. */
function renderBreakers(page: Page, state: InstanceState): void {
  const rows: BreakerRow[] = [];
  for (const { name, breaker, targets } of state.upstreams) {
    if (breaker !== null) rows.push({ labels: { upstream: name }, breaker });
    for (const target of targets)
      if (target.breaker !== null) rows.push({ labels: { upstream: name, target: target.key }, breaker: target.breaker });
  }
  page.family("sluice_breaker_state", "gauge", "0 closed, 1 open, 2 half-open, 3 recovering, 4 forced open, 5 forced closed.");
  for (const { labels, breaker } of rows) page.sample("sluice_breaker_state", labels, breaker.phase);
  page.family("sluice_breaker_transitions_total", "counter", "Changes of a breaker to a state.");
  for (const { labels, breaker } of rows) {
    const { opened, halfOpened, recovered, closed } = breaker.totals;
    const changes = { open: opened, "half-open": halfOpened, recovering: recovered, closed };
    for (const [to, count] of Object.entries(changes)) page.sample("sluice_breaker_transitions_total", { ...labels, to }, count);
  }
  page.family("sluice_breaker_trials_total", "counter", "Requests that a half-open breaker let pass.");
  for (const { labels, breaker } of rows) page.sample("sluice_breaker_trials_total", labels, breaker.totals.trials);
  const own = rows.filter(({ labels }) => labels["target"] === undefined);
  page.family("sluice_breaker_rejected_total", "counter", "Exchanges answered with breaker_open, over all breakers of the upstream.");
  for (const { labels, breaker } of own) page.sample("sluice_breaker_rejected_total", labels, breaker.totals.rejected);
  page.family("sluice_breaker_fallbacks_total", "counter", "Exchanges that the fallback took, over all breakers of the upstream.");
  for (const { labels, breaker } of own) page.sample("sluice_breaker_fallbacks_total", labels, breaker.totals.fallbacks);
  if (state.fleet !== null) renderOthersBreakers(page, rows, state.fleet.breakers);
}

/** Series of a leg appear with its first request. */
function renderLegs(page: Page, totals: Totals): void {
  page.family(
    "sluice_leg_outcomes_total",
    "counter",
    "Legs of aggregated answers: ok, failed, skipped (one that it needs had failed), or cancelled (the client had gone, or there was no answer to make any more).",
  );
  for (const { route, leg, outcomes } of totals.legs())
    for (const [i, outcome] of outcomes.some((count) => count > 0) ? LEG_OUTCOMES.entries() : [])
      page.sample("sluice_leg_outcomes_total", { route, leg, outcome }, outcomes[i] ?? 0);
}

/** Series of a limit appear with its first request. */
function renderLimits(page: Page, totals: Totals, { limits }: InstanceState): void {
  page.family(
    "sluice_limit_decisions_total",
    "counter",
    "Requests at a limit: passed, refused, or shadowed (a shadow limit would have refused).",
  );
  for (const { route, limit, outcomes } of totals.limits())
    for (const [i, outcome] of outcomes.some((count) => count > 0) ? LIMIT_OUTCOMES.entries() : [])
      page.sample("sluice_limit_decisions_total", { route, limit, outcome }, outcomes[i] ?? 0);
  page.one("sluice_limit_slots", "gauge", "Callers that the table of limits can tell apart at once.", limits.slots);
  page.one("sluice_limit_slots_in_use", "gauge", "Slots that belong to a caller, at the last sweep.", limits.inUse);
  page.one(
    "sluice_limit_slots_active",
    "gauge",
    "Slots that hold something, so that nobody else can have them, at the last sweep.",
    limits.active,
  );
  page.one("sluice_limit_full_total", "counter", "Decisions that found no slot and shared a bucket with others.", limits.fullEvents);
  page.one("sluice_limit_no_room_total", "counter", "Requests refused because there was not even a bucket to share.", limits.refusedEvents);
}

/** Series appear with the first request. */
function renderDecisions(page: Page, totals: Totals): void {
  page.family(
    "sluice_forward_auth_decisions_total",
    "counter",
    "Decisions of services about requests: allowed, denied, failed_open (no decision, and let pass), error (no decision, and refused), cached (decided from the cache).",
  );
  for (const { name, outcomes } of totals.decisions())
    for (const [i, outcome] of outcomes.some((count) => count > 0) ? DECISIONS.entries() : [])
      page.sample("sluice_forward_auth_decisions_total", { name, outcome }, outcomes[i] ?? 0);
}

/** Policies of the user's own: series of one appear with its first call. */
function renderPolicies(page: Page, totals: Totals): void {
  const policies = totals.policies().filter(({ calls }) => calls > 0);
  const each = (name: string, help: string, value: (policy: PolicyTotals) => number): void => {
    page.family(name, "counter", help);
    for (const one of policies) page.sample(name, { policy: one.policy }, value(one));
  };
  each("sluice_policy_calls_total", "Calls of the hooks of a policy of the user's own.", (p) => p.calls);
  each("sluice_policy_seconds_total", "Time in these calls, in which the worker did nothing else.", (p) => p.busyMs / 1000);
  each("sluice_policy_wait_seconds_total", "Time for which requests waited for promises of the policy.", (p) => p.waitMs / 1000);
  each("sluice_policy_failures_total", "Calls that threw or gave what is no answer.", (p) => p.failures);
}

function renderWorkers(page: Page, totals: Totals, state: InstanceState): void {
  page.family("sluice_workers", "gauge", "Workers by state.");
  for (const name of WORKER_STATES) page.sample("sluice_workers", { state: name }, state.workers.filter((w) => w.state === name).length);
  const each = (name: string, kind: Kind, help: string, value: (index: number) => number): void => {
    page.family(name, kind, help);
    state.workers.forEach((worker, i) => {
      page.sample(name, { worker: worker.index }, value(i));
    });
  };
  const cell = (i: number, which: (typeof CELL)[keyof typeof CELL]): number => totals.cells[state.workers[i]?.index ?? -1]?.get(which) ?? 0;
  each("sluice_worker_restarts_total", "counter", "Times a worker was replaced after a failure.", (i) => state.workers[i]?.restarts ?? 0);
  each("sluice_worker_heartbeat_age_seconds", "gauge", "Since the last sign of life.", (i) => (state.workers[i]?.beatAgeMs ?? 0) / 1000);
  each("sluice_worker_loop_utilisation", "gauge", "Share of time that the event loop was busy, 0 to 1.", (i) =>
    cell(i, CELL.loopUtilisation),
  );
  each(
    "sluice_worker_loop_delay_seconds",
    "gauge",
    "How late the event loop was, at the last look.",
    (i) => cell(i, CELL.loopDelayMs) / 1000,
  );
  each("sluice_worker_memory_bytes", "gauge", "Heap and buffers in use.", (i) => cell(i, CELL.memoryBytes));
  each("sluice_worker_refused_ratio", "gauge", "Share of requests that the worker refuses as it has more to do than it can, 0 to 1.", (i) =>
    cell(i, CELL.refusedPart),
  );
  each("sluice_worker_shadowed_total", "counter", "Requests that came while `overload.mode: on` would have refused some.", (i) =>
    cell(i, CELL.shadowedTotal),
  );
  page.family(
    "sluice_worker_spared_total",
    "counter",
    "What a worker with more to do than it can left out: retries; mirror copies and background refreshes.",
  );
  state.workers.forEach(({ index }, i) => {
    page.sample("sluice_worker_spared_total", { worker: index, kind: "retry" }, cell(i, CELL.retriesRefusedTotal));
    page.sample("sluice_worker_spared_total", { worker: index, kind: "background" }, cell(i, CELL.backgroundRefusedTotal));
  });
  each("sluice_worker_in_flight", "gauge", "Exchanges under way.", (i) => cell(i, CELL.inFlight));
  each("sluice_worker_connections", "gauge", "Open client connections.", (i) => cell(i, CELL.connections));
}

function renderKeySources(page: Page, { keySources }: InstanceState): void {
  page.family("sluice_key_source_up", "gauge", "1 when the last fetch of a provider's keys succeeded.");
  for (const { url, trouble } of keySources) page.sample("sluice_key_source_up", { url }, trouble === null ? 1 : 0);
  page.family("sluice_key_source_keys", "gauge", "Keys in use; 0 when nothing can be verified.");
  for (const { url, keys } of keySources) page.sample("sluice_key_source_keys", { url }, keys);
  page.family("sluice_key_source_age_seconds", "gauge", "Since the last fetch that succeeded.");
  for (const { url, ageMs } of keySources) if (ageMs !== null) page.sample("sluice_key_source_age_seconds", { url }, ageMs / 1000);
  page.family("sluice_key_fetches_total", "counter", "Fetches of a provider's keys by result.");
  for (const { url, fetches } of keySources) {
    page.sample("sluice_key_fetches_total", { url, result: "ok" }, fetches.ok);
    page.sample("sluice_key_fetches_total", { url, result: "failed" }, fetches.failed);
  }
}

function renderInstance(page: Page, totals: Totals, state: InstanceState): void {
  page.one("sluice_websockets", "gauge", "Open WebSockets.", totals.cell(CELL.webSockets));
  page.one("sluice_pool_connections", "gauge", "Open connections to targets.", totals.cell(CELL.poolConnections));
  page.one("sluice_pool_queued", "gauge", "Requests that wait for a connection to a target.", totals.cell(CELL.poolQueued));
  page.one(
    "sluice_request_bodies_held_bytes",
    "gauge",
    "Bytes of request bodies that are kept in memory (limits.bufferedBodyBytes).",
    totals.cell(CELL.bodyBytes),
  );
  page.family("sluice_connections_refused_total", "counter", "Clients closed as soon as they had connected, by limit.");
  page.sample("sluice_connections_refused_total", { limit: "connections" }, totals.cell(CELL.connectionsOverTotal));
  page.sample("sluice_connections_refused_total", { limit: "connectionsPerAddress" }, totals.cell(CELL.connectionsOverAddressTotal));
  page.family("sluice_http2_faults_total", "counter", "HTTP/2 connections ended, or requests refused unseen, for what their client does.");
  for (const [i, kind] of CLIENT_FAULTS.entries())
    page.sample("sluice_http2_faults_total", { kind }, totals.cell((CELL.protocolFaultsTotal + i) as Cell)); // words in that order
  page.one("sluice_mirrored_total", "counter", "Requests copied to a mirror.", totals.cell(CELL.mirroredTotal));
  page.one(
    "sluice_mirror_dropped_total",
    "counter",
    "Copies not made because too many were under way.",
    totals.cell(CELL.mirrorDroppedTotal),
  );
  page.family("sluice_log_dropped_total", "counter", "Access-log records lost: ring full (worker) or sink too slow (primary).");
  page.sample("sluice_log_dropped_total", { stage: "ring" }, totals.cell(CELL.logDroppedTotal));
  page.sample("sluice_log_dropped_total", { stage: "sink" }, state.logSinkDropped);
  page.family("sluice_reloads_total", "counter", "Reloads by result.");
  page.sample("sluice_reloads_total", { result: "ok" }, state.reloads.ok);
  page.sample("sluice_reloads_total", { result: "failed" }, state.reloads.failed);
  page.one("sluice_plan_version", "gauge", "Version of the plan in force.", state.planVersion);
  page.one("sluice_ready", "gauge", "1 while serving, 0 while starting or draining.", state.phase === "serving" ? 1 : 0);
  page.family("sluice_build_info", "gauge", "Always 1; the labels tell what runs.");
  page.sample("sluice_build_info", { version: state.release, node: process.versions.node }, 1);
  const cpu = process.cpuUsage();
  page.one("process_cpu_seconds_total", "counter", "CPU time of the whole process, all threads.", (cpu.user + cpu.system) / 1e6);
  page.one("process_resident_memory_bytes", "gauge", "Resident memory of the whole process.", process.memoryUsage.rss());
  page.one("process_start_time_seconds", "gauge", "Start of the process, Unix time.", state.startedAtMs / 1000);
}

function renderFleet(page: Page, fleet: FleetState): void {
  page.one(
    "sluice_redis_up",
    "gauge",
    "1 while limits are reconciled with the fleet, 0 while this instance goes on with its share.",
    fleet.connected ? 1 : 0,
  );
  page.one(
    "sluice_redis_sync_age_seconds",
    "gauge",
    "Since Redis last answered for all keys; -1 before the first time.",
    (fleet.syncAgeMs ?? -1000) / 1000,
  );
  page.family("sluice_redis_sync_duration_seconds", "summary", "Rounds of the reconciliation.");
  page.sample("sluice_redis_sync_duration_seconds_sum", {}, fleet.syncMsSum / 1000);
  page.sample("sluice_redis_sync_duration_seconds_count", {}, fleet.syncs);
  page.one("sluice_redis_sync_failures_total", "counter", "Rounds that Redis did not answer in time, or refused.", fleet.syncFailures);
  page.one("sluice_redis_sync_entries_total", "counter", "Buckets told to Redis.", fleet.entries);
  page.one("sluice_fleet_instances", "gauge", "Instances that the fleet is taken to have.", fleet.instances);
  page.one(
    "sluice_fleet_drift_requests",
    "gauge",
    "Most that a bucket was found to be overdrawn by the fleet in the last 10 to 20 s.",
    fleet.drift,
  );
  page.one("sluice_fleet_purges_pending", "gauge", "Purges done here of which Redis has not been told yet.", fleet.purges.pending);
  page.one("sluice_fleet_purges_applied_total", "counter", "Purges of other instances that were followed.", fleet.purges.applied);
  page.one(
    "sluice_fleet_purges_missed_total",
    "counter",
    "Times that everything was purged because purges may have been missed.",
    fleet.purges.missed,
  );
  page.one("sluice_fleet_leases", "gauge", "Strict buckets that this instance has a lease of.", fleet.leases);
}

function renderRedisConsumers(page: Page, { connected, inForce, ageMs, refusals, trouble }: RedisConsumersState): void {
  page.one("sluice_redis_consumers", "gauge", "Consumers of Redis in force.", inForce);
  page.one("sluice_redis_consumers_up", "gauge", "1 while Redis says what consumers it has.", connected ? 1 : 0);
  page.one("sluice_redis_consumers_current", "gauge", "1 while those in force are what Redis has.", trouble === null ? 1 : 0);
  page.one(
    "sluice_redis_consumers_age_seconds",
    "gauge",
    "Since Redis last said what it has; -1 before the first time.",
    (ageMs ?? -1000) / 1000,
  );
  page.one("sluice_redis_consumers_refused_total", "counter", "Sets of consumers that were refused for a mistake.", refusals);
}

/** Of this instance's own breakers only: what others call theirs never becomes a label. No series while nothing is known. */
function renderOthersBreakers(page: Page, rows: readonly BreakerRow[], others: OthersBreakers): void {
  const name = "sluice_breaker_fleet_instances";
  page.family(name, "gauge", "Other instances of the fleet that have this breaker in a state, as they said last.");
  const said = new Map(others.breakers.map((each) => [`${each.upstream} ${each.target ?? ""}`, each.states]));
  for (const { labels } of others.knowledge === "unknown" ? [] : rows)
    for (const state of OTHERS_STATES)
      page.sample(name, { ...labels, state }, said.get(`${labels["upstream"]} ${labels["target"] ?? ""}`)?.[state] ?? 0);
  page.one(
    "sluice_breaker_fleet_reporting",
    "gauge",
    "Other instances whose breakers are known; -1 while nothing is.",
    others.instances ?? -1,
  );
  page.one(
    "sluice_breaker_fleet_age_seconds",
    "gauge",
    "Since Redis last told of other instances' breakers; -1 before.",
    (others.ageMs ?? -1000) / 1000,
  );
  page.one("sluice_breaker_fleet_failures_total", "counter", "Rounds in which nothing was told or heard of breakers.", others.failures);
  page.one("sluice_breaker_fleet_ignored_total", "counter", "What stood in Redis and is no report of this release.", others.ignored);
}

/** Every state but closed. */
const OTHERS_STATES = PHASE_NAMES.filter((_, phase) => phase !== PHASE.closed);
