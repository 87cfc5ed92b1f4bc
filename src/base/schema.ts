// The zod building blocks that every part of the configuration schema uses: units, names, header names.
// Imported by config schemas only (primary); workers import the inferred types, never this file.
import * as z from "zod";
import { CALLER_NAME, CALLER_NAME_RULE, SCOPE } from "./caller-name.ts";
import { once } from "./lazy-schema.ts";
import { formatDurationMs, parseDurationMs, parseFraction, parseQuota, parseRate, parseSizeBytes, RATE_PATTERN } from "./units.ts";

export { lazyOptional, mapOrList, once, resolveLazy } from "./lazy-schema.ts";

/**
 * Stands for the content of a file that can't be read, so that nothing else is said about it. Another in each process: nobody can write it. No secret,
 * so that Math.random will do: node:crypto takes a cold start 15 ms to load.
 */
export const UNREADABLE = `(unreadable ${Math.random()} ${Math.random()})`;

// A configuration is parsed once: compiling parsers first costs 10 ms of a cold start and saves nothing.
z.config({ jitless: true });

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

/** How one kind of value is read, and what is said of one that is not. */
interface Reading<T> {
  readonly parse: (text: string) => T | null;
  /** What stands in the message. */
  readonly expected: string;
  /** What a number alone lacks; '' for nothing. */
  readonly lacks: string;
  /** What is told of a number alone, or of a text whose meaning can be guessed; null for nothing. */
  readonly meant: (text: string) => string | null;
}

const unit = <T>({ parse, expected, lacks, meant }: Reading<T>, meta: Unit) =>
  z
    .union([z.string(), z.number()])
    .transform((value, ctx): T => {
      const text = String(value);
      const parsed = parse(text);
      if (parsed !== null) return parsed;
      const bare = NUMBER.test(text) ? lacks : "";
      const message = `expected ${expected}, got ${JSON.stringify(value)}${bare}`;
      ctx.addIssue({ code: "custom", message, params: { remedy: meant(text) ?? "" } });
      return z.NEVER;
    })
    .meta({ ...meta, examples: [...meta.examples] });

const NUMBER = /^\d+(\.\d+)?$/;

/** Tells a guess, if it can be read. */
const guess = (parse: (text: string) => unknown, text: string): string | null => (parse(text) === null ? null : `write \`${text}\``);

function meantDuration(text: string): string | null {
  if (NUMBER.test(text))
    return Number(text) < 1000 ? `write \`${text}s\` if seconds are meant` : `write \`${text}ms\` if milliseconds are meant`;
  if (COMPOUND.test(text)) return guess(parseDurationMs, formatDurationMs(sumOf(text)));
  const [, number = "", name = ""] = /^([\d.]+)\s*([a-z]+)$/i.exec(text) ?? [];
  const lower = name.toLowerCase();
  return guess(parseDurationMs, `${number}${lower === "ms" || lower.startsWith("mil") ? "ms" : lower.slice(0, 1)}`);
}

/** As Go writes durations: `1m30s`. */
const COMPOUND = /^(?:\d+(?:h|ms?|s)){2,}$/;
const sumOf = (text: string): number =>
  [...text.matchAll(/\d+(?:ms|[hms])/g)].reduce((sum, [part]) => sum + (parseDurationMs(part) ?? 0), 0);

function meantSize(text: string): string | null {
  const [, number = "", prefix = ""] = /^([\d.]+)\s*([kmg]?)i?b?(?:ytes?)?$/i.exec(text) ?? [];
  return guess(parseSizeBytes, `${number}${prefix === "" ? "B" : `${prefix.toUpperCase()}iB`}`);
}

/** @param period that is probably meant by a number alone */
const meantRate =
  (period: string, name: string) =>
  (text: string): string | null => {
    if (NUMBER.test(text)) return parseRate(`${text}/s`) === null ? null : `write \`${text}/${period}\` if a ${name} is meant`;
    const [, number = "", each = ""] = /^(\d+)\s*(?:r|req|requests?)?\s*(?:\/|per|an?)\s*1?\s*([a-z]+)$/i.exec(text) ?? [];
    return guess(parseRate, `${number}/${each.toLowerCase()}`);
  };

/** Input `250ms`, `5s`, `1m`; output milliseconds. */
export const duration = once(() =>
  unit(
    { parse: parseDurationMs, expected: "a duration such as 250ms, 5s or 1m", lacks: " without a unit", meant: meantDuration },
    {
      unit: "duration",
      description: "Duration",
      examples: ["250ms", "5s", "1m"],
      unitPattern: /^(0|\d+(\.\d+)?(ms|s|m|h|d))$/.source,
      unitNumbers: { minimum: 0, maximum: 0 },
    },
  ),
);

/** Input `16KiB`, `10MiB` or bytes; output bytes. */
export const size = once(() =>
  unit(
    { parse: parseSizeBytes, expected: "a size such as 16KiB or 10MiB", lacks: "", meant: meantSize },
    {
      unit: "size",
      description: "Size",
      examples: ["16KiB", "10MiB"],
      unitPattern: /^\d+(\.\d+)?(B|KiB|MiB|GiB|KB|MB|GB)?$/.source,
      unitNumbers: { minimum: 0 },
    },
  ),
);

/** Input `20%` or 0..1; output a fraction 0..1. */
export const fraction = once(() =>
  unit(
    { parse: parseFraction, expected: "a percentage from 0% to 100%", lacks: "", meant: (text) => guess(parseFraction, `${text}%`) },
    {
      unit: "percentage",
      description: "Fraction",
      examples: ["20%"],
      unitPattern: /^(\d{1,2}(\.\d+)?%|100(\.0+)?%|0(\.\d+)?|1(\.0+)?)$/.source,
      unitNumbers: { minimum: 0, maximum: 1 },
    },
  ),
);

/** Input `100/s`, `5000/min`, `10/hour`, `1000000/day`, `3/week`, `5/months`; output a count and a period in milliseconds. */
export const rate = once(() =>
  unit(
    {
      parse: parseRate,
      expected: "a rate such as 100/s, 5000/min, 10/hour or 1000000/day",
      lacks: " without a period",
      meant: meantRate("s", "second"),
    },
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
    {
      parse: parseQuota,
      expected: "a quota such as 1000/hour, 10000/day or 1000000/month",
      lacks: " without a period",
      meant: meantRate("day", "day"),
    },
    { unit: "quota", description: "Quota", examples: ["10000/day", "1000000/month"], unitPattern: RATE_PATTERN.source, unitNumbers: null },
  ),
);

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

/** Longest condition, in characters. */
const CONDITION_CHARS_MAX = 1024;

/** A condition in CEL, if there is one: the loader compiles what a feature names under `conditions` (feature-schema.ts). */
export const condition = once(() => z.string().min(1).max(CONDITION_CHARS_MAX).optional());
