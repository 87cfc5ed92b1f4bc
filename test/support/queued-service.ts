// Owns a real HTTP service that answers so many requests at a time, each in so long, and queues the others: one that can be overloaded.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export class QueuedService implements AsyncDisposable {
  readonly url: string;
  /** At a time. */
  servers: number;
  /** That each takes. */
  ms: number;
  /** Of answers. */
  status = 200;
  answered = 0;
  /** By the value of x-tenant. */
  readonly answeredTo = new Map<string, number>();
  readonly #server: Server;
  readonly #queue: { readonly request: IncomingMessage; readonly response: ServerResponse }[] = [];
  #busy = 0;

  private constructor(server: Server, servers: number, ms: number) {
    this.#server = server;
    this.servers = servers;
    this.ms = ms;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`; // a TCP server that listens has one
  }

  static async start(servers: number, ms: number): Promise<QueuedService> {
    const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
      service.#queue.push({ request, response });
      service.#serve();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", 4096, resolve));
    const service = new QueuedService(server, servers, ms);
    return service;
  }

  #serve(): void {
    while (this.#busy < this.servers) {
      const next = this.#queue.shift();
      if (next === undefined) return;
      this.#busy++;
      setTimeout(() => {
        this.#busy--;
        this.answered++;
        const tenant = String(next.request.headers["x-tenant"] ?? "");
        this.answeredTo.set(tenant, (this.answeredTo.get(tenant) ?? 0) + 1);
        next.response.writeHead(this.status).end("served");
        this.#serve();
      }, this.ms);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
