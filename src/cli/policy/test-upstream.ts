// Owns the upstreams of a policy's test: small services in this process that answer as the case at hand says, and keep what they were asked.
import http from "node:http";
import type { AddressInfo } from "node:net";
import type { UpstreamAnswer } from "./policy-test-file.ts";

const HOST = "127.0.0.1";

export interface Asked {
  /** Name of the upstream. */
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

export class TestUpstreams implements AsyncDisposable {
  readonly #servers = new Map<string, http.Server>();
  /** What all of them answer now. */
  answer: UpstreamAnswer = "fails";
  readonly asked: Asked[] = [];

  /** @returns name -> URL */
  async start(names: readonly string[]): Promise<Readonly<Record<string, string>>> {
    const urls: Record<string, string> = {};
    for (const name of names) {
      const server = http.createServer((request, response) => void this.#serve(name, request, response));
      this.#servers.set(name, server);
      await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, HOST, resolve));
      urls[name] = `http://${HOST}:${(server.address() as AddressInfo).port}`; // it listens at a port
    }
    return urls;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers.values()) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  async #serve(name: string, request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    let body = "";
    try {
      for await (const chunk of request.setEncoding("utf8")) body += chunk;
    } catch {
      return; // the gateway broke it off
    }
    this.asked.push({ name, method: request.method ?? "", path: request.url ?? "", headers: request.headers, body });
    if (this.answer === "fails") {
      request.socket.destroy();
      return;
    }
    const { status, headers, body: text } = this.answer;
    response.writeHead(status, headers).end(text);
  }
}
