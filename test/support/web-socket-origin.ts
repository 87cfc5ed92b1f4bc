// Owns a real WebSocket service for tests: the `ws` package on a real server. Echoes unless a test takes the connection.
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocket, WebSocketServer } from "ws";
import { until } from "./until.ts";

/** What the service saw of one connection. */
export interface Served {
  readonly ws: WebSocket;
  readonly request: IncomingMessage;
  readonly messages: (string | Buffer)[];
  readonly pings: string[];
  readonly pongs: string[];
  /** null while it is open. */
  closed: { readonly code: number; readonly reason: string } | null;
}

export class WebSocketOrigin implements AsyncDisposable {
  readonly port: number;
  /** In order of arrival; `/quiet` does not echo. */
  readonly served: Served[] = [];
  /** Status, headers and body of a refusal, by path. */
  readonly refusals = new Map<string, { readonly status: number; readonly body: string; readonly headers?: Record<string, string> }>();
  readonly #server: Server;
  readonly #sockets: WebSocketServer;

  private constructor(server: Server, options: { readonly perMessageDeflate: boolean }) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port; // a TCP server that listens has one
    this.#sockets = new WebSocketServer({
      noServer: true,
      maxPayload: 64 * 1024 * 1024,
      perMessageDeflate: options.perMessageDeflate ? { threshold: 0 } : false,
      handleProtocols: (offered) => [...offered].at(-1) ?? false,
    });
    this.#sockets.on("headers", (headers) => headers.push("Set-Cookie: a=1", "Set-Cookie: b=2", "X-Origin: caf\u00e9"));
    server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
  }

  static async start(options = { perMessageDeflate: false }): Promise<WebSocketOrigin> {
    const server = createServer((_request, response) => response.end("plain"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new WebSocketOrigin(server, options);
  }

  /** The connection opened with this path and query. */
  async connection(target: string): Promise<Served> {
    let found: Served | undefined;
    await until(`${target} is opened upstream`, () => (found = this.served.find((one) => one.request.url === target)) !== undefined);
    return found as Served; // just found
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", () => {}); // a gateway that has read enough may reset
    const refusal = this.refusals.get(request.url ?? "");
    if (refusal === undefined) return this.#sockets.handleUpgrade(request, socket, head, (ws) => this.#serve(ws, request));
    const headers = Object.entries({ connection: "close", "content-length": String(refusal.body.length), ...refusal.headers });
    const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    socket.end(`HTTP/1.1 ${refusal.status} No\r\n${lines}\r\n${refusal.body}`);
  }

  #serve(ws: WebSocket, request: IncomingMessage): void {
    const one: Served = { ws, request, messages: [], pings: [], pongs: [], closed: null };
    this.served.push(one);
    ws.on("message", (data: Buffer, isBinary) => {
      one.messages.push(isBinary ? data : data.toString());
      if (!request.url?.startsWith("/quiet")) ws.send(data, { binary: isBinary });
    });
    ws.on("ping", (data) => one.pings.push(data.toString()));
    ws.on("pong", (data) => one.pongs.push(data.toString()));
    ws.on("error", () => {});
    ws.on("close", (code, reason) => {
      one.closed = { code, reason: reason.toString() };
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { ws } of this.served) ws.terminate();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** A client of the `ws` package that remembers what came. */
export class WebSocketClient implements AsyncDisposable {
  readonly ws: WebSocket;
  readonly messages: (string | Buffer)[] = [];
  readonly pings: string[] = [];
  readonly pongs: string[] = [];
  headers: IncomingMessage["headers"] = {};
  rawHeaders: readonly string[] = [];
  /** null while it is open or opening. */
  closed: { readonly code: number; readonly reason: string } | null = null;
  /** Set when the handshake was answered otherwise. */
  refusal: { readonly status: number; readonly headers: IncomingMessage["headers"]; readonly body: string } | null = null;

  /** @param protocols subprotocols offered */
  constructor(
    url: string,
    options: {
      readonly protocols?: readonly string[];
      readonly headers?: Record<string, string>;
      readonly deflate?: boolean;
      readonly ca?: Buffer;
    } = {},
  ) {
    const perMessageDeflate = options.deflate === true ? { threshold: 0 } : false;
    this.ws = new WebSocket(url, [...(options.protocols ?? [])], {
      headers: options.headers ?? {},
      perMessageDeflate,
      ...(options.ca === undefined ? {} : { ca: options.ca }),
    });
    this.ws.on("upgrade", (response) => {
      this.headers = response.headers;
      this.rawHeaders = response.rawHeaders;
    });
    this.ws.on("unexpected-response", (_request, response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      response.on("end", () => {
        this.refusal = { status: response.statusCode ?? 0, headers: response.headers, body };
      });
    });
    this.ws.on("message", (data: Buffer, isBinary) => this.messages.push(isBinary ? data : data.toString()));
    this.ws.on("ping", (data) => this.pings.push(data.toString()));
    this.ws.on("pong", (data) => this.pongs.push(data.toString()));
    this.ws.on("error", () => {});
    this.ws.on("close", (code, reason) => {
      this.closed = { code, reason: reason.toString() };
    });
  }

  static async open(...args: ConstructorParameters<typeof WebSocketClient>): Promise<WebSocketClient> {
    const client = new WebSocketClient(...args);
    await until("the WebSocket opens", () => client.ws.readyState === WebSocket.OPEN || client.closed !== null || client.refusal !== null);
    if (client.ws.readyState !== WebSocket.OPEN) throw new Error(`not opened: ${JSON.stringify(client.refusal ?? client.closed)}`);
    return client;
  }

  /** Waits for this many messages. */
  async received(count: number, withinMs?: number): Promise<readonly (string | Buffer)[]> {
    await until(`${count} messages arrive`, () => this.messages.length >= count, withinMs);
    return this.messages;
  }

  async ended(): Promise<{ readonly code: number; readonly reason: string }> {
    await until("the WebSocket is closed", () => this.closed !== null, 10_000);
    return this.closed ?? { code: 0, reason: "" };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.ws.terminate();
  }
}
