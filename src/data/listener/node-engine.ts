// The node engine: one node:http or node:https server for a listener, strictest parsing. Opens, counts and closes connections;
// what happens on one is node-connection.ts. Slower than uws, but knows HTTP/1.0, absolute-form, `OPTIONS *` and trailers.
import type { X509Certificate } from "node:crypto";
import http from "node:http";
import https from "node:https";
import net, { type Socket } from "node:net";
import tls, { type SecureContext } from "node:tls";
import { OperatorError } from "../../base/errors.ts";
import { canonicalIp } from "../../base/ip.ts";
import type { ClientAuthPlan, ListenerPlan, ListenerTlsPlan } from "../../plan/listener-plan.ts";
import { secureOptions } from "../../plan/tls-rules.ts";
import type { Refusal } from "../exchange/refusal.ts";
import { authoritiesOf, isVouchedFor } from "./client-authority.ts";
import type { Listener, ListenerEngine, ListenerHost } from "./listener.ts";
import { NodeConnection } from "./node-connection.ts";
import { type ProxiedSource, takeProxyHeader } from "./proxy-protocol.ts";

/** Connections the kernel holds until they are accepted; it caps this by net.core.somaxconn. */
const BACKLOG = 4096;
/** How often node looks for connections whose header section is late, ms. */
const CHECK_MS_MAX = 1000;
const TCP_KEEPALIVE_DELAY_MS = 60_000;

export const nodeEngine: ListenerEngine = {
  async open(plan: ListenerPlan, host: ListenerHost): Promise<Listener> {
    const listener = new NodeListener(plan, host);
    await listener.listen();
    return listener;
  },
};

class NodeListener implements Listener {
  readonly plan: ListenerPlan;
  private readonly host: ListenerHost;
  private readonly server: http.Server;
  /** As accepted: on TLS, below the TLS layer. Bounded by the host. */
  private readonly sockets = new Set<Socket>();
  /** By the socket that carries HTTP; those of `sockets`, after their TLS handshake. */
  private readonly byStream = new Map<Socket, NodeConnection>();
  /** On TLS: clients that a PROXY header named, by the connection's own addresses, as the stream above TLS is another object. */
  private readonly proxied = new Map<string, string>();
  private accepting = true;
  private closed = false;
  /** Who may be let in since another plan is in force; null before that. */
  private admission: ClientAdmission | null = null;

  constructor(plan: ListenerPlan, host: ListenerHost) {
    this.plan = plan;
    this.host = host;
    const options = serverOptions(host);
    this.server = plan.tls === null ? http.createServer(options) : https.createServer({ ...options, ...tlsOptions(plan.tls, host) });
    this.server.maxHeadersCount = 0; // no silent truncation: admission counts
    this.connect();
  }

  get connections(): number {
    return this.sockets.size;
  }

  listen(): Promise<void> {
    const { unixPath, host, port } = this.plan;
    return new Promise((resolve, reject) => {
      this.server.once("error", (error: NodeJS.ErrnoException) => {
        this.close();
        reject(new OperatorError(explain(this.plan, error)));
      });
      const where = unixPath === null ? { host, port, reusePort: true } : { path: unixPath };
      this.server.listen({ ...where, backlog: BACKLOG }, () => {
        // From now on an error says that one connection could not be accepted (out of memory or descriptors): the next may be.
        this.server.removeAllListeners("error").on("error", () => {});
        resolve();
      });
    });
  }

  succeededBy(successor: ListenerPlan | null): void {
    if (this.plan.tls?.clientAuth == null || successor === null) return;
    this.admission = admissionOf(successor.tls?.clientAuth ?? null);
    for (const connection of this.byStream.values()) if (!isAdmitted(connection.certificate, this.admission)) connection.withdraw();
  }

  stopAccepting(): void {
    if (!this.accepting) return;
    this.accepting = false;
    // Not http.Server's own close: it would cut idle connections, and with them requests that are on their way.
    net.Server.prototype.close.call(this.server);
  }

  useTicketKeys(): void {}

  drain(): void {}

  endWebSockets(): void {
    for (const connection of this.byStream.values()) connection.endWebSocket();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.accepting = false;
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }

  private connect(): void {
    const { server } = this;
    if (this.plan.proxyProtocol) this.connectBehindProxy();
    else server.on("connection", (socket) => this.accepted(socket));
    server.on(this.plan.tls === null ? "connection" : "secureConnection", (socket: Socket) => {
      if (this.plan.tls !== null) this.opened(socket, this.proxied.get(connectionKey(socket)) ?? null);
      else if (!this.plan.proxyProtocol) this.opened(socket, null);
    });
    const request = (req: http.IncomingMessage, res: http.ServerResponse): void => this.byStream.get(req.socket)?.request(req, res);
    server.on("request", request);
    server.on("checkContinue", request); // 100 is sent when the body is wanted
    server.on("checkExpectation", request); // admission refuses it
    const upgrade = (req: http.IncomingMessage, stream: object, head: Buffer): void => {
      const { socket } = req;
      const connection = this.byStream.get(socket);
      if (connection === undefined || stream !== socket) socket.destroy();
      else connection.upgrade(req, head);
    };
    server.on("upgrade", upgrade);
    server.on("connect", upgrade);
    server.on("clientError", (error: NodeJS.ErrnoException, stream) => {
      const connection = stream instanceof net.Socket ? this.byStream.get(stream) : undefined;
      const refusal = refusalOf(error, stream instanceof net.Socket ? stream.bytesRead : 0);
      if (connection === undefined || refusal === null || !stream.writable) stream.destroy();
      else connection.broken(refusal);
    });
  }

  /** Node's own listeners, which begin to read HTTP or TLS, wait until the header is taken off. */
  private connectBehindProxy(): void {
    const { server } = this;
    const begin = server.listeners("connection");
    server.removeAllListeners("connection");
    server.on("connection", (socket) => {
      this.accepted(socket);
      if (socket.destroyed) return;
      takeProxyHeader(socket, this.host.current().limits.headerTimeoutMs, (source) => {
        if (source !== null && this.plan.tls !== null) this.rememberSource(socket, source);
        for (const each of begin) each.call(server, socket);
        if (this.plan.tls === null) this.opened(socket, source);
      });
    });
  }

  private rememberSource(socket: Socket, source: string): void {
    const key = connectionKey(socket);
    this.proxied.set(key, source);
    socket.on("close", () => this.proxied.delete(key));
  }

  /** @param source what a PROXY header said; null for nothing */
  private opened(socket: Socket, source: ProxiedSource): void {
    if (socket.destroyed) return;
    const peer = source ?? peerOf(socket);
    // A peer that has reset its connection has no address any more: nobody may take it for one on a Unix socket, or for one that no list names.
    if (peer === "" && this.plan.unixPath === null) return void socket.destroy();
    const over = source === null ? null : this.host.admitProxied(source);
    if (source !== null && over === null) return void socket.destroy();
    if (over !== null) socket.on("close", over);
    const certificate = certificateOf(socket, this.plan.tls?.clientAuth ?? null);
    if (certificate === false || (this.admission !== null && !isAdmitted(certificate, this.admission))) return void socket.destroy();
    this.byStream.set(socket, new NodeConnection(socket, this.host, { peer, certificate }));
    socket.on("close", () => this.byStream.delete(socket));
  }

  private accepted(socket: Socket): void {
    this.sockets.add(socket);
    socket.on("close", () => this.sockets.delete(socket));
    const gone = socket.remoteAddress === undefined && this.plan.unixPath === null;
    const peer = this.plan.proxyProtocol ? "" : peerOf(socket);
    if (gone || !this.host.admitsPeer(peer)) socket.destroy();
  }
}

/** @returns '' for none. A link-local address comes with its zone (`fe80::1%eth0`), which no list of addresses knows. */
const peerOf = ({ remoteAddress = "" }: Socket): string => canonicalIp(remoteAddress.split("%", 1)[0] ?? "") ?? "";

/**
 * The client's certificate; null for none, false when the connection must not be served. Said here again although the handshake has looked: with
 * `optional` it lets bad certificates through, and a resumed session without any counts as verified.
 */
function certificateOf(socket: Socket, clientAuth: ClientAuthPlan | null): X509Certificate | null | false {
  if (clientAuth === null) return null;
  const certificate = socket instanceof tls.TLSSocket ? socket.getPeerX509Certificate() : undefined;
  if (certificate === undefined) return clientAuth.required ? false : null;
  return socket instanceof tls.TLSSocket && socket.authorized ? certificate : false;
}

interface ClientAdmission {
  readonly authorities: readonly X509Certificate[];
  /** Nobody may come without a certificate. */
  readonly required: boolean;
}

/** Without authorities that can be read nobody is vouched for. */
function admissionOf(clientAuth: ClientAuthPlan | null): ClientAdmission {
  try {
    const authorities = clientAuth === null ? [] : authoritiesOf(clientAuth.ca);
    return { authorities, required: clientAuth?.required ?? false };
  } catch {
    return { authorities: [], required: true };
  }
}

const isAdmitted = (certificate: X509Certificate | null, { authorities, required }: ClientAdmission): boolean =>
  certificate === null ? !required : isVouchedFor(certificate, authorities);

const connectionKey = ({ remoteAddress, remotePort, localAddress }: Socket): string => `${remoteAddress} ${remotePort} ${localAddress}`;

function serverOptions(host: ListenerHost): http.ServerOptions {
  const { limits } = host.current();
  return {
    insecureHTTPParser: false,
    // Admission refuses requests without Host itself, with a problem document; HTTP/1.0 may lack it.
    requireHostHeader: false,
    // Room for both, so that admission can say which limit was passed; beyond it the parser stops.
    maxHeaderSize: limits.headerBytes + limits.uriBytes,
    headersTimeout: limits.headerTimeoutMs,
    requestTimeout: 0, // bodies have a deadline between chunks, which the pipeline keeps
    keepAliveTimeout: limits.idleTimeoutMs,
    keepAliveTimeoutBuffer: 0,
    connectionsCheckingInterval: Math.min(CHECK_MS_MAX, Math.max(10, limits.headerTimeoutMs >> 2)),
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: TCP_KEEPALIVE_DELAY_MS,
    shouldUpgradeCallback: isWebSocket,
  };
}

/** Any other upgrade is ignored, as RFC 9110 section 7.8 allows; so is one with a body, whose end would be in doubt. */
function isWebSocket(req: http.IncomingMessage): boolean {
  const { upgrade = "" } = req.headers;
  if (req.method !== "GET" || req.httpVersion !== "1.1" || upgrade.toLowerCase() !== "websocket") return false;
  return req.headers["content-length"] === undefined && req.headers["transfer-encoding"] === undefined;
}

/** @returns null for faults of the network, which nobody can be told about */
function refusalOf(error: NodeJS.ErrnoException, bytesRead: number): Refusal | null {
  const code = error.code ?? "";
  if (code === "HPE_HEADER_OVERFLOW") return { code: "headers_too_large", detail: "the header section is too large" };
  const wrongVersion = code === "HPE_INVALID_VERSION" && error.message.endsWith("Invalid HTTP version");
  if (wrongVersion || code === "HPE_PAUSED_H2_UPGRADE")
    return { code: "http_version", detail: "only HTTP/1.1 and HTTP/1.0 are spoken here" };
  if (code === "ERR_HTTP_REQUEST_TIMEOUT")
    return bytesRead === 0 ? null : { code: "request_timeout", detail: "the header section did not arrive in time" };
  // The parser's own words: a fixed text for each rule.
  if (code.startsWith("HPE_") && code !== "HPE_INVALID_EOF_STATE")
    return { code: "bad_request", detail: `not valid HTTP (RFC 9112): ${error.message.replace("Parse Error: ", "")}` };
  return null;
}

function tlsOptions(plan: ListenerTlsPlan, host: ListenerHost): https.ServerOptions {
  const [first] = plan.certificates;
  if (first === undefined) throw new OperatorError("a TLS listener needs at least one certificate");
  const { clientAuth } = plan;
  const rules = { ...secureOptions(plan.rules), honorCipherOrder: true };
  // A server name's context brings its own authorities.
  const authorities = clientAuth === null ? {} : { ca: clientAuth.ca };
  const contexts = new Map<string, SecureContext>();
  for (const certificate of plan.certificates) {
    if (certificate.hosts.length === 0) continue;
    const context = tls.createSecureContext({ cert: certificate.cert, key: certificate.key, ...authorities, ...rules });
    for (const name of certificate.hosts) if (!contexts.has(name.toLowerCase())) contexts.set(name.toLowerCase(), context);
  }
  return {
    cert: first.cert,
    key: first.key,
    ...authorities,
    requestCert: clientAuth !== null,
    rejectUnauthorized: clientAuth?.required ?? false,
    ...rules,
    handshakeTimeout: host.current().limits.headerTimeoutMs,
    // Without a match the listener's own, first certificate is used.
    SNICallback: (name, done) => done(null, contextFor(contexts, name.toLowerCase())),
  };
}

/** Exact names win; `*.example.com` covers one label (RFC 9525 section 6.3). */
const contextFor = (contexts: ReadonlyMap<string, SecureContext>, name: string): SecureContext | undefined =>
  contexts.get(name) ?? contexts.get(`*${name.slice(Math.max(0, name.indexOf(".")))}`);

function explain(plan: ListenerPlan, error: NodeJS.ErrnoException): string {
  const remedy: Readonly<Record<string, string>> = {
    EADDRINUSE: "the address is in use; stop the other process, or start with --takeover",
    EACCES: "not permitted; use a port from 1024 up, or grant CAP_NET_BIND_SERVICE",
    EADDRNOTAVAIL: "this machine has no such address; use one of its own, or 0.0.0.0",
  };
  return `cannot listen on ${plan.address}: ${remedy[error.code ?? ""] ?? error.message}`;
}
