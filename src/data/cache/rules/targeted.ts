// Reads targeted cache-control fields (RFC 9213): a Dictionary of Structured Fields (RFC 9651), which is valid as a whole or counts for nothing. Pure.
import { getList, type HeaderList } from "../../../base/header-list.ts";
import { DELTA_SECONDS_MAX, type Directives, noDirectives } from "./directives.ts";

/** For this cache alone: stored, as it counts again after a 304, and not shown to clients. */
export const OWN_FIELD = "sluice-cache-control";

/** In the order in which they are looked for (RFC 9213 section 2.2). */
export const TARGETED_FIELDS: readonly string[] = [OWN_FIELD, "cdn-cache-control"];

/** One of them is longer: it is not read. */
const FIELD_CHARS_MAX = 4096;

/** @returns what the first valid targeted field says; null when there is none: Cache-Control and Expires count then */
export function targetedDirectives(headers: HeaderList): Readonly<Directives> | null {
  for (const name of TARGETED_FIELDS) {
    const field = getList(headers, name);
    if (field === undefined || field.length > FIELD_CHARS_MAX) continue;
    const members = parseDictionary(field);
    const directives = members === null ? null : directivesOf(members);
    if (directives !== null) return directives;
  }
  return null;
}

type Bare =
  | { readonly type: "integer"; readonly value: number }
  | { readonly type: "boolean"; readonly value: boolean }
  | { readonly type: "other" };
const OTHER: Bare = { type: "other" };
const TRUE: Bare = { type: "boolean", value: true };

/** @returns null when a known directive has a value of the wrong type */
function directivesOf(members: ReadonlyMap<string, Bare>): Directives | null {
  const directives = noDirectives();
  for (const [name, value] of members) {
    const seconds = secondsKey(name);
    const flag = flagKey(name);
    if (seconds !== null) {
      if (value.type !== "integer" || value.value < 0) return null;
      directives[seconds] = Math.min(value.value, DELTA_SECONDS_MAX);
    } else if (flag !== null) {
      // A list of fields (a string) is read as none: the stricter of the two.
      if (value.type === "integer") return null;
      directives[flag] = value.type === "boolean" ? value.value : true;
    }
  }
  return directives;
}

function secondsKey(name: string): "maxAge" | "sMaxAge" | "staleWhileRevalidate" | "staleIfError" | null {
  switch (name) {
    case "max-age":
      return "maxAge";
    case "s-maxage":
      return "sMaxAge";
    case "stale-while-revalidate":
      return "staleWhileRevalidate";
    case "stale-if-error":
      return "staleIfError";
    default:
      return null;
  }
}

const FLAGS = {
  "no-store": "noStore",
  "no-cache": "noCache",
  private: "isPrivate",
  public: "isPublic",
  "must-revalidate": "mustRevalidate",
  "proxy-revalidate": "proxyRevalidate",
  "must-understand": "mustUnderstand",
  immutable: "immutable",
} as const;

const flagKey = (name: string): (typeof FLAGS)[keyof typeof FLAGS] | null =>
  Object.hasOwn(FLAGS, name) ? FLAGS[name as keyof typeof FLAGS] : null; // hasOwn

/** RFC 9651 section 4.2.2. The last of several members of one name counts. @returns null for an empty or invalid field */
export function parseDictionary(field: string): ReadonlyMap<string, Bare> | null {
  const reader = new Reader(field);
  const members = new Map<string, Bare>();
  reader.skip(SPACE);
  while (!reader.atEnd) {
    const key = reader.take(KEY);
    if (key === null) return null;
    let value: Bare | null = TRUE;
    if (reader.accept("=")) value = reader.peek() === "(" ? innerList(reader) : bareItem(reader);
    if (value === null || !parameters(reader)) return null;
    members.set(key, value);
    reader.skip(BLANK);
    if (reader.atEnd) return members.size === 0 ? null : members;
    if (!reader.accept(",")) return null;
    reader.skip(BLANK);
    if (reader.atEnd) return null;
  }
  return null;
}

const SPACE = / */y;
const BLANK = /[ \t]*/y;
const KEY = /[a-z*][a-z0-9_.*-]*/y;
const DECIMAL = /-?\d{1,12}\.\d{1,3}(?![\d.])/y;
const INTEGER = /-?\d{1,15}(?![\d.])/y;
const STRING = /"(?:[ !#-[\]-~]|\\["\\])*"/y;
const DISPLAY_STRING = /%"(?:[ !#$&-~]|%[0-9a-f]{2})*"/y;
const TOKEN = /[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*/y;
const BYTES = /:[A-Za-z0-9+/=]*:/y;
const BOOLEAN = /\?[01]/y;
const DATE = /@-?\d{1,15}(?![\d.])/y;

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get atEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  peek(): string {
    return this.#text.charAt(this.#at);
  }

  accept(char: string): boolean {
    if (this.peek() !== char) return false;
    this.#at++;
    return true;
  }

  take(pattern: RegExp): string | null {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found === undefined) return null;
    this.#at += found.length;
    return found;
  }

  skip(pattern: RegExp): void {
    this.take(pattern);
  }
}

function bareItem(reader: Reader): Bare | null {
  if (reader.take(DECIMAL) !== null) return OTHER;
  const integer = reader.take(INTEGER);
  if (integer !== null) return { type: "integer", value: Number(integer) };
  const boolean = reader.take(BOOLEAN);
  if (boolean !== null) return { type: "boolean", value: boolean === "?1" };
  for (const pattern of [STRING, TOKEN, BYTES, DATE, DISPLAY_STRING]) if (reader.take(pattern) !== null) return OTHER;
  return null;
}

function innerList(reader: Reader): Bare | null {
  reader.accept("(");
  for (;;) {
    reader.skip(SPACE);
    if (reader.accept(")")) return OTHER;
    if (bareItem(reader) === null || !parameters(reader)) return null;
    if (reader.peek() !== " " && reader.peek() !== ")") return null;
  }
}

function parameters(reader: Reader): boolean {
  while (reader.accept(";")) {
    reader.skip(SPACE);
    if (reader.take(KEY) === null) return false;
    if (reader.accept("=") && bareItem(reader) === null) return false;
  }
  return true;
}
