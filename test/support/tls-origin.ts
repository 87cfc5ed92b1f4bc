// Owns an HTTPS service for tests that remembers how it was spoken to: SNI, client certificates, resumed sessions, connections.
import fs from "node:fs";
import https from "node:https";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import { WebSocketServer } from "ws";
import type { IssuedCertificate } from "./authority.ts";

/** One TLS connection as the service saw it. */
export interface SecureConnection {
  /** SNI; false for none. */
  readonly serverName: string | false;
  readonly resumed: boolean;
  /** Common name of the client's certificate; '' for none. */
  readonly client: string;
  readonly protocol: string | null;
}

export interface TlsOriginOptions extends IssuedCertificate {
  /** PEM file: clients must have a certificate of this authority. */
  readonly clientCa?: string;
  /** TLS 1.1 is spoken by a server that knows nothing newer, and takes what was good then. */
  readonly maxVersion?: "TLSv1.1" | "TLSv1.2" | "TLSv1.3";
}

/** Answers `ok`, closing the connection for `/close`; echoes WebSocket messages. */
export class TlsOrigin implements AsyncDisposable {
  readonly port: number;
  readonly connections: SecureConnection[] = [];
  /** Requests that arrived so far. */
  requests = 0;
  readonly #server: https.Server;
  readonly #sockets: WebSocketServer;

  private constructor(server: https.Server) {
    this.#server = server;
    this.#sockets = new WebSocketServer({ server });
    this.port = (server.address() as AddressInfo).port; // a TCP server that listens has one
    server.on("secureConnection", (socket: TLSSocket & { servername?: string | false }) => {
      this.connections.push({
        serverName: socket.servername ?? false,
        resumed: socket.isSessionReused(),
        client: String(socket.getPeerCertificate().subject?.CN ?? ""),
        protocol: socket.getProtocol(),
      });
    });
    server.on("tlsClientError", () => {}); // the other side did not like the certificate
    server.on("request", (request, response) => {
      this.requests++;
      request.resume();
      if (request.url?.includes("/close")) response.setHeader("connection", "close");
      response.end("ok");
    });
    this.#sockets.on("connection", (ws) => ws.on("message", (data, isBinary) => ws.send(data, { binary: isBinary })));
  }

  static async start({ cert, key, clientCa, maxVersion }: TlsOriginOptions): Promise<TlsOrigin> {
    const server = https.createServer({
      cert: fs.readFileSync(cert),
      key: fs.readFileSync(key),
      ...(maxVersion === undefined ? {} : { maxVersion }),
      ...(maxVersion === "TLSv1.1" ? { minVersion: "TLSv1", ciphers: "DEFAULT:@SECLEVEL=0" } : {}),
      ...(clientCa === undefined ? {} : { ca: fs.readFileSync(clientCa), requestCert: true, rejectUnauthorized: true }),
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new TlsOrigin(server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const ws of this.#sockets.clients) ws.terminate();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
