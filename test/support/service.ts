// Owns a real HTTP service for tests of balancing and health: answers with its name, can be made slow, sick, or stopped and started again.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export class Service implements AsyncDisposable {
  readonly name: string;
  readonly host: string;
  port = 0;
  /** Requests that arrived so far, probes (`/healthz`) not among them. */
  requests = 0;
  probes = 0;
  /** Connections accepted so far. */
  accepted = 0;
  /** Requests under way, and the most there ever were. */
  underWay = 0;
  underWayMax = 0;
  /** What probes are answered with. */
  health = 200;
  /** Answers with this status; 0 resets the connection instead. */
  status = 200;
  /** Waits so long before it answers. */
  delayMs = 0;
  #server: Server | null = null;

  private constructor(name: string, host: string) {
    this.name = name;
    this.host = host;
  }

  static async start(name: string, host = "127.0.0.1", port = 0): Promise<Service> {
    const service = new Service(name, host);
    service.port = port;
    await service.listen();
    return service;
  }

  static startAll(names: readonly string[]): Promise<Service[]> {
    return Promise.all(names.map((name) => Service.start(name)));
  }

  get url(): string {
    return `http://${this.host}:${this.port}`;
  }

  /** Again on the same port after stop(). */
  async listen(): Promise<void> {
    const server = createServer((request, response) => this.#serve(request, response));
    server.on("connection", () => this.accepted++);
    await new Promise<void>((resolve, reject) => server.once("error", reject).listen(this.port, this.host, resolve));
    this.port = (server.address() as AddressInfo).port; // a TCP server that listens has one
    this.#server = server;
  }

  /** Cuts all connections and listens no more. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    server?.closeAllConnections();
    await new Promise<void>((resolve) => (server === null ? resolve() : server.close(() => resolve())));
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    request.resume();
    if (request.url === "/healthz") {
      this.probes++;
      response.writeHead(this.health).end();
      return;
    }
    this.requests++;
    this.underWayMax = Math.max(this.underWayMax, ++this.underWay);
    response.once("close", () => this.underWay--);
    if (this.status === 0) return void request.socket.resetAndDestroy();
    const answer = (): void => void response.writeHead(this.status, { "x-service": this.name }).end(this.name);
    if (this.delayMs === 0) answer();
    else setTimeout(answer, this.delayMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** Stops them all. */
export async function stopAll(services: readonly Service[]): Promise<void> {
  await Promise.all(services.map((service) => service.stop()));
}
