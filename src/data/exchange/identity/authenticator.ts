// Owns the contract between the auth policy and the kinds of authenticator (jwt, apiKey, ...). Types only.
import type { ErrorCode } from "../../../base/errors.ts";
import type { HeaderList } from "../../../base/header-list.ts";
import type { AuthenticatorPlan, ConsumerPlan, Plan } from "../../../plan/plan.ts";
import type { IdSpace } from "../../credentials/id-space.ts";
import type { Exchange } from "../exchange.ts";
import type { Services } from "../runtime.ts";
import type { Identity } from "./identity.ts";

/** RFC 6750 section 3.1. */
export type BearerError = "invalid_request" | "invalid_token" | "insufficient_scope";

/** What one authenticator says of one exchange. */
export type AuthOutcome =
  | { readonly kind: "identity"; readonly identity: Identity }
  /** The request carries no credential for this authenticator. */
  | { readonly kind: "absent" }
  /**
   * There is a credential and it is not good.
   * @property detail one sentence for the client and the log: which rule broke, never a part of the credential
   */
  | { readonly kind: "refused"; readonly error: BearerError | null; readonly detail: string }
  /** It cannot be told now (provider down, queue full): 503, never let through. */
  | { readonly kind: "unavailable"; readonly code: ErrorCode; readonly detail: string };

/** One place of a request where an authenticator looks for its credential. */
export interface CredentialPlace {
  /** Equal for the same place: those who name it look at the same credential. `header authorization bearer` */
  readonly id: string;
  /** Takes the credential out of what goes upstream (header, cookie pair). Query credentials: see {@link stripPath}. */
  stripHeaders(headers: HeaderList): void;
  /** Takes a credential out of path-and-query; null when it is no place in the query. */
  readonly stripPath: ((pathAndQuery: string) => string) | null;
}

/** One named authenticator of the plan, alive in this worker; shared by all routes that name it. */
export interface Authenticator {
  readonly name: string;
  /** What it takes and from where, in the words of an answer: `an API key in the header x-api-key`. */
  readonly takes: string;
  /** The parts of a request that it reads and takes out. A credential that it has proven stands in one of them, and the others are empty. */
  readonly places: readonly CredentialPlace[];
  /** WWW-Authenticate challenge without parameters of an occurrence, e.g. `Bearer realm="corp-jwt"`; null when the scheme has none. */
  readonly challenge: string | null;
  /**
   * Must not throw, must not change the exchange. A promise only when the work really is asynchronous: what is cached is answered at once.
   * Two calls with the same credential give the same consumer.
   */
  authenticate(x: Exchange): AuthOutcome | Promise<AuthOutcome>;
}

/** What an authenticator is made of, in the worker. Must not throw for a configuration the primary accepted. */
export interface AuthenticatorContext {
  readonly plan: AuthenticatorPlan;
  /** All configured consumers, by id. */
  readonly consumers: ReadonlyMap<string, ConsumerPlan>;
  /** Names of all configured tiers. */
  readonly tiers: ReadonlySet<string>;
  /** Who may name which consumer. */
  readonly ids: IdSpace;
  readonly services: Services;
  /** What the authenticator is a part of. */
  readonly whole: Pick<Plan, "upstreams" | "decisionSlots">;
}

export type AuthenticatorFactory = (context: AuthenticatorContext) => Authenticator;
