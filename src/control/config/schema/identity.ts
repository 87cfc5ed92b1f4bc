// Owns the schema of the `identity` section: how services are told who is calling. Must never read files.
import { createPrivateKey } from "node:crypto";
import * as z from "zod";
import { keyBytes } from "../../../base/key-bytes.ts";
import { FAILED_OPEN_HEADER, isOriginClaim } from "../../../base/origin-claims.ts";
import { once, UNREADABLE } from "../../../base/schema.ts";
import type { IdentityPlan, InternalTokenPlan } from "../../../plan/plan.ts";
import { period } from "./fields.ts";
import { publicJwk } from "./public-jwk.ts";

const CLAIMS_MAX = 32;
const PROTECTED_MAX = 100;
/** RFC 7518 section 3.2: an HMAC key is at least as long as the hash. */
const HMAC_KEY_BYTES_MIN = 32;
const TOKEN_TTL_MS_MAX = 3_600_000;

/** What each part is called unless said otherwise; stripped from requests even when another name is chosen. */
const DEFAULT_NAMES = {
  consumer: "x-consumer-id",
  scopes: "x-consumer-scopes",
  roles: "x-consumer-roles",
  groups: "x-consumer-groups",
  tier: "x-consumer-tier",
  authenticator: "x-consumer-authenticator",
} as const;
const DEFAULT_TOKEN_HEADER = "x-internal-token";

/** Names by which services behind other gateways know a caller: nobody may send those either. */
const KNOWN_ELSEWHERE = [
  "x-consumer-custom-id",
  "x-consumer-username",
  "x-credential-identifier",
  "x-anonymous-consumer",
  "x-authenticated-userid",
];

/** By which services know what was let pass without having been decided about. */
const MARKS = [FAILED_OPEN_HEADER];

/** Written by the gateway for other reasons. */
const TAKEN = new Set(["x-request-id", "x-real-ip"]);

const OTHER_MEANING = "this header has another meaning: choose another name";

/** Proxies may send some of them, until somebody says that nobody may. */
const protectedHeader = () =>
  z
    .string()
    .transform((text) => text.toLowerCase())
    .refine((text) => /^x-[a-z0-9]+(-[a-z0-9]+)*$/.test(text), "expected a header name of letters, digits and hyphens that begins with x-")
    .refine((text) => !TAKEN.has(text) && !text.startsWith("x-forwarded-"), OTHER_MEANING);

const identityHeader = () => protectedHeader().refine((text) => !isOriginClaim(text), OTHER_MEANING);

const part = (key: keyof typeof DEFAULT_NAMES, description: string, preset: string | false = DEFAULT_NAMES[key]) =>
  z
    .union([identityHeader(), z.literal(false)])
    .prefault(preset)
    .meta({ description: `${description} \`false\`: not sent.`, examples: [DEFAULT_NAMES[key]] });

const headers = once(() =>
  z
    .strictObject({
      consumer: part("consumer", "The consumer's id."),
      scopes: part("scopes", "Scopes, separated by spaces."),
      roles: part("roles", "Roles, separated by commas."),
      groups: part("groups", "Groups, separated by commas."),
      tier: part("tier", "Name of the tier."),
      authenticator: part("authenticator", "Name of the authenticator that proved it.", false),
    })
    .prefault({})
    .meta({
      description:
        "Names of the headers. A part that is empty is not sent. Other characters than visible ASCII, and `%`, are percent-encoded; in lists the comma too.",
    }),
);

const claims = once(() =>
  z
    .record(identityHeader(), z.string().min(1).max(256))
    .refine((record) => Object.keys(record).length <= CLAIMS_MAX, `expected at most ${CLAIMS_MAX} claims`)
    .prefault({})
    .meta({ description: "Further headers: name to (dotted) claim. Lists are separated by commas.", examples: [{ "x-tenant": "tenant" }] }),
);

const internalToken = once(() =>
  z
    .strictObject({
      header: identityHeader().prefault(DEFAULT_TOKEN_HEADER).meta({ description: "The header it goes in." }),
      algorithm: z.enum(["EdDSA", "HS256"]).prefault("EdDSA").meta({
        description: "EdDSA (Ed25519): services need only the public key, which the admin listener shows. HS256: they share the secret.",
      }),
      key: z
        .string()
        .min(1)
        .meta({
          description:
            "Ed25519 private key (PEM), or a secret of at least 32 bytes for HS256: text, or `base64:` and base64. A file may hold raw bytes.",
          examples: ["file:/run/secrets/internal-token.pem"],
        }),
      ttl: period({ min: 2000, max: TOKEN_TTL_MS_MAX })
        .prefault("30s")
        .meta({ description: "How long a token is good. One token serves a caller's requests for half of that." }),
      issuer: z.string().min(1).max(256).prefault("sluice").meta({ description: "`iss`." }),
      audience: z
        .string()
        .min(1)
        .max(256)
        .optional()
        .meta({ description: "`aud`.", examples: ["internal"] }),
    })
    .transform((value, ctx): InternalTokenPlan => {
      const { header, algorithm, key, issuer, audience } = value;
      const problem = key === UNREADABLE ? null : keyProblem(algorithm, key);
      if (problem !== null) ctx.addIssue({ code: "custom", path: ["key"], message: problem });
      const keyId = algorithm === "EdDSA" && problem === null && key !== UNREADABLE ? String(publicJwk(key)["kid"]) : null;
      return { header, algorithm, key, keyId, ttlMs: value.ttl, issuer, audience: audience ?? null };
    }),
);

/** @returns what is wrong, without a part of the key */
function keyProblem(algorithm: InternalTokenPlan["algorithm"], key: string): string | null {
  if (algorithm === "HS256")
    return (keyBytes(key)?.length ?? 0) < HMAC_KEY_BYTES_MIN ? `expected a secret of at least ${HMAC_KEY_BYTES_MIN} bytes` : null;
  try {
    if (createPrivateKey(key).asymmetricKeyType === "ed25519") return null;
  } catch {} // said below
  return "expected an Ed25519 private key in PEM, as `openssl genpkey -algorithm ed25519` writes it";
}

export const identity = once(() =>
  z
    .strictObject({
      headers: headers(),
      claims: claims(),
      protect: z
        .array(protectedHeader())
        .max(PROTECTED_MAX)
        .prefault([])
        .meta({
          description:
            "Further headers that services take for the gateway's word and no client may send: removed and refused as the others are.",
          examples: [["x-remote-user", "x-auth-request-user"]],
        }),
      internalToken: internalToken().optional().meta({
        description: "A short-lived signed token (JWT) that names the caller, for services that need proof that it comes from the gateway.",
      }),
    })
    .transform((value, ctx): IdentityPlan => {
      const named = Object.fromEntries(Object.entries(value.headers).map(([key, header]) => [key, header === false ? null : header]));
      const token = value.internalToken ?? null;
      const used = [
        ...Object.values(named).filter((name) => name !== null),
        ...Object.keys(value.claims),
        ...(token === null ? [] : [token.header]),
      ];
      const twice = used.find((name, i) => used.indexOf(name) < i);
      if (twice !== undefined) ctx.addIssue({ code: "custom", message: `two parts share the header ${twice}` });
      return {
        headers: named as IdentityPlan["headers"], // the same keys as the schema's, mapped
        claims: Object.entries(value.claims).map(([header, claim]) => ({ header, claim })),
        token,
        protectedNames: [
          ...new Set([...Object.values(DEFAULT_NAMES), DEFAULT_TOKEN_HEADER, ...KNOWN_ELSEWHERE, ...MARKS, ...value.protect, ...used]),
        ],
      };
    })
    .prefault({})
    .meta({
      description:
        "What services receive about the caller. These headers, by their default and by their configured names, are removed from every incoming request, on public routes too; spellings that services could take for them are refused.",
    }),
);
