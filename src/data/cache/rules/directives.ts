// Reads Cache-Control (RFC 9111 section 5.2). Pure. A directive that can only be read in part never makes a response fresher, and never less private.
import { isToken, trimWhitespace } from "../../../base/http.ts";

/** What a cache makes of one Cache-Control field, of a request or a response. Times in seconds; -1 for not said. */
export interface Directives {
  maxAge: number;
  sMaxAge: number;
  staleWhileRevalidate: number;
  staleIfError: number;
  /** Of requests; Infinity for any age. */
  maxStale: number;
  minFresh: number;
  noStore: boolean;
  /** Of a response without a list of fields: validate before each use. */
  noCache: boolean;
  isPrivate: boolean;
  isPublic: boolean;
  mustRevalidate: boolean;
  proxyRevalidate: boolean;
  mustUnderstand: boolean;
  immutable: boolean;
  onlyIfCached: boolean;
  /** Lowercase names of `no-cache="..."` and `private="..."`: these fields are not stored. */
  unstoredFields: readonly string[];
}

/** RFC 9111 section 1.2.2: what is greater than a cache can represent counts as this. */
export const DELTA_SECONDS_MAX = 2 ** 31;

/** Elements of one field that are looked at. What stands behind them may be `no-store`: then nothing is stored at all. */
const ELEMENTS_MAX = 64;
const FIELD_NAMES_MAX = 32;

const NO_FIELDS: readonly string[] = [];

export const noDirectives = (): Directives => ({
  maxAge: -1,
  sMaxAge: -1,
  staleWhileRevalidate: -1,
  staleIfError: -1,
  maxStale: -1,
  minFresh: -1,
  noStore: false,
  noCache: false,
  isPrivate: false,
  isPublic: false,
  mustRevalidate: false,
  proxyRevalidate: false,
  mustUnderstand: false,
  immutable: false,
  onlyIfCached: false,
  unstoredFields: NO_FIELDS,
});

/** Frozen: of messages without the field, which are most requests. */
export const NO_DIRECTIVES: Readonly<Directives> = Object.freeze(noDirectives());

/** @param field the field's lines joined with ","; undefined for none */
export function parseCacheControl(field: string | undefined): Readonly<Directives> {
  if (field === undefined || field === "") return NO_DIRECTIVES;
  const directives = noDirectives();
  let at = 0;
  let count = 0;
  while (at < field.length) {
    if (++count > ELEMENTS_MAX) {
      directives.noStore = true;
      break;
    }
    const end = elementEnd(field, at);
    readElement(directives, trimWhitespace(field.slice(at, end)));
    at = end + 1;
  }
  return directives;
}

/**
 * A comma inside a quoted string separates nothing. A string is an argument: it stands behind `=` and before a comma or the end. Every other quotation mark is an
 * ordinary character, so that none can hide a directive. No string can begin inside another that was looked through: this is one pass.
 */
function elementEnd(field: string, from: number): number {
  for (let i = from; i < field.length; i++) {
    const c = field.charCodeAt(i);
    if (c === 44) return i;
    if (c !== 34 || i === from || field.charCodeAt(i - 1) !== 61) continue;
    const close = closingQuote(field, i);
    if (close < 0) return nextComma(field, i);
    let behind = close + 1;
    while (behind < field.length && isBlank(field.charCodeAt(behind))) behind++;
    if (behind === field.length || field.charCodeAt(behind) === 44) return behind;
  }
  return field.length;
}

const isBlank = (c: number): boolean => c === 32 || c === 9;

function nextComma(field: string, from: number): number {
  const comma = field.indexOf(",", from);
  return comma < 0 ? field.length : comma;
}

function closingQuote(text: string, open: number): number {
  for (let i = open + 1; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 92) i++;
    else if (c === 34) return i;
  }
  return -1;
}

function readElement(directives: Directives, element: string): void {
  if (element === "") return;
  let nameEnd = 0;
  while (nameEnd < element.length && isToken(element.charAt(nameEnd))) nameEnd++;
  const name = element.slice(0, nameEnd).toLowerCase();
  const rest = element.slice(nameEnd);
  apply(directives, name, rest === "" ? "" : rest.charCodeAt(0) === 61 ? argumentOf(rest.slice(1)) : null);
}

/** @returns '' for none, null for what is neither a token nor a quoted string */
function argumentOf(text: string): string | null {
  if (isToken(text)) return text;
  if (text.charCodeAt(0) !== 34 || closingQuote(text, 0) !== text.length - 1) return null;
  return text.slice(1, -1).replace(/\\(.)/g, "$1");
}

/** @param argument '' for none; null when it cannot be read */
function apply(directives: Directives, name: string, argument: string | null): void {
  switch (name) {
    case "max-age":
      directives.maxAge = strictest(directives.maxAge, lifetimeSeconds(argument));
      break;
    case "s-maxage":
      directives.sMaxAge = strictest(directives.sMaxAge, lifetimeSeconds(argument));
      break;
    case "stale-while-revalidate":
      directives.staleWhileRevalidate = strictest(directives.staleWhileRevalidate, lifetimeSeconds(argument));
      break;
    case "stale-if-error":
      directives.staleIfError = strictest(directives.staleIfError, lifetimeSeconds(argument));
      break;
    case "max-stale":
      directives.maxStale = argument === "" ? Number.POSITIVE_INFINITY : lifetimeSeconds(argument);
      break;
    case "min-fresh":
      directives.minFresh = Math.max(directives.minFresh, deltaSeconds(argument) ?? DELTA_SECONDS_MAX);
      break;
    case "no-cache":
      if (!listsFields(directives, argument)) directives.noCache = true;
      break;
    case "private":
      if (!listsFields(directives, argument)) directives.isPrivate = true;
      break;
    default:
      applyFlag(directives, name, argument);
  }
}

function applyFlag(directives: Directives, name: string, argument: string | null): void {
  const isWhole = argument !== null;
  if (name === "no-store") directives.noStore = true;
  else if (name === "must-revalidate") directives.mustRevalidate = true;
  else if (name === "proxy-revalidate") directives.proxyRevalidate = true;
  else if (name === "only-if-cached") directives.onlyIfCached = true;
  else if (name === "public") directives.isPublic ||= isWhole;
  else if (name === "immutable") directives.immutable ||= isWhole;
  else if (name === "must-understand") directives.mustUnderstand ||= isWhole;
}

const strictest = (known: number, said: number): number => (known < 0 ? said : Math.min(known, said));

/** Unreadable freshness counts as stale (RFC 9111 section 4.2.1). */
const lifetimeSeconds = (argument: string | null): number => deltaSeconds(argument) ?? 0;

/** RFC 9111 section 1.2.2. @returns null when it is not 1*DIGIT */
export function deltaSeconds(text: string | null): number | null {
  if (text === null || !/^\d+$/.test(text)) return null;
  return Math.min(Number(text), DELTA_SECONDS_MAX);
}

/** RFC 9111 sections 5.2.2.4 and 5.2.2.7. @returns false when it must be read as the directive without a list */
function listsFields(directives: Directives, argument: string | null): boolean {
  if (argument === null || argument === "") return false;
  const names: string[] = [];
  for (const part of argument.split(",", FIELD_NAMES_MAX + 1)) {
    const name = trimWhitespace(part).toLowerCase();
    if (name === "") continue;
    if (!isToken(name)) return false;
    names.push(name);
  }
  if (names.length === 0 || names.length > FIELD_NAMES_MAX) return false;
  directives.unstoredFields = [...directives.unstoredFields, ...names];
  return true;
}
