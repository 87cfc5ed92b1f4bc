// Owns the admin listener: node:http over TCP and over a Unix control socket. Must never serve what guard.ts did not let in.
import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { OperatorError } from "../../base/errors.ts";
import type { AdminDeps } from "./deps.ts";
import { answer } from "./endpoints.ts";
import { type Door, isProven, refuse } from "./guard.ts";
import { type PlaceBounds, Places } from "./places.ts";
import { type AdminAnswer, problem } from "./problem.ts";

// Not by import: that reads every export, and one of them loads a whole fetch implementation (some 60 ms, in each thread).
const http = () => process.getBuiltinModule("node:http");

const HEADER_BYTES_MAX = 16 * 1024;
/** How often Node looks which heads are late, ms. */
const CHECK_MS = 1000;
/** What is read, at most, of a body that nobody wants, so that its sender can read the answer; and how long (ms). */
const LINGER_BYTES = 64 * 1024;
const LINGER_MS = 1000;
/** How long close() lets answers under way finish. */
const CLOSE_GRACE_MS = 1000;
const STALE_PROBE_MS = 1000;

export interface AdminBounds extends PlaceBounds {
  /** Longest time (ms) for a request's head, from the connection or the end of the answer before. */
  readonly headMs: number;
}

/** Connections at once for each door: operators, a scraper, a few browsers, probes. */
const BOUNDS: AdminBounds = { places: 100, headMs: 5000, answerMs: 30_000 };

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
export function createAdmin(deps: AdminDeps, onError: (error: unknown) => void = () => {}, bounds = BOUNDS): Admin {
  const servers: Server[] = [];
  const open = (door: Door): Server => {
    const places = new Places(bounds);
    const server = http().createServer({
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: bounds.headMs,
      requestTimeout: bounds.headMs,
      keepAliveTimeout: bounds.headMs,
      connectionsCheckingInterval: Math.min(CHECK_MS, bounds.headMs),
    });
    const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
      const { socket } = request;
      response.once("close", () => places.answered(socket));
      void serve({ deps, door, places }, request, response).catch((error: unknown) => {
        onError(error);
        if (response.headersSent) response.destroy();
        else send(request, response, problem("failed"));
      });
    };
    server.on("request", onRequest);
    server.on("checkContinue", onRequest); // nobody is asked for a body: no endpoint reads one
    server.on("connection", (socket) => places.enter(socket));
    server.once("close", () => places.stop());
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

interface Serving {
  readonly deps: AdminDeps;
  readonly door: Door;
  readonly places: Places;
}

async function serve({ deps, door, places }: Serving, request: IncomingMessage, response: ServerResponse): Promise<void> {
  // Parsed by hand: URL would accept and repair what is no path.
  const target = request.url ?? "/";
  const mark = target.indexOf("?");
  const [path, query] = mark < 0 ? [target, ""] : [target.slice(0, mark), target.slice(mark + 1)];
  const token = deps.token();
  const proven = isProven(request, door, token);
  places.answering(request.socket, proven);
  const refusal = refuse(request, { path, proven, token });
  if (refusal !== null) return send(request, response, refusal);
  send(request, response, await answer(deps, request.method ?? "", { path, query: new URLSearchParams(query), proven }));
}

function send(request: IncomingMessage, response: ServerResponse, { status, type, body, headers, afterwards }: AdminAnswer): void {
  if (afterwards !== undefined) response.once("close", afterwards);
  const unread = hasBody(request) && !request.complete;
  response.writeHead(status, {
    "content-type": type,
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    ...(unread ? { connection: "close" } : {}),
    ...headers,
  });
  const content = request.method === "HEAD" ? "" : body;
  if (!unread || request.headers.expect !== undefined) return void response.end(content);
  if (content === "") response.flushHeaders();
  else response.write(content);
  linger(request, () => response.end());
}

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";

/** Closing on a sender at once resets the connection, and the answer is lost with it. So a little is read first, and thrown away. */
function linger(request: IncomingMessage, done: () => void): void {
  let left = LINGER_BYTES;
  const timer = setTimeout(() => end(), LINGER_MS).unref();
  const end = (): void => {
    clearTimeout(timer);
    request.removeAllListeners("data").pause();
    done();
  };
  request.on("data", (part: Buffer) => {
    left -= part.length;
    if (left < 0) end();
  });
  request.once("close", end);
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
