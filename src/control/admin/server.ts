// Owns the admin listener: node:http over TCP and over a Unix control socket. Must never serve what guard.ts did not let in.
import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { OperatorError } from "../../base/errors.ts";
import type { AdminDeps } from "./deps.ts";
import { answer } from "./endpoints.ts";
import { type Door, refuse } from "./guard.ts";
import { type AdminAnswer, problem } from "./problem.ts";

// Not by import: that reads every export, and one of them loads a whole fetch implementation (some 60 ms, in each thread).
const http = () => process.getBuiltinModule("node:http");

export type { AdminDeps, ReloadProblem, ReloadResult } from "./deps.ts";

/** Connections at once for each door: operators, a scraper, a few browsers. */
const CONNECTIONS_MAX = 100;
const REQUEST_TIMEOUT_MS = 10_000;
const HEADER_BYTES_MAX = 16 * 1024;
/** How long close() lets answers under way finish. */
const CLOSE_GRACE_MS = 1000;
const STALE_PROBE_MS = 1000;

export interface Admin {
  /**
   * @param address `host:port`, `[::1]:port`; port 0 picks a free one.
   * @throws OperatorError when the address is in use or not ours.
   */
  listen(address: string): Promise<{ host: string; port: number }>;
  /** A control socket with mode 0600; one left by a process that died is replaced. @throws OperatorError when a live one holds it. */
  listenUnix(path: string): Promise<void>;
  /** Free address and socket. Answers under way get a second to finish. Idempotent. */
  close(): Promise<void>;
}

/** @param onError told of a bug in answering; the caller logs it */
export function createAdmin(deps: AdminDeps, onError: (error: unknown) => void = () => {}): Admin {
  const servers: Server[] = [];
  const open = (door: Door): Server => {
    const server = http().createServer({ maxHeaderSize: HEADER_BYTES_MAX, requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
      void serve(deps, door, request, response).catch((error: unknown) => {
        onError(error);
        if (response.headersSent) response.destroy();
        else send(request, response, problem("failed"));
      });
    });
    server.maxConnections = CONNECTIONS_MAX;
    return server;
  };
  const begin = async (server: Server, bind: () => void, where: string): Promise<void> => {
    await listening(server, bind, where);
    server.on("error", onError); // accepting may fail later (out of descriptors): reported, not fatal
    servers.push(server);
  };
  return {
    async listen(address) {
      const server = open("tcp");
      const { host, port } = splitAddress(address);
      await begin(server, () => server.listen({ host, port, exclusive: true }), address);
      const bound = server.address() as AddressInfo; // a TCP server that listens has one
      return { host: bound.address, port: bound.port };
    },
    async listenUnix(path) {
      const server = open("unix");
      await removeStale(path);
      await begin(server, () => bindPrivately(server, path), path);
      chmodSync(path, 0o600);
    },
    async close() {
      await Promise.all(servers.splice(0).map(closeServer));
    },
  };
}

async function serve(deps: AdminDeps, door: Door, request: IncomingMessage, response: ServerResponse): Promise<void> {
  request.resume(); // no endpoint reads a body
  // Parsed by hand: URL would accept and repair what is no path.
  const [path = "/", query = ""] = (request.url ?? "/").split("?", 2);
  const refusal = refuse(request, path, door, deps.token());
  if (refusal !== null) return send(request, response, refusal);
  send(request, response, await answer(deps, request.method ?? "", { path, query: new URLSearchParams(query) }));
}

function send(request: IncomingMessage, response: ServerResponse, { status, type, body, headers, afterwards }: AdminAnswer): void {
  if (afterwards !== undefined) response.once("close", afterwards);
  response.writeHead(status, {
    "content-type": type,
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    ...headers,
  });
  response.end(request.method === "HEAD" ? undefined : body);
}

function splitAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  if (match === null || port > 65535) throw new OperatorError(`admin address ${address} is not host:port`);
  return { host: match[1] ?? match[2] ?? "", port };
}

function listening(server: Server, bind: () => void, where: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const reason =
        error.code === "EADDRINUSE" ? "it is in use by another process; stop that one or choose another address" : error.message;
      reject(new OperatorError(`admin listener cannot listen on ${where}: ${reason}`));
    });
    server.once("listening", resolve);
    bind();
  });
}

/** Binding is synchronous, so the narrow umask lasts for nothing else; without it the socket is open to all until the chmod. */
function bindPrivately(server: Server, path: string): void {
  const before = process.umask(0o177);
  try {
    server.listen(path);
  } finally {
    process.umask(before);
  }
}

/** A socket file that nobody accepts on is left over from a process that died. */
function removeStale(path: string): Promise<void> {
  return new Promise((resolve) => {
    const probe = connect(path);
    const done = (stale: boolean): void => {
      probe.destroy();
      // The system refuses connections to ordinary files, too: those are not ours to remove.
      if (stale && lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true) unlinkSync(path);
      resolve();
    };
    probe.setTimeout(STALE_PROBE_MS, () => done(false));
    probe.once("connect", () => done(false));
    probe.once("error", (error: NodeJS.ErrnoException) => done(error.code === "ECONNREFUSED"));
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
    server.close(() => {
      clearTimeout(cut);
      resolve();
    });
    server.closeIdleConnections();
  });
}
