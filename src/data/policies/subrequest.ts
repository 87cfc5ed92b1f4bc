// Owns the headers of a subrequest, and the keys under which decisions are cached. Pure.
// Must never send a service what the client claims about the request itself (method, path, host): the gateway writes that.
import { hash, randomBytes } from "node:crypto";
import type { HeaderList } from "../../base/header-list.ts";
import { removeHeaders } from "../../base/header-list.ts";
import { cgiEquivalent, isAmbiguousFieldName } from "../../base/http.ts";
import { isOriginClaim } from "../../base/origin-claims.ts";
import type { Exchange } from "../exchange/exchange.ts";
import { CookieWalk } from "../routing/request/cookie-walk.ts";
import type { KeyPart } from "./config-subrequest.ts";

/** Marks a subrequest that leaves out the request's body. */
export const BODY_MARK = "x-forwarded-body";
export const BODY_OMITTED = "omitted";

/** Of the fields that only proxies may send, those that the gateway itself has written. */
const WRITTEN: ReadonlySet<string> = new Set(["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"]);

/** Claims of proxies about the request: in a subrequest they would stand beside what the gateway says. */
const isForeignClaim = (name: string): boolean => isOriginClaim(name) && !WRITTEN.has(name);

/**
 * The headers of a subrequest but Host, which is the service's own.
 * @param names lowercase: each line of these is copied, byte for byte
 * @param query for x-forwarded-uri
 */
export function subrequestHeaders(x: Exchange, names: readonly string[], query: string): HeaderList {
  const out: HeaderList = [];
  const { headers } = x;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string; // i is inside a list of pairs
    if (names.includes(name)) out.push(name, headers[i + 1] as string);
  }
  x.runtime.appendForwarding(x, out);
  removeHeaders(out, isForeignClaim);
  out.push("x-forwarded-method", x.method, "x-forwarded-uri", query === "" ? x.path : `${x.path}?${query}`);
  return out;
}

/** Headers that no client may send, in any spelling that services may read alike. */
export class ReservedHeaders {
  readonly #names: ReadonlySet<string>;
  readonly #plain: ReadonlySet<string>;

  /** @param names lowercase */
  constructor(names: readonly string[]) {
    this.#names = new Set(names);
    // A name with odd marks of its own has look-alikes without any.
    this.#plain = new Set(names.map(cgiEquivalent));
  }

  /** Takes them all out. */
  removeFrom(headers: HeaderList): void {
    removeHeaders(headers, this.#isReserved);
  }

  readonly #isReserved = (name: string): boolean =>
    this.#names.has(name) || this.#plain.has(name) || (isAmbiguousFieldName(name) && this.#plain.has(cgiEquivalent(name)));
}

/** What comes with a body that the service receives. */
const BODY_HEADERS = ["content-type", "content-encoding"] as const;

/** @param out headers of a subrequest that carries the request's body */
export function describeBody(x: Exchange, out: HeaderList): void {
  for (const name of BODY_HEADERS)
    for (let i = 0; i < x.headers.length; i += 2) if (x.headers[i] === name) out.push(name, x.headers[i + 1] as string);
}

/** Other for each thread, so that what a cache holds says nothing outside of it. Made when first used: node:crypto takes a new thread 10 ms to load. */
let salt: string | null = null;

/** What differs between two subrequests about the same thing. */
const OF_ONE_REQUEST: ReadonlySet<string> = new Set(["x-request-id"]);

/** The cache key of a decision that may depend on all that the service received. @param headers of the subrequest; no credential can be read from the key */
export function wholeKey(headers: HeaderList, body: Buffer | null): string {
  let text = "";
  for (let i = 0; i < headers.length; i += 2)
    if (!OF_ONE_REQUEST.has(headers[i] as string)) text += part(headers[i] as string) + part(headers[i + 1] as string); // i is inside a list of pairs
  return keyOf(body === null ? text : `${text}body${body.length}:${body.toString("latin1")}`);
}

/** The same for chosen parts. @returns null when a part is ambiguous, as a cookie that is there twice: then nothing is cached */
export function chosenKey(x: Exchange, parts: readonly KeyPart[]): string | null {
  let text = "";
  for (const each of parts) {
    if (each.kind === "header") text += headerPart(x, each.name);
    else if (each.kind === "cookie") {
      const values = cookieValues(x, each.name);
      if (values.length > 1) return null;
      text += values.length === 1 ? part(values[0] as string) : "-";
    } else text += part(wordOf(x, each.kind));
  }
  return keyOf(text);
}

function headerPart(x: Exchange, name: string): string {
  let text = "";
  for (let i = 0; i < x.headers.length; i += 2) if (x.headers[i] === name) text += part(x.headers[i + 1] as string); // i is inside a list of pairs
  return `${text};`;
}

const cookies = new CookieWalk();

function cookieValues(x: Exchange, name: string): readonly string[] {
  const values: string[] = [];
  for (let i = 0; i < x.headers.length; i += 2) {
    if (x.headers[i] !== "cookie") continue;
    cookies.begin(x.headers[i + 1] as string, name); // i is inside a list of pairs
    while (cookies.next()) values.push(cookies.value());
  }
  return values;
}

function wordOf(x: Exchange, word: Exclude<KeyPart["kind"], "header" | "cookie">): string {
  switch (word) {
    case "method":
      return x.method;
    case "scheme":
      return x.clientInfo().scheme;
    case "host":
      return x.authority.toLowerCase();
    case "path":
      return x.path;
    case "query":
      return x.query;
    case "ip":
      return x.clientInfo().ip;
    case "consumer":
      return x.identity?.consumer ?? "";
  }
}

/** With its length, so that no two lists of parts make the same text. */
const part = (text: string): string => `${text.length}:${text}`;

function keyOf(text: string): string {
  salt ??= randomBytes(16).toString("hex");
  return hash("sha256", salt + text, "base64url");
}
