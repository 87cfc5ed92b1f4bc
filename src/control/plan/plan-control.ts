// Owns which plan is in force, and the way from a changed configuration to a new one: load, compile, prepare everywhere, switch.
// A failure at any step before the switch leaves everything as it was.
import { OperatorError } from "../../base/errors.ts";
import type { Log } from "../../observe/log.ts";
import type { ModulePolicyPlan } from "../../plan/module-plan.ts";
import type { Plan } from "../../plan/plan.ts";
import type { BreakerControl } from "../breakers/breaker-control.ts";
import type { Config } from "../config/schema/schema.ts";
import type { ConfigFiles } from "../config/source/files.ts";
import { nothingToRead } from "../config/source/piped.ts";
import { formatProblem } from "../config/source/problem.ts";
import type { RedisConsumers } from "../consumers/redis-consumers.ts";
import type { Discovery } from "../discovery/discovery.ts";
import type { HealthProbe } from "../health/health-probe.ts";
import { boundAddress, checkAddressesFree, REMEDIES } from "../instance/addresses.ts";
import type { KeySources } from "../keys/key-sources.ts";
import type { SharedCells } from "../workers/shared-cells.ts";
import type { WorkerSet } from "../workers/worker-set.ts";
import { ModuleVersions } from "./module-versions.ts";
import { describeChanges, describeRestarts, waitingSettings } from "./plan-diff.ts";
import { type LoadedConfig, type Loading, type PlanSource, reloadProblems } from "./plan-source.ts";
import type { ReloadProblem, ReloadResult } from "./reload.ts";

/** The plan that the workers serve, and what it was made of. */
export interface InForce {
  readonly plan: Plan;
  readonly config: Config;
  /** The files as they were read; null when they are not known. */
  readonly content: ConfigFiles | null;
  /** Date.now() when it took effect. */
  readonly sinceMs: number;
}

export interface PlanControlDeps {
  readonly source: PlanSource;
  readonly cells: SharedCells;
  readonly workers: WorkerSet;
  readonly discovery: Discovery;
  readonly keys: KeySources;
  readonly consumers: RedisConsumers;
  readonly probes: HealthProbe;
  readonly breakers: BreakerControl;
  readonly log: Log;
  /** A plan is about to be handed to the workers, which may refuse it. */
  onPlanned(plan: Plan): void;
  /** A plan is in force. */
  onInForce(now: InForce): void;
}

export class PlanControl {
  readonly #deps: PlanControlDeps;
  #inForce: InForce | null = null;
  /** Every attempt has its own version, so that a late answer about a failed one can't be taken for another's. */
  #lastVersion = 1;
  readonly reloads = { ok: 0, failed: 0 };
  /** Problems of the last reload; 0 when it went well, or there was none. */
  lastProblems = 0;
  /** Settings in force in the configuration only: the process goes on with those that it started with. */
  waiting: readonly string[] = [];
  #atStart: Config | null = null;
  readonly #modules = new ModuleVersions();

  constructor(deps: PlanControlDeps) {
    this.#deps = deps;
  }

  get inForce(): InForce | null {
    return this.#inForce;
  }

  /** Hands the first plan (version 1) to all workers. @throws OperatorError when one cannot serve it. */
  async first({ config, content }: LoadedConfig, plan: Plan): Promise<void> {
    const prepared = await this.#prepare(plan);
    await this.#deps.workers.start({ plan: planForWorkers(plan), ...prepared.bundle });
    prepared.commit();
    this.#atStart = config;
    this.#enforce({ plan, config, content });
  }

  /** The same files with the consumers of Redis, as far as they are known and fit: waits for the first look at it, bounded in time. */
  async withConsumers(loaded: LoadedConfig): Promise<LoadedConfig> {
    if (!(await this.#deps.consumers.follow(loaded.config)) || loaded.content === null) return loaded;
    const again = await this.#load(loaded.content, loaded.config);
    return again.ok ? again : loaded;
  }

  /** Reads all anew. Never rejects. */
  async reload(reasons: readonly string[]): Promise<ReloadResult> {
    const result = await this.#attempt(reasons, () => this.#tryReload());
    this.lastProblems = result.ok ? 0 : result.problems.length;
    return result;
  }

  /** Redis has other consumers: the files stay as they were read, so that none which is just being changed holds them up. Never rejects. */
  async takeConsumers(reasons: readonly string[]): Promise<ReloadResult> {
    const before = this.#inForce;
    if (before === null) throw new Error("consumers before the first plan");
    if (before.config.consumersFrom.redis === null) return NOTHING_NEW(before); // a reload ended them meanwhile
    const [newest = null] = this.#deps.consumers.sets;
    const loading = await this.#load(before.content, before.config);
    // Without the files as they were (a restart found them broken) it takes their mending; that is said once.
    if (!loading.ok && newest !== null) this.#deps.consumers.refused({ set: newest, problems: loading.problems });
    if (!loading.ok) return { ok: false, problems: reloadProblems(loading.problems) };
    if (loading.config.redisConsumers === before.config.redisConsumers) return NOTHING_NEW(before);
    return await this.#attempt(reasons, () => this.#take(loading, before));
  }

  /** Says how it went. */
  async #attempt(reasons: readonly string[], attempt: () => Promise<ReloadResult>): Promise<ReloadResult> {
    const { log } = this.#deps;
    const result = await attempt().catch((error: unknown): ReloadResult => {
      if (!(error instanceof OperatorError)) log.error("reload failed inside the gateway", { error });
      return { ok: false, problems: [{ message: error instanceof Error ? error.message : String(error) }] };
    });
    if (result.ok) {
      this.reloads.ok++;
      log.info("reloaded", { reasons, version: result.version, changes: result.changes });
      for (const warning of result.warnings) log.warn(warning);
    } else {
      this.reloads.failed++;
      this.#keepNames(this.#inForce?.plan ?? null);
      if (this.#inForce !== null) this.#deps.consumers.inForce(this.#inForce.config);
      log.error("reload refused: the old configuration stays in force", { reasons, problems: result.problems.map(problemText) });
    }
    return result;
  }

  async #tryReload(): Promise<ReloadResult> {
    const before = this.#inForce;
    if (before === null) throw new Error("reload before the first plan");
    const loading = await this.#load(null, before.config);
    return await this.#take(loading.ok ? { ok: true, ...(await this.withConsumers(loading)) } : loading, before);
  }

  /**
   * With the best consumers of Redis that fit.
   * @param content null: the files are read anew
   * @param before whose listeners may stay left out; one that serves is never given up
   */
  async #load(content: ConfigFiles | null, before: Config): Promise<Loading> {
    const { source, consumers } = this.#deps;
    const leaveOut = before.leftOut.map(({ address }) => address);
    const loading = await (this.#inForce === null
      ? source.load(consumers.sets, content, leaveOut)
      : source.loadApart(consumers.sets, content, leaveOut));
    if (loading.ok && loading.refused !== null) consumers.refused(loading.refused);
    return loading;
  }

  async #take(loading: Loading, before: InForce): Promise<ReloadResult> {
    const { source, workers } = this.#deps;
    if (!loading.ok) return { ok: false, problems: reloadProblems(loading.problems) };
    const plan = await source.compile(loading.config, ++this.#lastVersion);
    await checkAddressesFree(plan.listeners, before.plan.listeners.map(boundAddress), REMEDIES.reload);
    const prepared = await this.#prepare(plan);
    const published = await workers.publish({ plan: planForWorkers(plan), ...prepared.bundle });
    if (!published.ok) {
      prepared.abandon();
      return { ok: false, problems: published.problems.map((message) => ({ message })) };
    }
    prepared.commit();
    this.#enforce({ plan, config: loading.config, content: loading.content });
    this.waiting = waitingSettings(restartSettings(this.#atStart ?? before.config, loading.config));
    const warnings = [...loading.warnings, ...nothingToRead(source.piped), ...describeRestarts(this.waiting)];
    return { ok: true, version: plan.version, changes: describeChanges(before.plan, plan), warnings };
  }

  /** What a plan needs from outside: addresses and keys, looked for side by side. */
  async #prepare(plan: Plan) {
    this.#deps.onPlanned(plan);
    const [endpoints, keys] = await Promise.all([this.#deps.discovery.prepare(plan), this.#deps.keys.prepare(plan)]);
    return {
      bundle: { endpoints: endpoints.endpoints, keys: keys.sets },
      commit: () => {
        endpoints.commit();
        keys.commit();
      },
      abandon: () => {
        endpoints.abandon();
        keys.abandon();
      },
    };
  }

  #enforce(now: Omit<InForce, "sinceMs">): void {
    const { cells, log } = this.#deps;
    // The files are kept for those only who will want them again.
    this.#inForce = { ...now, content: now.config.consumersFrom.redis === null ? null : now.content, sinceMs: Date.now() };
    this.#deps.consumers.inForce(now.config);
    this.#keepNames(now.plan);
    const { routeNames, limitNames, decisionNames, legNames } = cells.totals;
    if (routeNames.overflowed > 0)
      log.warn("more routes than metric slots: the rest is counted together as _other", { routes: routeNames.overflowed });
    if (limitNames.overflowed > 0)
      log.warn("more limits than metric slots: the rest is counted together as _other", { limits: limitNames.overflowed });
    if (decisionNames.overflowed > 0)
      log.warn("more forwardAuth than metric slots: the rest is counted together as _other", { forwardAuth: decisionNames.overflowed });
    if (legNames.overflowed > 0)
      log.warn("more legs than metric slots: the rest is counted together as _other", { legs: legNames.overflowed });
    this.#countModules(now.plan);
    this.endpointsChanged();
    this.#deps.onInForce(this.#inForce);
  }

  #countModules(plan: Plan): void {
    const versions = this.#modules.count(plan);
    if (versions === null) return;
    const message = "many versions of policy modules were loaded, and none can be unloaded: restart (or take over) to free their memory";
    this.#deps.log.warn(message, { versions });
  }

  /** Metric slots belong to what the plan in force names. */
  #keepNames(plan: Plan | null): void {
    const { routeNames, limitNames, decisionNames, legNames, policyNames, tierNames } = this.#deps.cells.totals;
    this.#deps.cells.keepBreakers(plan);
    this.#deps.cells.keepOverload(plan);
    routeNames.keepOnly(plan?.routes.map((route) => route.name) ?? []);
    limitNames.keepOnly(Object.keys(plan?.limitSlots ?? {}));
    decisionNames.keepOnly(Object.keys(plan?.decisionSlots ?? {}));
    legNames.keepOnly(Object.keys(plan?.legSlots ?? {}));
    tierNames.keepOnly(Object.keys(plan?.overload.tiers ?? {}));
    policyNames.keepOnly(modulesOf(plan).map(({ name }) => name));
  }

  /** Discovery has news: probes and breakers follow, and counters know whose they are. */
  endpointsChanged(): void {
    const { cells, discovery, probes, breakers } = this.#deps;
    for (const [upstream, endpoints] of discovery.endpoints) {
      for (const endpoint of endpoints) cells.totals.claim(endpoint.slot, `${upstream} ${endpoint.key}`);
    }
    if (this.#inForce === null) return;
    probes.update(this.#inForce.plan, discovery.endpoints);
    breakers.update(this.#inForce.plan, discovery.endpoints);
  }
}

/** Policies of the user's own, once for each route that has one. */
const modulesOf = (plan: Plan | null): readonly ModulePolicyPlan[] => plan?.routes.flatMap((route) => route.modules) ?? [];

const NOTHING_NEW = ({ plan }: InForce): ReloadResult => ({ ok: true, version: plan.version, changes: [], warnings: [] });

/** Settings that only a new process takes up. */
function restartSettings(atStart: Config, now: Config): Readonly<Record<string, readonly [unknown, unknown]>> {
  return {
    workers: [atStart.workers, now.workers],
    "limits.headerBytes": [atStart.limits.headerBytes, now.limits.headerBytes],
    "limits.uriBytes": [atStart.limits.uriBytes, now.limits.uriBytes],
    "limits.rateLimitBuckets": [atStart.limits.rateLimitBuckets, now.limits.rateLimitBuckets],
    "cache.memory": [atStart.cache.memoryBytes, now.cache.memoryBytes],
    "admin.address": [atStart.admin?.address, now.admin?.address],
    dns: [atStart.dns, now.dns],
    redis: [atStart.redis, now.redis],
    "log.file": [atStart.log.file, now.log.file],
  };
}

function problemText(problem: ReloadProblem | string): string {
  if (typeof problem === "string") return problem;
  if (problem.at === undefined) return problem.message;
  return formatProblem({ message: problem.message, at: problem.at, path: problem.path ?? "", remedy: problem.remedy ?? "" });
}

/** What is asked for ahead of clients is the primary's alone, and may be long. */
const planForWorkers = (plan: Plan): Plan => (plan.cache.warm === null ? plan : { ...plan, cache: { ...plan.cache, warm: null } });
