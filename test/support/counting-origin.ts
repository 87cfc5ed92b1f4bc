// Owns a real HTTP service that counts what it is asked, answers when it is told to, and whose answers say to whom they are.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Answering {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

export class CountingOrigin implements AsyncDisposable {
  readonly port: number;
  /** Requests so far, by path with query. */
  readonly asked = new Map<string, number>();
  /** Requests under way, in order. */
  readonly open: Answering[] = [];
  readonly #server: ReturnType<typeof createServer>;

  private constructor(server: ReturnType<typeof createServer>) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port; // a TCP server that listens has one
  }

  /** @param answer null: the test does it, by {@link open} */
  static async start(answer: ((answering: Answering) => void) | null = null): Promise<CountingOrigin> {
    const server = createServer({ keepAlive: true }, (request, response) => {
      const path = request.url ?? "";
      origin.asked.set(path, (origin.asked.get(path) ?? 0) + 1);
      if (answer !== null) return answer({ request, response });
      const one = { request, response };
      origin.open.push(one);
      response.on("close", () => void origin.open.splice(origin.open.indexOf(one), 1));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const origin = new CountingOrigin(server);
    return origin;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
