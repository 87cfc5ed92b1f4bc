// The net engine: one node:net server for a listener. Accepts, counts and closes connections, and hands each to the protocol that is spoken on it.
// What happens on one is the protocol's; must never look at HTTP.
import net, { type Socket } from "node:net";
import { OperatorError } from "../../../base/errors.ts";
import { canonicalIp } from "../../../base/ip.ts";
import type { ListenerPlan } from "../../../plan/listener-plan.ts";
import type { Listener, ListenerHost } from "../listener.ts";
import type { Protocols, ServedConnection } from "./channel.ts";
import type { ClientFacts } from "./client-facts.ts";
import { ConnectionLife } from "./connection-life.ts";
import { openChannel } from "./open-channel.ts";

/** Connections the kernel holds until they are accepted; it caps this by net.core.somaxconn. */
const BACKLOG = 4096;
const TCP_KEEPALIVE_DELAY_MS = 60_000;

export class NetListener implements Listener {
  readonly plan: ListenerPlan;
  readonly #host: ListenerHost;
  readonly #protocols: Protocols;
  readonly #server: net.Server;
  /** As accepted: on TLS, below the TLS layer. Bounded by the host. */
  readonly #sockets = new Set<Socket>();
  readonly #served = new Set<ServedConnection>();
  #accepting = true;
  #closed = false;

  /** @throws OperatorError naming address, cause and remedy */
  static async open(plan: ListenerPlan, host: ListenerHost, protocols: Protocols): Promise<NetListener> {
    const listener = new NetListener(plan, host, protocols);
    await listener.#listen();
    return listener;
  }

  private constructor(plan: ListenerPlan, host: ListenerHost, protocols: Protocols) {
    this.plan = plan;
    this.#host = host;
    this.#protocols = protocols;
    this.#server = net.createServer({
      pauseOnConnect: true,
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: TCP_KEEPALIVE_DELAY_MS,
    });
    this.#server.on("connection", (socket) => this.#accepted(socket));
  }

  get connections(): number {
    return this.#sockets.size;
  }

  succeededBy(_successor: ListenerPlan | null): void {}

  stopAccepting(): void {
    if (!this.#accepting) return;
    this.#accepting = false;
    this.#server.close();
  }

  endWebSockets(): void {
    for (const each of this.#served) each.endWebSocket();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.stopAccepting();
    for (const socket of this.#sockets) socket.destroy();
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
    if (gone || !this.#host.admitsPeer(peer)) return void socket.destroy();
    this.#serve(socket, socket, { peer, secure: false, certificate: null, serverName: "", protocol: "http/1.1" });
  }

  #serve(socket: Socket, bottom: Socket, facts: ClientFacts): void {
    const serve = this.#protocols[facts.protocol];
    if (serve === null) return void socket.destroy();
    const life = new ConnectionLife(this.#host);
    const served = serve(openChannel(socket, bottom, facts), this.#host, { nextIsLast: () => life.nextIsLast(), answersFor: () => true });
    this.#served.add(served);
    socket.on("close", () => this.#served.delete(served));
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
