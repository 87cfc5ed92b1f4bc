// Owns active health checks: the primary asks every endpoint of the current plan and writes the answers to TargetHealth.
// Must never eject (workers do) and never hold up the control plane: probes are bounded in time and number.
import { monotonicMs } from "../../base/clock.ts";
import type { ActiveHealthPlan, EndpointPlan, Plan, UpstreamProtocol } from "../../plan/plan.ts";
import type { UpstreamTlsPlan } from "../../plan/tls-rules.ts";
import type { TargetHealth } from "../../shared/target-health.ts";
import { type ProbeResult, probeOnce } from "./probe-once.ts";

/** Probes under way at once; more wait their turn. */
export const PROBES_MAX = 64;
/** Intervals vary by this much either way, so that endpoints and instances do not probe in step. */
const JITTER = 0.1;

/** An endpoint changed its state: for the log. */
export interface HealthEvent {
  readonly upstream: string;
  /** {@link EndpointPlan.key} */
  readonly target: string;
  readonly healthy: boolean;
  /** What the deciding probe saw, and expected: `status 503, expected 200-299`, `timeout after 1s, expected 200-299`. */
  readonly reason: string;
}

/** What probing needs. */
export interface HealthProbeDeps {
  readonly health: TargetHealth;
  onChange(event: HealthEvent): void;
  /** Uniform in [0, 1). */
  random?(): number;
}

interface Watched {
  readonly upstream: string;
  endpoint: EndpointPlan;
  readonly check: ActiveHealthPlan;
  readonly protocol: UpstreamProtocol;
  readonly tls: UpstreamTlsPlan | null;
  readonly host: string;
  /** Where and how it is probed: while it stays the same, so does the rhythm. */
  readonly identity: string;
  healthy: boolean;
  /** What the last probe that failed saw. */
  trouble: string;
  /** Results in a row that contradict `healthy`. */
  contrary: number;
  timer: NodeJS.Timeout | null;
  /** Cancels the probe under way. */
  abort: AbortController | null;
}

/** A new endpoint counts as healthy until `unhealthyAfter` probes failed; its first probe runs at once. */
export class HealthProbe {
  readonly #deps: HealthProbeDeps;
  #watched = new Map<string, Watched>();
  /** Due and waiting for one of the PROBES_MAX places; at most one entry for each endpoint. */
  readonly #due = new Set<Watched>();
  #running = 0;

  constructor(deps: HealthProbeDeps) {
    this.#deps = deps;
  }

  /**
   * Probes these endpoints from now on. Those that were probed in the same way before keep their state and rhythm; those no longer probed
   * are no longer down.
   * @param endpoints by upstream name, as discovery made them.
   */
  update(plan: Pick<Plan, "upstreams">, endpoints: ReadonlyMap<string, readonly EndpointPlan[]>): void {
    const before = this.#watched;
    this.#watched = new Map();
    for (const upstream of plan.upstreams) {
      const check = upstream.health.active;
      if (check === null) continue;
      for (const endpoint of endpoints.get(upstream.name) ?? []) {
        const id = `${upstream.name}\n${endpoint.key}`;
        // No client asks here, so none is named.
        const host = typeof upstream.host === "string" ? endpoint.authority : upstream.host.name;
        const wanted = watch({ upstream: upstream.name, endpoint, check, protocol: upstream.protocol, tls: upstream.tls, host });
        this.#watched.set(id, succeed(before.get(id), wanted));
      }
    }
    for (const [id, old] of before) this.#retire(old, this.#watched.get(id));
    for (const watched of this.#watched.values()) if (watched.timer === null && watched.abort === null) this.#enqueue(watched);
  }

  /** What the last probe of each endpoint that is down saw and expected, by slot. */
  troubles(): ReadonlyMap<number, string> {
    return new Map([...this.#watched.values()].flatMap(({ healthy, endpoint, trouble }) => (healthy ? [] : [[endpoint.slot, trouble]])));
  }

  /** Ends all probing. States stay as they are. */
  stop(): void {
    for (const watched of this.#watched.values()) halt(watched);
    this.#watched.clear();
    this.#due.clear();
  }

  #retire(old: Watched, successor: Watched | undefined): void {
    if (old === successor) return;
    halt(old);
    this.#due.delete(old);
    // Down is a finding of probes; without probes there is none.
    if (successor?.endpoint.slot !== old.endpoint.slot) this.#deps.health.setDown(old.endpoint.slot, false, monotonicMs());
  }

  #enqueue(watched: Watched): void {
    this.#due.add(watched);
    this.#startDue();
  }

  #startDue(): void {
    for (const watched of this.#due) {
      if (this.#running >= PROBES_MAX) return;
      this.#due.delete(watched);
      this.#running += 1;
      void this.#probe(watched);
    }
  }

  async #probe(watched: Watched): Promise<void> {
    const abort = new AbortController();
    watched.abort = abort;
    const { endpoint, check, protocol, tls, host } = watched;
    const result = await probeOnce({ endpoint, check, protocol, tls, host }, abort.signal);
    this.#running -= 1;
    watched.abort = null;
    if (!abort.signal.aborted) {
      this.#record(watched, result);
      this.#schedule(watched);
    }
    this.#startDue();
  }

  #schedule(watched: Watched): void {
    const random = this.#deps.random ?? Math.random;
    const delayMs = watched.check.intervalMs * (1 - JITTER + 2 * JITTER * random());
    watched.timer = setTimeout(() => {
      watched.timer = null;
      this.#enqueue(watched);
    }, delayMs);
    watched.timer.unref();
  }

  #record(watched: Watched, result: ProbeResult): void {
    if (!result.ok) watched.trouble = result.reason;
    if (result.ok === watched.healthy) {
      watched.contrary = 0;
      return;
    }
    watched.contrary += 1;
    if (watched.contrary < (result.ok ? watched.check.healthyAfter : watched.check.unhealthyAfter)) return;
    watched.contrary = 0;
    watched.healthy = result.ok;
    this.#deps.health.setDown(watched.endpoint.slot, !result.ok, monotonicMs());
    this.#deps.onChange({ upstream: watched.upstream, target: watched.endpoint.key, healthy: result.ok, reason: result.reason });
  }
}

function watch(of: Pick<Watched, "upstream" | "endpoint" | "check" | "protocol" | "tls" | "host">): Watched {
  const { endpoint, check, protocol, tls, host } = of;
  const { slot, address, port, authority } = endpoint;
  const identity = JSON.stringify([slot, address, port, endpoint.tls, authority, check, protocol, tls, host]);
  return { ...of, identity, healthy: true, trouble: "", contrary: 0, timer: null, abort: null };
}

/** @returns the one to go on with: the old one when it is probed in the same way; else the new one, with what was known about the same slot. */
function succeed(old: Watched | undefined, wanted: Watched): Watched {
  if (old === undefined) return wanted;
  if (old.identity !== wanted.identity) {
    if (old.endpoint.slot === wanted.endpoint.slot) {
      wanted.healthy = old.healthy;
      wanted.trouble = old.trouble;
    }
    return wanted;
  }
  old.endpoint = wanted.endpoint;
  return old;
}

function halt(watched: Watched): void {
  if (watched.timer !== null) clearTimeout(watched.timer);
  watched.timer = null;
  watched.abort?.abort();
}
