// Owns turning targets into endpoints, in the primary: names are resolved, watched and given slots.
// Must never judge health, and never drop endpoints because a name server fails: the last good answer stands.
import { monotonicMs } from "../../base/clock.ts";
import type { EndpointPlan, Plan } from "../../plan/plan.ts";
import type { SlotTable } from "../../shared/slot-table.ts";
import { type Candidate, candidatesOf } from "./endpoints-of.ts";
import { NameWatch } from "./name-watch.ts";
import { NameResolver, type NameSource } from "./resolve-name.ts";
import { parseTarget } from "./target-url.ts";

/** Preparing a plan waits this long for its new names; what is not resolved by then follows through onChange. */
export const FIRST_RESOLVE_MS_MAX = 3000;

/** What discovery needs. */
export interface DiscoveryOptions {
  readonly slots: SlotTable;
  readonly dns: {
    /** `address` or `address:port`; empty for the system's. */
    readonly servers: readonly string[];
    readonly ttlMinMs: number;
    readonly ttlMaxMs: number;
  };
  /** An upstream of the plan in force has other endpoints than before. */
  onChange(upstream: string, endpoints: readonly EndpointPlan[]): void;
  /** Names that cannot be resolved or can again, full slot table: one sentence for the log. */
  onWarning(message: string): void;
  /** Default {@link FIRST_RESOLVE_MS_MAX}. */
  readonly firstResolveMsMax?: number;
}

/** A plan whose endpoints are known but which is not in force yet. Exactly one of commit() and abandon() must follow. */
export interface PreparedEndpoints {
  readonly endpoints: Map<string, EndpointPlan[]>;
  /**
   * The plan is in force: changes are reported for it, and what only the old plan used is let go. Upstreams whose names changed their meaning
   * since prepare() are reported at once.
   * @returns the endpoints, now current.
   */
  commit(): Map<string, EndpointPlan[]>;
  /** The plan is not to be: everything stays as it was. */
  abandon(): void;
}

type Upstreams = Pick<Plan, "upstreams">;

/** Endpoints by upstream, each holding its slot once. */
type Generation = Map<string, EndpointPlan[]>;

export class Discovery {
  readonly #options: DiscoveryOptions;
  readonly #resolver: NameResolver;
  readonly #watches = new Map<string, NameWatch>();
  #plan: Upstreams = { upstreams: [] };
  #current: Generation = new Map();
  /** Moves with every new answer. */
  #answers = 0;
  /** Plans being prepared: their names must stay watched. */
  readonly #prepared = new Set<Upstreams>();

  /** @throws TypeError when a DNS server is not an address. */
  constructor(options: DiscoveryOptions) {
    this.#options = options;
    this.#resolver = new NameResolver(options.dns.servers);
  }

  /** Endpoints of the plan in force, by upstream name. */
  get endpoints(): ReadonlyMap<string, readonly EndpointPlan[]> {
    return this.#current;
  }

  /** prepare() and commit() in one: for the first plan. */
  async start(plan: Upstreams): Promise<Map<string, EndpointPlan[]>> {
    return (await this.prepare(plan)).commit();
  }

  /** prepare() and commit() in one: for a plan that cannot fail any more. */
  async update(plan: Upstreams): Promise<Map<string, EndpointPlan[]>> {
    return (await this.prepare(plan)).commit();
  }

  /** Resolves what a plan needs, bounded in time. The plan in force is not touched. Never rejects. */
  async prepare(plan: Upstreams): Promise<PreparedEndpoints> {
    this.#prepared.add(plan);
    const unanswered = this.#watch(plan).filter((watch) => watch.answer === null);
    await this.#settled(unanswered);
    const answers = this.#answers;
    const generation = this.#generate(plan);
    return {
      endpoints: generation,
      commit: () => this.#commit(plan, generation, answers),
      abandon: () => {
        this.#prepared.delete(plan);
        this.#release(generation);
        this.#dropUnusedWatches();
      },
    };
  }

  /** Ends all watching. Slots stay held: requests may still be under way. */
  stop(): void {
    for (const watch of this.#watches.values()) watch.stop();
    this.#watches.clear();
    this.#resolver.cancel();
  }

  #commit(plan: Upstreams, generation: Generation, answers: number): Generation {
    this.#prepared.delete(plan);
    const old = this.#current;
    this.#plan = plan;
    this.#current = generation;
    this.#release(old);
    this.#dropUnusedWatches();
    if (answers === this.#answers) return generation;
    // Answers came since prepare(). Acquire before release, so that slots which stay never become free.
    this.#current = this.#generate(plan);
    this.#release(generation);
    for (const [upstream, endpoints] of this.#current) {
      if (JSON.stringify(endpoints) !== JSON.stringify(generation.get(upstream))) this.#options.onChange(upstream, endpoints);
    }
    return this.#current;
  }

  async #settled(watches: readonly NameWatch[]): Promise<void> {
    if (watches.length === 0) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.#options.firstResolveMsMax ?? FIRST_RESOLVE_MS_MAX);
    });
    await Promise.race([Promise.all(watches.map((watch) => watch.firstAttempt)), late]);
    clearTimeout(timer);
    for (const watch of watches) {
      if (watch.answer === null) this.#options.onWarning(`${watch.source.name}: not resolved yet; its targets are unused until it is`);
    }
  }

  #watch(plan: Upstreams): NameWatch[] {
    return sourcesOf(plan).map((source) => {
      const id = watchId(source);
      const watch = this.#watches.get(id) ?? new NameWatch(source, this.#watchDeps());
      this.#watches.set(id, watch);
      return watch;
    });
  }

  #watchDeps() {
    const { dns, onWarning } = this.#options;
    return {
      resolver: this.#resolver,
      ttlMinMs: dns.ttlMinMs,
      ttlMaxMs: dns.ttlMaxMs,
      random: Math.random,
      onChange: (watch: NameWatch) => this.#answerChanged(watch),
      onTrouble: (watch: NameWatch, error: Error | null) => {
        const stale = watch.answer === null ? "there is no earlier answer" : "the last answer stays in use";
        onWarning(error === null ? `${watch.source.name}: resolved again` : `${watch.source.name}: ${error.message}; ${stale}`);
      },
    };
  }

  #answerChanged(changed: NameWatch): void {
    this.#answers += 1;
    for (const upstream of this.#plan.upstreams) {
      if (!sourcesOf({ upstreams: [upstream] }).some((source) => watchId(source) === watchId(changed.source))) continue;
      const before = this.#current.get(upstream.name) ?? [];
      const after = this.#endpointsOf(upstream);
      this.#current.set(upstream.name, after);
      this.#release(new Map([[upstream.name, before]]));
      if (JSON.stringify(before) !== JSON.stringify(after)) this.#options.onChange(upstream.name, after);
    }
  }

  #generate(plan: Upstreams): Generation {
    return new Map(plan.upstreams.map((upstream) => [upstream.name, this.#endpointsOf(upstream)]));
  }

  /** Acquires a slot for each. */
  #endpointsOf(upstream: Upstreams["upstreams"][number]): EndpointPlan[] {
    const answerOf = (source: NameSource) => this.#watches.get(watchId(source))?.answer ?? null;
    return candidatesOf(upstream.targets, answerOf).flatMap((candidate) => this.#withSlot(upstream.name, candidate));
  }

  #withSlot(upstream: string, candidate: Candidate): EndpointPlan[] {
    const held = this.#options.slots.acquire(upstream, candidate.key, monotonicMs());
    if (held !== null) return [{ ...candidate, slot: held.slot, sinceMs: held.sinceMs }];
    this.#options.onWarning(`${upstream}: ${candidate.key} is unused: more targets than the health table has slots`);
    return [];
  }

  #release(generation: Generation): void {
    for (const [upstream, endpoints] of generation) for (const endpoint of endpoints) this.#options.slots.release(upstream, endpoint.key);
  }

  #dropUnusedWatches(): void {
    const used = new Set([this.#plan, ...this.#prepared].flatMap(sourcesOf).map(watchId));
    for (const [id, watch] of this.#watches) {
      if (used.has(id)) continue;
      watch.stop();
      this.#watches.delete(id);
    }
  }
}

const watchId = (source: NameSource): string => `${source.kind} ${source.name}`;

function sourcesOf(plan: Upstreams): NameSource[] {
  const distinct = new Map<string, NameSource>();
  for (const target of plan.upstreams.flatMap((upstream) => upstream.targets)) {
    const { source } = parseTarget(target);
    if (source.kind !== "literal") distinct.set(watchId(source), source);
  }
  return [...distinct.values()];
}
