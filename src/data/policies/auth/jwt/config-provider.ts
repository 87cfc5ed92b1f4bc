// Owns the configuration of one token issuer: schema, defaults and docs. For the primary only; workers import types.
import * as z from "zod";
import { insecure } from "../../../../base/insecure-schema.ts";
import { duration, once } from "../../../../base/schema.ts";
import type { WayOut } from "../../../../base/ways-out.ts";
import type { KeySourcePlan, VerificationKeyPlan } from "../../../../plan/keys.ts";
import { hasBraces, type IssuerPattern, TENANT, TENANTS_MAX } from "../../../credentials/issuer-pattern.ts";
import { ALGORITHM_NAMES, type AlgorithmName } from "../../../credentials/signature-algorithms.ts";
import { type ClaimPath, claim, claims, consumerFields, PREFIX } from "./config-claims.ts";
import { ANY_ISSUER, issuerPattern } from "./config-issuer.ts";
import { keyOrigin } from "./config-keys.ts";

const AUDIENCES_MAX = 50;
const REQUIRED_MAX = 50;
const DAY_MS = 86_400_000;
const SKEW_MS_MAX = 600_000;

/** What an authenticator takes as a token's issuer, and what it makes of its claims. */
export interface JwtProviderConfig {
  /** With a name in braces it stands for those of {@link pattern}; with {@link anyIssuer} it says nothing. */
  readonly issuer: string;
  /** `iss` is not looked at. */
  readonly anyIssuer: boolean;
  /** null: the issuer is this one. */
  readonly pattern: IssuerPattern | null;
  /** null: any (written `audience: false`). */
  readonly audiences: readonly string[] | null;
  /** Fixed keys; null when they come from {@link source}. */
  readonly keys: readonly VerificationKeyPlan[] | null;
  readonly source: KeySourcePlan | null;
  /** Why keys of {@link keys} were left out, for operators. */
  readonly skippedKeys: readonly string[];
  readonly algorithms: readonly AlgorithmName[];
  readonly clockSkewMs: number;
  readonly claims: {
    /** The first that is there. */
    readonly consumer: readonly ClaimPath[];
    readonly scopes: ClaimPath;
    readonly roles: ClaimPath | null;
    readonly groups: ClaimPath | null;
    readonly tier: ClaimPath | null;
  };
  readonly consumerPrefix: string;
  /** The claim that `{NAME}` in the prefix stands for; null for none. */
  readonly tenantClaim: string | null;
  readonly onlyKnownConsumers: boolean;
  readonly required: readonly ClaimPath[];
  /** Lowercase, without `application/`; null: not looked at. */
  readonly typ: string | null;
  readonly requireExp: boolean;
  /** null for none. */
  readonly maxAgeMs: number | null;
  readonly insecure: readonly WayOut[];
}

/** A duration within bounds, ms. */
export const period = (min: number, max: number) =>
  duration()
    .refine((ms) => ms >= min, min <= 1 ? "expected more than 0" : `expected at least ${min / 1000}s`)
    .refine((ms) => ms <= max, `expected at most ${max >= DAY_MS ? `${max / DAY_MS}d` : `${max / 60_000}m`}`);

const algorithm = once(() =>
  z.enum(ALGORITHM_NAMES, {
    error: ({ input }) =>
      typeof input === "string" && input.toLowerCase() === "none"
        ? "`none` would let tokens in that nobody signed: list the algorithms that the issuer signs with, such as RS256"
        : undefined,
  }),
);

const keyFetch = once(() =>
  z
    .strictObject({
      timeout: period(1, 60_000).prefault("5s").meta({ description: "For one fetch." }),
      refreshMin: period(1, DAY_MS).prefault("1m").meta({ description: "Refreshed no more often, whatever Cache-Control allows." }),
      refreshMax: period(1, 7 * DAY_MS)
        .prefault("1h")
        .meta({ description: "Refreshed at least this often." }),
      cooldown: period(1, 3_600_000).prefault("10s").meta({
        description:
          "At most one fetch in this time, for the whole instance, because tokens name an unknown key. A key that the provider begins to use within it, after the fetch, is unknown (401) until it is over, or until a refresh.",
      }),
      staleFor: period(1, 30 * DAY_MS)
        .prefault("1d")
        .meta({ description: "Keys stay in use this long while the provider is down." }),
      ca: z.string().min(1).optional().meta({ description: "PEM file with the authorities to trust instead of the system's." }),
    })
    .refine((value) => value.refreshMin <= value.refreshMax, "refreshMin must not be more than refreshMax")
    .prefault({})
    .meta({ description: "How the keys of `jwks` and `discovery` are fetched." }),
);

export const providerFields = once(() => ({
  issuer: z
    .string()
    .min(1)
    .max(2048)
    .optional()
    .meta({
      description:
        "The `iss` that a token must have, exactly; `any`, with `insecure: [any-issuer]`, for tokens of whatever issuer. Of a provider with many tenants one name may stand in braces: the text in its place, 1 to 64 letters, digits and hyphens, must equal the claim of that name, and be one of `tenants`.",
      examples: ["https://id.example.com", "https://login.example.com/{tid}/v2.0"],
    }),
  tenants: z
    .array(z.string().regex(TENANT, "expected 1 to 64 letters, digits and hyphens"))
    .min(1)
    .max(TENANTS_MAX)
    .optional()
    .meta({
      description: "For an issuer with a name in braces: what may stand there.",
      examples: [["8f2c1a34-0f6e-4a55-9a6e-3c1d6f0b7a11"]],
    }),
  insecure: insecure("jwt"),
  audience: z
    .union([z.string().min(1).max(2048), z.array(z.string().min(1).max(2048)).min(1).max(AUDIENCES_MAX), z.literal(false)])
    .optional()
    .meta({
      description:
        "The `aud` that a token must have: one of these. `false` takes tokens meant for any service: only where the issuer serves no other.",
      examples: ["api"],
    }),
  jwks: z
    .string()
    .optional()
    .meta({ description: "URL of the issuer's key set.", examples: ["https://id.example.com/.well-known/jwks.json"] }),
  discovery: z
    .union([z.literal(true), z.string()])
    .optional()
    .meta({ description: "Find the key set by OpenID Connect discovery: `true` takes the issuer's document, a URL another one." }),
  keys: z
    .union([z.string().min(1), z.array(z.record(z.string(), z.unknown())), z.record(z.string(), z.unknown())])
    .optional()
    .meta({
      description: "Keys that do not change: `file:path` of a JWK set, PEM public keys or certificates; or a JWK set as it is.",
      examples: ["file:keys/issuer.pem"],
    }),
  secret: z
    .string()
    .min(1)
    .optional()
    .meta({
      description:
        "Shared secret for the HS algorithms: text, or `base64:` and base64; `file:path` reads it from a file, which may hold raw bytes.",
      examples: ["file:secrets/jwt.key"],
    }),
  algorithms: z
    .array(algorithm())
    .min(1)
    .optional()
    .meta({ description: "The algorithms that a token may be signed with; no other is taken.", examples: [["RS256", "ES256"]] }),
  clockSkew: period(0, SKEW_MS_MAX).prefault("30s").meta({ description: "Tolerance for `exp`, `nbf` and `iat`." }),
  claims: claims(),
  ...consumerFields(),
  consumerPrefix: z
    .string()
    .regex(/^[\x21-\x7e]{0,64}$/, "expected visible ASCII characters without spaces")
    .prefault("")
    .meta({ description: `${PREFIX} The name in braces of the issuer may stand in it.`, examples: ["partner:", "corp:{tid}:"] }),
  required: z
    .array(claim(""))
    .max(REQUIRED_MAX)
    .prefault([])
    .meta({ description: "Claims that a token must have, besides `iss`, `exp` and `aud`." }),
  typ: z
    .string()
    .regex(/^[A-Za-z0-9!#$&^_.+/-]{1,64}$/, "expected a media type such as at+jwt")
    .transform((text) => bareType(text))
    .optional()
    .meta({ description: "The header's `typ`: `at+jwt` takes access tokens (RFC 9068) and no ID tokens.", examples: ["at+jwt"] }),
  requireExp: z.boolean().prefault(true).meta({ description: "`false` takes tokens without `exp`; then maxAge must bound them." }),
  maxAge: period(1, 365 * DAY_MS)
    .optional()
    .meta({ description: "Longest time since `iat`, which a token then must have." }),
  keyFetch: keyFetch(),
}));

/** RFC 7515 section 4.1.9: `application/` may be left out, and media types know no case. */
export const bareType = (typ: string): string => typ.toLowerCase().replace(/^application\//, "");

const written = once(() => z.strictObject(providerFields()));

/** What the schema read of a provider. */
export type WrittenProvider = z.output<ReturnType<typeof written>>;

export const provider = once(() => written().transform(resolveProvider));

/** What only all fields together tell. */
export function resolveProvider(given: WrittenProvider, ctx: z.RefinementCtx): JwtProviderConfig {
  const before = ctx.issues.length;
  const complain = (key: keyof WrittenProvider, message: string, remedy: string): void =>
    void ctx.addIssue({ code: "custom", path: [key], message, params: { remedy } });
  const { issuer, audience, algorithms, maxAge, requireExp } = given;
  if (issuer === undefined) complain("issuer", "is required", "add the `iss` of the tokens");
  if (audience === undefined)
    complain("audience", "is required", "add the `aud` that the issuer puts into tokens for this API, or `false` to take any");
  if (algorithms === undefined)
    complain("algorithms", "is required", "list what the issuer signs with, such as [RS256]: the token must not choose");
  if (!requireExp && maxAge === undefined) complain("requireExp", "without `exp` a token would be good for ever", "add maxAge");
  const pattern = issuerPattern(given, complain);
  const origin = issuer === undefined || algorithms === undefined ? null : keyOrigin({ ...given, issuer, algorithms }, complain);
  if (ctx.issues.length > before || origin === null || issuer === undefined || algorithms === undefined || audience === undefined)
    return z.NEVER;
  return {
    issuer,
    anyIssuer: issuer === ANY_ISSUER,
    pattern,
    audiences: audience === false ? null : [audience].flat(),
    ...origin,
    algorithms: [...new Set(algorithms)],
    clockSkewMs: given.clockSkew,
    claims: { ...given.claims, roles: given.claims.roles ?? null, groups: given.claims.groups ?? null, tier: given.claims.tier ?? null },
    consumerPrefix: given.consumerPrefix,
    tenantClaim: hasBraces(given.consumerPrefix) ? (pattern?.claim ?? null) : null,
    onlyKnownConsumers: given.onlyKnownConsumers,
    required: given.required,
    typ: given.typ ?? null,
    requireExp,
    maxAgeMs: maxAge ?? null,
    insecure: given.insecure ?? [],
  };
}
