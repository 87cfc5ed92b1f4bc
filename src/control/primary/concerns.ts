// Owns the list of what is not as it should be although the instance serves, for /readyz and the status page. Must change nothing, and a summary must
// hold nothing that a stranger should not read: names, addresses, causes.
import type {
  CacheTierState,
  Concern,
  FleetState,
  KeySourceStatus,
  RedisConsumersState,
  UpstreamStatus,
} from "../../observe/instance-state.ts";
import { PHASE } from "../../shared/breaker-word.ts";

/** Names in one sentence; the rest is counted. */
const NAMES_MAX = 10;

/** What there may be something to say about. */
export interface ConcernSources {
  readonly control: {
    /** Problems of the last reload. */
    readonly lastProblems: number;
    readonly inForce: {
      readonly plan: { readonly version: number };
      readonly config?: { readonly leftOut: readonly { readonly address: string; readonly problem: string }[] };
    } | null;
    /** Settings that wait for the next start. */
    readonly waiting: readonly string[];
  };
  /** Seats whose worker is blocked. */
  readonly blocked: readonly number[];
  /** Indexes of workers that have more to do than they can; and whether nothing is refused for it. */
  readonly overload: { readonly shadow: boolean; readonly workers: readonly number[] };
  readonly pins: { readonly trouble: string | null } | null;
  readonly keySources: readonly Pick<KeySourceStatus, "url" | "trouble">[];
  readonly accessLog: { readonly failure: string | null } | null;
  readonly adminTrouble: string | null;
  readonly cells: {
    readonly limitWatch: { readonly concern: string | null };
    readonly totals: { readonly routeNames: { readonly overflowed: number } };
  };
  readonly fleet: Pick<FleetState, "connected" | "redis" | "instances" | "trouble" | "purges"> | null;
  readonly redisConsumers: Pick<RedisConsumersState, "redis" | "inForce" | "trouble"> | null;
  readonly cacheTier: Pick<CacheTierState, "workers" | "leavingAlone"> | null;
}

interface Seat {
  readonly seat: number;
  /** 0: its worker runs. */
  readonly restartInMs: number;
}

export function concerns(sources: ConcernSources, seats: readonly Seat[], upstreams: readonly UpstreamStatus[]): readonly Concern[] {
  return [...ofConfiguration(sources), ...ofWorkers(sources, seats), ...ofUpstreams(upstreams), ...ofSurroundings(sources)];
}

function ofConfiguration({ control }: ConcernSources): Concern[] {
  const { lastProblems, inForce, waiting } = control;
  const found: Concern[] = [];
  if (lastProblems > 0) {
    const detail = `the last reload was refused (problems: ${lastProblems}): plan ${inForce?.plan.version ?? 0} stays in force; mend the configuration`;
    found.push({ summary: "the last reload was refused", detail });
  }
  for (const { address, problem } of inForce?.config?.leftOut ?? []) {
    const detail = `nobody listens at ${address} until its certificate can be used: ${problem}`;
    found.push({ summary: "a listener is left out until its certificate can be used", detail });
  }
  if (waiting.length > 0) {
    const detail = `${listed(waiting)} changed and ${waiting.length === 1 ? "waits" : "wait"} for the next start (or takeover): the gateway goes on with what it started with`;
    found.push({ summary: "a changed setting waits for the next start", detail });
  }
  return found;
}

function ofWorkers({ blocked, pins, overload }: ConcernSources, seats: readonly Seat[]): Concern[] {
  return [
    ...blocked.map((seat) => ({
      summary: "a worker is blocked",
      detail: `worker ${seat} is blocked: its event loop does not turn`,
    })),
    ...seats
      .filter((seat) => seat.restartInMs > 0)
      .map((seat) => ({
        summary: "a worker keeps dying",
        detail: `worker ${seat.seat} keeps dying: next start in ${seat.restartInMs} ms`,
      })),
    ...(overload.workers.length === 0 ? [] : [overloadOf(overload)]),
    ...(pins?.trouble == null ? [] : [{ summary: "a worker cannot be pinned to its CPU", detail: pins.trouble }]),
  ];
}

function overloadOf({ shadow, workers }: ConcernSources["overload"]): Concern {
  const who = `${workers.length === 1 ? "worker" : "workers"} ${listed(workers.map(String))}`;
  const what = shadow ? "nothing is refused for it (overload.mode: shadow)" : "requests are refused, lowest priority first";
  return { summary: "a worker has more to do than it can", detail: `more to do than can be done in ${who}: ${what}` };
}

function ofUpstreams(upstreams: readonly UpstreamStatus[]): Concern[] {
  const found: Concern[] = [];
  const dead = upstreams.filter(({ targets }) => !targets.some(({ healthy }) => healthy)).map(({ name }) => name);
  if (dead.length > 0)
    found.push({ summary: "an upstream has no target that can be used", detail: `no target can be used of upstream ${listed(dead)}` });
  const open = upstreams.flatMap(({ name, breaker, targets }) => [
    ...(isOpen(breaker?.phase) ? [name] : []),
    ...targets.flatMap((target) => (isOpen(target.breaker?.phase) ? [`${name} ${target.key}`] : [])),
  ]);
  const shedding = upstreams.filter(({ overload }) => overload?.shedding === true).map(({ name }) => name);
  if (shedding.length > 0)
    found.push({ summary: "an upstream has more to do than it can", detail: `requests are refused for upstream ${listed(shedding)}` });
  if (open.length > 0) found.push({ summary: "a circuit breaker is open", detail: `open circuit breakers: ${listed(open)}` });
  return found;
}

/** Half-open, too: the way back is not over. */
const isOpen = (phase: number | undefined): boolean => phase === PHASE.open || phase === PHASE.halfOpen || phase === PHASE.forcedOpen;

function ofSurroundings({ keySources, accessLog, adminTrouble, cells, fleet, redisConsumers, cacheTier }: ConcernSources): Concern[] {
  const found: Concern[] = [];
  const say = (summary: string, detail: string | null): void => void (detail !== null && found.push({ summary, detail }));
  for (const { url, trouble } of keySources)
    say("keys of a token issuer cannot be fetched", trouble === null ? null : `the keys at ${url} cannot be fetched: ${trouble}`);
  const logTrouble = accessLog?.failure ?? null;
  say("the access log cannot be written", logTrouble === null ? null : `the access log cannot be written: ${logTrouble}`);
  say("the admin listener is not reachable at its address", adminTrouble);
  if (fleet !== null && !fleet.connected)
    say(
      "Redis is not there: limits go on with this instance's share",
      `Redis (${fleet.redis}) is not there: limits go on with this instance's share of 1/${fleet.instances}: ${fleet.trouble}`,
    );
  const unsaid = fleet?.purges.pending ?? 0;
  say(
    "purges of stored responses wait to be told to the fleet",
    unsaid === 0
      ? null
      : `${unsaid} ${unsaid === 1 ? "purge" : "purges"} of stored responses done here will be told to the other instances when Redis answers`,
  );
  if (redisConsumers?.trouble != null)
    say(
      "the consumers in Redis are not up to date",
      `the consumers in Redis (${redisConsumers.redis}) are not up to date, ${redisConsumers.inForce} stay in force: ${redisConsumers.trouble}`,
    );
  if (cacheTier !== null && cacheTier.leavingAlone > 0)
    say(
      "the cache leaves Redis alone until it answers again",
      `the cache leaves Redis alone until it answers again (workers: ${cacheTier.leavingAlone} of ${cacheTier.workers}): what is not in memory is asked of the origin`,
    );
  say("the table of limits is full", cells.limitWatch.concern);
  const { overflowed } = cells.totals.routeNames;
  say("routes share a metric slot", overflowed === 0 ? null : `${overflowed} routes share one metric slot`);
  return found;
}

function listed(names: readonly string[]): string {
  const more = names.length > NAMES_MAX ? ` and ${names.length - NAMES_MAX} more` : "";
  return `${names.slice(0, NAMES_MAX).join(", ")}${more}`;
}
