// Owns the schema of who calls: consumers (identified callers) and tiers (usage plans). Must never read files.
import * as z from "zod";
import { name, rate } from "../../base/schema.ts";
import { count } from "./fields.ts";

const TIERS_MAX = 1000;
/** Consumers in the file; more belong in a directory. */
export const CONSUMERS_MAX = 100_000;
const GRANTS_MAX = 1000;
const KEYS_MAX = 16;
const CONCURRENCY_MAX = 1_000_000;
const BURST_MAX = 1_000_000_000;

const tier = z.strictObject({
  rate: rate().optional().meta({ description: "Requests that each consumer of the tier may send." }),
  burst: count(1, BURST_MAX)
    .optional()
    .meta({ description: "Requests that may come at once; by default a second's worth of the rate, at least 1." }),
  quota: rate().optional().meta({ description: "Requests in a long period; survives restarts when there is a Redis." }),
  concurrency: count(1, CONCURRENCY_MAX).optional().meta({ description: "Requests under way at once." }),
});

export const tiers = z
  .record(name(), tier)
  .refine((record) => Object.keys(record).length <= TIERS_MAX, `expected at most ${TIERS_MAX} tiers`)
  .transform((record) =>
    Object.entries(record).map(([key, value]) => ({
      name: key,
      rate: value.rate ?? null,
      burst: value.burst ?? null,
      quota: value.quota ?? null,
      concurrency: value.concurrency ?? null,
    })),
  )
  .prefault({})
  .meta({
    description: "Usage plans: what the consumers of each may use. Routes apply them with `rateLimit: [{ per: consumer, tier: true }]`.",
  });

/** RFC 6749 section 3.3 scope token; roles and groups take the same characters. */
const grant = () =>
  z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/, "expected visible ASCII characters without spaces, quotes and backslashes");

const grants = (what: string) => z.array(grant()).max(GRANTS_MAX).prefault([]).meta({ description: what });

/** Identifies a caller wherever it is named: logs, headers to services, limits. */
const consumerId = () => z.string().regex(/^[\x21-\x7e]{1,256}$/, "expected 1 to 256 visible ASCII characters without spaces");

const consumer = z
  .strictObject({
    id: consumerId().meta({ description: "Unique; stands in logs, limits and the headers that services get." }),
    tier: name().optional().meta({ description: "Name of a tier." }),
    scopes: grants("Scopes that the consumer has, whatever the credential."),
    roles: grants("Roles that the consumer has."),
    groups: grants("Groups that the consumer belongs to."),
    keys: z
      .array(z.string().regex(/^sha256:[0-9a-f]{64}$/, "expected `sha256:` and 64 hexadecimal digits, as `sluice key create` prints them"))
      .max(KEYS_MAX)
      .prefault([])
      .meta({ description: "Hashes of its API keys; several at once allow rotation. Never the key itself." }),
  })
  .transform((value) => ({ ...value, tier: value.tier ?? null }));

export const consumers = z.array(consumer).max(CONSUMERS_MAX).prefault([]).meta({ description: "Identified callers." });
