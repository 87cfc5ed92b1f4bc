// Owns a real upstream whose responses say how they may be stored: `?cc=` is Cache-Control, `?tag=` Cache-Tag, `?vary=` Vary, `?location=` Location, `?status=`
// the status. Each body is the number of the request at this path, so that a test sees whether the origin answered; with `?size=` it is so many bytes, of which
// `Range: bytes=A-B` gets a part. `?hold=` is answered when the test says so.
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export class CacheOrigin implements AsyncDisposable {
  readonly url: string;
  /** What came, in order. */
  readonly requests: { readonly method: string; readonly target: string; readonly headers: IncomingHttpHeaders }[] = [];
  /** The status of all answers while it is not 0. */
  failing = 0;
  /** Cache-Control of all answers, whatever they are asked for; '' for that. */
  control = "";
  readonly #held: (() => void)[] = [];
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
      origin.requests.push({ method: request.method ?? "", target, headers: request.headers });
      request.resume();
      const answer = (): void => origin.#answer(request, response);
      if (new URL(target, "http://origin").searchParams.has("hold")) origin.#held.push(answer);
      else answer();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const origin = new CacheOrigin(server);
    return origin;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://origin");
    const count = (this.#counts.get(pathname) ?? 0) + 1;
    this.#counts.set(pathname, count);
    const etag = searchParams.get("etag");
    const headers: Record<string, string> = { "cache-control": this.control || (searchParams.get("cc") ?? "max-age=600") };
    if (searchParams.has("tag")) headers["cache-tag"] = searchParams.get("tag") ?? "";
    if (searchParams.has("vary")) headers["vary"] = searchParams.get("vary") ?? "";
    if (searchParams.has("location")) headers["location"] = searchParams.get("location") ?? "";
    if (etag !== null) headers["etag"] = etag;
    if (this.failing > 0) response.writeHead(this.failing).end("failing");
    else if (etag !== null && request.headers["if-none-match"] === etag) response.writeHead(304, headers).end();
    else if (searchParams.has("size"))
      sendBytes(response, headers, { size: Number(searchParams.get("size")), range: request.headers.range });
    else response.writeHead(Number(searchParams.get("status") ?? 200), headers).end(`${count}`);
  }

  /** Answers what was held. */
  release(): void {
    for (const answer of this.#held.splice(0)) answer();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function sendBytes(
  response: ServerResponse,
  headers: Record<string, string>,
  { size, range = "" }: { readonly size: number; readonly range?: string | undefined },
): void {
  const body = Buffer.alloc(size, "0123456789");
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range) ?? [];
  if (first === undefined) {
    response.writeHead(200, { ...headers, "content-length": String(size) }).end(body);
    return;
  }
  const part = body.subarray(Number(first), Number(last) + 1);
  const fields = { ...headers, "content-length": String(part.length), "content-range": `bytes ${first}-${last}/${size}` };
  response.writeHead(206, fields).end(part);
}
