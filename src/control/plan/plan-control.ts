// Owns which plan is in force, and the way from a changed configuration to a new one: load, compile, prepare everywhere, switch.
// A failure at any step before the switch leaves everything as it was.
import { OperatorError } from "../../base/errors.ts";
import type { Log } from "../../observe/log.ts";
import type { Plan } from "../../plan/plan.ts";
import type { ReloadProblem, ReloadResult } from "../admin/deps.ts";
import type { BreakerControl } from "../breakers/breaker-control.ts";
import { formatProblem } from "../config/problem.ts";
import type { Config } from "../config/schema.ts";
import type { Discovery } from "../discovery/discovery.ts";
import type { HealthProbe } from "../health/health-probe.ts";
import { boundAddress, checkAddressesFree, REMEDIES } from "../instance/addresses.ts";
import type { KeySources } from "../keys/key-sources.ts";
import type { SharedCells } from "../primary/shared-cells.ts";
import type { WorkerSet } from "../workers/worker-set.ts";
import { describeChanges, describeRestarts } from "./plan-diff.ts";
import { type PlanSource, reloadProblems } from "./plan-source.ts";

/** The plan that the workers serve, and what it was made of. */
export interface InForce {
  readonly plan: Plan;
  readonly config: Config;
  /** Date.now() when it took effect. */
  readonly sinceMs: number;
}

export interface PlanControlDeps {
  readonly source: PlanSource;
  readonly cells: SharedCells;
  readonly workers: WorkerSet;
  readonly discovery: Discovery;
  readonly keys: KeySources;
  readonly probes: HealthProbe;
  readonly breakers: BreakerControl;
  readonly log: Log;
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

  constructor(deps: PlanControlDeps) {
    this.#deps = deps;
  }

  get inForce(): InForce | null {
    return this.#inForce;
  }

  /** Hands the first plan (version 1) to all workers. @throws OperatorError when one cannot serve it. */
  async first(config: Config, plan: Plan): Promise<void> {
    const prepared = await this.#prepare(plan);
    await this.#deps.workers.start({ plan, ...prepared.bundle });
    prepared.commit();
    this.#enforce(config, plan);
  }

  /** Never rejects. */
  async reload(reasons: readonly string[]): Promise<ReloadResult> {
    const { log } = this.#deps;
    const result = await this.#tryReload().catch((error: unknown): ReloadResult => {
      if (!(error instanceof OperatorError)) log.error("reload failed inside the gateway", { error });
      return { ok: false, problems: [{ message: error instanceof Error ? error.message : String(error) }] };
    });
    this.lastProblems = result.ok ? 0 : result.problems.length;
    if (result.ok) {
      this.reloads.ok++;
      log.info("reloaded", { reasons, version: result.version, changes: result.changes });
      for (const warning of result.warnings) log.warn(warning);
    } else {
      this.reloads.failed++;
      this.#keepNames(this.#inForce?.plan ?? null);
      log.error("reload refused: the old configuration stays in force", { reasons, problems: result.problems.map(problemText) });
    }
    return result;
  }

  async #tryReload(): Promise<ReloadResult> {
    const { source, workers } = this.#deps;
    const before = this.#inForce;
    if (before === null) throw new Error("reload before the first plan");
    const loading = await source.load();
    if (!loading.ok) return { ok: false, problems: reloadProblems(loading.problems) };
    const plan = await source.compile(loading.config, ++this.#lastVersion);
    await checkAddressesFree(plan.listeners, before.plan.listeners.map(boundAddress), REMEDIES.reload);
    const prepared = await this.#prepare(plan);
    const published = await workers.publish({ plan, ...prepared.bundle });
    if (!published.ok) {
      prepared.abandon();
      return { ok: false, problems: published.problems.map((message) => ({ message })) };
    }
    prepared.commit();
    this.#enforce(loading.config, plan);
    const warnings = [...loading.warnings, ...describeRestarts(restartSettings(before.config, loading.config))];
    return { ok: true, version: plan.version, changes: describeChanges(before.plan, plan), warnings };
  }

  /** What a plan needs from outside: addresses and keys, looked for side by side. */
  async #prepare(plan: Plan) {
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

  #enforce(config: Config, plan: Plan): void {
    const { cells, log } = this.#deps;
    this.#inForce = { plan, config, sinceMs: Date.now() };
    this.#keepNames(plan);
    const { routeNames, limitNames } = cells.totals;
    if (routeNames.overflowed > 0)
      log.warn("more routes than metric slots: the rest is counted together as _other", { routes: routeNames.overflowed });
    if (limitNames.overflowed > 0)
      log.warn("more limits than metric slots: the rest is counted together as _other", { limits: limitNames.overflowed });
    this.endpointsChanged();
    this.#deps.onInForce(this.#inForce);
  }

  /** Metric slots belong to what the plan in force names. */
  #keepNames(plan: Plan | null): void {
    const { routeNames, limitNames } = this.#deps.cells.totals;
    this.#deps.cells.keepBreakers(plan);
    routeNames.keepOnly(plan?.routes.map((route) => route.name) ?? []);
    limitNames.keepOnly(Object.keys(plan?.limitSlots ?? {}));
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

/** Settings that only a new process takes up. */
function restartSettings(before: Config, after: Config): Readonly<Record<string, readonly [unknown, unknown]>> {
  return {
    workers: [before.workers, after.workers],
    "limits.headerBytes": [before.limits.headerBytes, after.limits.headerBytes],
    "limits.uriBytes": [before.limits.uriBytes, after.limits.uriBytes],
    "limits.rateLimitBuckets": [before.limits.rateLimitBuckets, after.limits.rateLimitBuckets],
    "admin.address": [before.admin?.address, after.admin?.address],
    dns: [before.dns, after.dns],
    redis: [before.redis, after.redis],
    log: [before.log, after.log],
  };
}

function problemText(problem: ReloadProblem | string): string {
  if (typeof problem === "string") return problem;
  if (problem.at === undefined) return problem.message;
  return formatProblem({ message: problem.message, at: problem.at, path: problem.path ?? "", remedy: problem.remedy ?? "" });
}
