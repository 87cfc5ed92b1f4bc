// Owns a small real upstream for process tests: answers with its name, as slowly as the request asks (`?ms=`).
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

export class Origin implements AsyncDisposable {
  readonly url: string;
  /** Requests that arrived so far. */
  requests = 0;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    const { port } = server.address() as AddressInfo; // a TCP server that listens has one
    this.url = `http://127.0.0.1:${port}`;
  }

  static async start(name: string): Promise<Origin> {
    const server = createServer((request, response) => {
      origin.requests++;
      const ms = Number(new URL(request.url ?? "/", "http://origin").searchParams.get("ms") ?? 0);
      request.resume();
      setTimeout(() => response.end(name), ms);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const origin = new Origin(server);
    return origin;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
