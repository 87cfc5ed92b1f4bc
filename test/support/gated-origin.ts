// Owns a real HTTP service whose answers a test gives out one by one: requests wait at the gate until it opens. Reads bodies to their end.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export class GatedOrigin implements AsyncDisposable {
  /** Requests that arrived so far. */
  requests = 0;
  /** Status that requests get without waiting; 0: they wait. */
  status = 200;
  readonly url: string;
  readonly #server: Server;
  readonly #waiting = new Set<ServerResponse>();

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`; // a TCP server that listens has one
  }

  static async start(): Promise<GatedOrigin> {
    const server = createServer((request, response) => origin.#serve(request, response));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const origin = new GatedOrigin(server);
    return origin;
  }

  /** Requests that wait now: those whose client went away do not. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Answers those that wait, or the first so many of them. */
  release(status: number, count = this.#waiting.size): void {
    for (const response of [...this.#waiting].slice(0, count)) {
      this.#waiting.delete(response);
      response.writeHead(status).end("gated");
    }
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    this.requests++;
    request.resume().once("end", () => {
      if (this.status !== 0) return void response.writeHead(this.status).end("gated");
      this.#waiting.add(response);
      response.once("close", () => this.#waiting.delete(response));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
