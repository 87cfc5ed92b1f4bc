// Owns the configuration of the `jwt` authenticator: schema, defaults and docs. For the primary only; workers import types.
import * as z from "zod";
import { once, size } from "../../../../base/schema.ts";
import { mayOverlap } from "../../../credentials/issuer-pattern.ts";
import { type PlaceConfig, tokenPlaceFields, tokenPlaces } from "../config-places.ts";
import { type JwtProviderConfig, period, provider, providerFields, resolveProvider, type WrittenProvider } from "./config-provider.ts";

const PROVIDERS_MAX = 50;
const DAY_MS = 86_400_000;

export interface JwtConfig {
  readonly from: readonly PlaceConfig[];
  /** No two have the same issuer. */
  readonly providers: readonly JwtProviderConfig[];
  readonly cacheForMs: number;
  /** For each worker. */
  readonly cacheEntries: number;
  readonly cacheBytes: number;
  readonly failuresForMs: number;
}

/** Keys of a provider that say nothing by their defaults: with `providers` they must not stand beside it. */
const OWN_KEYS = [
  "issuer",
  "tenants",
  "insecure",
  "audience",
  "jwks",
  "discovery",
  "keys",
  "secret",
  "algorithms",
  "typ",
  "maxAge",
] as const;

export const jwtSchema = once(() =>
  z
    .strictObject({
      ...providerFields(),
      providers: z
        .array(provider())
        .min(1)
        .max(PROVIDERS_MAX)
        .optional()
        .meta({ description: "Several issuers for one authenticator, each with the keys above; a token's `iss` chooses." }),
      ...tokenPlaceFields(),
      cacheFor: period(1, DAY_MS)
        .prefault("5m")
        .meta({ description: "A verified token is verified again after this time; `exp` and withdrawn keys count at once." }),
      cacheEntries: z.int().min(2).max(1_000_000).prefault(10_000).meta({ description: "Verified tokens that each worker remembers." }),
      cacheBytes: size().prefault("32MiB").meta({ description: "Memory that each worker may use for them." }),
      failuresFor: period(1, 60_000)
        .prefault("5s")
        .meta({ description: "A refused token is refused for this time without looking at it again." }),
    })
    .transform((given, ctx): JwtConfig => {
      const providers = resolveProviders(given, ctx);
      const from = tokenPlaces(given, ctx);
      if (providers === null || from === null) return z.NEVER;
      return {
        providers,
        from,
        cacheForMs: given.cacheFor,
        cacheEntries: given.cacheEntries,
        cacheBytes: given.cacheBytes,
        failuresForMs: given.failuresFor,
      };
    })
    .meta({ description: "Signed tokens (JWT): in `Authorization: Bearer` unless `in` or `from` names other places." }),
);

function resolveProviders(
  given: WrittenProvider & { readonly providers?: readonly JwtProviderConfig[] | undefined },
  ctx: z.RefinementCtx,
): readonly JwtProviderConfig[] | null {
  const { providers } = given;
  if (providers === undefined) {
    const only = resolveProvider(given, ctx);
    return only === z.NEVER ? null : [only];
  }
  const own = OWN_KEYS.filter((key) => given[key] !== undefined);
  for (const key of own)
    ctx.addIssue({ code: "custom", path: [key], message: "stands beside `providers`", params: { remedy: "move it into the providers" } });
  const any = providers.length > 1 ? providers.findIndex(({ anyIssuer }) => anyIssuer) : -1;
  if (any >= 0)
    ctx.addIssue({
      code: "custom",
      path: ["providers", any, "issuer"],
      message: "a provider for any issuer stands alone: it would take the tokens of the others",
      params: { remedy: "name its issuer, or make two authenticators and `any` of them" },
    });
  const seen = new Set<string>();
  for (const [i, { issuer }] of providers.entries()) {
    if (seen.has(issuer))
      ctx.addIssue({
        code: "custom",
        path: ["providers", i, "issuer"],
        message: "another provider has the same issuer",
        params: { remedy: "list its keys in one JWK set" },
      });
    seen.add(issuer);
  }
  const patterns = providers.map(({ pattern }) => pattern);
  const overlaps = patterns.findIndex(
    (pattern, i) => pattern !== null && patterns.slice(0, i).some((other) => other !== null && mayOverlap(pattern, other)),
  );
  if (overlaps >= 0 && seen.size === providers.length) {
    ctx.addIssue({
      code: "custom",
      path: ["providers", overlaps, "issuer"],
      message: "the same `iss` could be one of another provider's issuers",
      params: { remedy: "make one provider of them" },
    });
    return null;
  }
  return own.length > 0 || any >= 0 || seen.size < providers.length ? null : providers;
}
