// Owns one active health check of one endpoint: connect, ask, judge. Must never throw and never take longer than its timeout.
import type { ClientRequest, RequestOptions } from "node:http";
import { assertNever } from "../../base/errors.ts";
import { parseIpv4 } from "../../base/ip.ts";
import { hasStatus } from "../../base/status-list.ts";
import { formatDurationMs } from "../../base/units.ts";
import type { ActiveHealthPlan, EndpointPlan } from "../../plan/plan.ts";
import { secureOptions, type UpstreamTlsPlan } from "../../plan/tls-rules.ts";

// Not by import: that reads every export, and one of them loads a whole fetch implementation (some 60 ms, in each thread).
const http = () => process.getBuiltinModule("node:http");
const https = () => process.getBuiltinModule("node:https");

/** What to ask. */
export interface Probe {
  readonly endpoint: EndpointPlan;
  readonly check: ActiveHealthPlan;
  readonly tls: UpstreamTlsPlan | null;
  /** What Host is. */
  readonly host: string;
  /** Gives up at once; the result then means nothing. */
  readonly signal: AbortSignal;
}

/** What came of it. */
export interface ProbeResult {
  readonly ok: boolean;
  /** For operators. */
  readonly reason: string;
}

type Ending =
  | { readonly kind: "status"; readonly status: number }
  | { readonly kind: "error"; readonly error: Error }
  | { readonly kind: "timeout" };

/**
 * GET over a new connection, so that accepting connections is tested too. The response head decides; a body is not waited for.
 * @returns always, within `check.timeoutMs`.
 */
export function probeOnce(probe: Probe): Promise<ProbeResult> {
  return new Promise((resolve) => {
    let request: ClientRequest | null = null;
    const timer = setTimeout(() => end({ kind: "timeout" }), probe.check.timeoutMs);
    const end = (ending: Ending): void => {
      clearTimeout(timer);
      resolve(judge(probe.check, ending));
      request?.destroy();
    };
    try {
      request = open(probe);
    } catch (error) {
      // Synchronous for a path or TLS material that node refuses.
      end({ kind: "error", error: error instanceof Error ? error : new Error(String(error)) });
      return;
    }
    // After the head was seen, destroying the request may report errors again; resolve() ignores all but the first.
    request.on("error", (error) => end({ kind: "error", error }));
    request.on("response", (response) => {
      response.on("error", () => undefined);
      end({ kind: "status", status: response.statusCode ?? 0 });
    });
    request.on("upgrade", (_response, socket) => {
      socket.destroy();
      end({ kind: "status", status: 101 });
    });
    request.end();
  });
}

function open(probe: Probe): ClientRequest {
  const { endpoint, check, tls, host, signal } = probe;
  const options: RequestOptions = {
    host: endpoint.address,
    port: endpoint.port,
    path: check.path,
    method: "GET",
    headers: { host, "user-agent": "sluice-health", accept: "*/*" },
    agent: false,
    signal,
  };
  if (!endpoint.tls) return http().request(options);
  return https().request({
    ...options,
    ...secureOptions(tls?.rules ?? null),
    ...(tls?.ca == null ? {} : { ca: tls.ca }),
    ...(tls?.cert == null ? {} : { cert: tls.cert }),
    ...(tls?.key == null ? {} : { key: tls.key }),
    servername: tls?.serverName ?? sniName(endpoint.authority),
    rejectUnauthorized: tls?.verify ?? true,
  });
}

/** The host of an authority for SNI; '' for IP literals, which SNI does not allow (RFC 6066 section 3). */
function sniName(authority: string): string {
  const host = authority.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  return host.includes(":") || parseIpv4(host) >= 0 ? "" : host;
}

function judge(check: ActiveHealthPlan, ending: Ending): ProbeResult {
  switch (ending.kind) {
    case "status":
      return { ok: hasStatus(check.statuses, ending.status), reason: `status ${ending.status}` };
    case "timeout":
      return { ok: false, reason: `timeout after ${formatDurationMs(check.timeoutMs)}` };
    case "error":
      return { ok: false, reason: errorReason(ending.error) };
    default:
      return assertNever(ending);
  }
}

/** The code of a system or OpenSSL error says more than its message; node types it on one subclass only. */
const errorReason = (error: Error): string => ("code" in error && typeof error.code === "string" ? error.code : error.message);
