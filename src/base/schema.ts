// The zod building blocks that every part of the configuration schema uses: units, names, header names.
// Imported by config schemas only (primary); workers import the inferred types, never this file.
import * as z from "zod";
import { parseDurationMs, parseFraction, parseQuota, parseRate, parseSizeBytes, RATE_PATTERN } from "./units.ts";

/**
 * Stands for the content of a file that can't be read, so that nothing else is said about it. Another in each process: nobody can write it. No secret,
 * so that Math.random will do: node:crypto takes a cold start 15 ms to load.
 */
export const UNREADABLE = `(unreadable ${Math.random()} ${Math.random()})`;

// A configuration is parsed once: compiling parsers first costs 10 ms of a cold start and saves nothing.
z.config({ jitless: true });

/** A schema never changes, so that one serves every field of its kind. Made when first asked for: making schemas is much of a cold start. */
export function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}

/** What stands in for a schema that is not made yet -> its maker. */
const makers = new WeakMap<object, () => z.ZodType>();

/**
 * An optional key whose schema is made when somebody writes the key: most files write few of those there are. (`z.lazy` would do, but zod makes what is
 * lazy as soon as it looks for cycles.)
 * @param make of a schema that gives nothing for a key that is absent
 */
export function whenWritten<S extends z.ZodType>(make: () => S): z.ZodOptional<S> {
  const stand = z.any();
  stand._zod.run = (payload, ctx) => make()._zod.run(payload, ctx);
  makers.set(stand, make);
  return stand.optional() as unknown as z.ZodOptional<S>; // it parses what S parses
}

/** @returns the schema that another stands in for, or null. For whoever describes schemas. */
export const standsFor = (schema: object): z.ZodType | null => makers.get(schema)?.() ?? null;

/** How a value with a unit is written: what the JSON Schema and the reference say of it. */
interface Unit {
  /** Its name in the reference. */
  readonly unit: "duration" | "size" | "percentage" | "rate" | "quota";
  readonly description: string;
  readonly examples: readonly (string | number)[];
  /** Of the text form. */
  readonly unitPattern: string;
  /** Numbers without a unit that are taken; null for none. */
  readonly unitNumbers: { readonly minimum: number; readonly maximum?: number } | null;
}

/** @param expected what stands in the message @param bare what a number without a unit lacks, and what to write instead of it */
const unit = <T>(
  parse: (text: string) => T | null,
  expected: string,
  bare: (text: string) => readonly [lacks: string, remedy: string],
  meta: Unit,
) =>
  z
    .union([z.string(), z.number()])
    .transform((value, ctx): T => {
      const parsed = parse(String(value));
      if (parsed !== null) return parsed;
      const [lacks, remedy] = /^\d+(\.\d+)?$/.test(String(value)) ? bare(String(value)) : ["", ""];
      ctx.addIssue({ code: "custom", message: `expected ${expected}, got ${JSON.stringify(value)}${lacks}`, params: { remedy } });
      return z.NEVER;
    })
    .meta({ ...meta, examples: [...meta.examples] });

/** Input `250ms`, `5s`, `1m`; output milliseconds. */
export const duration = once(() =>
  unit(parseDurationMs, "a duration such as 250ms, 5s or 1m", (n) => [" without a unit", `write \`${n}s\` if seconds are meant`], {
    unit: "duration",
    description: "Duration",
    examples: ["250ms", "5s", "1m"],
    unitPattern: /^(0|\d+(\.\d+)?(ms|s|m|h|d))$/.source,
    unitNumbers: { minimum: 0, maximum: 0 },
  }),
);

/** Input `16KiB`, `10MiB` or bytes; output bytes. */
export const size = once(() =>
  unit(parseSizeBytes, "a size such as 16KiB or 10MiB", () => ["", ""], {
    unit: "size",
    description: "Size",
    examples: ["16KiB", "10MiB"],
    unitPattern: /^\d+(\.\d+)?(B|KiB|MiB|GiB|KB|MB|GB)?$/.source,
    unitNumbers: { minimum: 0 },
  }),
);

/** Input `20%` or 0..1; output a fraction 0..1. */
export const fraction = once(() =>
  unit(parseFraction, "a percentage from 0% to 100%", (n) => ["", Number(n) <= 100 ? `write \`${n}%\`` : ""], {
    unit: "percentage",
    description: "Fraction",
    examples: ["20%"],
    unitPattern: /^(\d{1,2}(\.\d+)?%|100(\.0+)?%|0(\.\d+)?|1(\.0+)?)$/.source,
    unitNumbers: { minimum: 0, maximum: 1 },
  }),
);

/** Input `100/s`, `5000/min`, `10/hour`, `1000000/day`, `3/week`, `5/months`; output a count and a period in milliseconds. */
export const rate = once(() =>
  unit(
    parseRate,
    "a rate such as 100/s, 5000/min, 10/hour or 1000000/day",
    (n) => [" without a period", `write \`${n}/s\` if a second is meant`],
    {
      unit: "rate",
      description: "Rate",
      examples: ["100/s", "5000/min", "1000000/day"],
      unitPattern: RATE_PATTERN.source,
      unitNumbers: null,
    },
  ),
);

/** Input as for {@link rate}; output a count and its period: one of the calendar in UTC. */
export const quota = once(() =>
  unit(
    parseQuota,
    "a quota such as 1000/hour, 10000/day or 1000000/month",
    (n) => [" without a period", `write \`${n}/day\` if a day is meant`],
    { unit: "quota", description: "Quota", examples: ["10000/day", "1000000/month"], unitPattern: RATE_PATTERN.source, unitNumbers: null },
  ),
);

/** Name of a claim, or names joined by dots for one inside another. */
export const claimName = () => z.string().regex(/^[\x21-\x7e]{1,256}$/, "expected the name of a claim, without spaces");

/** A name users give to upstreams, routes and the like. */
export const name = once(() =>
  z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, "expected a name of letters, digits, '.', '_' and '-'"),
);

/** RFC 9110 section 5.1 field name, lowercased. */
export const headerName = once(() =>
  z
    .string()
    .regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, "expected an HTTP header name")
    .transform((text) => text.toLowerCase()),
);

/** RFC 9110 section 5.5 field value without control characters; bytes 0x80-0xff allowed. */
export const headerValue = once(() => z.string().regex(/^[\t\x20-\x7e\x80-\xff]*$/, "expected a header value without control characters"));

/** A field value as people write it: text without control characters or blanks at its ends; goes out as UTF-8 bytes. */
export const headerText = once(() =>
  z
    .string()
    .regex(/^(?![\t ])[^\x00-\x08\x0a-\x1f\x7f]*(?<![\t ])$/, "expected a header value without control characters and blanks at its ends"),
);
