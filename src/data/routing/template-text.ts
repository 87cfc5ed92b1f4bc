// Owns what all kinds of templates have in common: how their text is cut, and how a value is written so that it stays inside its place.
// Pure; must never know where values come from.
import { encodeByte, hexValue } from "../../base/hex.ts";
import { isFieldValue } from "../../base/http.ts";

/** Longest template, in characters. */
export const TEMPLATE_LENGTH_MAX = 64 * 1024;

/** How a variable's value is spelt when it comes from the exchange. */
export type Spelling =
  /** Percent-encoded already, as part of the normalised path. */
  | "path"
  /** Safe as it is: made or checked by the gateway. */
  | "safe"
  /** Whatever the client sent: Unicode text. */
  | "text"
  /** Whatever the client sent: a byte string (one char a byte). */
  | "bytes"
  /** What is known of the caller, nothing for nobody: Unicode text. A path without it is another path, so it must be there. */
  | "identity";

/**
 * Cuts a template at its braces; `{{` and `}}` stand for braces.
 * @param variableOf what a name between braces stands for
 * @returns literals (none of them empty) and variables in order, or the first mistake
 */
export function splitTemplate<V extends object>(
  text: string,
  variableOf: (name: string) => V | { readonly error: string },
): readonly (string | V)[] | { readonly error: string } {
  if (text.length > TEMPLATE_LENGTH_MAX) return { error: `a template has at most ${TEMPLATE_LENGTH_MAX} characters` };
  const parts: (string | V)[] = [];
  let literal = "";
  for (let i = 0; i < text.length; ) {
    const char = text[i];
    if ((char === "{" || char === "}") && text[i + 1] === char) {
      literal += char;
      i += 2;
    } else if (char === "}") {
      return { error: "'}' without '{'; write '}}' for the character" };
    } else if (char === "{") {
      const end = text.indexOf("}", i);
      if (end < 0) return { error: "'{' without '}'; write '{{' for the character" };
      const variable = variableOf(text.slice(i + 1, end));
      if ("error" in variable) return variable;
      parts.push(literal, variable);
      literal = "";
      i = end + 1;
    } else {
      literal += char;
      i++;
    }
  }
  parts.push(literal);
  return parts.filter((part) => part !== "");
}

/** What stands between `??`: a variable by its name, or a text. */
export type Alternative = { readonly name: string; readonly literal?: undefined } | { readonly name: string; readonly literal: string };

/** What stands between braces, one or several to choose from: the first that has a value. */
export function splitChoice(text: string): readonly Alternative[] | { readonly error: string } {
  if (!text.includes("??")) return [{ name: text }];
  const names = text.split("??").map((each) => each.trim());
  const alternatives: Alternative[] = [];
  for (const [i, name] of names.entries()) {
    if (name === "") return { error: `{${text}}: a variable, or a text in quotes, stands on each side of '??'` };
    const literal = /^(["'])(.*)\1$/.exec(name)?.[2];
    if (literal !== undefined && i < names.length - 1)
      return { error: `{${text}}: a text in quotes is always there, so nothing can stand in for it` };
    alternatives.push(literal === undefined ? { name } : { name, literal });
  }
  return alternatives;
}

const BRACES_OR_QUERY = /\{\{|\}\}|\{[^}]*\}|[?#]/g;

/** Where the query or fragment of an address begins that is a template: its `?` or `#` outside of braces. @returns the text's length for none */
export function queryStart(text: string): number {
  for (const match of text.matchAll(BRACES_OR_QUERY)) if (match[0] === "?" || match[0] === "#") return match.index;
  return text.length;
}

/** As Unicode text. */
export function asText(value: string, spelling: Spelling): string {
  if (spelling === "path") return utf8ToText(percentDecode(value));
  return spelling === "bytes" ? utf8ToText(value) : value;
}

/** Dots only: next to others or alone they might make `.` or `..`, which percent-encoding does not prevent. */
const DOTS = /^\.+$/;

/** As part of a path. @returns null for what could become a dot segment, and for nobody's identity */
export function asPath(value: string, spelling: Spelling): string | null {
  if (spelling === "path" || spelling === "safe") return value;
  if (spelling === "identity" && value === "") return null;
  return DOTS.test(value) ? null : encodeBytes(spelling === "bytes" ? value : textToUtf8(value));
}

/** As part of a query or fragment: none can add or end a parameter. */
export function asQuery(value: string, spelling: Spelling): string {
  if (spelling === "path") return encodeBytes(percentDecode(value));
  return encodeBytes(spelling === "text" || spelling === "identity" ? textToUtf8(value) : value);
}

/** As part of a field value, a byte string. @returns '' for what no field value may hold */
export function asHeader(value: string, spelling: Spelling): string {
  let bytes = value;
  if (spelling === "path") bytes = percentDecode(value);
  else if (spelling === "text" || spelling === "identity") bytes = textToUtf8(value);
  return isFieldValue(bytes) ? bytes : "";
}

/** Percent-encodes every byte but the unreserved (RFC 3986 section 2.3). @param bytes byte string */
function encodeBytes(bytes: string): string {
  if (/^[A-Za-z0-9\-._~]*$/.test(bytes)) return bytes;
  let out = "";
  for (const char of bytes) out += /[A-Za-z0-9\-._~]/.test(char) ? char : encodeByte(char.charCodeAt(0) & 255);
  return out;
}

/** @param text normalised: each `%` is followed by two hex digits. @returns byte string */
function percentDecode(text: string): string {
  let at = text.indexOf("%");
  if (at < 0) return text;
  let out = "";
  let copied = 0;
  for (; at >= 0; at = text.indexOf("%", at)) {
    const byte = hexValue(text.charCodeAt(at + 1)) * 16 + hexValue(text.charCodeAt(at + 2));
    out += text.slice(copied, at) + String.fromCharCode(byte);
    at = copied = at + 3;
  }
  return out + text.slice(copied);
}

/** Byte string (latin1) to text; malformed UTF-8 becomes U+FFFD. */
const utf8ToText = (bytes: string): string => (isAscii(bytes) ? bytes : Buffer.from(bytes, "latin1").toString("utf8"));

/** Text to byte string (latin1) of its UTF-8. */
const textToUtf8 = (text: string): string => (isAscii(text) ? text : Buffer.from(text, "utf8").toString("latin1"));

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return false;
  return true;
}
