// Owns JSON that is read to be written again, whole or in part: no number changes on the way, no name reaches a prototype, nesting is bounded.
// Pure; must never be used for credentials, which strict-json.ts reads.

/** Nesting beyond it is refused: JSON.stringify recurses. */
export const JSON_DEPTH_MAX = 100;

/** A number that no double holds as it is written: it stands for its text (ECMA-262 JSON.rawJSON). */
interface RawNumber {
  readonly rawJSON: string;
}

/** What the library of types does not have yet. */
const native = JSON as unknown as {
  isRawJSON(value: unknown): value is RawNumber;
  rawJSON(text: string): RawNumber;
  parse(text: string, reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown): unknown;
};

/** Where a number may begin, with 16 characters or more or an exponent: only those can change by being read. Linear: each run of digits has one beginning. */
const LONG_NUMBER = /(?:^|[[:,\s])-?(?:\d[\d.]{15}|[\d.]+[eE])/;

const keepSource = (_key: string, value: unknown, { source }: { readonly source?: string }): unknown =>
  typeof value === "number" && source !== undefined && String(value) !== source ? native.rawJSON(source) : value;

/** As JSON.parse, but numbers keep what was written. @throws SyntaxError */
export const parseExact = (text: string): unknown => (LONG_NUMBER.test(text) ? native.parse(text, keepSource) : JSON.parse(text));

/** Whether a value is an object with members: no list, no null, no number in disguise. */
export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !native.isRawJSON(value);

/** The text of a string, a number as it was written, true or false; null for everything else. */
export function scalarText(value: unknown): string | null {
  if (typeof value === "string") return value.isWellFormed() ? value : null;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return native.isRawJSON(value) ? value.rawJSON : null;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** `[` and `{`, `]` and `}` differ in this bit from each other. */
const CURLY = 0x20;

/** Whether a text of JSON nests deeper than {@link JSON_DEPTH_MAX}. One pass; says nothing about a text that is no JSON. */
export function isTooDeep(text: string): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === QUOTE) {
      i = stringEnd(text, i);
      if (i < 0) return false;
    } else if ((c | CURLY) === 0x7b) {
      if (++depth > JSON_DEPTH_MAX) return true;
    } else if ((c | CURLY) === 0x7d) depth--;
  }
  return false;
}

/** @returns the index of the closing quote; -1 when there is none */
function stringEnd(text: string, start: number): number {
  for (let i = text.indexOf('"', start + 1); i >= 0; i = text.indexOf('"', i + 1)) {
    let escapes = 0;
    while (text.charCodeAt(i - 1 - escapes) === BACKSLASH) escapes++;
    if (escapes % 2 === 0) return i;
  }
  return -1;
}

/** Longest path into a value, in steps. */
const STEPS_MAX = 32;

/** Names of members and indexes of lists, from the outside in; empty for the whole. */
export type JsonPath = readonly string[];

/** @param text a JSON Pointer (RFC 6901) when it begins with `/`, else names and indexes joined by dots */
export function parseJsonPath(text: string): JsonPath | { readonly error: string } {
  if (text === "") return [];
  const pointer = text.startsWith("/");
  const steps = pointer ? text.slice(1).split("/") : text.split(".");
  if (steps.length > STEPS_MAX) return { error: `a path has at most ${STEPS_MAX} steps` };
  if (!pointer) return steps.includes("") ? { error: `'${text}' has an empty step: write a JSON Pointer for such names` } : steps;
  if (/~(?![01])/.test(text)) return { error: "in a JSON Pointer '~' stands as '~0' (RFC 6901)" };
  return steps.map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** RFC 6901 section 4: no leading zeros. */
const INDEX = /^(?:0|[1-9]\d{0,9})$/;

/** @returns what stands at a path; undefined for nothing. Never what an object inherits. */
export function jsonAt(value: unknown, path: JsonPath): unknown {
  let at = value;
  for (const step of path) {
    if (Array.isArray(at)) at = INDEX.test(step) ? at[Number(step)] : undefined;
    else if (isObject(at) && Object.hasOwn(at, step)) at = at[step];
    else return undefined;
  }
  return at;
}
