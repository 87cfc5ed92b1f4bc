// Owns reading what proxies say of the hops before them: X-Forwarded-* and Forwarded (RFC 7239), from the right, hop by hop.
// Must never guess: what can't be read is told as that. Believes nobody; forwarded.ts knows whose word counts.
import { isToken, parseAuthority, trimWhitespace, withoutEmptyPort } from "../../../base/http.ts";
import { canonicalIp } from "../../../base/ip.ts";
import type { Exchange } from "../exchange.ts";

/** Most hops of a chain that are looked at; the walk stops there. */
export const FORWARDED_HOPS_MAX = 32;
/** Parameters of one element of Forwarded; real ones have four at most. */
const PARAMETERS_MAX = 16;
/** Longest value of one: a host, with room. */
const VALUE_CHARS_MAX = 512;

/** An address was given, but in a form that says nothing: then nobody knows who asked. */
export const UNREADABLE = Symbol("unreadable");

/** What one hop says of the one before it. Positions count from the right, from 1: what the nearest proxy said. */
export interface Chain {
  /** Where it says so. */
  readonly field: "Forwarded" | "X-Forwarded-For";
  /** Canonical; null when there is no such position or the hop hides it (RFC 7239 sections 6.2 and 6.3). */
  addressAt(position: number): string | null | typeof UNREADABLE;
  /** null when nothing (or nonsense) was said. Fewer values than positions: the leftmost. */
  schemeAt(position: number): "http" | "https" | null;
  /** `host[:port]`; the same. */
  hostAt(position: number): string | null;
  /** -1; the same. */
  portAt(position: number): number;
}

/**
 * X-Forwarded-For wins over Forwarded when both are there: nearly every proxy maintains the former, and many pass a client's own
 * Forwarded field through untouched.
 */
export function readChain(x: Exchange): Chain {
  const addresses = joined(x, "x-forwarded-for");
  if (addresses !== "") return new ForwardedForChain(x, addresses);
  const lines = linesOf(x, "forwarded");
  return lines.length === 0 ? new ForwardedForChain(x, "") : new ForwardedChain(x, lines);
}

/** Lists of one value for each hop. */
class ForwardedForChain implements Chain {
  readonly field = "X-Forwarded-For";
  readonly #x: Exchange;
  readonly #addresses: string;
  /** Where the element begins that was read last, and its position. */
  #start: number;
  #position = 0;

  constructor(x: Exchange, addresses: string) {
    this.#x = x;
    this.#addresses = addresses;
    this.#start = addresses.length + 1;
  }

  /** Positions are asked for in order: each character is looked at once. */
  addressAt(position: number): string | null | typeof UNREADABLE {
    let element = "";
    for (; this.#position < position; this.#position++) {
      const end = this.#start - 1;
      if (this.#addresses === "" || end < 0) return null;
      this.#start = end === 0 ? 0 : this.#addresses.lastIndexOf(",", end - 1) + 1;
      element = this.#addresses.slice(this.#start, end);
    }
    return parseNode(trimWhitespace(element));
  }

  schemeAt(position: number): "http" | "https" | null {
    return parseScheme(valueAt(joined(this.#x, "x-forwarded-proto"), position));
  }

  hostAt(position: number): string | null {
    return parseHost(valueAt(joined(this.#x, "x-forwarded-host"), position));
  }

  portAt(position: number): number {
    return parsePort(valueAt(joined(this.#x, "x-forwarded-port"), position));
  }
}

/** One element of Forwarded; '' for what it does not say. */
interface Element {
  for: string;
  proto: string;
  host: string;
}

/** What elements do not say, the X-Forwarded-* fields may. */
class ForwardedChain implements Chain {
  readonly field = "Forwarded";
  readonly #elements: readonly string[] | null;
  readonly #others: ForwardedForChain;

  constructor(x: Exchange, lines: readonly string[]) {
    this.#elements = elementsOf(lines);
    this.#others = new ForwardedForChain(x, "");
  }

  addressAt(position: number): string | null | typeof UNREADABLE {
    if (this.#elements === null) return UNREADABLE;
    const text = this.#elements[position - 1];
    if (text === undefined) return null;
    const element = parseElement(text);
    if (element === null) return UNREADABLE;
    return element.for === "" ? null : parseNode(element.for);
  }

  schemeAt(position: number): "http" | "https" | null {
    return parseScheme(this.#said(position, "proto")) ?? this.#others.schemeAt(position);
  }

  hostAt(position: number): string | null {
    return parseHost(this.#said(position, "host")) ?? this.#others.hostAt(position);
  }

  portAt(position: number): number {
    return this.#others.portAt(position);
  }

  #said(position: number, name: keyof Element): string {
    const { length } = this.#elements ?? [];
    return parseElement(this.#elements?.[Math.min(position, length) - 1] ?? "")?.[name] ?? "";
  }
}

const COMMA = 44;
const SEMICOLON = 59;
const QUOTE = 34;
const BACKSLASH = 92;

/** RFC 7239 section 4: each line is a list by itself. @returns the last elements, the last first; null when a quote stays open */
function elementsOf(lines: readonly string[]): readonly string[] | null {
  const elements: string[] = [];
  for (let i = lines.length - 1; i >= 0; i--) {
    const line = lines[i] as string; // i is an index
    const commas = lastCommas(line);
    if (commas === null) return null;
    let end = line.length;
    for (let k = commas.length - 1; k >= 0 && elements.length <= FORWARDED_HOPS_MAX; k--) {
      const comma = commas[k] as number; // k is an index
      const element = trimWhitespace(line.slice(comma + 1, end));
      if (element !== "") elements.push(element); // RFC 9110 section 5.6.1.2: lists may have empty elements, which say nothing
      end = comma;
    }
  }
  return elements;
}

/** @returns where the last commas outside of quotes stand, in order, the beginning of the line for one before it; null when a quote stays open */
function lastCommas(line: string): readonly number[] | null {
  const commas = [-1];
  let quoted = false;
  for (let i = 0; i < line.length; i++) {
    const c = line.charCodeAt(i);
    if (quoted && c === BACKSLASH) i++;
    else if (c === QUOTE) quoted = !quoted;
    else if (c === COMMA && !quoted) {
      commas.push(i);
      if (commas.length > 2 * FORWARDED_HOPS_MAX) commas.splice(0, FORWARDED_HOPS_MAX - 1);
    }
  }
  return quoted ? null : commas;
}

/** `name=value` pairs, separated by `;`. @returns null when it is not that, or says something twice */
function parseElement(text: string): Element | null {
  const element: Element = { for: "", proto: "", host: "" };
  for (let at = 0, pairs = 1; at <= text.length; pairs++) {
    if (pairs > PARAMETERS_MAX) return null;
    const end = pairEnd(text, at);
    const pair = trimWhitespace(text.slice(at, end));
    at = end + 1;
    if (pair === "") continue; // the grammar allows it
    const equals = pair.indexOf("=");
    const name = trimWhitespace(pair.slice(0, Math.max(0, equals))).toLowerCase();
    const value = unquoted(trimWhitespace(pair.slice(equals + 1)));
    if (!isToken(name) || value === null) return null;
    if (name !== "for" && name !== "proto" && name !== "host") continue;
    if (element[name] !== "" || value === "") return null;
    element[name] = value;
  }
  return element;
}

function pairEnd(text: string, start: number): number {
  let quoted = false;
  for (let i = start; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (quoted && c === BACKSLASH) i++;
    else if (c === QUOTE) quoted = !quoted;
    else if (c === SEMICOLON && !quoted) return i;
  }
  return text.length;
}

/** A quoted-string or a value without quotes; null for anything between, and for what is too long. Many proxies leave the quotes of IPv6 and ports out. */
function unquoted(text: string): string | null {
  if (text.length > VALUE_CHARS_MAX) return null;
  if (text.charCodeAt(0) !== QUOTE) return text.includes('"') ? null : text;
  return /^"(?:[^"\\]|\\.)*"$/.test(text) ? text.slice(1, -1).replace(/\\(.)/g, "$1") : null;
}

/** RFC 7239 sections 6.2 and 6.3; `unix:` is what nginx calls a peer on a Unix socket. */
const HIDDEN = /^(?:unknown|_[A-Za-z0-9._-]{1,64}|unix:)(?::(?:\d{1,5}|_[A-Za-z0-9._-]{1,64}))?$/i;
const PORT = /^(?:\d{1,5}|_[A-Za-z0-9._-]{1,64})$/;

/** An address with or without port: `1.2.3.4`, `1.2.3.4:5`, `2001:db8::1`, `[2001:db8::1]:5`. @returns canonical; null when it is hidden */
function parseNode(text: string): string | null | typeof UNREADABLE {
  const ip = canonicalIp(text) ?? nodeAddress(text);
  if (ip !== null) return ip;
  return HIDDEN.test(text) ? null : UNREADABLE;
}

function nodeAddress(text: string): string | null {
  if (text.startsWith("[")) {
    const close = text.indexOf("]");
    const inner = text.slice(1, Math.max(1, close));
    const rest = text.slice(close + 1);
    return (rest === "" || (rest.startsWith(":") && PORT.test(rest.slice(1)))) && inner.includes(":") ? canonicalIp(inner) : null;
  }
  const colon = text.indexOf(":");
  return colon > 0 && PORT.test(text.slice(colon + 1)) ? canonicalIp(text.slice(0, colon)) : null;
}

function parseScheme(text: string): "http" | "https" | null {
  switch (text.toLowerCase()) {
    case "http":
    case "ws":
      return "http";
    case "https":
    case "wss":
      return "https";
    default:
      return null;
  }
}

function parseHost(text: string): string | null {
  const host = withoutEmptyPort(text);
  return parseAuthority(host) === null ? null : host;
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65535 ? port : -1;
}

/** The value at a position of a list without quotes, counted from the right; the leftmost when there are fewer. */
function valueAt(list: string, position: number): string {
  let end = list.length;
  for (let i = 1; ; i++) {
    const comma = end === 0 ? -1 : list.lastIndexOf(",", end - 1);
    if (comma < 0 || i === position) return trimWhitespace(list.slice(comma + 1, end));
    end = comma;
  }
}

function linesOf(x: Exchange, name: string): readonly string[] {
  const { headers } = x;
  const lines: string[] = [];
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name && headers[i + 1] !== "") lines.push(headers[i + 1] as string); // i is inside a list of pairs
  return lines;
}

/** All lines of a header as one list (RFC 9110 section 5.3); '' for none. */
export function joined(x: Exchange, name: string): string {
  const { headers } = x;
  let all = "";
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] === name) all = all === "" ? (headers[i + 1] ?? "") : `${all}, ${headers[i + 1]}`;
  }
  return all;
}
