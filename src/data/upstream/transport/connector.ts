// Opens one TCP or TLS connection to an endpoint, in the form undici's Client asks for. Owns the connect timeout and
// the TLS session cache; must never decide which endpoint to use.
import net from "node:net";
import type tls from "node:tls";
import type { EndpointPlan, UpstreamPlan } from "../../../plan/plan.ts";
import { secureOptions, type UpstreamTlsPlan } from "../../../plan/tls-rules.ts";

/** Error of a failed connect: tells the stage, so that the pool can give it the right code. */
export class ConnectError extends Error {
  readonly stage: "timeout" | "tcp" | "tls";
  constructor(stage: "timeout" | "tcp" | "tls", message: string) {
    super(message);
    this.name = "ConnectError";
    this.stage = stage;
  }
}

/** Either (error, null), a {@link ConnectError}, or (null, socket). */
export type ConnectCallback = (error: Error | null, socket: net.Socket | null) => void;
/** @param onread reads of a plain TCP socket go there instead of `data` events; ignored for TLS */
export type Connector = (callback: ConnectCallback, onread?: net.OnReadOpts) => void;

/** Where to connect to. */
export type Address = Pick<EndpointPlan, "tls" | "address" | "port" | "authority">;

/** Node's own `socket.connect` keeps Nagle on; a proxy writes whole messages, so it only adds delay. */
const TCP_KEEPALIVE_DELAY_MS = 60_000;

/** @param alpn what TLS offers (RFC 7301). @returns a function that opens a connection to the endpoint and reports it once. */
export function createConnector(
  endpoint: Address,
  upstream: Pick<UpstreamPlan, "connectMaxMs" | "tls">,
  alpn: "http/1.1" | "h2" = "http/1.1",
): Connector {
  const secureContext = endpoint.tls ? nodeTls().createSecureContext(contextOptions(upstream.tls)) : null;
  let session: Buffer | null = null;
  return (callback, onread) => {
    const raw = net.connect({
      host: endpoint.address,
      port: endpoint.port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: TCP_KEEPALIVE_DELAY_MS,
      ...(onread === undefined || secureContext !== null ? {} : { onread }),
    });
    let socket: net.Socket = raw;
    let stage: "tcp" | "tls" = "tcp";
    const settle = (error: Error | null): void => {
      clearTimeout(timer);
      socket.off("error", settle);
      if (error === null) return callback(null, socket);
      socket.on("error", ignore);
      socket.destroy();
      callback(
        error instanceof ConnectError
          ? error
          : new ConnectError(stage, `${stage} to ${endpoint.address}:${endpoint.port}: ${error.message}`),
        null,
      );
    };
    const timer = setTimeout(
      () =>
        settle(new ConnectError("timeout", `${stage} to ${endpoint.address}:${endpoint.port} not ready after ${upstream.connectMaxMs} ms`)),
      upstream.connectMaxMs,
    );
    socket.on("error", settle);
    if (secureContext === null) {
      raw.once("connect", () => settle(null));
      return;
    }
    raw.once("connect", () => {
      stage = "tls";
      raw.off("error", settle);
      const secure = nodeTls().connect({
        socket: raw,
        secureContext,
        session: session ?? undefined,
        ...handshakeOptions(endpoint, upstream.tls, alpn),
      });
      socket = secure;
      secure.on("error", settle);
      secure.on("session", (fresh) => {
        session = fresh;
      });
      secure.once("secureConnect", () => {
        settle(null);
        // An alert later on (TLS 1.3 refuses client certificates so) is told as an error, then the stream just ends: keep the better reason.
        secure.on("error", (error) => {
          if (isTlsFault(error)) secure.destroy(error);
        });
      });
    });
  };
}

/** Loaded with the first endpoint that speaks TLS. */
const nodeTls = (): typeof tls => process.getBuiltinModule("node:tls");

const ignore = (): void => {};

/** A fault of TLS itself on a connection that was established: an alert, a record that does not fit. */
export const isTlsFault = (error: NodeJS.ErrnoException): boolean => error.code?.startsWith("ERR_SSL_") === true;

function contextOptions(plan: UpstreamTlsPlan | null): tls.SecureContextOptions {
  const options = secureOptions(plan?.rules ?? null);
  if (plan?.ca) options.ca = plan.ca;
  if (plan?.cert) options.cert = plan.cert;
  if (plan?.key) options.key = plan.key;
  return options;
}

function handshakeOptions(endpoint: Address, plan: UpstreamTlsPlan | null, alpn: string): tls.ConnectionOptions {
  const host = plan?.serverName ?? hostOf(endpoint.authority);
  const options: tls.ConnectionOptions = { ALPNProtocols: [alpn], rejectUnauthorized: plan?.verify ?? true };
  // RFC 6066 section 3: no IP literal in SNI; the certificate is checked against the literal all the same.
  if (net.isIP(host) === 0) options.servername = host;
  else options.host = host;
  return options;
}

/** `users.internal:8443` -> `users.internal`; `[::1]:80` -> `::1`. */
function hostOf(authority: string): string {
  const bracket = /^\[([^\]]*)\]/.exec(authority);
  return bracket?.[1] ?? authority.replace(/:\d+$/, "");
}
