// Owns a real identity provider's key endpoint for tests: a key set and a discovery document that a test can change, break and slow down.
import { createServer, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";

export class KeyServer implements AsyncDisposable {
  readonly url: string;
  /** What `/jwks.json` answers. */
  keys: readonly unknown[] = [];
  /** What `/.well-known/openid-configuration` answers; null: what a provider at this URL would. */
  discovery: unknown = null;
  headers: Readonly<Record<string, string>> = {};
  /** Takes over the answering of key set requests. */
  answer: ((response: ServerResponse) => void) | null = null;
  /** Key set requests so far. */
  fetches = 0;
  discoveries = 0;
  readonly #server: Server;

  private constructor(server: Server, scheme: string) {
    this.#server = server;
    const { port } = server.address() as AddressInfo; // a TCP server that listens has one
    this.url = `${scheme}://127.0.0.1:${port}`;
  }

  static async start(
    options: { readonly port?: number; readonly tls?: { readonly cert: Buffer; readonly key: Buffer } } = {},
  ): Promise<KeyServer> {
    const listener = (request: { readonly url?: string | undefined }, response: ServerResponse): void =>
      server.#serve(request.url ?? "", response);
    const raw: Server = options.tls === undefined ? createServer(listener) : createTlsServer(options.tls, listener);
    await new Promise<void>((resolve, reject) => {
      raw.once("error", reject);
      raw.listen(options.port ?? 0, "127.0.0.1", resolve);
    });
    const server = new KeyServer(raw, options.tls === undefined ? "http" : "https");
    return server;
  }

  get jwks(): string {
    return `${this.url}/jwks.json`;
  }

  #serve(path: string, response: ServerResponse): void {
    if (path === "/.well-known/openid-configuration") {
      this.discoveries++;
      return send(response, this.discovery ?? { issuer: this.url, jwks_uri: this.jwks }, {});
    }
    this.fetches++;
    if (this.answer !== null) this.answer(response);
    else send(response, { keys: this.keys }, this.headers);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function send(response: ServerResponse, value: unknown, headers: Readonly<Record<string, string>>): void {
  response.writeHead(200, { "content-type": "application/json", ...headers }).end(JSON.stringify(value));
}
