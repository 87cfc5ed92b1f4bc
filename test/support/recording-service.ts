// Owns a service for tests that remembers whole requests and answers each with JSON; by its path also with 401 to who is not `good` or with a redirect that
// sets cookies, or by a list of statuses.
import http from "node:http";
import https from "node:https";
import type { AddressInfo } from "node:net";

export interface ReceivedRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/** Larger than what compression leaves alone. */
const PADDING = "x".repeat(2048);

export class RecordingService implements AsyncDisposable {
  readonly requests: ReceivedRequest[] = [];
  /** Connections that were opened. */
  connections = 0;
  /** Of the next answers; 200 when there is none. */
  readonly statuses: number[] = [];
  /** Answers wait for it. */
  hold: Promise<void> | null = null;
  readonly url: string;
  readonly #server: http.Server;

  private constructor(server: http.Server, scheme: string) {
    this.#server = server;
    this.url = `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`; // a TCP server that listens has one
    server.on("connection", () => this.connections++);
    server.on("request", (request: http.IncomingMessage, response: http.ServerResponse) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => this.#answer(request, Buffer.concat(chunks).toString(), response));
    });
  }

  /** @param tls makes it an https service */
  static async start(tls: https.ServerOptions | null = null): Promise<RecordingService> {
    const server = tls === null ? http.createServer() : https.createServer(tls);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new RecordingService(server, tls === null ? "http" : "https");
  }

  #answer({ method = "", url = "", headers }: http.IncomingMessage, body: string, response: http.ServerResponse): void {
    this.requests.push({ method, target: url, headers, body });
    const denied = url.startsWith("/auth") && headers.authorization !== "good";
    const status = denied ? 401 : (this.statuses.shift() ?? 200);
    const moved = url.startsWith("/moved")
      ? { location: `http://${headers.host ?? ""}/next`, "set-cookie": ["sid=1; Path=/app; Domain=127.0.0.1", "csrf=2; Path=/c"] }
      : {};
    const elsewhere = url.startsWith("/elsewhere") ? { location: "http://login.internal/in" } : {};
    const fields = {
      "content-type": "application/json",
      "x-powered-by": "service",
      ...(url.startsWith("/auth") ? { "x-user": "ann" } : {}),
      ...moved,
      ...elsewhere,
    };
    const send = (): void => {
      response.writeHead(status, fields).end(JSON.stringify({ id: "7", name: "ann", ssn: "1", padding: PADDING }));
    };
    if (this.hold === null) send();
    else void this.hold.then(send);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
