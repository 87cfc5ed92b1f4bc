// Owns the schema of `auth.NAME.introspection`. Loaded by the primary only.
import * as z from "zod";
import { duration, once } from "../../../../base/schema.ts";
import { type ClaimPath, claims, consumerFields } from "../jwt/config-claims.ts";
import { period } from "../jwt/config-provider.ts";

const CACHE_MS_MAX = 3_600_000;

export interface IntrospectionConfig {
  readonly endpoint: Endpoint;
  readonly clientId: string;
  readonly clientSecret: string;
  /** PEM; null for the system's roots. */
  readonly ca: string | null;
  readonly in: "header" | "cookie" | "query";
  readonly name: string;
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
  readonly failures: number;
  readonly openForMs: number;
}

export interface Endpoint {
  readonly tls: boolean;
  readonly host: string;
  readonly port: number;
  /** For Host. */
  readonly authority: string;
  readonly path: string;
}

/** Whoever can read the exchange with the provider has the secret and every token. */
const LOOPBACK = /^(127(\.\d{1,3}){3}|\[::1\]|localhost)$/;

const endpoint = once(() =>
  z
    .string()
    .max(2048)
    .transform((text, ctx): Endpoint => {
      const url = URL.parse(text);
      const complain = (message: string): never => {
        ctx.addIssue({ code: "custom", message });
        return z.NEVER;
      };
      if (url === null || (url.protocol !== "https:" && url.protocol !== "http:"))
        return complain("expected a URL such as https://id.example.com/introspect");
      if (url.protocol === "http:" && !LOOPBACK.test(url.hostname))
        return complain("expected https: only a provider on this machine may be asked in the clear");
      if (url.username !== "" || url.password !== "" || url.hash !== "")
        return complain("a URL without user, password and fragment is needed; use clientId and clientSecret");
      const tls = url.protocol === "https:";
      return {
        tls,
        host: url.hostname.replace(/^\[|\]$/g, ""),
        port: url.port === "" ? (tls ? 443 : 80) : Number(url.port),
        authority: url.host,
        path: url.pathname + url.search,
      };
    })
    .meta({
      description: "The provider's introspection endpoint; https, or http on this machine.",
      examples: ["https://id.example.com/oauth2/introspect"],
    }),
);

const audience = once(() => z.string().min(1).max(2048));

const breaker = once(() =>
  z
    .strictObject({
      failures: z.int().min(1).max(1000).prefault(5).meta({ description: "Failures in a row after which a worker stops asking." }),
      openFor: period(1, 600_000).prefault("5s").meta({ description: "For how long; then one token is tried." }),
    })
    .prefault({})
    .meta({
      description:
        "Spares a provider that does not answer, and the time to find that out. Tokens that are not remembered then get 503 `auth_unavailable`.",
    }),
);

export const introspectionConfig = once(() =>
  z
    .strictObject({
      endpoint: endpoint(),
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
      ca: z.string().min(1).optional().meta({ description: "PEM file with the authorities to trust instead of the system's." }),
      in: z.enum(["header", "cookie", "query"]).prefault("header").meta({ description: "Where the token stands." }),
      name: z
        .string()
        .regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}$/, "expected the name of a header, cookie or query parameter")
        .optional()
        .meta({
          description:
            "Of the header, cookie or parameter. In `authorization`, the default, `Bearer` stands before the token; elsewhere the token alone.",
        }),
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
      timeout: period(1, 60_000).prefault("2s").meta({ description: "For one question, connecting included." }),
      concurrency: z.int().min(1).max(1000).prefault(32).meta({ description: "Questions under way at once in each worker." }),
      queue: z
        .int()
        .min(0)
        .max(100_000)
        .prefault(256)
        .meta({ description: "Tokens that wait for that in each worker; beyond it the answer is 503 `auth_overloaded`." }),
      breaker: breaker(),
    })
    .transform((given, ctx): IntrospectionConfig => {
      const { cacheFor, timeout, breaker: guard, audience: audiences, ca = null, ...rest } = given;
      const name = given.name ?? { header: "authorization", query: "access_token", cookie: undefined }[given.in];
      if (name === undefined) {
        ctx.addIssue({ code: "custom", path: ["name"], message: "is required for a cookie", params: { remedy: "add the cookie's name" } });
        return z.NEVER;
      }
      return {
        ...rest,
        ca,
        name: given.in === "header" ? name.toLowerCase() : name,
        audiences: audiences === undefined ? null : [audiences].flat(),
        claims: {
          ...given.claims,
          roles: given.claims.roles ?? null,
          groups: given.claims.groups ?? null,
          tier: given.claims.tier ?? null,
        },
        cacheForMs: cacheFor,
        timeoutMs: timeout,
        failures: guard.failures,
        openForMs: guard.openFor,
      };
    })
    .meta({ description: "Opaque tokens, introspected by a provider (RFC 7662)." }),
);
