// Owns the text forms of addresses in the configuration: listener addresses and target URLs. Pure.
import { ipFamily, parseIpv4 } from "../../../base/ip.ts";

/** Where a listener listens. */
export interface ListenAddress {
  /** Normalised text: identity across reloads. */
  readonly address: string;
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  readonly unixPath: string | null;
}

/** sockaddr_un.sun_path on Linux takes 107 bytes besides the closing NUL; a worker binds the path with `~` and eight digits behind it first. */
export const UNIX_PATH_BYTES_MAX = 107 - 9;

/** @param text `0.0.0.0:8080`, `[::1]:80`, `localhost:8080` or `unix:/run/sluice.sock`. @returns null if it is none of these. */
export function parseListenAddress(text: string): ListenAddress | null {
  if (text.startsWith("unix:")) {
    const unixPath = text.slice(5);
    const fits = unixPath.startsWith("/") && !unixPath.includes("\0") && Buffer.byteLength(unixPath) <= UNIX_PATH_BYTES_MAX;
    return fits ? { address: text, host: "", port: 0, unixPath } : null;
  }
  const m = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text);
  if (m === null) return null;
  const port = Number(m[3]);
  if (port > 65_535) return null;
  if (m[1] !== undefined) {
    if (!m[1].includes(":") || ipFamily(m[1]) === 0) return null;
    const host = new URL(`http://[${m[1]}]`).hostname.slice(1, -1);
    return { address: `[${host}]:${port}`, host, port, unixPath: null };
  }
  const host = (m[2] ?? "").toLowerCase();
  const isV4 = parseIpv4(host) >= 0;
  if (/^[\d.]+$/.test(host) && !isV4) return null;
  return isV4 || isHostName(host) ? { address: `${host}:${port}`, host, port, unixPath: null } : null;
}

/** Whether only this machine can reach it. */
export function isLoopback(address: ListenAddress): boolean {
  const { host, unixPath } = address;
  return unixPath !== null || host === "localhost" || host === "::1" || (parseIpv4(host) >= 0 && host.startsWith("127."));
}

/** RFC 1123 section 2.1 host name, lowercase; underscores too, as service names use them. */
export const isHostName = (text: string): boolean => text.length <= 253 && /^(?!-)[a-z0-9_-]{1,63}(\.(?!-)[a-z0-9_-]{1,63})*$/.test(text);

/** Schemes a target may have; the `+srv` ones are looked up as SRV records (RFC 2782). */
const TARGET_SCHEMES: ReadonlySet<string> = new Set(["http:", "https:", "http+srv:", "https+srv:"]);

/** @returns the target's URL in the plan's form (`http://host:port`, `http+srv://_http._tcp.name`), or what is wrong with it. */
export function parseTargetUrl(text: string): { readonly url: string } | { readonly error: string } {
  const m = /^([a-z+]+:)\/\/([^/?#]*)(.*)$/i.exec(text);
  const scheme = (m?.[1] ?? "").toLowerCase();
  if (m === null || !TARGET_SCHEMES.has(scheme))
    return { error: "expected http://host:port or https://host:port (or http+srv://name, https+srv://name)" };
  if (m[2]?.includes("@")) return { error: "a target takes no user name or password" };
  if (m[3] !== "" && m[3] !== "/") return { error: "a target takes no path or query; use the route's `rewrite`" };
  const authority = (m[2] ?? "").toLowerCase();
  if (scheme.endsWith("+srv:"))
    return isHostName(authority)
      ? { url: `${scheme}//${authority}` }
      : { error: "expected a service name such as http+srv://_http._tcp.example.com" };
  const address = parseListenAddress(/:\d+$/.test(authority) ? authority : `${authority}:${scheme === "https:" ? 443 : 80}`);
  if (address === null)
    return { error: `${JSON.stringify(authority)} is neither a host name nor an IP address, with or without a port from 1 to 65535` };
  if (address.port === 0) return { error: "expected a port from 1 to 65535" };
  return { url: `${scheme}//${address.address}` };
}
