// What goes upstream: copies end-to-end headers, drops hop-by-hop ones (RFC 9110 section 7.6.1) and those the gateway sets itself.
// Framing is the client's business (pool), never a header here. Hot path: one pass, no intermediate objects.

import type { HeaderList } from "../../base/header-list.ts";
import { cgiEquivalent, HOP_BY_HOP, isAmbiguousFieldName, listWeight } from "../../base/http.ts";
import { isOfOriginFamily, isOriginClaim, METHOD_OVERRIDES, ORIGIN_CLAIMS } from "../../base/origin-claims.ts";
import type { HostPlan } from "../../plan/plan.ts";
import type { Endpoint, FieldBlock, Upstream, WireRequest } from "../upstream/upstream.ts";
import type { Exchange } from "./exchange.ts";
import type { ForwardedFields } from "./shared-headers.ts";

/** Never copied from the client: hop-by-hop, framing, or set by the gateway; orders to take another method, unless the route keeps them. */
const NOT_FORWARDED: ReadonlySet<string> = new Set([
  ...HOP_BY_HOP,
  "expect",
  "host",
  "content-length",
  "forwarded",
  "via",
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-host",
  "x-forwarded-port",
  "x-real-ip", // services behind other proxies believe it
  "x-request-id",
  ...METHOD_OVERRIDES,
  "proxy", // CGI programs find it as HTTP_PROXY, which many take for the proxy to use (CVE-2016-5385)
]);

/** What is looked up of each field: never copied, or only a trusted proxy's word, which is passed on by other means. */
const NOT_COPIED: ReadonlySet<string> = new Set([...NOT_FORWARDED, ...ORIGIN_CLAIMS]);

/** A name that services may read as one that is never copied, or that only a trusted proxy may send. */
function isForgery(name: string, deadlineHeader: string | null): boolean {
  if (!isAmbiguousFieldName(name)) return false;
  const plain = cgiEquivalent(name);
  return NOT_FORWARDED.has(plain) || plain === deadlineHeader || isOriginClaim(plain);
}

/** What Host says. A client that named none (HTTP/1.0) has none to pass on. */
function hostOf(x: Exchange, host: HostPlan, endpoint: Endpoint): string {
  if (host === "target") return endpoint.plan.authority;
  if (host !== "client") return host.name;
  return x.authority === "" ? endpoint.plan.authority : x.authority;
}

/** RFC 9110 section 10.1.4; over HTTP/2 it is all that TE may say, and gRPC services want it (RFC 9113 section 8.2.2). */
const takesTrailers = (te: string): boolean => te === "trailers" || listWeight(te, "trailers") > 0;

/** Headers for one attempt. @param remainingMs time left for the exchange; 0 for unlimited. @param host what Host is; the route's own by default */
export function upstreamHeaders(
  x: Exchange,
  upstream: Upstream,
  endpoint: Endpoint,
  remainingMs: number,
  host: HostPlan = x.route?.settings.host ?? upstream.plan.host,
): HeaderList {
  const common = commonFields(x, upstream, hostOf(x, host, endpoint));
  return withOwn(x, upstream, common === null ? forwardedFields(x, upstream, hostOf(x, host, endpoint)) : common.list.slice(), remainingMs);
}

/** The time that is left, for services that are told of it. @param name of the header; null for none @param remainingMs 0 for no deadline */
export function pushDeadline(out: HeaderList, name: string | null, remainingMs: number): void {
  if (name !== null && remainingMs > 0) out.push(name, String(Math.max(1, Math.round(remainingMs))));
}

/** What is another one in each attempt. @returns `out` */
function withOwn(x: Exchange, { plan: { deadlineHeader } }: Upstream, out: HeaderList, remainingMs: number): HeaderList {
  out.push("x-request-id", x.requestId);
  pushDeadline(out, deadlineHeader, remainingMs);
  return out;
}

/** What is the same for every request with the same header section, as long as it takes the same route. @returns null where there is no such section */
function commonFields(x: Exchange, upstream: Upstream, host: string): FieldBlock | null {
  const { sharedHeaders: shared, route } = x;
  if (shared === null || route === null) return null;
  const known = shared.forwarded;
  if (known !== null && known.route === route && known.upstream === upstream && known.host === host) return known;
  const fields: ForwardedFields = { route, upstream, host, list: forwardedFields(x, upstream, host), bytes: null };
  shared.forwarded = fields;
  return fields;
}

/** What the client sent, as far as it goes on, and who it was. */
function forwardedFields(x: Exchange, upstream: Upstream, host: string): HeaderList {
  const { deadlineHeader } = upstream.plan;
  const debugHeader = x.runtime.plan.cache.debug?.header ?? null;
  const out: HeaderList = ["host", host];
  const headers = x.headers;
  const copies = x.route?.copies ?? null;
  const keepsOverride = x.route?.settings.keepMethodOverride === true;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string; // i is inside a list of pairs
    if (name === deadlineHeader || name === debugHeader || isOfOriginFamily(name)) continue;
    if (NOT_COPIED.has(name) && !(keepsOverride && METHOD_OVERRIDES.has(name))) {
      if (name === "te" && upstream.plan.protocol !== "http1" && takesTrailers(headers[i + 1] as string)) out.push("te", "trailers");
      continue;
    }
    if (copies !== null && !copies(name)) continue;
    if (x.hasAmbiguousFieldNames && isForgery(name, deadlineHeader)) continue;
    out.push(name, headers[i + 1] as string);
  }
  x.runtime.appendForwarding(x, out);
  return out;
}

/** What one attempt sends, the changes of the route's policies included. Parameters as of {@link upstreamHeaders}. */
export function upstreamRequest(
  x: Exchange,
  upstream: Upstream,
  endpoint: Endpoint,
  remainingMs: number,
  host: HostPlan = x.route?.settings.host ?? upstream.plan.host,
): WireRequest {
  const hostname = hostOf(x, host, endpoint);
  const common = commonFields(x, upstream, hostname);
  const fields = common === null ? forwardedFields(x, upstream, hostname) : common.list.slice();
  const policies = x.route?.onUpstreamRequest ?? null;
  const request: WireRequest = {
    method: x.method,
    path: x.upstreamPath,
    headers: withOwn(x, upstream, fields, remainingMs),
    common: policies === null ? common : null,
    trailers: null,
    body: null,
    contentLength: 0,
  };
  if (policies !== null) for (const policy of policies) policy.onUpstreamRequest?.(x, request);
  return request;
}

/** Never forwarded behind a body (RFC 9110 section 6.5.1): what decides how a request is framed, routed, authorised or processed has had to stand in its head. */
const NOT_A_TRAILER: ReadonlySet<string> = new Set([
  "authorization",
  "cache-control",
  "content-encoding",
  "content-range",
  "content-type",
  "cookie",
  "max-forwards",
  "pragma",
  "range",
  "set-cookie",
]);

/** Trailers of the request's body that go upstream: by the rules for header fields, and stricter where services could take one for a header. @returns null for none */
export function upstreamTrailers(x: Exchange): HeaderList | null {
  const { requestTrailers: trailers, runtime } = x;
  if (trailers === null) return null;
  const copies = x.route?.copies ?? null;
  const debugHeader = runtime.plan.cache.debug?.header ?? null;
  const out: HeaderList = [];
  for (let i = 0; i < trailers.length; i += 2) {
    const [name = "", value = ""] = [trailers[i], trailers[i + 1]];
    if (isAmbiguousFieldName(name) || NOT_COPIED.has(name) || NOT_A_TRAILER.has(name) || isOfOriginFamily(name)) continue;
    if (name.startsWith("if-") || name === debugHeader || runtime.identityHeaders.isProtected(name) || copies?.(name) === false) continue;
    out.push(name, value);
  }
  return out.length === 0 ? null : out;
}
