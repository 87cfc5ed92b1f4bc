// Owns what a probe is, and the interface of its transports: one for each protocol in which a target may be checked.
import { parseIpv4 } from "../../base/ip.ts";
import type { ActiveHealthPlan, EndpointPlan, UpstreamProtocol } from "../../plan/plan.ts";
import { secureOptions, type UpstreamTlsPlan } from "../../plan/tls-rules.ts";

/** What to check. */
export interface Probe {
  readonly endpoint: EndpointPlan;
  readonly check: ActiveHealthPlan;
  readonly protocol: UpstreamProtocol;
  readonly tls: UpstreamTlsPlan | null;
  /** What Host is, unless the check has its own. */
  readonly host: string;
}

/** What becomes of a probe. Nothing is told after `failed`, nor after the probe was closed. */
export interface ProbeEvents {
  /** There is a connection, the TLS handshake included. */
  connected(): void;
  /** The head of the response. */
  head(status: number): void;
  /** A piece of its body. */
  data(chunk: Buffer): void;
  /** The response is complete. */
  end(): void;
  failed(error: Error): void;
}

/** A probe under way. */
export interface OpenProbe {
  /** Closes its connection. Idempotent. */
  close(): void;
}

/**
 * Begins a probe over a new connection, so that accepting connections is tested too. Bounds no time: probe-once.ts does.
 * @throws Error for a request or TLS material that cannot be used
 */
export type ProbeTransport = (probe: Probe, events: ProbeEvents) => OpenProbe;

/** As requests to the upstream have it. */
export function tlsOptionsOf({ endpoint, tls }: Probe) {
  return {
    ...secureOptions(tls?.rules ?? null),
    ...(tls?.ca == null ? {} : { ca: tls.ca }),
    ...(tls?.cert == null ? {} : { cert: tls.cert }),
    ...(tls?.key == null ? {} : { key: tls.key }),
    servername: tls?.serverName ?? sniName(endpoint.authority),
    rejectUnauthorized: tls?.verify ?? true,
  };
}

/** The host of an authority for SNI; '' for IP literals, which SNI does not allow (RFC 6066 section 3). */
function sniName(authority: string): string {
  const host = authority.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  return host.includes(":") || parseIpv4(host) >= 0 ? "" : host;
}
