// What policies, filters and handlers may know of the route they are built for, and of what their plan has in this worker.
import type { Plan } from "../../plan/plan.ts";
import type { Exchange } from "./exchange.ts";
import type { Authenticator } from "./identity/authenticator.ts";
import type { IdentityHeaders } from "./identity/identity-headers.ts";
import type { UpstreamRequest } from "./policy.ts";
import type { Services } from "./runtime.ts";

export interface PolicyRoute {
  readonly name: string;
  readonly paramNames: readonly string[];
  /** The route's own methods (MatchPlan.methods): uppercase, empty for any. */
  readonly methods: readonly string[];
  readonly resources: PolicyResources;
  /** What of the route's policies tells one request from another: for its handler, and only then. */
  readonly keyed: () => readonly KeyedPolicy[];
  /** A place in each exchange of the route for what a policy keeps of it. */
  slot<T>(): ExchangeSlot<T>;
}

/** A policy, as whoever stores responses sees it. */
export interface KeyedPolicy {
  readonly name: string;
  /** See Policy.onUpstreamRequest: what it adds to a request makes that another one. */
  onUpstreamRequest?(x: Exchange, request: UpstreamRequest): void;
  /** In the place of that: what its answer depends on. null for a policy of the user's own that does not say, so that nothing may be stored. */
  readonly cacheKey?: ((x: Exchange) => string) | null;
  /** Of one that changes what upstreams answer (Policy.onUpstreamResponse): its configuration as text. */
  readonly changesResponses?: string;
}

/** What the policies of one plan share in this worker. */
export interface PolicyResources {
  readonly plan: Plan;
  readonly services: Services;
  /** By name. */
  readonly authenticators: ReadonlyMap<string, Authenticator>;
  readonly identityHeaders: IdentityHeaders;
}

/** State of a policy in an exchange: nobody else can reach it, and it ends with the exchange. */
export class ExchangeSlot<T> {
  readonly #index: number;

  /** @param index unique within the route */
  constructor(index: number) {
    this.#index = index;
  }

  /** @returns undefined until set() */
  get(x: Exchange): T | undefined {
    return x.slots === null ? undefined : (x.slots[this.#index] as T | undefined); // only this slot writes there
  }

  set(x: Exchange, value: T | undefined): void {
    (x.slots ??= [])[this.#index] = value;
  }
}
