// Owns turning proven claims into an identity, joined with what the configuration knows of the consumer. Pure.
import { callerName } from "../../../../base/caller-name.ts";
import type { ConsumerPlan } from "../../../../plan/plan.ts";
import type { IdSpace } from "../../../credentials/id-space.ts";
import type { Identity } from "../../../exchange/identity/identity.ts";
import { claimAt } from "./claims.ts";
import type { ClaimPath } from "./config-claims.ts";
import type { JwtProviderConfig } from "./config-provider.ts";
import { grantsOf } from "./grants.ts";

/** What an authenticator knows of the plan. Another plan brings another object. */
export interface Known {
  readonly consumers: ReadonlyMap<string, ConsumerPlan>;
  /** Names of all tiers. */
  readonly tiers: ReadonlySet<string>;
  readonly ids: IdSpace;
}

/** How an issuer's claims are read. */
export type ClaimReading = Pick<JwtProviderConfig, "claims" | "consumerPrefix" | "onlyKnownConsumers"> & {
  /** The claim that `{NAME}` in the prefix stands for; null for none. */
  readonly tenantClaim: string | null;
};

/** Whose claims they are. */
export interface ClaimsContext {
  readonly known: Known;
  readonly authenticator: string;
  /** {@link Identity.expiresMs} */
  readonly expiresMs: number;
}

type Claims = Readonly<Record<string, unknown>>;

/** @returns the identity, or why there is none */
export function identityOf(claims: Claims, reading: ClaimReading, { known, authenticator, expiresMs }: ClaimsContext): Identity | string {
  const { claims: paths } = reading;
  const consumer = consumerOf(claims, reading, known.ids);
  if ("problem" in consumer) return consumer.problem;
  const configured = known.consumers.get(consumer.id);
  if (configured === undefined && reading.onlyKnownConsumers) return "the token's consumer is not known here";
  const tier = configured?.tier ?? tierOf(claims, paths.tier);
  if (tier === false || (tier !== null && !known.tiers.has(tier))) return "the token names a tier that is not known here";
  const scopes = grantsOf(valueAt(claims, paths.scopes), "scope");
  const roles = grantsOf(valueAt(claims, paths.roles), "name");
  const groups = grantsOf(valueAt(claims, paths.groups), "name");
  return {
    consumer: consumer.id,
    authenticator,
    tier,
    scopes: union(scopes.names, configured?.scopes),
    roles: union(roles.names, configured?.roles),
    groups: union(groups.names, configured?.groups),
    partial: scopes.partial || roles.partial || groups.partial,
    claims,
    expiresMs,
  };
}

/** The first claim of the list that is there decides, also when no name can be made of it: else whoever can spoil one could become another. */
function consumerOf(claims: Claims, reading: ClaimReading, ids: IdSpace): { readonly id: string } | { readonly problem: string } {
  const { consumer: paths } = reading.claims;
  for (const path of paths) {
    const value = claimAt(claims, path);
    if (value === undefined || value === null || value === "") continue; // a prefix alone is nobody
    const given = callerName(value);
    const id = given === null ? null : callerName(prefixOf(reading, claims) + given);
    if (id === null) return unnamed([path]);
    return ids.owns(reading.consumerPrefix, id) ? { id } : { problem: "the token's consumer has the prefix of another issuer" };
  }
  return unnamed(paths);
}

const unnamed = (paths: readonly ClaimPath[]): { readonly problem: string } => ({
  problem:
    paths.length === 1
      ? `the claim ${paths.flat().join(".")} names no consumer`
      : `none of the claims ${paths.map((path) => path.join(".")).join(", ")} names a consumer`,
});

/** The tenant was held against the issuer when the token was verified. */
function prefixOf({ consumerPrefix, tenantClaim }: ClaimReading, claims: Claims): string {
  return tenantClaim === null ? consumerPrefix : consumerPrefix.replace(`{${tenantClaim}}`, () => String(claims[tenantClaim]));
}

/** @returns null for none, false when it is no name */
function tierOf(claims: Claims, path: ClaimPath | null): string | null | false {
  const value = valueAt(claims, path);
  if (value === undefined || value === null) return null;
  return typeof value === "string" ? value : false;
}

const valueAt = (claims: Claims, path: ClaimPath | null): unknown => (path === null ? undefined : claimAt(claims, path));

const union = (own: readonly string[], more: readonly string[] | undefined): readonly string[] =>
  more === undefined || more.length === 0 ? own : [...new Set([...own, ...more])];
