// Owns who may use the admin listener. Must fail closed: what is not plainly allowed is refused.
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { isIPv4, isIPv6 } from "node:net";
import { type AdminAnswer, problem } from "./problem.ts";

/** How a request came in. The Unix socket has mode 0600: the file system decided already. */
export type Door = "tcp" | "unix";

/** Paths that tell no secrets, for probes that carry no token: alive or not, ready or not; and the empty status page. */
const OPEN_PATHS: ReadonlySet<string> = new Set(["/", "/healthz", "/readyz"]);

/**
 * Whether it is an operator who calls: over the Unix socket anybody; with a token, who shows it; without one, loopback peers, and only under a loopback
 * name, so that a page whose name was re-pointed to 127.0.0.1 (DNS rebinding) is refused.
 * @param token '' or null for none
 */
export function isProven(request: IncomingMessage, door: Door, token: string | null): boolean {
  if (door === "unix") return true;
  if (token !== null && token !== "") return sameToken(bearer(request), token);
  return isLoopback(request.socket.remoteAddress ?? "") && isLoopbackHost(request.headers.host ?? "");
}

/**
 * Operators may do everything; with a token others may see {@link OPEN_PATHS}. Whatever changes something must come from the page itself or from
 * outside a browser (cross-site request forgery).
 * @param caller proven: see {@link isProven}
 * @returns the refusal; null when the request may go on
 */
export function refuse(
  request: IncomingMessage,
  { path, proven, token }: { readonly path: string; readonly proven: boolean; readonly token: string | null },
): AdminAnswer | null {
  if (isUnsafe(request.method) && !sameSite(request)) return problem("cross_site");
  if (proven) return null;
  if (token !== null && token !== "")
    return OPEN_PATHS.has(path) ? null : problem("token_required", {}, { "www-authenticate": 'Bearer realm="sluice admin"' });
  return problem(isLoopback(request.socket.remoteAddress ?? "") ? "host_refused" : "loopback_only");
}

function isUnsafe(method: string | undefined): boolean {
  return method !== "GET" && method !== "HEAD";
}

/** No Origin (not a browser), or the one we are called by; Sec-Fetch-Site, where sent, must agree. */
function sameSite(request: IncomingMessage): boolean {
  const { origin, host } = request.headers;
  const site = request.headers["sec-fetch-site"];
  if (site !== undefined && site !== "same-origin" && site !== "none") return false;
  return origin === undefined || (host !== undefined && (origin === `http://${host}` || origin === `https://${host}`));
}

/** RFC 6750 section 2.1; the scheme's name is case-insensitive. */
function bearer(request: IncomingMessage): string {
  return /^bearer +(\S+)$/i.exec(request.headers.authorization ?? "")?.[1] ?? "";
}

/** In constant time: digests have one length, so nothing about the token's is told either. */
function sameToken(given: string, wanted: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}

/** 127.0.0.0/8 and ::1, also as an IPv4-mapped IPv6 address. */
export function isLoopback(address: string): boolean {
  const plain = address.startsWith("::ffff:") ? address.slice(7) : address;
  return isIPv4(plain) ? plain.startsWith("127.") : isIPv6(plain) && plain === "::1";
}

function isLoopbackHost(authority: string): boolean {
  const host = /^(\[[0-9a-f:.]+\]|[^:[\]]+)(:\d+)?$/i.exec(authority)?.[1]?.toLowerCase() ?? "";
  return host === "localhost" || isLoopback(host.replace(/^\[|\]$/g, ""));
}
