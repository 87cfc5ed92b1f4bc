// Owns reading a target's URL: what has to be resolved, and how. Pure; configuration has checked the URL before.
import { parseIpv4 } from "../../base/ip.ts";
import type { TargetPlan } from "../../plan/plan.ts";

/** What a target needs from name resolution. */
export type TargetSource =
  /** Nothing: an IP literal. */
  | { readonly kind: "literal" }
  /** Addresses of a host. */
  | { readonly kind: "host"; readonly name: string }
  /** SRV records (RFC 2782), then addresses of their targets. */
  | { readonly kind: "srv"; readonly name: string };

/** A target taken apart. */
export interface ParsedTarget {
  readonly source: TargetSource;
  readonly tls: boolean;
  /** IP literal without brackets, or name. */
  readonly host: string;
  /** 0 for SRV, where the records name it. */
  readonly port: number;
  readonly weight: number;
}

/** @throws TypeError when the URL is none; compile.ts has made sure that it is. */
export function parseTarget(target: TargetPlan): ParsedTarget {
  const srv = /^(https?)\+srv:\/\/([^/:]+)\/?$/.exec(target.url);
  if (srv !== null) {
    const name = srv[2] ?? "";
    return { source: { kind: "srv", name }, tls: srv[1] === "https", host: name, port: 0, weight: target.weight };
  }
  const url = new URL(target.url);
  const tls = url.protocol === "https:";
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const source: TargetSource = isLiteral(host) ? { kind: "literal" } : { kind: "host", name: host };
  return { source, tls, host, port: url.port === "" ? defaultPort(tls) : Number(url.port), weight: target.weight };
}

/** Of a host in a URL that was checked: only an IPv6 address has colons. Not by Node's isIP, whose regular expression takes ms to compile. */
const isLiteral = (host: string): boolean => host.includes(":") || parseIpv4(host) >= 0;

/** @returns the scheme's port, which authorities leave out. */
export const defaultPort = (tls: boolean): number => (tls ? 443 : 80);

/** @returns `host` or `host:port`, with brackets for IPv6, as Host and SNI want it. */
export function authorityOf(host: string, port: number, tls: boolean): string {
  const name = host.includes(":") ? `[${host}]` : host;
  return port === defaultPort(tls) ? name : `${name}:${port}`;
}
