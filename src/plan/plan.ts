// The plan: the compiled, immutable, structured-clonable configuration that crosses from primary to workers.
// Types only. Units are fixed here: milliseconds, bytes, fractions (0..1); nothing is left to be parsed by a worker.
import type { StatusRange } from "../base/status-list.ts";
import type { CachePlan } from "./cache-plan.ts";
import type { ErrorPagesPlan } from "./error-pages.ts";
import type { BodyRatePlan, LimitsPlan } from "./limits-plan.ts";
import type { ListenerPlan } from "./listener-plan.ts";
import type { ModuleFilePlan, ModulePolicyPlan } from "./module-plan.ts";
import type { OverloadPlan, WorkerOverloadPlan } from "./overload-plan.ts";
import type { ClientTypePlan, ValueMatch, VersioningPlan } from "./routing-terms.ts";
import type { UpstreamTlsPlan } from "./tls-rules.ts";

/** Everything a worker needs to serve. A new version replaces the old one whole. */
export interface Plan {
  readonly version: number;
  readonly listeners: readonly ListenerPlan[];
  readonly limits: LimitsPlan;
  readonly cache: CachePlan;
  readonly overload: WorkerOverloadPlan;
  /** CIDR blocks whose Forwarded / X-Forwarded-* headers are believed. */
  readonly trustedProxies: readonly string[];
  readonly upstreams: readonly UpstreamPlan[];
  readonly authenticators: readonly AuthenticatorPlan[];
  readonly consumers: readonly ConsumerPlan[];
  readonly tiers: readonly TierPlan[];
  /** Slot in the metric cells of each part of a limit, by `ROUTE LABEL`. */
  readonly limitSlots: Readonly<Record<string, number>>;
  /** The same of everybody that calls a service about requests: `forwardAuth:ROUTE`, `auth:NAME`. */
  readonly decisionSlots: Readonly<Record<string, number>>;
  /** The same of each leg of an aggregated answer, by `ROUTE LEG`. */
  readonly legSlots: Readonly<Record<string, number>>;
  readonly identity: IdentityPlan;
  /** Types of clients that the configuration defines, the first that fits first. */
  readonly clients: readonly ClientTypePlan[];
  /** Where requests name a version; null: no route asks for one. */
  readonly versioning: VersioningPlan | null;
  /** In match order (see data/routing/order.ts): index is the route id within this plan. */
  readonly routes: readonly RoutePlan[];
  /** Distinct sets of error pages; routes name theirs by index. */
  readonly errorPages: readonly ErrorPagesPlan[];
  /** Index of those for requests that no route has; -1 for none. */
  readonly unroutedErrorPages: number;
  /** Files of the policies of the user's own: of each module all that it imports. */
  readonly modules: readonly ModuleFilePlan[];
  readonly drainTimeoutMs: number;
  /** The access log holds queries. */
  readonly logQuery: boolean;
}

export type Balance = "round-robin" | "least-request" | "random" | "hash";

export type HashOn =
  | { readonly kind: "ip" }
  | { readonly kind: "path" }
  | { readonly kind: "header"; readonly name: string }
  | { readonly kind: "cookie"; readonly name: string }
  | { readonly kind: "query"; readonly name: string };

export interface UpstreamPlan {
  readonly name: string;
  /** Not short. Changes when anything but the target list, the breaker and the affinity changes; equal fingerprints keep warm pools across plans. */
  readonly fingerprint: string;
  readonly targets: readonly TargetPlan[];
  readonly balance: Balance;
  /** Only for `hash`; else `{kind: "ip"}`. */
  readonly hashOn: HashOn;
  /** Consistent hashing with bounded loads: a target takes at most this factor of the mean load. null: no bound. */
  readonly hashLoadFactor: number | null;
  /** Session affinity by a cookie; null for none. */
  readonly sticky: StickyPlan | null;
  readonly slowStartMs: number;
  /** What is spoken to its targets: `h2` by TLS and ALPN, `h2c` in cleartext with prior knowledge. */
  readonly protocol: UpstreamProtocol;
  readonly pool: PoolPlan;
  readonly timeouts: TimeoutsPlan;
  readonly retry: RetryPlan;
  readonly health: HealthPlan;
  readonly breaker: BreakerPlan | null;
  /** null: nobody is counted, waits or is refused. */
  readonly overload: OverloadPlan | null;
  readonly tls: UpstreamTlsPlan | null;
  /** Header that carries the remaining time to the service, in ms; null for none. */
  readonly deadlineHeader: string | null;
  /** What Host says there, unless the route has its own. */
  readonly host: HostPlan;
  /** Bound of making a connection, ms: the longest `connect` of the upstream and of the routes that lead to it, since they share its connections. */
  readonly connectMaxMs: number;
  /** Named ways out that its configuration takes (base/ways-out.ts). */
  readonly insecure: readonly string[];
}

/** What the Host of a request to an upstream is: the client's, the target's own, or always the same. */
export type HostPlan = "client" | "target" | { readonly name: string };

/** The cookie by which a client comes back to its target. */
export interface StickyPlan {
  readonly cookie: string;
  /** What values are hashed with; derived from the configured secret. */
  readonly key: string;
  /** Of Set-Cookie, all but Secure: begins with `; `. */
  readonly attributes: string;
  /** auto: when the client came by https. */
  readonly secure: boolean | "auto";
}

/** One address in an upstream, as configured; discovery turns it into one or more {@link EndpointPlan}. */
export interface TargetPlan {
  /** `http://host:port` or `https://host:port`, no path; for SRV `http+srv://_http._tcp.name`. */
  readonly url: string;
  readonly weight: number;
}

/** One concrete, connectable address: a target after name resolution. Sent by the primary with the plan and after DNS changes. */
export interface EndpointPlan {
  /** Identity: `scheme://address:port` plus the name it came from, e.g. `http://10.0.0.1:9001` or `http://users.internal:9001#10.0.0.7`. */
  readonly key: string;
  /** Slot in the shared TargetHealth table, unique for (upstream, key) while in use. */
  readonly slot: number;
  readonly tls: boolean;
  /** IP literal (no brackets) or, when not resolved by the primary, a host name. */
  readonly address: string;
  readonly port: number;
  /** `host[:port]` for the Host header and SNI. */
  readonly authority: string;
  readonly weight: number;
  /** monotonicMs() (base/clock.ts) when the primary first saw it: slow start counts from the later of this and its recovery. */
  readonly sinceMs: number;
}

export type UpstreamProtocol = "http1" | "h2" | "h2c";

export interface PoolPlan {
  /** Of HTTP/1.1: `http1` is the gateway's own client; it sends one request at a time on a connection. */
  readonly client: "http1" | "undici";
  /** Connections for each endpoint and worker. */
  readonly connections: number;
  readonly pipelining: number;
  /** Of HTTP/2: requests at once on a connection, whatever the target allows. */
  readonly streams: number;
  /** Of HTTP/2: a ping after so much silence while answers are awaited, ms; 0: only when one is overdue. */
  readonly pingMs: number;
  readonly keepAliveMs: number;
  /** Requests that may wait for a connection, for each endpoint and worker; beyond it: `overloaded`. */
  readonly queue: number;
}

export interface TimeoutsPlan {
  readonly connectMs: number;
  /** Of one attempt, from request sent to response head. */
  readonly attemptMs: number;
  /** Between two chunks of the response body. */
  readonly idleMs: number;
  /** Until the response head, retries and waiting included; 0 for none. */
  readonly totalMs: number;
}

export type RetryCondition = "connect-failure" | "reset" | "timeout";

export interface RetryPlan {
  /** Further attempts after the first; 0 for none. */
  readonly attempts: number;
  readonly on: readonly RetryCondition[];
  /** Of responses that are tried again, too. */
  readonly statuses: readonly StatusRange[];
  readonly backoffBaseMs: number;
  readonly backoffMaxMs: number;
  /** Retries as a fraction of requests (0..1). */
  readonly budget: number;
  readonly nonIdempotent: boolean;
  /** Largest request body kept for a replay, in bytes. */
  readonly bufferBytes: number;
}

export interface HealthPlan {
  readonly active: ActiveHealthPlan | null;
  readonly passive: PassiveHealthPlan | null;
}

export interface ActiveHealthPlan {
  /** Only connect, the TLS handshake included; what concerns HTTP means nothing then. */
  readonly tcp: boolean;
  readonly method: string;
  readonly path: string;
  /** Lowercase names to byte strings; `host` too. */
  readonly headers: Readonly<Record<string, string>>;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly healthyAfter: number;
  readonly unhealthyAfter: number;
  readonly statuses: readonly StatusRange[];
  /** null: it is not looked at. */
  readonly body: HealthBodyPlan | null;
}

/** What the body of a healthy target's response holds: a text, or a match of a regular expression of the linear-time kind. */
export type HealthBodyPlan = { readonly contains: string } | { readonly regex: string };

export interface PassiveHealthPlan {
  readonly consecutiveFailures: number;
  readonly ejectForMs: number;
  /** Largest fraction of an upstream's endpoints that may be ejected at once (0..1). */
  readonly maxEjected: number;
}

export type BreakerCondition = "connect-failure" | "reset" | "timeout" | "invalid";

export interface BreakerPlan {
  /** Slot of the upstream's own breaker in the shared table, stable while the name lives; a target's breaker has the slot of its endpoint. */
  readonly slot: number;
  /** Whose calls are judged. */
  readonly scope: "target" | "upstream" | "both";
  readonly errorRate: number;
  readonly minimumRequests: number;
  /** Opens after so many failures in a row, too; 0: not. */
  readonly consecutiveFailures: number;
  readonly windowMs: number;
  /** A response head that takes longer is slow; 0: none is. */
  readonly slowCallMs: number;
  /** 0: slow calls do not matter. */
  readonly slowCallRate: number;
  readonly openForMs: number;
  readonly maxOpenForMs: number;
  readonly halfOpenRequests: number;
  readonly trialTimeoutMs: number;
  /** 0: all pass at once after the trials. */
  readonly recoveryMs: number;
  readonly failures: { readonly statuses: readonly StatusRange[]; readonly conditions: readonly BreakerCondition[] };
  readonly fallback: BreakerFallback | null;
}

/** What is done while a breaker lets nothing pass; by default 503. */
export type BreakerFallback =
  /** @property config output of the `respond` policy's schema */
  | { readonly kind: "respond"; readonly config: unknown }
  | { readonly kind: "upstream"; readonly name: string }
  /** A stored response, on routes that store. @property forS how long after its lifetime at most, seconds; -1 for as long as it is stored */
  | { readonly kind: "stale"; readonly forS: number };

export interface RoutePlan {
  readonly name: string;
  /** Slot in the metric cells, stable across reloads while the name lives. */
  readonly metricSlot: number;
  readonly match: MatchPlan;
  readonly settings: RouteSettings;
  /** Every upstream that a request of it may lead to, mirrors included, breakers' fallbacks not: indexes into {@link Plan.upstreams}. */
  readonly upstreams: readonly number[];
  /** How it answers. */
  readonly handler: FeaturePlan;
  /** In the registry's order, not the file's. */
  readonly policies: readonly FeaturePlan[];
  /** Policies of the user's own, in the order written: in each phase behind the others. */
  readonly modules: readonly ModulePolicyPlan[];
  /** In the registry's order. */
  readonly filters: readonly FeaturePlan[];
  /** Named ways out of its own (base/ways-out.ts). */
  readonly insecure: readonly string[];
}

/** What holds for every request of a route, whatever answers it. Equal for most routes. */
export interface RouteSettings {
  /** Overrides of the upstream's timeouts. */
  readonly timeouts: Partial<TimeoutsPlan> | null;
  /** Instead of the upstream's; null: that. Copies to a mirror have their own upstream's. */
  readonly host: HostPlan | null;
  /** Largest request body; Infinity for none. */
  readonly bodyBytes: number;
  /** Index of PRIORITIES; null: that of the caller's tier. */
  readonly priority: number | null;
  readonly bodyRate: BodyRatePlan | null;
  readonly accessLog: boolean;
  /** Index into {@link Plan.errorPages}; -1 for none. */
  readonly errorPages: number;
  /** Fields that order another method (X-HTTP-Method-Override) go upstream. */
  readonly keepMethodOverride: boolean;
  /** Spellings of the path that are refused, whatever the listener lets through: bits of data/routing/path-rules.ts. */
  readonly refusedSpellings: number;
}

export interface WeightedUpstream {
  /** Index into {@link Plan.upstreams}. */
  readonly upstream: number;
  readonly weight: number;
}

/** One configured policy, filter or handler: its name in the registry and its validated, resolved configuration. */
export type FeaturePlan = { readonly name: string; readonly config: unknown };

export interface MatchPlan {
  /** Lowercase; exact, or `*.suffix`; empty for any host. */
  readonly hosts: readonly string[];
  /**
   * Any of these patterns, at least one: literal segments, `{param}` (also beside literal text and with a constraint), `*` (one segment), trailing `**`
   * (any rest, also none).
   */
  readonly paths: readonly string[];
  /** Names of listeners; empty for any. */
  readonly listeners: readonly string[];
  /** How the client came, as far as trusted proxies are believed; null for any. */
  readonly scheme: "http" | "https" | null;
  /** Uppercase; empty for any. HEAD is implied by GET. */
  readonly methods: readonly string[];
  readonly headers: readonly ValueMatch[];
  readonly query: readonly ValueMatch[];
  /** Name of a client type: one of {@link Plan.clients} or of BUILT_IN_CLIENTS (routing-terms.ts); null for any. */
  readonly client: string | null;
  /** Lowercase, sorted: any of these versions; empty for any, and for none. */
  readonly versions: readonly string[];
}

/** A named authenticator (`auth.<name>`). */
export interface AuthenticatorPlan {
  readonly name: string;
  /** Key in the registry of kinds: `jwt`, `apiKey`, ... */
  readonly kind: string;
  /** Output of the kind's schema. */
  readonly config: unknown;
  /** Services get the credentials that it has proven, where the route does not say otherwise. */
  readonly forwardCredentials: boolean;
  /** Named ways out that its configuration takes (base/ways-out.ts). */
  readonly insecure: readonly string[];
  /** Changes when anything in `config` does: equal fingerprints keep caches across plans. */
  readonly fingerprint: string;
}

/** A caller known to the configuration. */
export interface ConsumerPlan {
  readonly id: string;
  readonly tier: string | null;
  readonly scopes: readonly string[];
  readonly roles: readonly string[];
  readonly groups: readonly string[];
  /** Hashes of API keys, as written (`sha256:<hex>`, `hmac-sha256:<hex>`). */
  readonly keys: readonly string[];
  /** For Basic authentication; null: the id. */
  readonly username: string | null;
  /** Hash of the password, as `sluice password hash` prints it; null for none. */
  readonly password: string | null;
  /** What client certificates that prove this consumer say of themselves: names or `sha256:<hex>` of the whole. */
  readonly certificates: readonly string[];
  readonly signingSecrets: readonly SigningSecretPlan[];
}

/** A shared secret for request signatures (RFC 9421, hmac-sha256). */
export interface SigningSecretPlan {
  /** Unique among all consumers. */
  readonly keyId: string;
  /** As configured: text, or `base64:` and bytes. */
  readonly secret: string;
}

/** A usage plan. */
export interface TierPlan {
  readonly name: string;
  readonly rate: RatePlan | null;
  /** Requests that may come at once; null: as many as a second's worth of the rate, at least 1. */
  readonly burst: number | null;
  readonly quota: QuotaPlan | null;
  /** Requests under way at once; null for no limit. */
  readonly concurrency: number | null;
  /** Share of an upstream that has more to do than it can, against other flows. */
  readonly weight: number;
  /** Index of PRIORITIES, where a route has none; null: normal. */
  readonly priority: number | null;
}

/** `count` in `periodMs`. */
export interface RatePlan {
  readonly count: number;
  readonly periodMs: number;
}

/** `count` in a period of UTC that is `periodMs` long, or in a month of the calendar (then `periodMs` is 30 days). */
export interface QuotaPlan extends RatePlan {
  readonly month: boolean;
}

/** How services are told who is calling. Header names are lowercase and begin with `x-`. */
export interface IdentityPlan {
  /** null: not sent. */
  readonly headers: Readonly<Record<"consumer" | "scopes" | "roles" | "groups" | "tier" | "authenticator", string | null>>;
  readonly claims: readonly { readonly header: string; readonly claim: string }[];
  readonly token: InternalTokenPlan | null;
  /** No client may send these: all names above, the default ones, and some that services know from elsewhere. */
  readonly protectedNames: readonly string[];
}

/** The signed token to services. */
export interface InternalTokenPlan {
  readonly header: string;
  readonly algorithm: "EdDSA" | "HS256";
  /** PEM of an Ed25519 private key, or the shared secret. */
  readonly key: string;
  /** `kid`: RFC 7638 thumbprint of the public key; null for a shared secret. */
  readonly keyId: string | null;
  readonly ttlMs: number;
  readonly issuer: string;
  readonly audience: string | null;
}
