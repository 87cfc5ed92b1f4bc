// One attempt to open a WebSocket at one endpoint: connect, send the handshake, read the answer. A transport beside the pools: UpstreamCall decides
// what becomes of it, and a refusal is a response like any other.
import http, { type ClientRequest, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type ConnectCallback, type ConnectError, createConnector, isTlsFault } from "../transport/connector.ts";
import { ResponseHeaders } from "../transport/response-headers.ts";
import { connectFailure } from "../transport/wire-error.ts";
import type { Endpoint, Upstream, WireCall, WireError, WireHandler, WireHead, WireRequest } from "../upstream.ts";

/** Largest response head accepted from an upstream, bytes. */
const RESPONSE_HEAD_BYTES_MAX = 64 * 1024;
/** Largest body of a refusal. */
const REFUSAL_BYTES_MAX = 256 * 1024;

/** Connectors by endpoint: they hold the TLS context and session. */
const connectors = new WeakMap<Endpoint, ReturnType<typeof createConnector>>();

/** A connection of its own for a request that asks for an upgrade. @param request the whole handshake among its headers */
export function dialWebSocket(upstream: Upstream, endpoint: Endpoint, request: WireRequest, handler: WireHandler): WireCall {
  let connector = connectors.get(endpoint);
  if (connector === undefined) {
    connector = createConnector(endpoint.plan, upstream.plan);
    connectors.set(endpoint, connector);
  }
  const dial = new WebSocketDial(handler);
  dial.start(connector, request);
  return dial;
}

class WebSocketDial implements WireCall {
  /** It never waits for one of the pool's connections. */
  readonly inLine = false;
  private readonly handler: WireHandler;
  private request: ClientRequest | null = null;
  private over = false;

  constructor(handler: WireHandler) {
    this.handler = handler;
  }

  start(connect: (callback: ConnectCallback) => void, request: WireRequest): void {
    connect((error, socket) => {
      if (this.over) return void socket?.destroy();
      if (socket === null) return this.fail(connectFailure(error as ConnectError)); // (error, null) or (null, socket)
      this.handler.wireSent();
      if (this.over) return void socket.destroy();
      this.shake(socket, request);
    });
  }

  /** What there is to be told is told at once. */
  pause(): void {}

  resume(): void {}

  cancel(): void {
    this.over = true;
    this.request?.destroy();
  }

  /** A connection of its own: nothing is saved by reading on. */
  discard(): void {
    this.cancel();
  }

  /** node:http reads the answer: its parser knows every framing a refusal may have. */
  private shake(socket: Duplex, { path, headers }: WireRequest): void {
    let request: ClientRequest;
    try {
      const createConnection = () => socket;
      request = http.request({ createConnection, path, headers, maxHeaderSize: RESPONSE_HEAD_BYTES_MAX, insecureHTTPParser: false });
    } catch (error) {
      socket.destroy();
      // Nothing was sent: a header or the path has a character that must not be there.
      const reason = `refused by the client: ${error instanceof Error ? error.message : String(error)}`;
      return this.fail({ code: "upstream_invalid", unsent: true, reason });
    }
    this.request = request;
    request.on("upgrade", (response, upgraded, head) => this.answered(response, upgraded, head));
    request.on("response", (response) => this.refused(response));
    request.on("error", (error) => this.fail(shakeFailure(error)));
    request.end();
  }

  private answered({ rawHeaders }: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", ignore); // 'close' follows; whoever takes the socket hears that
    if (this.over) return void socket.destroy();
    this.over = true;
    this.request = null; // to destroy it would destroy the socket, which is no longer its own
    const lowercase = rawHeaders.map((text, i) => (i % 2 === 0 ? text.toLowerCase() : text));
    if (this.handler.wireUpgraded?.({ rawHeaders: lowercase, socket, head }) !== true) socket.destroy();
  }

  private refused(response: IncomingMessage): void {
    const status = response.statusCode ?? 0;
    response.on("error", ignore); // 'close' follows
    if (this.over) return;
    if (status < 200) {
      this.fail({ code: "upstream_upgrade_refused", unsent: false, reason: `status ${status} that does not upgrade to websocket` });
      return void this.request?.destroy();
    }
    const chunks: Buffer[] = [];
    let bytes = 0;
    response.on("data", (chunk: Buffer) => {
      if (this.over) return;
      bytes += chunk.length;
      chunks.push(chunk);
      if (bytes <= REFUSAL_BYTES_MAX) return;
      this.fail({ code: "upstream_upgrade_refused", unsent: false, reason: `status ${status} with more than ${REFUSAL_BYTES_MAX} bytes` });
      this.request?.destroy();
    });
    response.on("end", () => {
      if (response.complete) this.deliver(status, endToEndHeaders(response.rawHeaders), Buffer.concat(chunks));
    });
    response.on("close", () => this.fail({ code: "upstream_reset", unsent: false, reason: `broke off a refusal, status ${status}` }));
  }

  /** A refusal is told as a whole: until then another attempt can be made. */
  private deliver(status: number, head: WireHead, body: Buffer): void {
    if (this.over) return;
    this.handler.wireHead(status, head);
    if (!this.over && body.length > 0) this.handler.wireData(body);
    if (this.over) return; // cancelled meanwhile
    this.over = true;
    this.handler.wireEnd(null);
  }

  private fail(error: WireError): void {
    if (this.over) return;
    this.over = true;
    this.handler.wireError(error);
  }
}

const ignore = (): void => {};

function shakeFailure(error: NodeJS.ErrnoException): WireError {
  const reason = `${error.code ?? "error"}: ${error.message}`;
  if (isTlsFault(error)) return { code: "upstream_tls", unsent: false, reason };
  if (error.code?.startsWith("HPE_") === true) return { code: "upstream_invalid", unsent: false, reason };
  return { code: "upstream_reset", unsent: false, reason };
}

/** @param raw flat, as received. @returns what goes on to the client */
export function endToEndHeaders(raw: readonly string[]): ResponseHeaders {
  const headers = new ResponseHeaders();
  for (let i = 0; i + 1 < raw.length; i += 2) headers.add((raw[i] as string).toLowerCase(), raw[i + 1] as string); // i is inside a list of pairs
  return headers.complete();
}
