// Owns what becomes of an address in a response: Location, Content-Location (RFC 9110 sections 10.2.2 and 8.7) and the URL of Refresh.
// Must never make an address of another host out of one of this host; what it can't read goes on as it came.
import { parseAuthority } from "../../../base/http.ts";
import type { Mapping } from "./config-mapping.ts";
import type { LocationRule } from "./config-response.ts";
import { isUnder } from "./prefix.ts";
import { type WayBack, withoutDots } from "./way-back.ts";

/** A reference (RFC 3986 section 4.1), taken apart. */
interface Reference {
  /** '' for none. */
  readonly scheme: "http" | "https" | "";
  /** As it came; '' for none. */
  readonly authority: string;
  /** In normal form; '' for none. */
  readonly host: string;
  /** -1: the scheme's own. */
  readonly port: number;
  /** As it came. */
  readonly path: string;
  /** From `?` or `#` on. */
  readonly rest: string;
}

/** Control characters, and blanks at the ends: readers drop them, and what is left may read otherwise. */
const DROPPED = /^ | $|[\x00-\x1f\x7f]/;
const WITH_AUTHORITY = /^(?:(https?):)?\/\/([^/?#]*)(.*)$/i;
const SCHEME = /^[a-z][a-z0-9+.-]*:/i;

/** @returns null for what is not to be touched: other schemes, and what readers may take for something else (control characters, `\`, userinfo) */
function parseReference(text: string): Reference | null {
  if (DROPPED.test(text)) return null;
  const match = WITH_AUTHORITY.exec(text);
  if (match === null && SCHEME.test(text)) return null;
  const [, scheme = "", authority = "", tail = text] = match ?? [];
  const cut = tail.search(/[?#]/);
  const path = cut < 0 ? tail : tail.slice(0, cut);
  if (path.includes("\\")) return null; // browsers take it for a slash
  const rest = cut < 0 ? "" : tail.slice(cut);
  if (match === null) return { scheme: "", authority: "", host: "", port: -1, path, rest };
  const parsed = parseAuthority(authority);
  if (parsed === null) return null;
  const lower = scheme.toLowerCase() as Reference["scheme"]; // by the expression
  const isUsual = (lower === "https" && parsed.port === 443) || (lower === "http" && parsed.port === 80);
  return { scheme: lower, authority, host: parsed.host, port: isUsual ? -1 : parsed.port, path, rest };
}

/** @returns the client's address for one of a service; the same text where nothing is to be changed */
export function mapLocation(text: string, { rules, auto }: Mapping<LocationRule>, way: WayBack): string {
  const reference = parseReference(text);
  if (reference === null) return text;
  const { host, port, rest } = reference;
  const owner = host === "" ? "service" : way.ownerOf(host, port);
  const path = absolutePath(reference, way);
  if (path === null) return text;
  for (const rule of rules) {
    const fits = rule.origin === "" ? owner !== "foreign" : host !== "" && rule.origin === originOf(reference, way);
    if (fits && isUnder(path, rule.path)) return sameHost(rule.to + path.slice(rule.path.length)) + rest;
  }
  return auto ? (mapOwn({ reference, owner, path, way }) ?? text) : text;
}

/** @returns without dot segments; null for a reference that has no path, which means the same on both sides */
function absolutePath({ host, path }: Reference, way: WayBack): string | null {
  if (path.startsWith("/")) return withoutDots(path);
  if (host !== "") return "/";
  if (path === "") return null;
  const base = way.sentPath; // RFC 3986 section 5.2.3
  return withoutDots(base.slice(0, base.lastIndexOf("/") + 1) + path);
}

const originOf = ({ scheme, host, port }: Reference, way: WayBack): string =>
  `${scheme === "" ? way.clientScheme : scheme}://${host}${port === -1 ? "" : `:${port}`}`;

interface Resolved {
  readonly reference: Reference;
  readonly owner: "service" | "client" | "foreign";
  readonly path: string;
  readonly way: WayBack;
}

/** @returns null: it stays as it is */
function mapOwn({ reference, owner, path, way }: Resolved): string | null {
  if (owner === "foreign" || (reference.host === "" && way.keepsPaths)) return null;
  const outside = way.path(path);
  if (outside === null) return null;
  // Whoever names the client's own host with https, for a client that came by http, sends it there: a path alone would lead back in a circle.
  if (owner === "client" && reference.scheme === "https" && way.clientScheme === "http")
    return `https://${reference.authority}${outside}${reference.rest}`;
  return sameHost(outside) + reference.rest;
}

/** A path may not begin like an authority (RFC 3986 section 4.2). @param address absolute, or a path; '' for the root */
function sameHost(address: string): string {
  if (address === "") return "/";
  if (!address.startsWith("/")) return address;
  let start = 0;
  while (address.charCodeAt(start + 1) === 0x2f) start++;
  return start === 0 ? address : address.slice(start);
}

/** A delay, and the address behind it (the HTML standard, section 4.2.5.3): digits, a separator, perhaps `url=`, perhaps in quotes. */
const REFRESH = /^([\d.]+(?:[\t ]*[;,][\t ]*|[\t ]+)(?:url[\t ]*=[\t ]*)?)(["']?)(.*)$/is;

/** The same for Refresh. */
export function mapRefresh(text: string, mapping: Mapping<LocationRule>, way: WayBack): string {
  const [, delay, quote = "", tail = ""] = REFRESH.exec(text) ?? [];
  if (delay === undefined) return text;
  const end = quote === "" ? -1 : tail.indexOf(quote);
  const url = end < 0 ? tail : tail.slice(0, end);
  const mapped = mapLocation(url, mapping, way);
  if (mapped === url || (quote !== "" && mapped.includes(quote))) return text;
  return delay + quote + mapped + (end < 0 ? "" : tail.slice(end));
}
