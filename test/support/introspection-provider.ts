// Owns a small real introspection endpoint (RFC 7662) for tests: answers as each token's script says, and remembers what it was asked.
import fs from "node:fs";
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import https from "node:https";
import type { AddressInfo } from "node:net";
import type { IssuedCertificate } from "./authority.ts";

/** What is answered about a token: JSON, or whatever a function does. */
export type Script = Readonly<Record<string, unknown>> | ((response: ServerResponse) => void);

export interface Asked {
  readonly authorization: string;
  readonly body: string;
  readonly method: string;
  readonly url: string;
  readonly type: string;
}

export class IntrospectionProvider implements AsyncDisposable {
  readonly url: string;
  readonly asked: Asked[] = [];
  /** By token; unknown ones are inactive. */
  readonly scripts = new Map<string, Script>();
  /** For every token, instead of the scripts. */
  always: Script | null = null;
  /** Connections that were opened. */
  connections = 0;
  /** Answers are held back while it is set. */
  hold: Promise<void> | null = null;
  readonly #server: http.Server;

  private constructor(server: http.Server, scheme: string) {
    this.#server = server;
    const { port } = server.address() as AddressInfo; // a TCP server that listens has one
    this.url = `${scheme}://127.0.0.1:${port}/introspect?v=1`;
  }

  static async start(certificate?: IssuedCertificate): Promise<IntrospectionProvider> {
    const server =
      certificate === undefined
        ? http.createServer()
        : https.createServer({ cert: fs.readFileSync(certificate.cert), key: fs.readFileSync(certificate.key) });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const provider = new IntrospectionProvider(server, certificate === undefined ? "http" : "https");
    server.on("connection", () => provider.connections++);
    server.on("request", (request, response) => void provider.#answer(request, response));
    return provider;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = "";
    for await (const chunk of request) body += String(chunk);
    const { authorization = "", "content-type": type = "" } = request.headers;
    this.asked.push({ authorization, body, method: request.method ?? "", url: request.url ?? "", type });
    const token = new URLSearchParams(body).get("token") ?? "";
    if (this.hold !== null) await this.hold;
    const script = this.always ?? this.scripts.get(token) ?? { active: false };
    if (typeof script === "function") return script(response);
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(script));
  }

  /** As a provider that restarts does. */
  closeIdle(): void {
    this.#server.closeIdleConnections();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
