// Owns turning proven claims into an identity, joined with what the configuration knows of the consumer. Pure.
import type { ConsumerPlan } from "../../../../plan/plan.ts";
import type { Identity } from "../../../identity.ts";
import { claimAt } from "./claims.ts";
import type { ClaimPath, JwtProviderConfig } from "./config-provider.ts";

/** As in the configuration: it stands in logs and in headers to services. */
const CONSUMER = /^[\x21-\x7e]{1,256}$/;
/** RFC 6749 section 3.3; one word of a list that blanks separate. */
const GRANT = /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/;
/** Scopes, roles or groups of one token. */
const GRANTS_MAX = 1000;

export interface Known {
  readonly consumers: ReadonlyMap<string, ConsumerPlan>;
  /** Names of all tiers. */
  readonly tiers: ReadonlySet<string>;
}

/** How an issuer's claims are read. */
export type ClaimReading = Pick<JwtProviderConfig, "claims" | "consumerPrefix" | "onlyKnownConsumers">;

/** @returns the identity, or why there is none */
export function identityOf(
  claims: Readonly<Record<string, unknown>>,
  provider: ClaimReading,
  known: Known,
  authenticator: string,
): Identity | string {
  const { claims: paths } = provider;
  const consumer = consumerOf(claims, provider);
  if (consumer === null) return `the claim ${paths.consumer.join(".")} names no consumer (visible ASCII characters without spaces)`;
  const configured = known.consumers.get(consumer);
  if (configured === undefined && provider.onlyKnownConsumers) return "the token's consumer is not known here";
  const tier = configured?.tier ?? tierOf(claims, paths.tier);
  if (tier === false || (tier !== null && !known.tiers.has(tier))) return "the token names a tier that is not known here";
  const scopes = grantsOf(claims, paths.scopes);
  const roles = grantsOf(claims, paths.roles);
  const groups = grantsOf(claims, paths.groups);
  if (scopes === null || roles === null || groups === null) return "the token's scopes, roles or groups are not lists of words";
  return {
    consumer,
    authenticator,
    tier,
    scopes: union(scopes, configured?.scopes),
    roles: union(roles, configured?.roles),
    groups: union(groups, configured?.groups),
    claims,
  };
}

function consumerOf(claims: Readonly<Record<string, unknown>>, provider: ClaimReading): string | null {
  const value = claimAt(claims, provider.claims.consumer);
  // Some issuers count their users: a whole number has one spelling.
  if (typeof value !== "string" && !Number.isSafeInteger(value)) return null;
  if (value === "") return null; // a prefix alone is nobody
  const consumer = `${provider.consumerPrefix}${String(value)}`;
  return CONSUMER.test(consumer) ? consumer : null;
}

/** @returns null for none, false when it is no name */
function tierOf(claims: Readonly<Record<string, unknown>>, path: ClaimPath | null): string | null | false {
  const value = path === null ? undefined : claimAt(claims, path);
  if (value === undefined || value === null) return null;
  return typeof value === "string" ? value : false;
}

const NONE: readonly string[] = [];

/** @returns null when the claim is neither a list of words nor a text of them */
function grantsOf(claims: Readonly<Record<string, unknown>>, path: ClaimPath | null): readonly string[] | null {
  const value = path === null ? undefined : claimAt(claims, path);
  if (value === undefined || value === null || value === "") return NONE;
  const list: unknown = typeof value === "string" ? value.split(" ").filter((word) => word !== "") : value;
  if (!Array.isArray(list) || list.length > GRANTS_MAX) return null;
  return list.every((word): word is string => typeof word === "string" && GRANT.test(word)) ? list : null;
}

const union = (own: readonly string[], more: readonly string[] | undefined): readonly string[] =>
  more === undefined || more.length === 0 ? own : [...new Set([...own, ...more])];
