// Owns the `authorize` key of a route: what a proven caller must be or have to use it. Schema, type and docs only.
import * as z from "zod";
import { parseCidr } from "../../../base/ip.ts";
import { withRules } from "../../../base/rules.ts";
import { callerName, condition, name, once, scope } from "../../../base/schema.ts";

const GRANTS_MAX = 100;
const CLAIMS_MAX = 32;
const CLAIM_VALUES_MAX = 100;
const NAMES_MAX = 1000;
const BLOCKS_MAX = 10_000;
const WINDOWS_MAX = 32;

export const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"] as const;

const grants = (of: z.ZodType<string>, what: string, example: string) => {
  const list = () => z.array(of).min(1).max(GRANTS_MAX).optional();
  return withRules(
    z.strictObject({
      any: list().meta({ description: `At least one of these ${what}.`, examples: [[example]] }),
      all: list().meta({ description: `Every one of these ${what}.`, examples: [[example]] }),
    }),
    ({ any, all }, object) => {
      if (any === undefined && all === undefined) object("expected `any` or `all`, each with a list");
    },
  ).optional();
};

const scalar = () => z.union([z.string().max(1024), z.number(), z.boolean()]);

const claims = once(() =>
  z
    .record(z.string().min(1).max(256), z.union([scalar(), z.array(scalar()).min(1).max(CLAIM_VALUES_MAX)]))
    .refine((record) => Object.keys(record).length > 0 && Object.keys(record).length <= CLAIMS_MAX, `expected 1 to ${CLAIMS_MAX} claims`)
    .optional()
    .meta({
      description:
        "Claims by (dotted) name, each with the value, or the values of which one must do. A text may be a template. Compared exactly, type included; a text from a template also equals the same whole number. A claim that is a list must hold one of the values. A claim that is missing does not do.",
      examples: [{ tenant: "{path.tenant}", level: 3 }],
    }),
);

/** Minutes since midnight; 24:00 is allowed as an end. */
const clock = () =>
  z.string().transform((text, ctx): number => {
    const match = /^([01]\d|2[0-4]):([0-5]\d)$/.exec(text);
    const minutes = Number(match?.[1]) * 60 + Number(match?.[2]);
    if (match !== null && minutes <= 1440) return minutes;
    ctx.addIssue({ code: "custom", message: "expected a time of day such as 08:30" });
    return z.NEVER;
  });

const isTimeZone = (text: string): boolean => {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: text }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
};

const window = once(() =>
  withRules(
    z.strictObject({
      days: z
        .array(z.enum(DAYS))
        .min(1)
        .optional()
        .meta({ description: "Days on which it begins; by default every day.", examples: [["mon", "tue", "wed", "thu", "fri"]] }),
      from: clock()
        .prefault("00:00")
        .meta({ description: "Time of day from which on.", examples: ["08:00"] }),
      to: clock()
        .prefault("24:00")
        .meta({ description: "Time of day until which; before `from` it is the next day's.", examples: ["18:00"] }),
      timezone: z
        .string()
        .refine(isTimeZone, "expected a time zone such as Europe/Berlin or UTC")
        .prefault("UTC")
        .meta({ description: "Whose clock it is; daylight saving time is minded.", examples: ["Europe/Berlin"] }),
    }),
    ({ from, to }, object) => {
      if (from === to) object("`from` and `to` are the same: leave both out for the whole day", ["to"]);
    },
  ),
);

export const authorizeSchema = once(() =>
  z
    .strictObject({
      scopes: grants(scope(), "scopes", "orders:read").meta({
        description: "Scopes that the caller must have; else 403 `insufficient_scope`, with a challenge that names them.",
      }),
      roles: grants(callerName(), "roles", "admin").meta({ description: "Roles that the caller must have." }),
      groups: grants(callerName(), "groups", "Domain Users").meta({ description: "Groups that the caller must belong to." }),
      consumers: z
        .array(callerName())
        .min(1)
        .max(NAMES_MAX)
        .optional()
        .meta({ description: "Ids of the consumers that may use the route." }),
      tiers: z.array(name()).min(1).max(NAMES_MAX).optional().meta({ description: "Tiers whose consumers may use the route." }),
      claims: claims(),
      ip: z
        .array(
          z.string().refine((text) => parseCidr(text) !== null, "expected an address or a CIDR block such as 10.0.0.0/8 or 2001:db8::/32"),
        )
        .min(1)
        .max(BLOCKS_MAX)
        .optional()
        .meta({ description: "Addresses and CIDR blocks from which the route may be used (the real one behind `trustedProxies`)." }),
      time: z
        .array(window())
        .min(1)
        .max(WINDOWS_MAX)
        .optional()
        .meta({ description: "Times at which the route may be used: in one of these windows." }),
      when: condition().meta({
        description: "A [condition](#conditions) that must be true. What cannot be evaluated is not.",
        examples: ["claims.level >= 3 && claims.tenant == path.tenant"],
      }),
    })
    .refine((value) => Object.values(value).some((part) => part !== undefined), "expected at least one condition")
    .meta({
      description:
        "What the caller must be or have, all of it; everybody else gets 403 `access_denied`. Nobody (`auth: { optional: ... }`) gets 401 where anything is demanded of the caller.",
    }),
);

export type AuthorizeConfig = z.output<ReturnType<typeof authorizeSchema>>;
