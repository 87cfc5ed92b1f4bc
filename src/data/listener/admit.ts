// Admission: everything that must be true of a request before it is routed, whatever engine read it.
// A request in any doubt is refused (RFC 9112 section 11: request smuggling); nothing here changes what it means.
import type { ErrorCode } from "../../base/errors.ts";
import { removeHeaders } from "../../base/header-list.ts";
import {
  CONNECTION_OPTIONS_MAX,
  cgiEquivalent,
  isAmbiguousFieldName,
  isHopByHop,
  parseAuthority,
  parseConnectionTokens,
  withoutEmptyPort,
} from "../../base/http.ts";
import type { SentTarget } from "../../shared/log-ring.ts";
import { BODY_CHUNKED, BODY_FIXED, BODY_NONE, type Exchange } from "../exchange/exchange.ts";
import type { Refusal } from "../exchange/refusal.ts";
import { SharedHeaders } from "../exchange/shared-headers.ts";
import { isQuery, normalisePath } from "../routing/normalise.ts";
import type { PathRules } from "../routing/path-rules.ts";

/** Methods that are never proxied: a tunnel, an echo of credentials (RFC 9110 section 9.3.8), the beginning of HTTP/2 (RFC 9113 section 3.4). */
const REFUSED_METHODS: ReadonlySet<string> = new Set(["CONNECT", "PRI", "TRACE", "TRACK"]);
const METHOD = /^[A-Z][A-Z-]{0,31}$/;
const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/** Anything but HTAB and printable ASCII. */
const UNUSUAL_VALUE = /[^\t\x20-\x7e]/;
/** Whether a field's value is not what nearly all are: HTAB and printable ASCII. */
export const isUnusualValue = (value: string): boolean => UNUSUAL_VALUE.test(value);
const FORBIDDEN_VALUE = /[^\t\x20-\x7e\x80-\xff]/;
const CONTENT_LENGTH = /^\d{1,15}$/;

const refuse = (code: ErrorCode, detail: string): Refusal => ({ code, detail });
const bad = (detail: string): Refusal => refuse("bad_request", detail);

/** What the request line says, as the engine read it. */
export interface RequestLine extends SentTarget {
  readonly method: string;
  /** Of an absolute-form target: it wins over the Host header (RFC 9112 section 3.2.2). */
  readonly authority?: string;
  /** HTTP/1.0: there may be no Host, and no Transfer-Encoding (RFC 9112 sections 3.2 and 6.1). */
  readonly http10?: boolean;
  /** HTTP/2: content follows whose length nobody has said (RFC 9113 section 8.1.1). */
  readonly streamed?: boolean;
  /** The engine has found no value of a field to be {@link isUnusualValue}. */
  readonly usualValues?: boolean;
}

/** Headers seen more than once or combined wrongly are found by counting. Reused: admission is synchronous. */
const seen = {
  host: 0,
  contentLength: 0,
  transferEncoding: 0,
  expect: 0,
  connection: "",
  upgrade: "",
  lengthText: "",
  encodingText: "",
  expectText: "",
  /** Upgrade and Connection ask for a WebSocket, which a GET may. */
  webSocket: false,
};

/**
 * Checks a request and fills in the exchange: method, path, query, host, body framing, connection handling.
 * `x.headers` must be set, names lowercase, values as byte strings.
 * @param rules the listener's for paths; null for the strict ones
 * @returns null when the request may be routed, else why not; then the connection must be closed after the answer.
 */
export function admit(x: Exchange, line: RequestLine, rules: PathRules | null): Refusal | null {
  x.method = line.method;
  x.unadmitted = line;
  const refusal = judge(x, line, rules);
  if (refusal === null) x.unadmitted = null;
  return refusal;
}

/** What admission made of a header section: the same for every request of HTTP/1.1 in origin-form with this section. Immutable; of one runtime and one connection. */
export interface AdmittedSection
  extends Readonly<Pick<Exchange, "hasAmbiguousFieldNames" | "authority" | "host" | "bodyKind" | "contentLength" | "closeAfter">> {
  readonly runtime: Exchange["runtime"];
  readonly shared: SharedHeaders;
  readonly expectsContinue: boolean;
  readonly asksForWebSocket: boolean;
}

/** Right behind an {@link admit} that refused nothing, of a request as AdmittedSection wants it: the exchange's headers can't be changed any more. */
export function rememberSection(x: Exchange): AdmittedSection {
  const shared = new SharedHeaders(x.headers);
  x.sharedHeaders = shared;
  return {
    runtime: x.runtime,
    shared,
    hasAmbiguousFieldNames: x.hasAmbiguousFieldNames,
    authority: x.authority,
    host: x.host,
    bodyKind: x.bodyKind,
    contentLength: x.contentLength,
    closeAfter: x.closeAfter,
    expectsContinue: seen.expect > 0,
    asksForWebSocket: seen.webSocket,
  };
}

/** As {@link admit}, of a request whose header section was admitted before: only its request line, or what stands for it in HTTP/2, is judged. */
export function admitAgain(x: Exchange, line: RequestLine, rules: PathRules | null, known: AdmittedSection): Refusal | null {
  x.method = line.method;
  x.unadmitted = line;
  x.headers = known.shared.list;
  x.sharedHeaders = known.shared;
  x.hasAmbiguousFieldNames = known.hasAmbiguousFieldNames;
  x.authority = known.authority;
  x.host = known.host;
  x.bodyKind = known.bodyKind;
  x.contentLength = known.contentLength;
  x.bodyDone = known.bodyKind === BODY_NONE;
  x.closeAfter = known.closeAfter;
  x.wantsWebSocket = known.asksForWebSocket && line.method === "GET";
  const refusal = judgeLine(x, line) ?? admitTarget(x, line, rules);
  if (refusal === null) x.unadmitted = null;
  return refusal;
}

/** Whether the request that was admitted last waits for 100 (Continue) with its body (RFC 9110 section 10.1.1). */
export const expectsContinue = (): boolean => seen.expect > 0;

function judge(x: Exchange, line: RequestLine, rules: PathRules | null): Refusal | null {
  return (
    judgeLine(x, line) ??
    judgeCount(x) ??
    scanHeaders(x, line.usualValues === true) ??
    frameBody(x, line) ??
    admitHost(x, line) ??
    admitConnection(x) ??
    admitTarget(x, line, rules) ??
    admitForwarding(x)
  );
}

function judgeLine(x: Exchange, line: RequestLine): Refusal | null {
  if (line.method !== "GET" && !METHOD.test(line.method)) return bad("the method is not an uppercase token (RFC 9110 section 9.1)");
  if (REFUSED_METHODS.has(line.method)) return refuse("method_not_implemented", `${line.method} is never proxied`);
  const { uriBytes } = x.runtime.plan.limits;
  if (line.path.length + (line.query === "" ? 0 : line.query.length + 1) > uriBytes)
    return refuse("uri_too_long", `the request target is longer than ${uriBytes} bytes`);
  return null;
}

function judgeCount(x: Exchange): Refusal | null {
  const { headerCount } = x.runtime.plan.limits;
  return x.headers.length > headerCount * 2 ? refuse("headers_too_large", `more than ${headerCount} header fields`) : null;
}

function scanHeaders(x: Exchange, usualValues: boolean): Refusal | null {
  seen.host = seen.contentLength = seen.transferEncoding = seen.expect = 0;
  seen.connection = seen.upgrade = "";
  seen.webSocket = false;
  const headers = x.headers;
  const { identityHeaders } = x.runtime;
  let bytes = 0;
  let forged = false;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string; // i is inside a list of pairs
    const value = headers[i + 1] as string;
    bytes += name.length + value.length + 4;
    if (!usualValues && isUnusualValue(value) && FORBIDDEN_VALUE.test(value))
      return bad(`the value of ${printable(name)} has a forbidden character (RFC 9110 section 5.5)`);
    if (isAmbiguousFieldName(name)) {
      if (!HEADER_NAME.test(name)) return bad("a header field name is not a token (RFC 9110 section 5.1)");
      x.hasAmbiguousFieldNames = true;
      if (identityHeaders.isProtected(cgiEquivalent(name)))
        return bad(`services could take ${printable(name)} for a header of the gateway's own`);
    } else if (identityHeaders.isProtected(name)) forged = true;
    note(name, value, x);
  }
  if (bytes > x.runtime.plan.limits.headerBytes)
    return refuse("headers_too_large", `the header section is larger than ${x.runtime.plan.limits.headerBytes} bytes`);
  if (forged) removeHeaders(headers, (name) => identityHeaders.isProtected(name));
  return null;
}

function note(name: string, value: string, x: Exchange): void {
  switch (name) {
    case "host":
      seen.host++;
      x.authority = value;
      break;
    case "content-length":
      seen.contentLength++;
      seen.lengthText = value;
      break;
    case "transfer-encoding":
      seen.transferEncoding++;
      seen.encodingText = value;
      break;
    case "expect":
      seen.expect++;
      seen.expectText = value;
      break;
    case "connection":
      seen.connection = seen.connection === "" ? value : `${seen.connection},${value}`;
      break;
    case "upgrade":
      seen.upgrade = value;
      break;
  }
}

/** RFC 9112 section 6: the one place where body framing is decided. */
function frameBody(x: Exchange, line: RequestLine): Refusal | null {
  x.bodyKind = BODY_NONE;
  x.contentLength = 0;
  if (seen.transferEncoding > 0) {
    if (line.http10 === true) return bad("Transfer-Encoding in HTTP/1.0 (RFC 9112 section 6.1)");
    if (seen.contentLength > 0) return bad("Content-Length and Transfer-Encoding together (RFC 9112 section 6.1)");
    if (seen.transferEncoding > 1 || seen.encodingText.toLowerCase() !== "chunked")
      return bad("the only Transfer-Encoding accepted is a single 'chunked' (RFC 9112 section 6.1)");
    x.bodyKind = BODY_CHUNKED;
    x.contentLength = -1;
    x.bodyDone = false;
    return null;
  }
  if (seen.contentLength === 0) {
    if (line.streamed === true) {
      x.bodyKind = BODY_CHUNKED;
      x.contentLength = -1;
      x.bodyDone = false;
    }
    return null;
  }
  if (seen.contentLength > 1) return bad("more than one Content-Length (RFC 9112 section 6.3)");
  if (!CONTENT_LENGTH.test(seen.lengthText)) return bad("Content-Length is not a plain decimal number (RFC 9110 section 8.6)");
  x.contentLength = Number(seen.lengthText);
  if (x.contentLength > 0) {
    x.bodyKind = BODY_FIXED;
    x.bodyDone = false;
  }
  return null;
}

/** Hosts seen lately, so that the usual request costs one look-up. */
const HOST_CACHE_MAX = 1024;
const hostCache = new Map<string, string>();
/** The last one, and its host: with it, there is not even a hash to compute. */
let lastAuthority = "";
let lastHost = "";
const BAD_HOST = "the host is not host[:port] (RFC 9112 section 3.2)";

function admitHost(x: Exchange, line: RequestLine): Refusal | null {
  const optional = line.http10 === true && seen.host === 0;
  if (seen.host !== 1 && !optional)
    return bad(seen.host === 0 ? "no Host header (RFC 9112 section 3.2)" : "more than one Host header (RFC 9112 section 3.2)");
  if (line.authority !== undefined) {
    if (!optional && parseAuthority(x.authority) === null) return bad(BAD_HOST);
    replaceHost(x, withoutEmptyPort(line.authority));
  } else if (optional) return null;
  else if (x.authority.endsWith(":")) replaceHost(x, withoutEmptyPort(x.authority));
  if (x.authority === lastAuthority && lastHost !== "") {
    x.host = lastHost;
    return null;
  }
  const cached = hostCache.get(x.authority);
  if (cached !== undefined) {
    lastAuthority = x.authority;
    x.host = lastHost = cached;
    return null;
  }
  const parsed = parseAuthority(x.authority);
  if (parsed === null) return bad(BAD_HOST);
  x.host = parsed.host;
  if (hostCache.size >= HOST_CACHE_MAX) hostCache.clear();
  hostCache.set(x.authority, x.host);
  return null;
}

/** What everybody reads from now on is the authority of the target. */
function replaceHost(x: Exchange, authority: string): void {
  x.authority = authority;
  for (let i = 0; i < x.headers.length; i += 2) {
    if (x.headers[i] !== "host") continue;
    x.headers[i + 1] = authority;
    return;
  }
  x.headers.push("host", authority);
}

function admitConnection(x: Exchange): Refusal | null {
  if (seen.expect > 0 && (seen.expect > 1 || seen.expectText.toLowerCase() !== "100-continue"))
    return refuse("expectation_failed", "the only Expect accepted is 100-continue");
  const connection = seen.connection;
  if (connection === "" || connection === "keep-alive") return null;
  const tokens = parseConnectionTokens(connection);
  if (tokens === null)
    return bad(`a Connection option is not a token, or there are more than ${CONNECTION_OPTIONS_MAX} (RFC 9110 section 7.6.1)`);
  let named: Set<string> | null = null;
  for (const token of tokens) {
    if (token === "keep-alive") continue;
    if (token === "close") x.closeAfter = true;
    else if (token === "upgrade") seen.webSocket = seen.upgrade.toLowerCase() === "websocket";
    else if (!x.runtime.connectionRules.mayName(token)) return bad(`Connection names ${printable(token)}, which is not for this hop alone`);
    else if (!isHopByHop(token)) (named ??= new Set()).add(token); // those never go upstream, and some are read here
  }
  x.wantsWebSocket = seen.webSocket && x.method === "GET";
  // Now, so that nobody decides by a field that services do not get.
  if (named !== null) removeHeaders(x.headers, (name) => named.has(name));
  return null;
}

function admitTarget(x: Exchange, line: RequestLine, rules: PathRules | null): Refusal | null {
  const path = rules === null ? normalisePath(line.path, "refuse") : rules.normalise(line.path);
  if (path === null)
    return refuse(
      "bad_path",
      "the path has an empty segment, an encoded slash, a backslash, a matrix parameter (;), NUL, a double encoding, or leaves the root",
    );
  if (rules !== null) x.spellings = rules.spellings;
  if (!isQuery(line.query)) return bad("the query has a character that must be percent-encoded (RFC 3986 section 3.4)");
  x.path = path;
  x.query = line.query;
  return null;
}

/** What can't be read of a trusted proxy's word leaves open who asks: rules for addresses would judge the proxy instead. */
function admitForwarding(x: Exchange): Refusal | null {
  if (x.runtime.plan.trustedProxies.length === 0) return null;
  const { fault } = x.clientInfo();
  return fault === undefined || fault === "" ? null : bad(fault);
}

const printable = (name: string): string => name.replace(/[^\x21-\x7e]/g, "?").slice(0, 64);
