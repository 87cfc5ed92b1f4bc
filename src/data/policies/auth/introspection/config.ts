// Owns the schema of `auth.NAME.introspection`. Loaded by the primary only.
import * as z from "zod";
import { insecure } from "../../../../base/insecure-schema.ts";
import { withRules } from "../../../../base/rules.ts";
import { duration, lazyOptional, once } from "../../../../base/schema.ts";
import type { StatusRange } from "../../../../base/status-list.ts";
import type { WayOut } from "../../../../base/ways-out.ts";
import type { ServiceRef } from "../../../../plan/service-ref.ts";
import { isPrivateTarget, oneService, serviceBreaker, servicePath, serviceRef, serviceUpstream, serviceUrl } from "../../config-service.ts";
import { type PlaceConfig, tokenPlaceFields, tokenPlaces } from "../config-places.ts";
import { type ClaimPath, claims, consumerFields } from "../jwt/config-claims.ts";
import { period } from "../jwt/config-provider.ts";

const CACHE_MS_MAX = 3_600_000;

export interface IntrospectionConfig {
  readonly service: ServiceRef;
  readonly insecure: readonly WayOut[];
  readonly clientId: string;
  readonly clientSecret: string;
  readonly from: readonly PlaceConfig[];
  /** null: not looked at. */
  readonly audiences: readonly string[] | null;
  readonly claims: {
    /** The first that is there. */
    readonly consumer: readonly ClaimPath[];
    readonly scopes: ClaimPath;
    readonly roles: ClaimPath | null;
    readonly groups: ClaimPath | null;
    readonly tier: ClaimPath | null;
  };
  readonly consumerPrefix: string;
  readonly onlyKnownConsumers: boolean;
  readonly cacheForMs: number;
  readonly timeoutMs: number;
  readonly concurrency: number;
  readonly queue: number;
}

/** A provider that answered with one of these answered no question: the gateway's own credentials (RFC 7662 section 2.3), the URL, the method, an intermediary. */
const FAILURES: readonly StatusRange[] = [
  { min: 500, max: 599 },
  ...[401, 404, 405, 407, 408, 410, 421].map((status) => ({ min: status, max: status })),
];

const endpoint = once(() =>
  serviceUrl("https://id.example.com/introspect", { credentials: "; use clientId and clientSecret" }).meta({
    description:
      "The provider's introspection endpoint; https, or http on this machine, elsewhere with `insecure: [http-introspection]`. It is an upstream of its own, `auth:NAME`.",
    examples: ["https://id.example.com/oauth2/introspect"],
  }),
);

const audience = once(() => z.string().min(1).max(2048));

export const introspectionConfig = once(() =>
  withRules(
    z.strictObject({
      endpoint: endpoint().optional(),
      to: serviceUpstream().optional(),
      path: servicePath()
        .optional()
        .meta({ description: "With `to`: path and query of the endpoint; `/` unless written.", examples: ["/introspect"] }),
      clientId: z
        .string()
        .min(1)
        .max(1024)
        .meta({ description: "The gateway's own user name at the endpoint (HTTP Basic, RFC 6749 section 2.3.1)." }),
      clientSecret: z
        .string()
        .min(1)
        .max(4096)
        .meta({ description: "Its secret; `file:path` reads it.", examples: ["file:secrets/introspection"] }),
      insecure: insecure("introspection"),
      ca: z.string().min(1).optional().meta({ description: "PEM file with the authorities to trust instead of the system's." }),
      ...tokenPlaceFields(),
      audience: z
        .union([audience(), z.array(audience()).min(1).max(50)])
        .optional()
        .meta({
          description:
            "The `aud` that the answer must have: one of these. Not checked by default, as the provider decides for whom a token is active.",
        }),
      claims: claims(),
      ...consumerFields(),
      cacheFor: duration()
        .refine((ms) => ms <= CACHE_MS_MAX, "expected at most 1h")
        .prefault("30s")
        .meta({
          description:
            "How long a worker keeps a response, never beyond the token's `exp`: a token withdrawn at the provider is good so long. 0 introspects each time.",
        }),
      timeout: period(1, 60_000).prefault("2s").meta({ description: "For one subrequest, connecting included." }),
      concurrency: z.int().min(1).max(1000).prefault(32).meta({ description: "Questions under way at once in each worker." }),
      queue: z
        .int()
        .min(0)
        .max(100_000)
        .prefault(256)
        .meta({ description: "Tokens that wait for that in each worker; beyond it the answer is 503 `auth_overloaded`." }),
      breaker: lazyOptional(serviceBreaker).meta({
        description:
          "Spares a provider that does not answer, and the time to find that out: after 5 failures in a row no request is sent for 5s. Tokens that are not remembered then get 503 `auth_unavailable`.",
      }),
    }),
    oneService("endpoint"),
    ({ endpoint, insecure }, object) => {
      const isPrivate = endpoint === undefined || isPrivateTarget(endpoint.target);
      // Whoever can read the exchange with the provider has the secret and every token.
      if (!isPrivate && insecure === undefined)
        object(
          "expected https: only a provider on this machine may be asked in the clear",
          ["endpoint"],
          "use https://; in a network that you trust, add `insecure: [http-introspection]`",
        );
      if (endpoint !== undefined && isPrivate && insecure !== undefined)
        object("http-introspection opens nothing: the endpoint is asked by https, or is on this machine", ["insecure"], "remove it");
    },
  )
    .transform((given, ctx): IntrospectionConfig => {
      const { cacheFor, timeout, breaker: _guard, audience: audiences, ca: _ca, endpoint: url, to: _to, path: _path, ...others } = given;
      const { in: _in, name: _name, ...rest } = others;
      const from = tokenPlaces(given, ctx);
      if (from === null) return z.NEVER;
      return {
        ...rest,
        insecure: given.insecure ?? [],
        service: serviceRef(given, url, { timeoutMs: timeout, connections: given.concurrency, failureStatuses: FAILURES }),
        from,
        audiences: audiences === undefined ? null : [audiences].flat(),
        claims: {
          ...given.claims,
          roles: given.claims.roles ?? null,
          groups: given.claims.groups ?? null,
          tier: given.claims.tier ?? null,
        },
        cacheForMs: cacheFor,
        timeoutMs: timeout,
      };
    })
    .meta({ description: "Opaque tokens, introspected by a provider (RFC 7662)." }),
);
