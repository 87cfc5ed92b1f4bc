// Owns an HTTP/2 service for tests (node:http2), in cleartext or over TLS, that remembers streams and sessions. By path it echoes, holds, refuses or sends much.
import fs from "node:fs";
import http2, { type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";
import type { IssuedCertificate } from "./authority.ts";

export interface ServedStream {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly stream: ServerHttp2Stream;
  /** Bytes of the body that came. */
  received: number;
  trailers: IncomingHttpHeaders | null;
}

type Answer = (served: ServedStream, chunks: readonly Buffer[]) => void;

export class Http2Origin implements AsyncDisposable {
  readonly port: number;
  readonly streams: ServedStream[] = [];
  readonly sessions: ServerHttp2Session[] = [];
  /** What answers paths that begin so, when the head has come; others are echoed when the request's end has. */
  readonly atOnce = new Map<string, Answer>();
  readonly #server: http2.Http2Server | http2.Http2SecureServer;

  private constructor(server: http2.Http2Server | http2.Http2SecureServer) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port; // a TCP server that listens has one
    server.on("session", (session) => {
      this.sessions.push(session);
      session.on("error", () => {});
    });
    server.on("stream", (stream, headers) => this.#serve(stream, headers));
  }

  /** Sessions may hold 200 MB: node counts what tests have it send at once. */
  static async start(certificate: IssuedCertificate | null = null, settings: http2.Settings = {}): Promise<Http2Origin> {
    const server =
      certificate === null
        ? http2.createServer({ settings, maxSessionMemory: 200 })
        : http2.createSecureServer({
            settings,
            maxSessionMemory: 200,
            allowHTTP1: true,
            cert: fs.readFileSync(certificate.cert),
            key: fs.readFileSync(certificate.key),
          });
    if (certificate !== null) {
      const sockets = new WebSocketServer({ noServer: true });
      server.on("upgrade", (request, socket, head) =>
        sockets.handleUpgrade(request, socket, head, (ws) => ws.on("message", (data, isBinary) => ws.send(data, { binary: isBinary }))),
      );
    }
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new Http2Origin(server);
  }

  /** The streams of one path, in order of arrival. */
  of(path: string): ServedStream[] {
    return this.streams.filter((each) => each.path === path);
  }

  #serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const served: ServedStream = { path: String(headers[":path"]), headers, stream, received: 0, trailers: null };
    this.streams.push(served);
    const chunks: Buffer[] = [];
    stream.on("error", () => {});
    stream.on("data", (chunk: Buffer) => {
      served.received += chunk.length;
      chunks.push(chunk);
    });
    stream.on("trailers", (trailers) => {
      served.trailers = trailers;
    });
    for (const [prefix, answer] of this.atOnce) if (served.path.startsWith(prefix)) return answer(served, chunks);
    stream.on("end", () => {
      if (stream.destroyed) return;
      stream.respond(
        { ":status": 200, "x-method": String(headers[":method"]), "content-type": "application/octet-stream" },
        { waitForTrailers: true },
      );
      stream.on("wantTrailers", () => stream.sendTrailers({ "x-sum": String(served.received) }));
      stream.end(Buffer.concat(chunks));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.sessions) session.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
