// The net engine: one node:net server for a listener. Accepts, counts and closes connections, and hands each to the protocol that is spoken on it.
// What happens on one is the protocol's; must never look at HTTP.
import type { X509Certificate } from "node:crypto";
import net, { type Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { OperatorError } from "../../../base/errors.ts";
import { canonicalIp } from "../../../base/ip.ts";
import type { ListenerPlan } from "../../../plan/listener-plan.ts";
import type { Listener, ListenerHost } from "../listener.ts";
import { CertificateTable } from "./certificate-table.ts";
import type { ProtocolName, Protocols, ServedConnection } from "./channel.ts";
import { ClientAdmission, certificateOf } from "./client-admission.ts";
import type { ClientFacts } from "./client-facts.ts";
import { KeptTerms } from "./connection-terms.ts";
import { lookAtFirstBytes } from "./first-bytes.ts";
import { openChannel } from "./open-channel.ts";
import { PriorKnowledge } from "./prior-knowledge.ts";
import { type ProxiedSource, parseProxyHeader } from "./proxy-header.ts";
import type { TlsFront } from "./tls-front.ts";

/** Connections the kernel holds until they are accepted; it caps this by net.core.somaxconn. */
const BACKLOG = 4096;
const TCP_KEEPALIVE_DELAY_MS = 60_000;

/** A connection on which HTTP begins. */
interface Ready {
  readonly socket: Socket;
  /** What was accepted: the same, or below TLS. */
  readonly bottom: Socket;
  readonly certificates: CertificateTable | null;
}

export class NetListener implements Listener {
  readonly plan: ListenerPlan;
  readonly #host: ListenerHost;
  readonly #protocols: Protocols;
  readonly #server: net.Server;
  /** null without TLS. */
  readonly #certificates: CertificateTable | null;
  #front: TlsFront | null = null;
  /** As accepted: on TLS, below the TLS layer. Bounded by the host. */
  readonly #sockets = new Set<Socket>();
  /** On TLS, until the handshake is over: who is at the other end of what was accepted. */
  readonly #peers = new WeakMap<Socket, string>();
  readonly #served = new Map<ServedConnection, X509Certificate | null>();
  #accepting = true;
  #closed = false;
  /** Who may be let in since another plan is in force; null before that. */
  #admission: ClientAdmission | null = null;

  /** @throws OperatorError naming address, cause and remedy */
  static async open(plan: ListenerPlan, host: ListenerHost, protocols: Protocols): Promise<NetListener> {
    const listener = new NetListener(plan, host, protocols);
    if (plan.tls !== null) await listener.#prepareTls();
    await listener.#listen();
    return listener;
  }

  private constructor(plan: ListenerPlan, host: ListenerHost, protocols: Protocols) {
    this.plan = plan;
    this.#host = host;
    this.#protocols = protocols;
    this.#certificates = plan.tls === null ? null : new CertificateTable(plan.tls.certificates);
    this.#server = net.createServer({
      pauseOnConnect: true,
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: TCP_KEEPALIVE_DELAY_MS,
    });
    this.#server.on("connection", (socket) => this.#accepted(socket));
  }

  /** Where it is bound, also when the plan says 0; 0 on a Unix socket. */
  get port(): number {
    const address = this.#server.address();
    return address === null || typeof address === "string" ? 0 : address.port;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  succeededBy(successor: ListenerPlan | null): void {
    if (this.plan.tls?.clientAuth == null || successor === null) return;
    this.#admission = new ClientAdmission(successor.tls?.clientAuth ?? null);
    for (const [served, certificate] of this.#served) if (!this.#admission.admits(certificate)) served.withdraw();
  }

  useTicketKeys(keys: Uint8Array): void {
    this.#front?.useTicketKeys(keys);
  }

  stopAccepting(): void {
    if (!this.#accepting) return;
    this.#accepting = false;
    this.#server.close();
  }

  drain(): void {
    for (const served of this.#served.keys()) served.drain();
  }

  endWebSockets(): void {
    for (const served of this.#served.keys()) served.endWebSocket();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.stopAccepting();
    for (const socket of this.#sockets) socket.destroy();
  }

  async #prepareTls(): Promise<void> {
    const { TlsFront } = await import("./tls-front.ts");
    this.#front = new TlsFront(this.plan, {
      certificates: this.#certificates as CertificateTable, // there is TLS
      protocols: this.plan.http2 && this.#protocols.h2 !== null ? ["h2", "http/1.1"] : ["http/1.1"],
      handshakeTimeoutMs: this.#host.current().limits.headerTimeoutMs,
      ticketKeys: this.#host.ticketKeys,
      opened: (socket, bottom) => this.#secured(socket, bottom),
    });
  }

  #listen(): Promise<void> {
    const { unixPath, host, port } = this.plan;
    return new Promise((resolve, reject) => {
      this.#server.once("error", (error: NodeJS.ErrnoException) => {
        this.close();
        reject(new OperatorError(explain(this.plan, error)));
      });
      const where = unixPath === null ? { host, port, reusePort: true } : { path: unixPath };
      this.#server.listen({ ...where, backlog: BACKLOG }, () => {
        // From now on an error says that one connection could not be accepted (out of memory or descriptors): the next may be.
        this.#server.removeAllListeners("error").on("error", () => {});
        resolve();
      });
    });
  }

  #accepted(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    const peer = peerOf(socket);
    // A peer that has reset its connection has no address any more: nobody may take it for one on a Unix socket, or for one that no list names.
    const gone = peer === "" && this.plan.unixPath === null;
    if (gone || !this.#host.admitsPeer(this.plan.proxyProtocol ? "" : peer)) return void socket.destroy();
    if (this.plan.proxyProtocol) this.#takeProxyHeader(socket, peer);
    else this.#named(socket, peer);
  }

  #takeProxyHeader(socket: Socket, own: string): void {
    let source: ProxiedSource = null;
    const look = (data: Buffer): number | null => {
      const header = parseProxyHeader(data);
      if (header === "bad") socket.destroy();
      if (header === null || header === "bad") return null;
      source = header.source;
      return header.bytes;
    };
    lookAtFirstBytes(socket, this.#host.current().limits.headerTimeoutMs, look, () => {
      if (source === null) return this.#named(socket, own);
      const over = this.#host.admitProxied(source);
      if (over === null) return void socket.destroy();
      socket.on("close", over);
      this.#named(socket, source);
    });
  }

  /** @param peer '' on a Unix socket */
  #named(socket: Socket, peer: string): void {
    if (this.#front === null)
      return this.#serve(
        { socket, bottom: socket, certificates: null },
        { peer, secure: false, certificate: null, serverName: "", protocol: "http/1.1" },
      );
    this.#peers.set(socket, peer);
    this.#front.begin(socket);
  }

  #secured(socket: TLSSocket, bottom: Socket): void {
    const peer = this.#peers.get(bottom);
    const certificate = certificateOf(socket, this.plan.tls?.clientAuth ?? null);
    if (peer === undefined || certificate === false || this.#admission?.admits(certificate) === false) return void socket.destroy();
    const serverName = typeof socket.servername === "string" ? socket.servername.toLowerCase() : "";
    const protocol: ProtocolName = socket.alpnProtocol === "h2" ? "h2" : "http/1.1";
    // A resumed session of TLS 1.2 does not say which name it was begun for, nor does it show a certificate again.
    const certificates = serverName === "" && socket.isSessionReused() ? null : this.#certificates;
    this.#serve({ socket, bottom, certificates }, { peer, secure: true, certificate, serverName, protocol });
  }

  /** `certificates`: by which it is judged for which hosts the connection answers; null: for all */
  #serve({ socket, bottom, certificates }: Ready, facts: ClientFacts): void {
    if (socket.destroyed) return;
    const channel = openChannel(socket, bottom, facts);
    let served: ServedConnection | null = null;
    const serveBy = (protocol: ProtocolName): void => {
      const serve = this.#protocols[protocol];
      if (serve === null) return channel.destroy();
      if (served !== null) this.#served.delete(served);
      const terms = new KeptTerms(this.#host, { certificates, serverName: facts.serverName });
      served = serve(channel, this.#host, terms);
      this.#served.set(served, facts.certificate);
    };
    if (this.plan.h2c && this.#protocols.h2 !== null) {
      const { limits, services } = this.#host.current();
      served = new PriorKnowledge(channel, { wheel: services.wheel, withinMs: limits.headerTimeoutMs }, serveBy);
      this.#served.set(served, null);
    } else serveBy(facts.protocol);
    socket.on("close", () => {
      if (served !== null) this.#served.delete(served);
    });
  }
}

/** @returns '' for none. A link-local address comes with its zone (`fe80::1%eth0`), which no list of addresses knows. */
const peerOf = ({ remoteAddress = "" }: Socket): string => canonicalIp(remoteAddress.split("%", 1)[0] ?? "") ?? "";

function explain(plan: ListenerPlan, error: NodeJS.ErrnoException): string {
  const remedy: Readonly<Record<string, string>> = {
    EADDRINUSE: "the address is in use; stop the other process, or start with --takeover",
    EACCES: "not permitted; use a port from 1024 up, or grant CAP_NET_BIND_SERVICE",
    EADDRNOTAVAIL: "this machine has no such address; use one of its own, or 0.0.0.0",
  };
  return `cannot listen on ${plan.address}: ${remedy[error.code ?? ""] ?? error.message}`;
}
