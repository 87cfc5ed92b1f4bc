// What goes upstream: copies end-to-end headers, drops hop-by-hop ones (RFC 9110 section 7.6.1) and those the gateway sets itself.
// Framing is the client's business (pool), never a header here. Hot path: one pass, no intermediate objects.

import type { HeaderList } from "../../base/header-list.ts";
import { cgiEquivalent, HOP_BY_HOP, isAmbiguousFieldName } from "../../base/http.ts";
import { isOfOriginFamily, isOriginClaim, METHOD_OVERRIDES, ORIGIN_CLAIMS } from "../../base/origin-claims.ts";
import type { HostPlan } from "../../plan/plan.ts";
import type { Endpoint, Upstream, WireRequest } from "../upstream/upstream.ts";
import type { Exchange } from "./exchange.ts";

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

/** Headers for one attempt. @param remainingMs time left for the exchange; 0 for unlimited. @param host what Host is; the route's own by default */
export function upstreamHeaders(
  x: Exchange,
  upstream: Upstream,
  endpoint: Endpoint,
  remainingMs: number,
  host: HostPlan = x.route?.settings.host ?? upstream.plan.host,
): HeaderList {
  const { deadlineHeader } = upstream.plan;
  const out: HeaderList = ["host", hostOf(x, host, endpoint)];
  const headers = x.headers;
  const copies = x.route?.copies ?? null;
  const keepsOverride = x.route?.settings.keepMethodOverride === true;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string; // i is inside a list of pairs
    if (name === deadlineHeader || isOfOriginFamily(name)) continue;
    if (NOT_COPIED.has(name) && !(keepsOverride && METHOD_OVERRIDES.has(name))) continue;
    if (copies !== null && !copies(name)) continue;
    if (x.hasAmbiguousFieldNames && isForgery(name, deadlineHeader)) continue;
    out.push(name, headers[i + 1] as string);
  }
  x.runtime.appendForwarding(x, out);
  out.push("x-request-id", x.requestId);
  if (deadlineHeader !== null && remainingMs > 0) out.push(deadlineHeader, String(Math.ceil(remainingMs)));
  return out;
}

/** What one attempt sends, the changes of the route's policies included. Parameters as of {@link upstreamHeaders}. */
export function upstreamRequest(x: Exchange, upstream: Upstream, endpoint: Endpoint, remainingMs: number, host?: HostPlan): WireRequest {
  const request: WireRequest = {
    method: x.method,
    path: x.upstreamPath,
    headers: upstreamHeaders(x, upstream, endpoint, remainingMs, host),
    body: null,
    contentLength: 0,
  };
  const policies = x.route?.onUpstreamRequest ?? null;
  if (policies !== null) for (const policy of policies) policy.onUpstreamRequest?.(x, request);
  return request;
}
