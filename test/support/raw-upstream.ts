// Owns an upstream over bare TCP sockets: remembers the exact bytes it received and answers with exactly the bytes it is told to.
// A request that its strict reader can't parse is remembered as a fault: the gateway must never send one.

import type { AddressInfo } from "node:net";
import net from "node:net";
import { type RawHead, readHead, readMessageBody, valuesOf } from "./raw-message.ts";
import { until } from "./until.ts";

/** A request as it arrived. */
export interface UpstreamRequest extends RawHead {
  readonly method: string;
  readonly target: string;
  readonly body: Buffer;
  /** Head and body on the wire, one character a byte. */
  readonly raw: string;
}

/** When the head has come: may answer early; bytes of the body follow. Whole requests go to the other handler. */
export type HeadHandler = (connection: UpstreamConnection, head: RawHead) => void;
export type RequestHandler = (connection: UpstreamConnection, request: UpstreamRequest) => void;

export const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/** One connection from the gateway. */
export class UpstreamConnection {
  readonly socket: net.Socket;
  readonly #owner: RawUpstream;
  #pending: Buffer = Buffer.alloc(0);
  #headSeen = false;
  /** Bytes received. */
  bytes = 0;
  closed = false;

  constructor(socket: net.Socket, owner: RawUpstream) {
    this.socket = socket;
    this.#owner = owner;
    socket.on("data", (chunk: Buffer) => {
      this.bytes += chunk.length;
      this.#pending = Buffer.concat([this.#pending, chunk]);
      this.#parse();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.closed = true;
      if (this.#pending.length > 0) owner.unfinished.push(this.#pending.toString("latin1"));
    });
  }

  /** Strings are bytes, one a character. */
  write(bytes: string | Buffer): void {
    this.socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  }

  end(bytes: string | Buffer = ""): void {
    this.socket.end(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  }

  reset(): void {
    this.socket.resetAndDestroy();
  }

  #parse(): void {
    try {
      while (this.#pending.length > 0 && this.#parseOne());
    } catch (error) {
      this.#owner.faults.push(`${error instanceof Error ? error.message : error}: ${this.#pending.toString("latin1").slice(0, 500)}`);
      this.#pending = Buffer.alloc(0);
      this.socket.destroy();
    }
  }

  #parseOne(): boolean {
    const head = readHead(this.#pending);
    if (head === null) return false;
    const [method = "", target = ""] = head.startLine.split(" ");
    if (!/^[A-Z-]+ [\x21-\x7e]+ HTTP\/1\.1$/.test(head.startLine)) throw new Error("not a request line");
    if (!this.#headSeen) {
      this.#headSeen = true;
      this.#owner.headArrived(this, target, head);
    }
    const framed = valuesOf(head, "content-length").length + valuesOf(head, "transfer-encoding").length > 0;
    const body = framed ? readMessageBody(head, this.#pending.subarray(head.size), false) : { body: Buffer.alloc(0), size: 0 };
    if (body === null) return false;
    const size = head.size + body.size;
    const request = { ...head, method, target, body: body.body, raw: this.#pending.subarray(0, size).toString("latin1") };
    this.#pending = this.#pending.subarray(size);
    this.#headSeen = false;
    this.#owner.requestArrived(this, request);
    return true;
  }
}

export class RawUpstream implements AsyncDisposable {
  readonly port: number;
  readonly requests: UpstreamRequest[] = [];
  readonly connections: UpstreamConnection[] = [];
  /** Bytes that were no HTTP/1.1 request. */
  readonly faults: string[] = [];
  /** Requests that were broken off. */
  readonly unfinished: string[] = [];
  readonly #server: net.Server;
  readonly #onRequest = new Map<string, RequestHandler>();
  readonly #onHead = new Map<string, HeadHandler>();

  private constructor(server: net.Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port; // a TCP server that listens has one
    server.on("connection", (socket) => this.connections.push(new UpstreamConnection(socket, this)));
  }

  static async start(): Promise<RawUpstream> {
    const server = net.createServer({ noDelay: true });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new RawUpstream(server);
  }

  /** What is done with requests for a path (query left out). Others get 200 with the body `ok`. */
  on(path: string, handler: RequestHandler): void {
    this.#onRequest.set(path, handler);
  }

  /** The bytes that answer requests for a path. @param thenEnd close the connection behind them */
  answer(path: string, bytes: string | Buffer, thenEnd = false): void {
    this.on(path, (connection) => (thenEnd ? connection.end(bytes) : connection.write(bytes)));
  }

  /** Called when the head of a request has come. Then the whole request is answered only by a handler of its own. */
  onHead(path: string, handler: HeadHandler): void {
    this.#onHead.set(path, handler);
    if (!this.#onRequest.has(path)) this.#onRequest.set(path, () => {});
  }

  /** Requests for a path, so far. */
  to(path: string): UpstreamRequest[] {
    return this.requests.filter((request) => pathOf(request.target) === path);
  }

  /** Waits for a request for this path. */
  async received(path: string, times = 1): Promise<UpstreamRequest> {
    await until(
      `${path} arrives upstream ${times} times; there are ${this.requests.map((r) => r.target).join(" ")}`,
      () => this.to(path).length >= times,
    );
    return this.to(path)[times - 1] as UpstreamRequest; // just counted
  }

  /** @internal */
  headArrived(connection: UpstreamConnection, target: string, head: RawHead): void {
    this.#onHead.get(pathOf(target))?.(connection, head);
  }

  /** @internal */
  requestArrived(connection: UpstreamConnection, request: UpstreamRequest): void {
    this.requests.push(request);
    const handler = this.#onRequest.get(pathOf(request.target));
    if (handler === undefined) connection.write(request.method === "HEAD" ? "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" : OK);
    else handler(connection, request);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { socket } of this.connections) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

const pathOf = (target: string): string => target.split("?", 1)[0] ?? "";
