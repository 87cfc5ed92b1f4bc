// Owns the parts of a route's limits, ready to ask the table: identity, size for each caller, labels. Built once for each plan and worker.
import { createHmac, createSecretKey, type KeyObject } from "node:crypto";
import { SIP_KEY_BYTES, SipHash } from "../../../base/sip-hash.ts";
import type { QuotaPlan, RatePlan, TierPlan } from "../../../plan/plan.ts";
import {
  type FromClaim,
  isFromClaim,
  type LimitConfig,
  type LimitPart,
  limitIdentities,
  limitNames,
  needsIdentity,
  partLabels,
} from "../../../plan/rate-limit.ts";
import {
  concurrencySize,
  type LimitIdentity,
  type LimitMode,
  type LimitSize,
  limitIdentity,
  MODE_FLEET,
  MODE_LOCAL,
  MODE_STRICT,
  quotaSize,
  rateSize,
} from "../../../shared/limit-size.ts";
import { ROUTE_SLOT_OVERFLOW } from "../../../shared/metric-layout.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import type { PolicyRoute } from "../../exchange/route-context.ts";
import { claimConcurrency, claimQuota, claimRate, claimValue } from "./claim.ts";
import { compileKey, type KeyOf } from "./key.ts";
import { QuotaPeriod } from "./period.ts";

/** Different sizes that claims have asked for and that are kept ready, for each limit. */
const CLAIM_SIZES_MAX = 1000;

/** What a refusal is called. */
export const PART_CODES = { rate: "rate_limited", quota: "quota_exceeded", concurrency: "concurrency_limited" } as const;

/** One part of a limit for one kind of caller: what is asked of the table. */
export interface Bucket {
  readonly part: LimitPart;
  /** The limit's name: what messages call it. */
  readonly limitName: string;
  /** What header fields and metrics call the part. */
  readonly label: string;
  readonly metricSlot: number;
  readonly identity: LimitIdentity;
  readonly size: LimitSize;
  /** `quota`: its period; else null. */
  readonly period: QuotaPeriod | null;
  /** Item of the RateLimit-Policy field; '' when clients are not told. */
  readonly policyField: string;
}

/** A limit of the route. */
export interface CompiledLimit {
  readonly config: LimitConfig;
  readonly late: boolean;
  /** Tag of the request's bucket, by the hash of the part: each part has its own. */
  readonly keyOf: KeyOf;
  /** What applies to this caller. */
  readonly partsOf: (x: Exchange) => readonly Bucket[];
}

const MODES: Readonly<Record<LimitConfig["mode"], LimitMode>> = { local: MODE_LOCAL, fleet: MODE_FLEET, strict: MODE_STRICT };

/** An instance has one key; making it ready takes longer than to use it. */
const secrets = new WeakMap<Uint8Array, KeyObject>();

/** The hash of one bucket family: equal in all instances that have the same key and configuration. */
export function hashFor(key: Uint8Array, identity: string): SipHash {
  const secret = secrets.get(key) ?? createSecretKey(key);
  secrets.set(key, secret);
  return new SipHash(createHmac("sha256", secret).update(identity).digest().subarray(0, SIP_KEY_BYTES));
}

export function compileLimits(configs: readonly LimitConfig[], route: PolicyRoute): readonly CompiledLimit[] {
  const names = limitNames(configs);
  const labels = partLabels(configs);
  const identities = limitIdentities(configs, route.name);
  return configs.map((config, i): CompiledLimit => {
    const make = new BucketFactory(config, { name: names[i] ?? "", labels: labels[i] ?? {}, identity: identities[i] ?? "" }, route);
    return { config, late: needsIdentity(config), keyOf: compileKey(config, route), partsOf: partsFor(config, make, route) };
  });
}

function partsFor(config: LimitConfig, make: BucketFactory, route: PolicyRoute): (x: Exchange) => readonly Bucket[] {
  const own = ownParts(config, make);
  if (!config.tier) return own;
  const tiers = new Map(route.resources.plan.tiers.map((tier) => [tier.name, make.tier(tier)]));
  return (x) => (x.identity?.tier == null ? undefined : tiers.get(x.identity.tier)) ?? own(x);
}

function ownParts(config: LimitConfig, make: BucketFactory): (x: Exchange) => readonly Bucket[] {
  const { rate, burst, quota, concurrency } = config;
  const parts: ((x: Exchange) => Bucket)[] = [];
  if (rate !== null) parts.push(sized(rate, claimRate, (size: RatePlan) => make.rate(size, burst)));
  if (quota !== null) parts.push(sized(quota, claimQuota, (size: QuotaPlan) => make.quota(size)));
  if (concurrency !== null) parts.push(sized(concurrency, claimConcurrency, (size: number) => make.concurrency(size)));
  if ([rate, quota, concurrency].some((size) => isFromClaim<unknown>(size))) return (x) => parts.map((part) => part(x));
  const nobody = { identity: null } as Exchange; // fixed sizes look at nothing of it
  const fixed = parts.map((part) => part(nobody));
  return () => fixed;
}

/** A bucket whose size is fixed, or depends on the caller's claim. */
function sized<T>(
  size: T | FromClaim<T>,
  read: (from: FromClaim<T>, value: unknown) => T,
  make: (size: T) => Bucket,
): (x: Exchange) => Bucket {
  if (!isFromClaim(size)) {
    const fixed = make(size);
    return () => fixed;
  }
  const known = new Map<string, Bucket>();
  return (x) => {
    const of = read(size, claimValue(x.identity, size.claim));
    const key = JSON.stringify(of);
    let bucket = known.get(key);
    if (bucket === undefined) {
      if (known.size >= CLAIM_SIZES_MAX) known.clear();
      bucket = make(of);
      known.set(key, bucket);
    }
    return bucket;
  };
}

/** What a limit is known by. */
interface LimitTitles {
  readonly name: string;
  readonly labels: Readonly<Partial<Record<LimitPart, string>>>;
  readonly identity: string;
}

class BucketFactory {
  readonly #config: LimitConfig;
  readonly #titles: LimitTitles;
  readonly #route: PolicyRoute;
  readonly #identities = new Map<string, LimitIdentity>();

  constructor(config: LimitConfig, titles: LimitTitles, route: PolicyRoute) {
    this.#config = config;
    this.#titles = titles;
    this.#route = route;
  }

  rate(rate: RatePlan, burst: number | null, tier = ""): Bucket {
    const size = rateSize(
      rate,
      Math.max(this.#costMax, burst ?? Math.floor((rate.count * 1000) / rate.periodMs)),
      MODES[this.#config.mode],
    );
    // Window and quota of the field say the same as burst and rate: units that come back in that time.
    return this.#bucket("rate", size, null, tier, Math.ceil((size.capacity * rate.periodMs) / rate.count / 1000));
  }

  quota(quota: QuotaPlan, tier = ""): Bucket {
    const period = new QuotaPeriod(quota, tier === "" ? this.#config.window : "calendar");
    const units = Math.max(this.#costMax, quota.count);
    return this.#bucket("quota", quotaSize(units, MODES[this.#config.mode]), period, tier, Math.ceil(quota.periodMs / 1000));
  }

  concurrency(units: number, tier = ""): Bucket {
    return this.#bucket("concurrency", concurrencySize(units), null, tier, 0);
  }

  tier({ name, rate, burst, quota, concurrency }: TierPlan): readonly Bucket[] {
    const parts: Bucket[] = [];
    if (rate !== null) parts.push(this.rate(rate, burst, name));
    if (quota !== null) parts.push(this.quota(quota, name));
    if (concurrency !== null) parts.push(this.concurrency(concurrency, name));
    return parts;
  }

  /** A size that some caller has is never smaller than what a request of his may cost. */
  get #costMax(): number {
    const { cost } = this.#config;
    return cost.kind === "fixed" ? cost.units : cost.kind === "header" ? cost.max : 1;
  }

  #bucket(part: LimitPart, size: LimitSize, period: QuotaPeriod | null, tier: string, windowS: number): Bucket {
    const limitName = this.#titles.name;
    const label = this.#titles.labels[part] ?? limitName;
    const { resources, name } = this.#route;
    const told = this.#config.headers && !this.#config.shadow && part !== "concurrency";
    return {
      part,
      limitName,
      label,
      metricSlot: resources.plan.limitSlots[`${name} ${label}`] ?? ROUTE_SLOT_OVERFLOW,
      identity: this.#identityOf(tier === "" ? part : `${part} tier ${tier}`),
      size,
      period,
      policyField: told ? `"${label}";q=${size.capacity};w=${Math.max(1, windowS)}` : "",
    };
  }

  #identityOf(of: string): LimitIdentity {
    const known = this.#identities.get(of);
    if (known !== undefined) return known;
    const made = limitIdentity(hashFor(this.#route.resources.services.limitHashKey, `${this.#titles.identity} ${of}`));
    this.#identities.set(of, made);
    return made;
  }
}
