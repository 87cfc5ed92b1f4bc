// Owns the schema of who calls: consumers (identified callers) and tiers (usage plans). Must never read files.
import * as z from "zod";
import { callerName, name, once, quota, rate, scope, UNREADABLE } from "../../../base/schema.ts";
import { formatDurationMs } from "../../../base/units.ts";
import { certificateName } from "../../../data/credentials/certificate-names.ts";
import { BCRYPT_COST_MAX } from "../../../data/credentials/foreign-hash.ts";
import { NO_HASH, passwordHashProblem } from "../../../data/credentials/password-hash.ts";
import { secretBytes } from "../../../data/credentials/signing-secret.ts";
import { count, filePath, period } from "./fields.ts";
import { priority, WEIGHT_MAX } from "./overload.ts";

const TIERS_MAX = 1000;
/** Consumers in the file; more belong in a directory. */
export const CONSUMERS_MAX = 100_000;
const GRANTS_MAX = 1000;
const KEYS_MAX = 16;
const HASH_ANEW = "hash the password anew: `sluice password hash`";
const CONCURRENCY_MAX = 1_000_000;
const BURST_MAX = 1_000_000_000;

const tier = once(() =>
  z.strictObject({
    rate: rate().optional().meta({ description: "Requests that each consumer of the tier may send." }),
    burst: count(1, BURST_MAX)
      .optional()
      .meta({ description: "Requests that may come at once; by default a second's worth of the rate, at least 1." }),
    quota: quota().optional().meta({ description: "Requests in one period of UTC: minute, hour, day, week (from Monday) or month." }),
    concurrency: count(1, CONCURRENCY_MAX).optional().meta({ description: "Requests under way at once." }),
    weight: count(1, WEIGHT_MAX).prefault(1).meta({
      description: "Share of an upstream that has more to do than it can (`overload`), relative to other callers.",
    }),
    priority: priority().optional().meta({
      description:
        "Whose requests are refused last there: `critical`, `high`, `normal` (default) or `low`. A route's own `priority` goes before it.",
    }),
  }),
);

export const tiers = once(() =>
  z
    .record(name(), tier())
    .refine((record) => Object.keys(record).length <= TIERS_MAX, `expected at most ${TIERS_MAX} tiers`)
    .transform((record) =>
      Object.entries(record).map(([key, value]) => ({
        name: key,
        rate: value.rate ?? null,
        burst: value.burst ?? null,
        quota: value.quota ?? null,
        concurrency: value.concurrency ?? null,
        weight: value.weight,
        priority: value.priority ?? null,
      })),
    )
    .prefault({})
    .meta({
      description: "Usage plans: what the consumers of each may use. Routes apply them with `rateLimit: [{ per: consumer, tier: true }]`.",
    }),
);

const grants = (of: z.ZodType<string>, what: string) => z.array(of).max(GRANTS_MAX).prefault([]).meta({ description: what });

const KEY_HASH = /^(?:hmac-)?sha256:[0-9a-f]{64}$/;
const CERTIFICATES_MAX = 16;
const SIGNING_SECRETS_MAX = 16;

const signingSecret = once(() =>
  z.strictObject({
    keyId: z
      .string()
      .regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/, "expected 1 to 256 visible ASCII characters without quotes and backslashes")
      .meta({ description: "The signature's `keyid`; unique among all consumers.", examples: ["acme-2026"] }),
    secret: z
      .string()
      .refine((text) => secretBytes(text) !== null, "expected a secret of 32 to 1024 bytes, as text or as `base64:` and base64")
      .meta({ description: "Shared with the consumer.", examples: ["file:secrets/acme-2026"] }),
  }),
);

const consumer = once(() =>
  z
    .strictObject({
      id: callerName().meta({ description: "Unique; stands in logs, limits and the headers that services get." }),
      tier: name().optional().meta({ description: "Name of a tier." }),
      scopes: grants(scope(), "Scopes that the consumer has, whatever the credential."),
      roles: grants(callerName(), "Roles that the consumer has."),
      groups: grants(callerName(), "Groups that the consumer belongs to."),
      keys: z
        .array(
          z
            .string()
            .regex(
              KEY_HASH,
              "expected `sha256:` or `hmac-sha256:` and 64 hexadecimal digits, as `sluice key create` prints them; a key itself, of 8 to 512 visible ASCII characters, comes from the environment or a file",
            ),
        )
        .max(KEYS_MAX)
        .prefault([])
        .meta({
          description:
            "Hashes of its API keys; several at once allow rotation. A key itself may come from the environment or by `file:path` (one key a file, of 8 to 512 visible ASCII characters): it is hashed when it is loaded, with a warning.",
        }),
      username: z
        .string()
        .regex(/^[^:\u0000-\u001f\u007f]{1,256}$/, "expected 1 to 256 characters without colons and control characters")
        .transform((text) => text.normalize("NFC"))
        .optional()
        .meta({ description: "For `basic`; by default the id." }),
      password: z
        .string()
        .superRefine((text, ctx) => {
          const message = text === UNREADABLE ? null : passwordHashProblem(text);
          if (message !== null) ctx.addIssue({ code: "custom", message, params: { remedy: message === NO_HASH ? "" : HASH_ANEW } });
        })
        .optional()
        .meta({
          description: `Hash of the password for \`basic\`: argon2id or scrypt as \`sluice password hash\` prints them, bcrypt (\`$2a$\`, \`$2b$\`, \`$2y$\`) of cost ${BCRYPT_COST_MAX} at most; apr1 and {SHA} only where \`basic\` takes weak hashes. Never the password itself.`,
          examples: ["file:secrets/acme.password"],
        }),
      certificates: z
        .array(
          z
            .string()
            .regex(/^[^\u0000-\u001f\u007f-\u009f]{1,2048}$/, "expected a name from the certificate, or `sha256:` and its fingerprint")
            .transform(certificateName),
        )
        .max(CERTIFICATES_MAX)
        .prefault([])
        .meta({
          description:
            "For `mtls`: the names that its client certificates bear, or their fingerprints. By default a certificate that bears the id is its own.",
          examples: [["partner.example.com"], ["spiffe://example.com/acme"]],
        }),
      signingSecrets: z.array(signingSecret()).max(SIGNING_SECRETS_MAX).prefault([]).meta({
        description: "For `signature`: secrets that it signs requests with; several at once allow rotation.",
      }),
    })
    .transform(({ tier, username, password, ...rest }) => ({
      ...rest,
      tier: tier ?? null,
      username: username ?? null,
      password: password ?? null,
    })),
);

export const consumers = once(() => z.array(consumer()).max(CONSUMERS_MAX).prefault([]).meta({ description: "Identified callers." }));

/** How often Redis is asked whether its consumers are still the same. */
const EVERY_MS_DEFAULT = 5000;
const EVERY_MS_MIN = 100;
const EVERY_MS_MAX = 3_600_000;

/** Output null for `false`. */
const fromRedis = once(() =>
  z
    .union(
      [
        z.boolean(),
        z.strictObject({
          every: period({ min: EVERY_MS_MIN, max: EVERY_MS_MAX }).prefault(formatDurationMs(EVERY_MS_DEFAULT)).meta({
            description: "How often Redis is polled for changes, and so how long a key that was withdrawn may still be good.",
          }),
        }),
      ],
      { error: "expected true, false or a map" },
    )
    .transform((v) => {
      if (typeof v === "boolean") return v ? { everyMs: EVERY_MS_DEFAULT } : null;
      return { everyMs: v.every };
    }),
);

export const consumersFrom = once(() =>
  z
    .strictObject({
      directory: filePath()
        .optional()
        .meta({
          description:
            "Directory whose `*.yaml` files hold further consumers, one or a list each. Read again when a file comes, changes or goes; any mistake leaves all as it was.",
          examples: ["consumers.d"],
        }),
      redis: fromRedis()
        .optional()
        .meta({
          description:
            "Further consumers from the Redis of the `redis` section: the hash `PREFIX:consumers` has a field for each, its value the consumer as JSON (hashes of keys, no signing secrets). " +
            "They count once `{PREFIX:consumers}:version` is there: raise it after each change. Any mistake leaves all as it was; so does a Redis that is away or was emptied.",
        }),
    })
    .transform((value) => ({ directory: value.directory ?? null, redis: value.redis ?? null }))
    .prefault({})
    .meta({ description: "Consumers from elsewhere, beside those of the file." }),
);
