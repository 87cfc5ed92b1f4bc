// Owns who is believed about where a request came from, and what upstreams are told about it (RFC 7239, X-Forwarded-*, Via).
// Only peers in trustedProxies are believed, hop by hop from the right; what is not believed is not passed on.

import { ClientTrust } from "../../../base/client-trust.ts";
import type { HeaderList } from "../../../base/header-list.ts";
import { isToken } from "../../../base/http.ts";
import { isOriginClaim, TARGET_CLAIMS } from "../../../base/origin-claims.ts";
import type { ClientInfo } from "../../routing/request-view.ts";
import type { Exchange } from "../exchange.ts";
import { type Chain, FORWARDED_HOPS_MAX, joined, readChain, UNREADABLE } from "./forwarded-chain.ts";

/** By what the request came (RFC 9110 section 7.6.3). HTTP/1.0 counts as what it is answered as. */
const VIA = { "http/1.0": "1.1 sluice", "http/1.1": "1.1 sluice", "http/2": "2.0 sluice" } as const;

/** Of the fields that only proxies may send, the ones that appendForwarding() writes. */
const WRITTEN: ReadonlySet<string> = new Set(["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"]);

export interface ClientResolver {
  /** Whether a peer is in trustedProxies. @param peer canonical; '' on a Unix socket */
  trusts(peer: string): boolean;
  /** Who asked. Calls peerAddress() once; use {@link Exchange.clientInfo}, which remembers the answer. */
  resolve(x: Exchange): ClientInfo;
  /**
   * Appends x-forwarded-for, -proto, -host, -port, forwarded and via. The chain begins at the client that is believed: what stood to the left of it is
   * the client's own claim and is dropped. What else a trusted proxy says ({@link isOriginClaim}) is passed on. The caller has left the
   * request's own fields of all these names out of `out`.
   */
  appendForwarding(x: Exchange, out: HeaderList): void;
  /** What trusted proxies say of where the client asked, beyond scheme and Host: what services make addresses of. '' for nothing. No line break is in it. */
  toldOfTarget(x: Exchange): string;
}

/** The answer of resolve(), with what appendForwarding() needs to say it again. */
interface Resolved extends ClientInfo {
  readonly fault: string;
  /** Canonical; '' on a Unix socket. */
  readonly peer: string;
  /** What a trusted peer says; null: nobody is believed. */
  readonly chain: Chain | null;
  /** How many steps the walk took from the peer: 0 when the peer is the client. */
  readonly hops: number;
  /** Believed addresses between client and peer, both left out, in the order of the chain. */
  readonly between: readonly string[];
}

/**
 * @param trustedProxies as {@link ClientTrust} takes them
 * @throws RangeError for a block that the configuration should have refused
 */
export function createClientResolver(trustedProxies: readonly string[]): ClientResolver {
  return new Resolver(new ClientTrust(trustedProxies));
}

const NONE: readonly string[] = [];

/** Direct clients of which is remembered what upstreams are told. */
const TOLD_MAX = 4096;

/** What upstreams are told of a direct client, as long as it asks for the same host. */
interface Told {
  readonly scheme: string;
  readonly host: string;
  readonly port: string;
  readonly forwarded: string;
}

const isResolved = (info: ClientInfo): info is Resolved => "between" in info;

class Resolver implements ClientResolver {
  readonly #trust: ClientTrust;
  /** By address. */
  readonly #told = new Map<string, Told>();

  constructor(trust: ClientTrust) {
    this.#trust = trust;
  }

  trusts(peer: string): boolean {
    return this.#trust.trusts(peer);
  }

  resolve(x: Exchange): Resolved {
    const peer = x.peerAddress();
    const ownScheme = x.secure ? "https" : "http";
    if (!this.#trust.trusts(peer)) {
      return { ip: peer, scheme: ownScheme, fault: "", peer, chain: null, hops: 0, between: NONE };
    }
    const chain = readChain(x);
    const { ip, between, hops, readable } = this.#walk(peer, chain);
    const fault = readable ? "" : `${chain.field} can't be read where a trusted proxy names its client (RFC 7239 section 4)`;
    return { ip, scheme: chain.schemeAt(hopOf(hops)) ?? ownScheme, fault, peer, chain, hops, between };
  }

  /** From the right, each hop reports the one before it; a report counts only while its reporter is trusted. */
  #walk(peer: string, chain: Chain): { ip: string; between: readonly string[]; hops: number; readable: boolean } {
    const between: string[] = [];
    let current = peer;
    let hops = 0;
    for (; hops < FORWARDED_HOPS_MAX; hops++) {
      if (hops > 0 && !this.#trust.trusts(current)) break;
      const next = chain.addressAt(hops + 1);
      // Who asked is not known, and the reporter's own address would pass lists that the client's may not.
      if (next === UNREADABLE) return { ip: current, between, hops, readable: false };
      if (next === null) break; // hidden (RFC 7239 section 6.2 and 6.3) or the end: nobody further is known
      if (hops > 0) between.unshift(current);
      current = next;
    }
    return { ip: current, between, hops, readable: true };
  }

  appendForwarding(x: Exchange, out: HeaderList): void {
    const known = x.clientInfo();
    const client = isResolved(known) ? known : this.resolve(x);
    const { chain, scheme } = client;
    if (chain === null) return this.#appendDirect(x, client, out);
    const host = chain.hostAt(hopOf(client.hops)) ?? x.authority;
    let addresses = client.ip;
    let forwarded = firstElement(client, host);
    for (const hop of client.between) {
      addresses += `, ${hop}`;
      forwarded += `, for=${node(hop)}`;
    }
    if (client.hops > 0) {
      if (client.peer !== "") addresses += `, ${client.peer}`;
      forwarded += `, for=${node(client.peer)}`;
    }
    if (addresses !== "") out.push("x-forwarded-for", addresses);
    out.push("x-forwarded-proto", scheme);
    if (host !== "") out.push("x-forwarded-host", host, "x-forwarded-port", portOf(client, host));
    out.push("forwarded", forwarded, "via", appendVia(x));
    passOnClaims(x, out);
  }

  toldOfTarget(x: Exchange): string {
    if (this.#trust.isEmpty || !saysOfTarget(x.headers)) return "";
    const known = x.clientInfo();
    const client = isResolved(known) ? known : this.resolve(x);
    const { chain, hops } = client;
    if (chain === null) return "";
    const host = chain.hostAt(hopOf(hops)) ?? x.authority;
    const port = chain.portAt(hopOf(hops));
    let told = host.toLowerCase() === x.authority.toLowerCase() ? "" : `${host}${BETWEEN}`;
    if (port > 0 && String(port) !== ownPort(client, host)) told += `${port}${BETWEEN}`;
    const { headers } = x;
    for (let i = 0; i < headers.length; i += 2)
      if (TARGET_CLAIMS.has(headers[i] as string)) told += `${headers[i]}=${headers[i + 1]}${BETWEEN}`; // i is inside a list of pairs
    return told;
  }

  #appendDirect(x: Exchange, client: Resolved, out: HeaderList): void {
    const { ip, scheme } = client;
    const host = x.authority;
    let told = this.#told.get(ip);
    if (told === undefined || told.host !== host || told.scheme !== scheme) told = this.#tell(client, host);
    if (ip !== "") out.push("x-forwarded-for", ip);
    out.push("x-forwarded-proto", scheme);
    if (host !== "") out.push("x-forwarded-host", host, "x-forwarded-port", told.port);
    out.push("forwarded", told.forwarded, "via", appendVia(x));
  }

  #tell(client: Resolved, host: string): Told {
    // In one piece: as a sum it would be put together anew each time it is sent.
    const forwarded = Buffer.from(firstElement(client, host), "latin1").toString("latin1");
    const told = { scheme: client.scheme, host, port: host === "" ? "" : portOf(client, host), forwarded };
    if (this.#told.size >= TOLD_MAX) this.#told.clear();
    this.#told.set(client.ip, told);
    return told;
  }
}

/** What Forwarded says of the client itself (RFC 7239 section 4). */
const firstElement = ({ ip, scheme }: Resolved, host: string): string =>
  `for=${node(ip)};proto=${scheme}${host === "" ? "" : `;host=${parameterValue(host)}`}`;

/** Scheme, host and port are those of the hop that named the client: what nearer proxies append is what they were asked for by each other. */
const hopOf = (hops: number): number => Math.max(1, hops);

/** Whether anybody says where the client asked. */
function saysOfTarget(headers: HeaderList): boolean {
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string; // i is inside a list of pairs
    if (name === "x-forwarded-host" || name === "x-forwarded-port" || name === "forwarded" || TARGET_CLAIMS.has(name)) return true;
  }
  return false;
}

/** The port that the client asked: as a proxy says, as the host says, or the scheme's own. @param host a valid authority */
function portOf(client: Resolved, host: string): string {
  const said = client.chain?.portAt(hopOf(client.hops)) ?? -1;
  return said > 0 ? String(said) : ownPort(client, host);
}

/** As the host says, or the scheme's own. */
function ownPort({ scheme }: Resolved, host: string): string {
  const colon = host.lastIndexOf(":");
  if (colon > 0 && host.charCodeAt(host.length - 1) !== CLOSING_BRACKET) return host.slice(colon + 1);
  return scheme === "https" ? "443" : "80";
}

const CLOSING_BRACKET = 93;
/** No field value has it. */
const BETWEEN = "\u0003";

function passOnClaims(x: Exchange, out: HeaderList): void {
  const { headers } = x;
  for (let i = 0; i < headers.length; i += 2) {
    const [name = "", value = ""] = [headers[i], headers[i + 1]];
    if (isOriginClaim(name) && !WRITTEN.has(name)) out.push(name, value);
  }
}

/** RFC 9110 section 7.6.3: intermediaries append, they do not replace. */
function appendVia(x: Exchange): string {
  const received = joined(x, "via");
  const own = VIA[x.protocol];
  return received === "" ? own : `${received}, ${own}`;
}

/** RFC 7239 section 6: a node identifier; IPv6 in brackets and quotes. */
const node = (ip: string): string => (ip === "" ? "unknown" : ip.includes(":") ? `"[${ip}]"` : ip);

/** RFC 7239 section 4: token or quoted-string. @param value an authority: no quotes or backslashes in it */
const parameterValue = (value: string): string => (isToken(value) ? value : `"${value}"`);
