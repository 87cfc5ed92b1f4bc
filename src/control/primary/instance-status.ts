// Owns the picture of the instance that metrics and admin listener show, put together from those who know. Must change nothing.
import { monotonicMs } from "../../base/clock.ts";
import { shownUrl } from "../../base/shown-url.ts";
import { VERSION } from "../../base/version.ts";
import type { AccessLog } from "../../observe/access-log.ts";
import type {
  FleetState,
  InstanceState,
  KeySourceStatus,
  OverloadStatus,
  Phase,
  RedisConsumersState,
  TargetStatus,
  UpstreamStatus,
  WorkerStatus,
} from "../../observe/instance-state.ts";
import { type OverloadPlan, PRIORITIES } from "../../plan/overload-plan.ts";
import type { BreakerPlan, EndpointPlan } from "../../plan/plan.ts";
import { CELL } from "../../shared/metric-layout.ts";
import { REFUSED_LIMIT, SHADOWED, WAITED, WAITED_MS } from "../../shared/overload/layout.ts";
import { meanBaseMs, type TargetReading } from "../../shared/overload/target-table.ts";
import { breakerStatus } from "../breakers/breaker-control.ts";
import type { CacheControl } from "../cache/cache-control.ts";
import { boundAddress, listenerUrl } from "../instance/addresses.ts";
import type { InForce, PlanControl } from "../plan/plan-control.ts";
import type { CpuPins } from "../workers/cpu-pins.ts";
import type { SharedCells } from "../workers/shared-cells.ts";
import type { SeatStatus, WorkerSet } from "../workers/worker-set.ts";
import { cacheTierState } from "./cache-tier-status.ts";
import { concerns } from "./concerns.ts";

export interface StatusSources {
  readonly phase: Phase;
  readonly startedAtMs: number;
  /** The process to signal. */
  readonly pid: number;
  readonly cells: SharedCells;
  readonly cache: CacheControl;
  readonly control: PlanControl;
  readonly workers: WorkerSet;
  /** null: workers are not pinned. */
  readonly pins: CpuPins | null;
  readonly endpoints: ReadonlyMap<string, readonly EndpointPlan[]>;
  readonly keySources: readonly KeySourceStatus[];
  /** Slot of an endpoint that is down -> what its last probe saw and expected. */
  readonly failedChecks: ReadonlyMap<number, string>;
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
  const keySources = sources.keySources.map((each) => ({ ...each, url: shownUrl(each.url) }));
  const upstreams = (plan?.upstreams ?? []).map((upstream): UpstreamStatus => {
    const endpoints = sources.endpoints.get(upstream.name) ?? [];
    const limited = upstream.overload === null ? NO_LIMITS : limitedTargets(endpoints, cells);
    return {
      name: upstream.name,
      balance: upstream.balance,
      breaker: upstream.breaker === null ? null : breakerStatus(cells.breakers, upstream.breaker.slot, upstream.breaker),
      overload: upstream.overload === null ? null : overloadStatus(upstream.overload, limited, cells),
      targets: endpoints.map((endpoint) => ({
        ...targetStatus(endpoint, upstream.breaker, sources),
        overload: limited.get(endpoint.slot) ?? null,
      })),
    };
  });
  const states = seats.map((seat) => workerStatus(seat, cells, sources.pins?.cpuOf(seat) ?? null));
  const overload = {
    shadow: plan?.overload.mode === "shadow",
    workers: states.filter((each) => each.overloaded).map(({ index }) => index),
  };
  const cacheTier = cacheTierState(cells.tier?.counts ?? null);
  return {
    release: VERSION,
    pid: sources.pid,
    startedAtMs: sources.startedAtMs,
    phase: sources.phase,
    concerns: concerns({ ...sources, keySources, overload, cacheTier }, seats, upstreams),
    insecure: control.inForce === null ? [] : openedIn(control.inForce),
    planVersion: plan?.version ?? 0,
    planSinceMs: control.inForce?.sinceMs ?? 0,
    reloads: { ...control.reloads },
    listeners: (plan?.listeners ?? []).map((each) => ({ address: boundAddress(each), url: listenerUrl(each), engine: each.engine })),
    workers: states,
    upstreams,
    limits: cells.limits.fill,
    cache: sources.cache.counts(),
    cacheTier,
    keySources,
    logSinkDropped: sources.accessLog?.dropped ?? 0,
    fleet: sources.fleet,
    redisConsumers: sources.redisConsumers,
  };
}

/** Of one name, more places than these are only counted. */
const PLACES_SHOWN = 5;

/** Named ways out that are taken, each with where: `any-issuer (auth.corp)`. */
function openedIn({ plan, config }: Pick<InForce, "plan" | "config">): readonly string[] {
  const places = new Map<string, string[]>();
  const add = (names: readonly string[], place: string): void => {
    for (const name of names) {
      const list = places.get(name);
      if (list === undefined) places.set(name, [place]);
      else list.push(place);
    }
  };
  for (const { name, insecure } of plan.authenticators) add(insecure, `auth.${name}`);
  if (config.redis?.tls?.verify === false) add(["tls-unverified"], "redis");
  for (const { name, insecure } of plan.upstreams) add(insecure, `upstreams.${name}`);
  for (const { name, insecure } of plan.routes) add(insecure, `route ${name}`);
  return [...places].flatMap(([name, list]) => {
    const shown = list.slice(0, PLACES_SHOWN).map((place) => `${name} (${place})`);
    return list.length > shown.length ? [...shown, `${name} (${list.length - shown.length} more)`] : shown;
  });
}

/** Without a thread, the seat stands for the cells it began with: they keep its counters. */
function workerStatus({ seat, cells: index, state, restarts }: SeatStatus, cells: SharedCells, cpu: number | null): WorkerStatus {
  if (index < 0)
    return { index: seat, state: state === "starting" ? "starting" : "failed", restarts, beatAgeMs: 0, cpu, overloaded: false };
  const overloaded = wasLately(cells.totals.cells[index]?.get(CELL.overloadedAtS) ?? 0);
  return { index, state: cells.heartbeat.state(index), restarts, beatAgeMs: cells.heartbeat.ageMs(index), cpu, overloaded };
}

/** How long after a refusal an upstream is said to be shedding, s; and a worker that had more to do than it can, to be overloaded. */
const SHEDDING_S = 10;

/** @param atS monotonicMs() in whole seconds; 0 for never */
const wasLately = (atS: number): boolean => atS !== 0 && monotonicMs() / 1000 - atS < SHEDDING_S;

const NO_LIMITS: ReadonlyMap<number, TargetReading> = new Map();

/** By slot: those that serve, where there are several. */
function limitedTargets(endpoints: readonly EndpointPlan[], { overloadTargets }: SharedCells): ReadonlyMap<number, TargetReading> {
  const serving = endpoints.filter(({ weight }) => weight > 0);
  return serving.length < 2 ? NO_LIMITS : new Map(serving.map(({ slot }) => [slot, overloadTargets.read(slot)]));
}

/** @param limited what is known of its targets, where these have limits of their own */
function overloadStatus(
  { slot, shadow }: OverloadPlan,
  limited: ReadonlyMap<number, TargetReading>,
  { overload }: SharedCells,
): OverloadStatus {
  const { counts, shedAtS, baseMs, ...reading } = overload.read(slot);
  const ever = (word: number): number => counts[word] ?? 0;
  return {
    mode: shadow ? "shadow" : "on",
    ...reading,
    baseMs: limited.size === 0 ? baseMs : meanBaseMs(limited.values()),
    shedding: wasLately(shedAtS),
    refused: PRIORITIES.flatMap((priority, i) => [
      { reason: "line" as const, priority, count: ever(i) },
      { reason: "limit" as const, priority, count: ever(REFUSED_LIMIT + i) },
    ]),
    waited: ever(WAITED),
    waitedMs: ever(WAITED_MS),
    shadowed: ever(SHADOWED),
  };
}

function targetStatus(
  endpoint: EndpointPlan,
  breaker: BreakerPlan | null,
  { cells, failedChecks }: StatusSources,
): Omit<TargetStatus, "overload"> {
  const { health, breakers } = cells;
  const { slot, key, weight } = endpoint;
  const down = health.isDown(slot);
  const ejected = health.ejectedUntilMs(slot) > monotonicMs();
  const open = breaker !== null && breakers.isOpen(slot);
  const check = failedChecks.get(slot) ?? "";
  const reason = down ? `active check failed${check === "" ? "" : `: ${check}`}` : open ? "breaker open" : ejected ? "ejected" : "ok";
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
