// Owns who is believed about where a request came from, and what upstreams are told about it (RFC 7239, X-Forwarded-*, Via).
// Only peers in trustedProxies are believed, hop by hop from the right; what is not believed is not passed on.
import { isToken, parseAuthority, trimWhitespace } from "../base/http.ts";
import { CidrSet, canonicalIp } from "../base/ip.ts";
import type { ClientInfo, Exchange, HeaderList } from "./exchange.ts";

/** Most hops of a chain that are looked at; the walk stops there. */
export const FORWARDED_HOPS_MAX = 32;
/** Entry of trustedProxies that stands for peers on a Unix socket, which have no address. */
export const TRUST_UNIX = "unix";

const VIA = "1.1 sluice";

/**
 * Fields in which proxies say where a request came from or what was asked for, besides those that the gateway writes itself, and which services
 * believe: a client's address, the scheme, a prefix, a certificate, the path. Only a trusted proxy may send them.
 */
const ORIGIN_CLAIMS: ReadonlySet<string> = new Set([
  "cf-connecting-ip",
  "fastly-client-ip",
  "front-end-https",
  "true-client-ip",
  "x-client-ip",
  "x-cluster-client-ip",
  "x-original-host",
  "x-original-url", // routes by it: IIS, Symfony, Zend
  "x-rewrite-url",
  "x-url-scheme",
]);

/** @param name lowercase */
export const isOriginClaim = (name: string): boolean => name.startsWith("x-forwarded-") || ORIGIN_CLAIMS.has(name);

/** Of those, the ones that appendForwarding() writes. */
const WRITTEN: ReadonlySet<string> = new Set(["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"]);

export interface ClientResolver {
  /** Who asked. Calls peerAddress() once; use {@link Exchange.clientInfo}, which remembers the answer. */
  resolve(x: Exchange): ClientInfo;
  /**
   * Appends x-forwarded-for, -proto, -host, forwarded and via. The chain begins at the client that is believed: what stood to the left of it is
   * the client's own claim and is dropped. What else a trusted proxy says ({@link isOriginClaim}) is passed on. The caller has left the
   * request's own fields of all these names out of `out`.
   */
  appendForwarding(x: Exchange, out: HeaderList): void;
}

/** The answer of resolve(), with what appendForwarding() needs to say it again. */
interface Resolved extends ClientInfo {
  /** Canonical; '' on a Unix socket. */
  readonly peer: string;
  readonly peerTrusted: boolean;
  /** How many steps the walk took from the peer: 0 when the peer is the client. */
  readonly hops: number;
  /** Believed addresses between client and peer, both left out, in the order of the chain. */
  readonly between: readonly string[];
}

/**
 * @param trustedProxies CIDR blocks, and {@link TRUST_UNIX} for peers on Unix sockets
 * @throws RangeError for a block that the configuration should have refused
 */
export function createClientResolver(trustedProxies: readonly string[]): ClientResolver {
  return new Resolver(new CidrSet(trustedProxies.filter((block) => block !== TRUST_UNIX)), trustedProxies.includes(TRUST_UNIX));
}

const NONE: readonly string[] = [];

const isResolved = (info: ClientInfo): info is Resolved => "between" in info;

class Resolver implements ClientResolver {
  readonly #trusted: CidrSet;
  readonly #trustUnix: boolean;

  constructor(trusted: CidrSet, trustUnix: boolean) {
    this.#trusted = trusted;
    this.#trustUnix = trustUnix;
  }

  resolve(x: Exchange): Resolved {
    const peer = x.peerAddress();
    const ownScheme = x.secure ? "https" : "http";
    if (!(peer === "" ? this.#trustUnix : this.#trusted.contains(peer))) {
      return { ip: peer, scheme: ownScheme, peer, peerTrusted: false, hops: 0, between: NONE };
    }
    const chain = readChain(x);
    const { ip, between, hops } = this.#walk(peer, chain);
    return { ip, scheme: chain.schemeAt(Math.max(1, hops)) ?? ownScheme, peer, peerTrusted: true, hops, between };
  }

  /** From the right, each hop reports the one before it; a report counts only while its reporter is trusted. */
  #walk(peer: string, chain: Chain): { ip: string; between: readonly string[]; hops: number } {
    const between: string[] = [];
    let current = peer;
    let hops = 0;
    for (; hops < FORWARDED_HOPS_MAX; hops++) {
      if (hops > 0 && !this.#trusted.contains(current)) break;
      const next = chain.addressAt(hops + 1);
      if (next === null) break; // malformed, hidden (RFC 7239 section 6.2 and 6.3) or the end: nobody further is known
      if (hops > 0) between.unshift(current);
      current = next;
    }
    return { ip: current, between, hops };
  }

  appendForwarding(x: Exchange, out: HeaderList): void {
    const known = x.clientInfo();
    const client = isResolved(known) ? known : this.resolve(x);
    const host = (client.peerTrusted ? forwardedHost(x) : null) ?? x.authority;
    let addresses = client.ip;
    let forwarded = `for=${node(client.ip)};proto=${client.scheme}${host === "" ? "" : `;host=${parameterValue(host)}`}`;
    for (const hop of client.between) {
      addresses += `, ${hop}`;
      forwarded += `, for=${node(hop)}`;
    }
    if (client.hops > 0) {
      if (client.peer !== "") addresses += `, ${client.peer}`;
      forwarded += `, for=${node(client.peer)}`;
    }
    if (addresses !== "") out.push("x-forwarded-for", addresses);
    out.push("x-forwarded-proto", client.scheme);
    if (host !== "") out.push("x-forwarded-host", host);
    out.push("forwarded", forwarded, "via", appendVia(x));
    if (client.peerTrusted) passOnClaims(x, out);
  }
}

function passOnClaims(x: Exchange, out: HeaderList): void {
  const { headers, connectionTokens } = x;
  for (let i = 0; i < headers.length; i += 2) {
    const [name = "", value = ""] = [headers[i], headers[i + 1]];
    if (isOriginClaim(name) && !WRITTEN.has(name) && connectionTokens?.includes(name) !== true) out.push(name, value);
  }
}

/** RFC 9110 section 7.6.3: intermediaries append, they do not replace. */
function appendVia(x: Exchange): string {
  const received = joined(x, "via");
  return received === "" ? VIA : `${received}, ${VIA}`;
}

/** RFC 7239 section 6: a node identifier; IPv6 in brackets and quotes. */
const node = (ip: string): string => (ip === "" ? "unknown" : ip.includes(":") ? `"[${ip}]"` : ip);

/** RFC 7239 section 4: token or quoted-string. @param value an authority: no quotes or backslashes in it */
const parameterValue = (value: string): string => (isToken(value) ? value : `"${value}"`);

/** The host that the trusted peer was asked for: the last value, since a peer that appends keeps a client's own in front. null when it is no authority. */
function forwardedHost(x: Exchange): string | null {
  const value = joined(x, "x-forwarded-host");
  const last = trimWhitespace(value.slice(value.lastIndexOf(",") + 1));
  return parseAuthority(last) === null ? null : last;
}

/** What proxies said about the hops before them. Positions count from the right, from 1: what the nearest proxy said. */
interface Chain {
  /** Canonical address; null when it is none or there is no such position. */
  addressAt(position: number): string | null;
  /** null when nothing (or nonsense) was said. Fewer values than positions: the leftmost. */
  schemeAt(position: number): "http" | "https" | null;
}

/**
 * X-Forwarded-For wins over Forwarded when both are there: nearly every proxy maintains the former, and many pass a client's own
 * Forwarded field through untouched.
 */
function readChain(x: Exchange): Chain {
  const addresses = joined(x, "x-forwarded-for");
  const schemes = joined(x, "x-forwarded-proto");
  const forwarded = addresses === "" ? joined(x, "forwarded") : "";
  if (forwarded !== "") return forwardedChain(forwarded, schemes);
  const list = addresses === "" ? NONE : addresses.split(",");
  const protos = schemes === "" ? NONE : schemes.split(",");
  return {
    addressAt: (position) => parseNode(trimWhitespace(list[list.length - position] ?? "")),
    schemeAt: (position) => parseScheme(protos[Math.max(0, protos.length - position)] ?? ""),
  };
}

/** RFC 7239 section 4: a list of elements, each a list of `name=value` pairs. A malformed element says nothing. */
function forwardedChain(field: string, schemes: string): Chain {
  const elements = splitQuoted(field, ",").map((element) => splitQuoted(element, ";"));
  const parameter = (position: number, name: string): string => {
    for (const pair of elements[elements.length - position] ?? NONE) {
      const equals = pair.indexOf("=");
      if (equals > 0 && trimWhitespace(pair.slice(0, equals)).toLowerCase() === name)
        return unquote(trimWhitespace(pair.slice(equals + 1)));
    }
    return "";
  };
  return {
    addressAt: (position) => parseNode(parameter(position, "for")),
    schemeAt: (position) => parseScheme(parameter(Math.min(position, elements.length), "proto") || schemes),
  };
}

/**
 * Splits outside of quoted strings. @returns nothing when a quote stays open: a client that sent one would swallow what a proxy appended
 * (RFC 7239 section 8.1), and since a proxy's own quotes are balanced, that always shows at the end.
 */
function splitQuoted(text: string, separator: "," | ";"): readonly string[] {
  const parts: string[] = [];
  let start = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (quoted && char === "\\") i++;
    else if (char === '"') quoted = !quoted;
    else if (char === separator && !quoted) {
      parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  if (quoted) return NONE;
  parts.push(text.slice(start));
  return parts;
}

const unquote = (text: string): string =>
  text.length >= 2 && text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1).replace(/\\(.)/g, "$1") : text;

/** An address with or without port: `1.2.3.4`, `1.2.3.4:5`, `2001:db8::1`, `[2001:db8::1]:5`. @returns canonical, or null */
function parseNode(text: string): string | null {
  if (text.startsWith("[")) {
    const close = text.indexOf("]");
    const inner = text.slice(1, Math.max(1, close));
    return /^(:\d{1,5})?$/.test(text.slice(close + 1)) && inner.includes(":") ? canonicalIp(inner) : null;
  }
  const colon = text.indexOf(":");
  if (colon > 0 && colon === text.lastIndexOf(":"))
    return /^\d{1,5}$/.test(text.slice(colon + 1)) ? canonicalIp(text.slice(0, colon)) : null;
  return canonicalIp(text);
}

function parseScheme(text: string): "http" | "https" | null {
  switch (trimWhitespace(text).toLowerCase()) {
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

/** All lines of a header as one list (RFC 9110 section 5.3); '' for none. */
function joined(x: Exchange, name: string): string {
  const { headers } = x;
  let all = "";
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] === name) all = all === "" ? (headers[i + 1] ?? "") : `${all}, ${headers[i + 1]}`;
  }
  return all;
}
