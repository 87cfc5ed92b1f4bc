// The zod building blocks that every part of the configuration schema uses: units, names, header names.
// Imported by config schemas only (primary); workers import the inferred types, never this file.
import * as z from "zod";
import { CALLER_NAME, CALLER_NAME_RULE, SCOPE } from "./caller-name.ts";
import { parseDurationMs, parseFraction, parseQuota, parseRate, parseSizeBytes } from "./units.ts";

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

const unit = (
  parse: (text: string) => number | null,
  pattern: RegExp,
  expected: string,
  meta: { description: string; examples: (string | number)[] },
) =>
  z
    .union([z.string(), z.number()])
    .transform((value, ctx): number => {
      const parsed = parse(String(value));
      if (parsed !== null) return parsed;
      const bare = expected.startsWith("a duration") && typeof value === "number" ? " without a unit" : "";
      ctx.addIssue({ code: "custom", message: `expected ${expected}, got ${JSON.stringify(value)}${bare}` });
      return z.NEVER;
    })
    .meta({ ...meta, unitPattern: pattern.source });

/** Input `250ms`, `5s`, `1m`; output milliseconds. */
export const duration = once(() =>
  unit(parseDurationMs, /^(0|\d+(\.\d+)?(ms|s|m|h|d))$/, "a duration such as 250ms, 5s or 1m", {
    description: "Duration",
    examples: ["250ms", "5s", "1m"],
  }),
);

/** Input `16KiB`, `10MiB` or bytes; output bytes. */
export const size = once(() =>
  unit(parseSizeBytes, /^\d+(\.\d+)?(B|KiB|MiB|GiB|KB|MB|GB)?$/, "a size such as 16KiB or 10MiB", {
    description: "Size",
    examples: ["16KiB", "10MiB"],
  }),
);

/** Input `20%` or 0..1; output a fraction 0..1. */
export const fraction = once(() =>
  unit(parseFraction, /^\d+(\.\d+)?%?$/, "a percentage from 0% to 100%", { description: "Fraction", examples: ["20%"] }),
);

/** Input `100/s`, `5000/min`, `10/hour`, `1000000/day`; output a count and a period in milliseconds. */
export const rate = () =>
  z
    .string()
    .transform((text, ctx) => {
      const parsed = parseRate(text);
      if (parsed !== null) return parsed;
      ctx.addIssue({
        code: "custom",
        message: `expected a rate such as 100/s, 5000/min, 10/hour or 1000000/day, got ${JSON.stringify(text)}`,
      });
      return z.NEVER;
    })
    .meta({ description: "Rate", examples: ["100/s", "5000/min", "1000000/day"] });

/** Input `10000/day`, `1000000/month`; output a count and its period. */
export const quota = () =>
  z
    .string()
    .transform((text, ctx) => {
      const parsed = parseQuota(text);
      if (parsed !== null) return parsed;
      ctx.addIssue({
        code: "custom",
        message: `expected a quota such as 1000/hour, 10000/day or 1000000/month, got ${JSON.stringify(text)}`,
      });
      return z.NEVER;
    })
    .meta({ description: "Quota", examples: ["10000/day", "1000000/month"] });

/** A consumer, role or group, as identity providers name them: a text, or a whole number, which becomes one. */
export const callerName = once(() =>
  z.union([z.string().regex(CALLER_NAME, `expected ${CALLER_NAME_RULE}`), z.int().transform((value) => String(value))]),
);

/** RFC 6749 section 3.3. */
export const scope = once(() => z.string().regex(SCOPE, "expected visible ASCII characters without spaces, quotes and backslashes"));

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
