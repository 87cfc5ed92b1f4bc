// Owns the picture of the instance that metrics and admin listener show, put together from those who know. Must change nothing.
import { monotonicMs } from "../../base/clock.ts";
import type { AccessLog } from "../../observe/access-log.ts";
import type {
  FleetState,
  InstanceState,
  KeySourceStatus,
  Phase,
  RedisConsumersState,
  TargetStatus,
  UpstreamStatus,
  WorkerStatus,
} from "../../observe/instance-state.ts";
import type { BreakerPlan, EndpointPlan } from "../../plan/plan.ts";
import { breakerStatus } from "../breakers/breaker-control.ts";
import { VERSION } from "../commands/version.ts";
import { boundAddress, listenerUrl } from "../instance/addresses.ts";
import type { PlanControl } from "../plan/plan-control.ts";
import type { CpuPins } from "../workers/cpu-pins.ts";
import type { SeatStatus, WorkerSet } from "../workers/worker-set.ts";
import type { SharedCells } from "./shared-cells.ts";

export interface StatusSources {
  readonly phase: Phase;
  readonly startedAtMs: number;
  /** The process to signal. */
  readonly pid: number;
  readonly cells: SharedCells;
  readonly control: PlanControl;
  readonly workers: WorkerSet;
  /** null: workers are not pinned. */
  readonly pins: CpuPins | null;
  readonly endpoints: ReadonlyMap<string, readonly EndpointPlan[]>;
  readonly keySources: readonly KeySourceStatus[];
  readonly accessLog: AccessLog | null;
  /** Seats whose worker is blocked. */
  readonly blocked: readonly number[];
  /** Why the admin address does not answer; null when it does. */
  readonly adminTrouble: string | null;
  /** null without Redis. */
  readonly fleet: FleetState | null;
  /** null unless consumers come from Redis. */
  readonly redisConsumers: RedisConsumersState | null;
}

export function instanceState(sources: StatusSources): InstanceState {
  const { control, cells, workers } = sources;
  const plan = control.inForce?.plan ?? null;
  const seats = workers.status();
  return {
    release: VERSION,
    pid: sources.pid,
    startedAtMs: sources.startedAtMs,
    phase: sources.phase,
    concerns: concerns(sources, seats),
    planVersion: plan?.version ?? 0,
    planSinceMs: control.inForce?.sinceMs ?? 0,
    reloads: { ...control.reloads },
    listeners: (plan?.listeners ?? []).map((each) => ({ address: boundAddress(each), url: listenerUrl(each), engine: each.engine })),
    workers: seats.map((seat) => workerStatus(seat, cells, sources.pins?.cpuOf(seat) ?? null)),
    upstreams: (plan?.upstreams ?? []).map(
      (upstream): UpstreamStatus => ({
        name: upstream.name,
        balance: upstream.balance,
        breaker: upstream.breaker === null ? null : breakerStatus(cells.breakers, upstream.breaker.slot, upstream.breaker),
        targets: (sources.endpoints.get(upstream.name) ?? []).map((endpoint) => targetStatus(endpoint, upstream.breaker, cells)),
      }),
    ),
    limits: cells.limits.fill,
    keySources: sources.keySources,
    logSinkDropped: sources.accessLog?.dropped ?? 0,
    fleet: sources.fleet,
    redisConsumers: sources.redisConsumers,
  };
}

function concerns(sources: StatusSources, seats: readonly SeatStatus[]): string[] {
  const { accessLog, adminTrouble, cells, fleet, redisConsumers } = sources;
  const overflowed = cells.totals.routeNames.overflowed;
  const { lastProblems, inForce } = sources.control;
  return [
    ...(lastProblems === 0
      ? []
      : [
          `the last reload was refused (problems: ${lastProblems}): plan ${inForce?.plan.version ?? 0} stays in force; mend the configuration`,
        ]),
    ...sources.blocked.map((seat) => `worker ${seat} is blocked: its event loop does not turn`),
    ...seats.filter((seat) => seat.restartInMs > 0).map((seat) => `worker ${seat.seat} keeps dying: next start in ${seat.restartInMs} ms`),
    ...sources.keySources
      .filter((each) => each.trouble !== null)
      .map((each) => `the keys at ${each.url} cannot be fetched: ${each.trouble}`),
    ...(accessLog?.failure == null ? [] : [`the access log cannot be written: ${accessLog.failure}`]),
    ...(adminTrouble === null ? [] : [adminTrouble]),
    ...(sources.pins?.trouble == null ? [] : [sources.pins.trouble]),
    ...(fleet === null || fleet.connected
      ? []
      : [`Redis (${fleet.redis}) is not there: limits go on with this instance's share of 1/${fleet.instances}: ${fleet.trouble}`]),
    ...(redisConsumers === null || redisConsumers.trouble === null
      ? []
      : [
          `the consumers in Redis (${redisConsumers.redis}) are not up to date, ${redisConsumers.inForce} stay in force: ${redisConsumers.trouble}`,
        ]),
    ...(cells.limitWatch.concern === null ? [] : [cells.limitWatch.concern]),
    ...(overflowed === 0 ? [] : [`${overflowed} routes share one metric slot`]),
  ];
}

/** Without a thread, the seat stands for the cells it began with: they keep its counters. */
function workerStatus({ seat, cells: index, state, restarts }: SeatStatus, cells: SharedCells, cpu: number | null): WorkerStatus {
  if (index < 0) return { index: seat, state: state === "starting" ? "starting" : "failed", restarts, beatAgeMs: 0, cpu };
  return { index, state: cells.heartbeat.state(index), restarts, beatAgeMs: cells.heartbeat.ageMs(index), cpu };
}

function targetStatus(endpoint: EndpointPlan, breaker: BreakerPlan | null, { health, breakers }: SharedCells): TargetStatus {
  const { slot, key, weight } = endpoint;
  const down = health.isDown(slot);
  const ejected = health.ejectedUntilMs(slot) > monotonicMs();
  const open = breaker !== null && breakers.isOpen(slot);
  const reason = down ? "active check failed" : open ? "breaker open" : ejected ? "ejected" : "ok";
  return {
    key,
    slot,
    weight,
    healthy: !down && !ejected && !open,
    reason,
    inFlight: health.inFlight(slot),
    breaker: breaker === null ? null : breakerStatus(breakers, slot, breaker),
  };
}
