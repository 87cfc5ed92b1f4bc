// Owns a real upstream whose responses say how they may be stored: `?cc=` is Cache-Control, `?tag=` Cache-Tag, `?vary=` Vary, `?status=` the status. Each body
// is the number of the request at this path, so that a test sees whether the origin answered.
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";

export class CacheOrigin implements AsyncDisposable {
  readonly url: string;
  /** Targets and header fields that came, in order. */
  readonly requests: { readonly target: string; readonly headers: IncomingHttpHeaders }[] = [];
  /** The status of all answers while it is not 0. */
  failing = 0;
  readonly #counts = new Map<string, number>();
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    const { port } = server.address() as AddressInfo; // a TCP server that listens has one
    this.url = `http://127.0.0.1:${port}`;
  }

  static async start(): Promise<CacheOrigin> {
    const server = createServer((request, response) => {
      const target = request.url ?? "/";
      origin.requests.push({ target, headers: request.headers });
      const { pathname, searchParams } = new URL(target, "http://origin");
      const count = (origin.#counts.get(pathname) ?? 0) + 1;
      origin.#counts.set(pathname, count);
      const etag = searchParams.get("etag");
      const headers: Record<string, string> = { "cache-control": searchParams.get("cc") ?? "max-age=600" };
      if (searchParams.has("tag")) headers["cache-tag"] = searchParams.get("tag") ?? "";
      if (searchParams.has("vary")) headers["vary"] = searchParams.get("vary") ?? "";
      if (etag !== null) headers["etag"] = etag;
      request.resume();
      if (origin.failing > 0) response.writeHead(origin.failing).end("failing");
      else if (etag !== null && request.headers["if-none-match"] === etag) response.writeHead(304, headers).end();
      else response.writeHead(Number(searchParams.get("status") ?? 200), headers).end(`${count}`);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const origin = new CacheOrigin(server);
    return origin;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
