// Owns reading JSON that came from strangers: RFC 8259 in its strict form (RFC 7493, I-JSON), where no two readers can differ.
// Must never throw, and never recurse on what it is given.

/** Nesting that anything honest needs. */
const DEPTH_MAX = 32;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
/** `[` and `{`, `]` and `}` differ in this bit from each other. */
const CURLY = 0x20;
const OPENING = 0x7b;
const CLOSING = 0x7d;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** @returns the text of UTF-8 bytes; null when they are none. A byte order mark stays, so that JSON refuses it. */
export function strictUtf8(bytes: Uint8Array): string | null {
  try {
    return utf8.decode(bytes);
  } catch {
    return null;
  }
}

export type StrictJson = { readonly value: Record<string, unknown> } | { readonly problem: string };

/**
 * An object, and nothing else. Refused: members given twice (at any depth), deep nesting, numbers that no double can hold, lone surrogates.
 * @returns the plain object, or what is wrong with the text, as the end of a sentence that begins with what the text is
 */
export function parseStrictObject(text: string): StrictJson {
  // Depth first: it needs no valid JSON, and bounds what follows.
  const names = countNames(text);
  if (names < 0) return { problem: "is nested too deeply" };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { problem: "is not JSON" };
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return { problem: "is not a JSON object" };
  const members = countMembers(value);
  if (members < 0) return { problem: "has a number or a text that cannot be carried exactly" };
  // A repeated name replaces the member before it: then there are fewer members than names.
  if (members !== names) return { problem: "has a member twice" };
  return { value: value as Record<string, unknown> }; // an object that is no array
}

/** @returns how many member names a valid JSON text has; -1 when it is too deep. One pass, whatever the text: no regular expression does that. */
function countNames(text: string): number {
  let names = 0;
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === QUOTE) {
      i = stringEnd(text, i);
      if (text.charCodeAt(afterBlanks(text, i + 1)) === COLON) names++;
    } else if ((c | CURLY) === OPENING) {
      if (++depth > DEPTH_MAX) return -1;
    } else if ((c | CURLY) === CLOSING) depth--;
  }
  return names;
}

/** @returns the index of the closing quote; the text's length when there is none */
function stringEnd(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === BACKSLASH) i++;
    else if (c === QUOTE) return i;
  }
  return text.length;
}

function afterBlanks(text: string, from: number): number {
  let i = from;
  for (let c = text.charCodeAt(i); c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09; c = text.charCodeAt(i)) i++;
  return i;
}

/** @returns how many members all objects in a value have; -1 when something in it does not survive being written again */
function countMembers(root: object): number {
  let members = 0;
  const open: object[] = [root];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    const isList = Array.isArray(node);
    for (const [name, value] of Object.entries(node)) {
      if (!isList) {
        members++;
        if (!name.isWellFormed()) return -1;
      }
      if (typeof value === "string") {
        if (!value.isWellFormed()) return -1;
      } else if (typeof value === "number") {
        if (!Number.isFinite(value)) return -1;
      } else if (typeof value === "object" && value !== null) open.push(value);
    }
  }
  return members;
}
