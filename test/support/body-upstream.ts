// Owns an upstream for large bodies: `/sink` answers with length and hash of what it got, `/source` sends bytes that the test can compute too.
import { createHash } from "node:crypto";
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

const BLOCK_BYTES = 64 * 1024;

/** A stretch of bytes that repeats only after 64 KiB, so that a lost or doubled block changes the hash. @returns exactly `bytes` bytes */
export function* blocks(bytes: number): Generator<Buffer> {
  for (let at = 0, n = 0; at < bytes; at += BLOCK_BYTES, n++) {
    const block = Buffer.alloc(Math.min(BLOCK_BYTES, bytes - at), n & 0xff);
    block.writeUInt8((n >> 8) & 0xff, 0);
    yield block;
  }
}

/** `length sha256` of the bytes that {@link blocks} makes. */
export function digestOf(bytes: number): string {
  const hash = createHash("sha256");
  for (const block of blocks(bytes)) hash.update(block);
  return `${bytes} ${hash.digest("hex")}`;
}

/**
 * Writes all blocks, waiting whenever the stream asks for it.
 * @param pace awaited before each block
 */
export async function pour(
  bytes: number,
  into: { write(chunk: Buffer): boolean; once(event: "drain" | "close", listener: () => void): unknown },
  pace?: () => Promise<unknown>,
): Promise<void> {
  let closed = false;
  let wake = (): void => {};
  into.once("close", () => {
    closed = true;
    wake();
  });
  for (const block of blocks(bytes)) {
    if (closed) return;
    if (pace !== undefined) await pace();
    if (!into.write(block)) {
      await new Promise<void>((resolve) => {
        wake = resolve;
        into.once("drain", resolve);
      });
    }
  }
}

export class BodyUpstream implements AsyncDisposable {
  readonly port: number;
  /** Set to hold `/sink` back from reading. */
  reading = Promise.resolve();
  /** Connections, in the order they came. */
  readonly sockets: Socket[] = [];
  readonly #server: http.Server;

  private constructor(server: http.Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port; // a TCP server that listens has one
    server.on("connection", (socket) => this.sockets.push(socket));
    // A request that is broken off has nobody to answer.
    server.on("request", (request, response) => this.#serve(request, response).catch(() => response.destroy()));
  }

  static async start(): Promise<BodyUpstream> {
    const server = http.createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new BodyUpstream(server);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://upstream");
    if (url.pathname === "/sink") {
      await this.reading;
      const hash = createHash("sha256");
      let length = 0;
      for await (const chunk of request) {
        hash.update(chunk);
        length += chunk.length;
      }
      response.end(
        `${length} ${hash.digest("hex")} ${request.headers["content-length"] ?? request.headers["transfer-encoding"] ?? "none"}`,
      );
      return;
    }
    request.resume();
    const bytes = Number(url.searchParams.get("bytes"));
    if (!url.searchParams.has("chunked")) response.setHeader("content-length", bytes);
    await pour(bytes, response);
    response.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
