// Owns the limits of one route: what each request asks the table for, in two stages, what a refusal gives back, what the answer says.
// Must never let a request through because a limit could not be decided.
import { monotonicMs } from "../../../base/clock.ts";
import { getHeader, type HeaderList, removeHeaders } from "../../../base/header-list.ts";
import type { LimitConfig } from "../../../plan/rate-limit.ts";
import { KIND_CONCURRENCY } from "../../../shared/limit-layout.ts";
import { LimitAsk, NO_GRANT, NO_SHARE } from "../../../shared/limit-size.ts";
import type { LimitTable } from "../../../shared/limit-table.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import type { Policy, PolicyFactory, Reply, ResponseHead } from "../../exchange/policy.ts";
import type { ExchangeSlot, PolicyRoute } from "../../exchange/route-context.ts";
import type { Services } from "../../exchange/runtime.ts";
import { singleHeaderValue } from "../../routing/request/single-value.ts";
import { limitField, refusal, retryAfterS } from "./answer.ts";
import { type Bucket, type CompiledLimit, compileLimits } from "./buckets.ts";

/** Admissions kept for reuse, for each route and worker: more exchanges under way make garbage. */
const POOL_MAX = 1024;
/** How often (ms) a request that waits for a grant or a share looks. */
const FLEET_POLL_MS = 2;
/** Requests of a route that may wait for the fleet in one worker: what comes beyond is refused at once. */
const WAITING_MAX = 1024;

const OUR_FIELDS: ReadonlySet<string> = new Set(["ratelimit", "ratelimit-policy"]);
const isOurs = (name: string): boolean => name.startsWith("ratelimit") && OUR_FIELDS.has(name);

export const createRateLimit: PolicyFactory = (config, route): Policy => new RateLimit(config as readonly LimitConfig[], route); // parsed by rateLimitSchema in the primary

/**
 * What an exchange has taken from the table of limits: what must be given back, charged or told when its response is there. Filled part by part, and
 * reused: an exchange allocates none as long as the pool has one, and no two use one at once, since onFinish takes it back.
 */
class RouteAdmission {
  /** Asked in this order; the first `count` are in use. */
  readonly asks: LimitAsk[] = [];
  count = 0;
  /** Index of the part that refused; -1 for none. */
  refusedBy = -1;
  /** The upstream's response has been charged. */
  charged = false;
  /** What each of the asks is about, at the same index. */
  readonly limits: CompiledLimit[] = [];
  readonly buckets: Bucket[] = [];
  /** Seconds in Retry-After of a refusal. */
  retryS = 0;
  /** What its client is told; null: nothing yet. */
  told: HeaderList | null = null;
}

class RateLimit implements Policy {
  readonly name = "rateLimit";
  readonly #services: Services;
  readonly #table: LimitTable;
  readonly #early: readonly CompiledLimit[];
  readonly #late: readonly CompiledLimit[];
  readonly #hasQuota: boolean;
  readonly #waitMs: number;
  /** Header of the upstream's answer that says what it cost; '' for none. */
  readonly #costHeaders: readonly string[];
  readonly #slot: ExchangeSlot<RouteAdmission>;
  readonly #pool: RouteAdmission[] = [];
  #waiting = 0;
  onRequest?(x: Exchange): Reply | undefined | Promise<Reply | undefined>;
  onIdentified?(x: Exchange): Reply | undefined | Promise<Reply | undefined>;

  constructor(configs: readonly LimitConfig[], route: PolicyRoute) {
    const limits = compileLimits(configs, route);
    this.#services = route.resources.services;
    this.#slot = route.slot();
    this.#table = this.#services.limits;
    this.#early = limits.filter((limit) => !limit.late);
    this.#late = limits.filter((limit) => limit.late);
    this.#hasQuota = configs.some((config) => config.tier || config.quota !== null);
    this.#waitMs = Math.max(0, ...configs.map((config) => (config.mode === "local" ? 0 : config.waitMs)));
    this.#costHeaders = configs.flatMap(({ cost }) => (cost.kind === "response" ? [cost.name] : []));
    // A response that says what it cost is charged for by onResponse.
    if (this.#costHeaders.length === 0) this.headDependsOn = (x) => (this.#slot.get(x) === undefined ? "" : "-");
    if (this.#early.length > 0) this.onRequest = (x) => this.#stage(x, this.#early);
    if (this.#late.length > 0) this.onIdentified = (x) => this.#stage(x, this.#late);
  }

  onResponse(x: Exchange, head: ResponseHead): undefined {
    const admission = this.#slot.get(x);
    if (admission === undefined) return;
    if (head.fromUpstream) {
      if (this.#costHeaders.length > 0) this.#charge(admission, head);
      removeHeaders(head.headers, isOurs);
    }
    head.headers.push(...this.#tell(admission));
  }

  headDependsOn?(x: Exchange): string;

  ownFields(x: Exchange): HeaderList | null {
    const admission = this.#slot.get(x);
    return admission === undefined ? null : this.#tell(admission);
  }

  onFinish(x: Exchange): void {
    const admission = this.#slot.get(x);
    if (admission === undefined) return;
    this.#slot.set(x, undefined);
    for (let i = 0; i < admission.count; i++) {
      const ask = admission.asks[i]!;
      if (ask.size.kind === KIND_CONCURRENCY) this.#table.refund(ask);
    }
    if (this.#pool.length < POOL_MAX) this.#pool.push(admission);
  }

  /** Asks for all limits of a stage. The first stage makes the exchange's admission, the second goes on with it. */
  #stage(x: Exchange, limits: readonly CompiledLimit[]): Reply | undefined | Promise<Reply | undefined> {
    const admission = this.#slot.get(x) ?? this.#begin(x);
    this.#readClock();
    const from = admission.count;
    for (const limit of limits) if (!limit.config.shadow) this.#ask(x, admission, limit);
    const refused = this.#table.spendAll(admission.asks, from, admission.count);
    if (refused < 0) return this.#passed(x, admission, limits, from);
    if (this.#mayWait(admission, refused)) return this.#waitForFleet(x, admission, limits, from);
    return this.#refused(admission, refused);
  }

  /** Whether Redis may make a request pass that a limit did not let through. While it is away that would be in vain: shares stay as they are. */
  #mayWait(admission: RouteAdmission, refused: number): boolean {
    const verdict = admission.asks[refused]?.verdict;
    if (this.#waitMs === 0 || this.#waiting >= WAITING_MAX) return false;
    return verdict === NO_GRANT || (verdict === NO_SHARE && this.#table.isTogether);
  }

  #begin(x: Exchange): RouteAdmission {
    const admission = this.#pool.pop() ?? new RouteAdmission();
    admission.count = 0;
    admission.refusedBy = -1;
    admission.told = null;
    admission.retryS = 0;
    admission.charged = false;
    this.#slot.set(x, admission);
    return admission;
  }

  /** Prepares the questions of one limit, one for each part that the caller has. */
  #ask(x: Exchange, admission: RouteAdmission, limit: CompiledLimit): void {
    for (const bucket of limit.partsOf(x)) {
      const at = admission.count++;
      admission.limits[at] = limit;
      admission.buckets[at] = bucket;
      this.#fill(x, (admission.asks[at] ??= new LimitAsk(bucket.identity, bucket.size)), limit, bucket);
    }
  }

  #fill(x: Exchange, ask: LimitAsk, limit: CompiledLimit, bucket: Bucket): void {
    const { hash } = bucket.identity;
    ask.identity = bucket.identity;
    ask.size = bucket.size;
    ask.carried = 0;
    ask.beforeStartS = 0;
    ask.taken = 0; // of the exchange that used it before
    ask.beyondShare = limit.config.shadow;
    ask.cost = bucket.part === "concurrency" ? 1 : costOf(x, limit.config);
    limit.keyOf(x, hash);
    ask.high = hash.high;
    ask.low = hash.low;
    bucket.period?.apply(ask, this.#table);
  }

  #passed(x: Exchange, admission: RouteAdmission, limits: readonly CompiledLimit[], from: number): undefined {
    for (let i = from; i < admission.count; i++) this.#services.recordLimit(admission.buckets[i]!.metricSlot, "passed");
    for (const limit of limits) if (limit.config.shadow) this.#shadow(x, admission, limit);
    return undefined;
  }

  /** A shadow limit takes what it can, and says what it would have refused. It comes last: what others refuse, it does not count. */
  #shadow(x: Exchange, admission: RouteAdmission, limit: CompiledLimit): void {
    const from = admission.count;
    this.#ask(x, admission, limit);
    const refused = this.#table.spendAll(admission.asks, from, admission.count);
    for (let i = from; i < admission.count; i++)
      this.#services.recordLimit(admission.buckets[i]!.metricSlot, i === refused ? "shadowed" : "passed");
    if (refused < 0) return;
    const bucket = admission.buckets[refused]!;
    x.errorDetail = `shadow: the limit ${bucket.limitName} would have refused this`;
  }

  /** Everything that earlier stages took is given back: a refused request costs nothing. */
  #refused(admission: RouteAdmission, by: number): Reply {
    for (let i = 0; i < admission.count; i++) if (i !== by) this.#table.refund(admission.asks[i]!);
    const bucket = admission.buckets[by]!;
    const ask = admission.asks[by]!;
    this.#services.recordLimit(bucket.metricSlot, "refused");
    admission.refusedBy = by;
    admission.retryS = retryAfterS(bucket, ask, this.#table);
    return refusal(bucket, ask.verdict, admission.retryS);
  }

  /** The one wait for the network that a limit can bring: a strict limit's grant, or a fleet limit's share, is used up. Bounded. */
  async #waitForFleet(x: Exchange, admission: RouteAdmission, limits: readonly CompiledLimit[], from: number): Promise<Reply | undefined> {
    const untilMs = performance.now() + this.#waitMs;
    this.#waiting++;
    try {
      for (;;) {
        await new Promise((resolve) => setTimeout(resolve, FLEET_POLL_MS));
        if (this.#slot.get(x) !== admission) return undefined; // the exchange is over, and what it took may serve another one
        this.#readClock();
        const refused = this.#table.spendAll(admission.asks, from, admission.count);
        if (refused < 0) return this.#passed(x, admission, limits, from);
        const { verdict } = admission.asks[refused]!;
        if ((verdict !== NO_GRANT && verdict !== NO_SHARE) || x.closed || performance.now() >= untilMs)
          return this.#refused(admission, refused);
      }
    } finally {
      this.#waiting--;
    }
  }

  /** The answer says what it cost: the first unit was paid when the request came. */
  #charge(admission: RouteAdmission, head: ResponseHead): void {
    if (admission.charged) return;
    admission.charged = true;
    for (let i = 0; i < admission.count; i++) {
      const { cost } = admission.limits[i]!.config;
      const ask = admission.asks[i]!;
      if (cost.kind !== "response" || ask.taken === 0 || ask.size.kind === KIND_CONCURRENCY) continue;
      const said = getHeader(head.headers, cost.name);
      if (said === undefined || !/^\d{1,9}$/.test(said)) continue;
      const units = Math.min(Number(said), cost.max);
      if (units === 0) this.#table.refund(ask);
      else if (units > 1) this.#table.charge(ask, units - 1);
    }
    removeHeaders(head.headers, (name) => this.#costHeaders.includes(name));
  }

  #tell(admission: RouteAdmission): HeaderList {
    if (admission.told !== null) return admission.told;
    let policies = "";
    let limits = "";
    for (let i = 0; i < admission.count; i++) {
      const bucket = admission.buckets[i]!;
      if (bucket.policyField === "") continue;
      policies += policies === "" ? bucket.policyField : `, ${bucket.policyField}`;
      // Of a refused request only the refusal is known: what the others have left was given back, or never asked for.
      if (admission.refusedBy >= 0 && admission.refusedBy !== i) continue;
      const field = limitField(bucket, admission.asks[i]!, this.#table, admission.retryS);
      limits += limits === "" ? field : `, ${field}`;
    }
    const told: HeaderList = policies === "" ? [] : ["ratelimit-policy", policies];
    if (limits !== "") told.push("ratelimit", limits);
    return (admission.told = told);
  }

  #readClock(): void {
    // The wall clock matters to quotas only; for the rest the last reading is good enough.
    this.#table.setNow(monotonicMs(), this.#hasQuota ? Date.now() : this.#table.nowEpochMs);
  }
}

function costOf(x: Exchange, { cost }: LimitConfig): number {
  if (cost.kind === "fixed") return cost.units;
  if (cost.kind === "response") return 1;
  const said = singleHeaderValue(x, cost.name);
  if (said === undefined || !/^\d{1,9}$/.test(said)) return cost.default;
  return Math.max(1, Math.min(Number(said), cost.max));
}
