// Types of a plan brought to life in one worker: routes with their policies, upstreams with their pools.
// Built by build-runtime.ts when a plan arrives; immutable afterwards; an exchange keeps the one it started with.

import type { MessagePort } from "node:worker_threads";
import type { HeaderList } from "../../base/header-list.ts";
import type { PasswordJob } from "../../offload/password-task.ts";
import type { Verdict } from "../../offload/verify-pool.ts";
import type { VerificationKeyPlan } from "../../plan/keys.ts";
import type { LimitsPlan } from "../../plan/limits-plan.ts";
import type { Plan, RouteSettings } from "../../plan/plan.ts";
import type { TierMemory } from "../../plan/shared-memory.ts";
import type { Leases } from "../../shared/cache/leases.ts";
import type { Reasons } from "../../shared/cache/reasons.ts";
import type { Stamps } from "../../shared/cache/stamps.ts";
import type { ResponseStore } from "../../shared/cache/store.ts";
import type { LimitTable } from "../../shared/limit-table.ts";
import type { ClientFault, DecisionOutcome, LegOutcome, LimitOutcome } from "../../shared/metric-layout.ts";
import type { ReplaySet } from "../../shared/replay-set.ts";
import type { ClientInfo } from "../routing/request-view.ts";
import type { Router } from "../routing/router.ts";
import type { CallServices } from "../upstream/call-request.ts";
import type { Upstream } from "../upstream/upstream.ts";
import type { BodyLimits } from "./body/body-limits.ts";
import type { ConnectionRules } from "./client/connection-rules.ts";
import type { ErrorPages } from "./error-pages.ts";
import type { Exchange } from "./exchange.ts";
import type { Handler } from "./handler.ts";
import type { IdentityHeaders } from "./identity/identity-headers.ts";
import type { KeyStore } from "./identity/key-store.ts";
import type { Policy } from "./policy.ts";
import type { PolicyMeter } from "./policy-meter.ts";
import type { OpenFilter } from "./response-filter.ts";

/**
 * What every request looks at stands here itself, and lists that are alike are one: with thousands of routes, each further object is one more wait
 * for memory.
 */
export interface Route {
  /** Index in {@link Plan.routes}. */
  readonly id: number;
  readonly name: string;
  readonly metricSlot: number;
  readonly accessLog: boolean;
  /** Index of PRIORITIES; null: that of the caller's tier. */
  readonly priority: number | null;
  /** When a worker that has more to do than it can refuses requests of it. */
  readonly shed: ShedRule;
  /** One object for all routes whose settings are alike. */
  readonly settings: RouteSettings;
  readonly handler: Handler;
  readonly paramNames: readonly string[];
  /** One array per hook, holding only the policies that implement it; null when there are none. This one has the steps of all phases (request-steps.ts). */
  readonly onRequest: readonly Policy[] | null;
  readonly onUpstreamRequest: readonly Policy[] | null;
  readonly onUpstreamResponse: readonly Policy[] | null;
  /** In reverse registry order: the first to see the request is the last to see the response. */
  readonly onResponse: readonly Policy[] | null;
  /** In registry order, a breaker's fixed answer last. */
  readonly onUpstreamFailure: readonly Policy[] | null;
  readonly onFinish: readonly Policy[] | null;
  /** In the order in which a response passes them; null for none. */
  readonly filters: readonly OpenFilter[] | null;
  /** How long asynchronous work of one policy may take, ms. */
  readonly policyTimeoutMs: number;
  /** See Policy.hideQuery; null when no credential can stand in the query. */
  readonly hideQuery: ((query: string) => string) | null;
  /** See Policy.copies; null when all go. */
  readonly copies: ((name: string) => boolean) | null;
  /** The route has a CORS policy: a preflight for it is answered here. */
  readonly answersPreflight: boolean;
}

/**
 * `route`: as soon as the route is known. `identity`: once the caller is, as his tier may have a priority. `miss`: when the store of responses has no answer.
 * `never`: the answer costs no more than a refusal.
 */
export interface ShedRule {
  readonly at: "route" | "identity" | "miss" | "never";
  /** The highest that a request of it may have: index of PRIORITIES. */
  readonly priority: number;
}

/** What one worker has once, shared by all its runtimes. */
export interface Services extends CallServices {
  /** Exchanges not finished, over all runtimes of the worker. */
  inFlight: number;
  /** Proxied WebSockets open. */
  webSockets: number;
  /** The worker is about to end: responses that begin now close their connection. */
  draining: boolean;
  /** Mirrored requests under way. */
  mirrored: number;
  readonly bodies: BodyLimits;
  /** What is measured of policies of the user's own. */
  readonly policies: PolicyMeter;
  /** Keys that the primary fetched. */
  readonly keys: KeyStore;
  /** Checks a token's signature in another thread. @returns null when too many tokens wait */
  verifySignature(token: string, alg: string, key: VerificationKeyPlan): Promise<Verdict> | null;
  /** Checks a password against a hash that was made elsewhere, on a thread. Rejects when that can't be told. */
  checkPassword(job: PasswordJob): Promise<boolean>;
  /** Responses that all workers share, this worker's view; what of them was purged. */
  readonly responses: ResponseStore;
  readonly purges: Stamps;
  readonly cacheLeases: Leases;
  /** Why responses are not served from there. */
  readonly cacheReasons: Reasons;
  /** null without a fleet. */
  readonly cacheTier: CacheTierParts | null;
  /** To other workers. */
  readonly links: WorkerLinks;
  /** Single-use values that any worker has seen. */
  readonly replay: ReplaySet;
  nextRequestId(): string;
  /** A finished exchange goes to metrics and access log. */
  record(x: Exchange): void;
  /** The table of limits, this worker's view. */
  readonly limits: LimitTable;
  /** What callers' names are hashed with: equal in a fleet, secret. */
  readonly limitHashKey: Uint8Array;
  /** An exchange of a deprecated route is over. @param consumer '' for nobody known */
  recordDeprecated(route: string, consumer: string): void;
  /** A limit's decision. @param slot of the metric cells */
  recordLimit(slot: number, outcome: LimitOutcome): void;
  /** What came of a request that a service was called about. @param slot of the metric cells */
  recordDecision(slot: number, outcome: DecisionOutcome): void;
  /** A leg of an aggregated answer has ended. @param slot of the metric cells */
  recordLeg(slot: number, outcome: LegOutcome): void;
  /** A connection was ended, or a request on it refused unseen, for what its client does on it. @param peer canonical address @param reason for the log */
  recordClientFault(kind: ClientFault, peer: string, reason: string): void;
  /** @param sent false: dropped, because too many were under way or nobody could take it. */
  recordMirror(sent: boolean): void;
}

/** What the response cache needs to share what it stores with a fleet. */
export interface CacheTierParts {
  readonly memory: TierMemory;
  /** Index of this worker's counts. */
  readonly worker: number;
  warn(message: string): void;
  /** Has the primary tell the fleet of URLs whose responses are no longer true. @param numbers of shared/cache/names.ts */
  tellChanged(numbers: readonly number[]): void;
}

/** Lines to other workers, made when they are first needed. */
export interface WorkerLinks {
  /** @param worker index of its cells @param linked called with the port, at once where there is one; with null when that worker is gone */
  linkTo(worker: number, linked: (port: MessagePort | null) => void): void;
  /** One has been made, whoever asked for it. */
  onLink: ((worker: number, port: MessagePort) => void) | null;
}

export interface Runtime {
  readonly plan: Plan;
  readonly limits: LimitsPlan;
  readonly router: Router;
  readonly routes: readonly Route[];
  readonly upstreams: readonly Upstream[];
  readonly services: Services;
  /** As {@link Plan.errorPages}. */
  readonly errorPages: readonly ErrorPages[];
  readonly identityHeaders: IdentityHeaders;
  readonly connectionRules: ConnectionRules;
  /** Exchanges that began under this runtime and are not finished. */
  inFlight: number;
  /** Whether a peer is in trustedProxies. @param peer canonical address; '' on a Unix socket */
  trustsPeer(peer: string): boolean;
  /** A query without what any authenticator of the plan takes for a credential. */
  hideCredentials(query: string): string;
  /** The query as the access log gets it: without anybody's credentials; null when it gets none. */
  readonly logQuery: ((query: string) => string) | null;
  /** Computes {@link Exchange.clientInfo}. */
  resolveClient(x: Exchange): ClientInfo;
  /** Appends X-Forwarded-*, Forwarded and Via to the headers that go upstream. */
  appendForwarding(x: Exchange, out: HeaderList): void;
  /** See ClientResolver.toldOfTarget. */
  toldOfTarget(x: Exchange): string;
}
