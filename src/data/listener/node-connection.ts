// One client connection on the node engine: takes what node's parser delivers, one exchange at a time and in order.
// Must never hand on a request that follows one whose framing is in doubt or whose answer closes the connection.
import type { X509Certificate } from "node:crypto";
import { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { WheelEntry } from "../../base/timer-wheel.ts";
import type { UpgradedUpstream } from "../exchange/exchange.ts";
import type { Refusal } from "../exchange/refusal.ts";
import { admit } from "./admit.ts";
import type { Listener, ListenerHost } from "./listener.ts";
import { type ExchangeConnection, NodeExchange } from "./node-exchange.ts";
import { parseNodeTarget, sentTarget } from "./node-target.ts";
import { Tunnel } from "./node-tunnel.ts";

/** Pipelined requests that wait for their turn; after the last of them the connection is closed (RFC 9112 section 9.3.2). */
const PIPELINED_MAX = 16;
/** Bytes behind an upgrade request that are kept until the tunnel is open. */
const EARLY_BYTES_MAX = 64 * 1024;

/** How long (ms) a connection is still read after its last answer, when the server has let go of it. */
const LINGER_MS_MAX = 1000;

/** Something to answer. */
interface Turn {
  readonly req: IncomingMessage;
  /** null: node's server has let go of the connection (upgrade, CONNECT, parser error), so the response is ours to make. */
  readonly res: ServerResponse | null;
  /** Refused before admission. */
  readonly refusal: Refusal | null;
  readonly upgrade: boolean;
  /** node's response to the request this refusal stands for: it has the socket when its turn comes. */
  readonly instead?: ServerResponse | null;
}

export class NodeConnection implements ExchangeConnection {
  readonly peer: string;
  readonly certificate: X509Certificate | null;
  private readonly socket: Socket;
  private readonly host: ListenerHost;
  private readonly secure: boolean;
  private current: NodeExchange | null = null;
  /** The response of `current` when it is ours. */
  private ownResponse: ServerResponse | null = null;
  private readonly waiting: Turn[] = [];
  /** Told when the socket has room again. Only one response at a time is written. */
  private awaitsDrain: NodeExchange | null = null;
  /** Nothing that arrives from now on is taken. */
  private closing = false;
  private early: Buffer[] = [];
  private earlyBytes = 0;
  private tunnel: Tunnel | null = null;
  /** See {@link withdraw}. */
  private withdrawn = false;

  /** @param client.peer canonical address; '' for a Unix socket */
  constructor(socket: Socket, host: ListenerHost, client: Pick<ExchangeConnection, "peer" | "certificate">) {
    this.socket = socket;
    this.host = host;
    this.secure = socket instanceof TLSSocket;
    this.peer = client.peer;
    this.certificate = client.certificate;
    socket.on("error", ignore); // 'close' follows
    socket.on("close", () => this.lost());
    socket.on("drain", () => this.drained());
  }

  get draining(): boolean {
    return this.host.draining;
  }

  // --- From the server ---

  request(req: IncomingMessage, res: ServerResponse): void {
    this.take({ req, res, refusal: null, upgrade: false });
  }

  /** An upgrade or CONNECT: node no longer reads the connection. @param head what came behind the request */
  upgrade(req: IncomingMessage, head: Buffer): void {
    if (this.closing) return;
    if (head.length > 0) this.early.push(head);
    this.socket.on("data", this.keepEarly);
    this.socket.on("end", this.endedEarly);
    this.socket.on("timeout", () => this.socket.destroy()); // node's own listener is gone
    this.take({ req, res: null, refusal: null, upgrade: true });
    this.closing = true;
  }

  /** The parser gave up: what is under way is finished, then the fault is answered and the connection closed. */
  broken(refusal: Refusal): void {
    if (this.closing) return;
    const fault: Turn = { req: emptyRequest(this.socket), res: null, refusal, upgrade: false };
    const last = this.waiting.length - 1;
    if (last >= 0) {
      // The body of the last request is what is broken, when it is not complete.
      const broken = this.waiting[last] as Turn; // last is an index
      if (!broken.req.complete) this.waiting[last] = { ...fault, instead: broken.res };
      else this.waiting.push(fault);
    } else if (this.current !== null && !this.current.requestComplete) {
      if (this.current.started) return this.current.abort();
      this.current.errorCode = refusal.code;
      this.current.errorDetail = refusal.detail;
      this.current.discard(this.socket);
      this.take(fault);
    } else this.take(fault);
    this.closing = true;
  }

  // --- Turns ---

  private take(turn: Turn): void {
    if (this.closing) return;
    if (this.current === null) return this.run(turn);
    this.waiting.push(turn);
    if (this.waiting.length === PIPELINED_MAX) this.closing = true;
  }

  private run(turn: Turn): void {
    turn.instead?.detachSocket(this.socket);
    const res = turn.res ?? this.makeResponse(turn.req);
    const x = new NodeExchange(this.host.current(), { req: turn.req, res }, this);
    this.current = x;
    this.socket.setTimeout(0); // a connection with something to do is not idle
    try {
      this.begin(x, turn);
    } catch (error) {
      this.closing = true;
      this.host.refuse(x, { code: "internal_error", detail: "" }, error);
    }
  }

  private begin(x: NodeExchange, turn: Turn): void {
    const { req } = turn;
    x.secure = this.secure;
    x.listener = this.host.name;
    x.headers = lowercaseNames(req.rawHeaders);
    if (req.httpVersion === "1.0") x.protocol = "http/1.0";
    const serverOptions = req.method === "OPTIONS" && req.url === "*";
    x.method = req.method ?? "";
    const refusal = turn.refusal ?? this.admit(x, req, serverOptions);
    if (!turn.upgrade) x.wantsWebSocket = false;
    const reusable = turn.res !== null && !ignoredUpgrade(req) && (x.protocol === "http/1.1" || saysKeepAlive(x));
    if (!reusable || this.draining || (this.closing && this.waiting.length === 0)) x.closeAfter = true;
    if (refusal !== null || x.closeAfter) this.closing = true;
    x.awaitsContinue = !x.bodyDone && x.protocol === "http/1.1" && x.header("expect") !== undefined;
    if (refusal !== null) x.unadmitted = sentTarget(req.url ?? "");
    if (refusal !== null) this.host.refuse(x, refusal);
    else if (serverOptions) this.host.answerServerOptions(x);
    else this.host.handle(x);
  }

  private admit(x: NodeExchange, req: IncomingMessage, serverOptions: boolean): Refusal | null {
    const { method } = x;
    const http10 = req.httpVersion === "1.0";
    if (!http10 && req.httpVersion !== "1.1") return { code: "http_version", detail: "only HTTP/1.1 and HTTP/1.0 are spoken here" };
    if (method === "CONNECT" || serverOptions) {
      const refusal = admit(x, { method, path: "/", query: "", http10 }, this.host.paths);
      if (serverOptions) x.path = "*";
      return refusal;
    }
    const target = parseNodeTarget(req.url ?? "", this.secure);
    if (target === null)
      return {
        code: "bad_request",
        detail: "the request target is neither a path nor an absolute URI of this scheme (RFC 9112 section 3.2)",
      };
    const { path, query, authority } = target;
    const line = authority === null ? { method, path, query, http10 } : { method, path, query, http10, authority };
    return admit(x, line, this.host.paths);
  }

  /** node's server made no response object, or its own must not be used any more. */
  private makeResponse(req: IncomingMessage): ServerResponse {
    const res = new ServerResponse(req);
    res.assignSocket(this.socket);
    res.on("finish", () => {
      res.detachSocket(this.socket);
      new Linger(this.socket).begin(this.host);
    });
    this.ownResponse = res;
    return res;
  }

  // --- ExchangeConnection ---

  exchangeOver(x: NodeExchange): void {
    if (this.current !== x) return;
    this.current = null;
    if (this.withdrawn) this.socket.destroySoon(); // also when the head, which says so, was out before
    if (x.closeAfter || this.socket.destroyed) {
      this.closing = true;
      this.waiting.length = 0;
      return;
    }
    const next = this.waiting.shift();
    if (next !== undefined) this.run(next);
  }

  cut(hard: boolean): void {
    this.closing = true;
    // A reset tells the client what a plain end would hide. Only TCP handles know it.
    if (hard && !this.secure && this.socket.remoteAddress !== undefined) this.socket.resetAndDestroy();
    else this.socket.destroy();
  }

  awaitDrain(x: NodeExchange): void {
    // node's socket timeout counts only while nothing moves, in either direction.
    this.socket.setTimeout(x.runtime.limits.idleTimeoutMs);
    this.awaitsDrain = x;
  }

  private drained(): void {
    const x = this.awaitsDrain;
    if (x === null) return;
    this.awaitsDrain = null;
    if (!x.closed) this.socket.setTimeout(0); // else it is the keep-alive timeout already
    x.drained();
  }

  acceptWebSocket(x: NodeExchange, upstream: UpgradedUpstream): void {
    const { socket } = this;
    socket.off("data", this.keepEarly);
    socket.off("end", this.endedEarly);
    this.ownResponse?.detachSocket(socket);
    const { early } = this;
    this.early = [];
    this.tunnel = new Tunnel({ x, client: socket, early, upstream, idleMs: x.runtime.limits.webSocketIdleTimeoutMs });
    this.tunnel.open();
    if (this.withdrawn) this.tunnel.withdraw();
  }

  /** See {@link Listener.endWebSockets}. */
  endWebSocket(): void {
    this.tunnel?.sayGoodbye();
  }

  /** Its client may not use it any longer: what is under way is finished, nothing else is taken. */
  withdraw(): void {
    this.closing = true;
    this.withdrawn = true;
    this.waiting.length = 0;
    if (this.tunnel !== null) this.tunnel.withdraw();
    else if (this.current === null) this.socket.destroy();
    else this.current.closeAfter = true;
  }

  private lost(): void {
    this.closing = true;
    this.waiting.length = 0;
    this.early = [];
    this.current?.gone();
  }

  /** Client bytes between the upgrade request and the 101: read, so that its going away is noticed. */
  private readonly keepEarly = (chunk: Buffer): void => {
    this.early.push(chunk);
    this.earlyBytes += chunk.length;
    if (this.earlyBytes > EARLY_BYTES_MAX) this.socket.pause();
  };

  private readonly endedEarly = (): void => {
    this.socket.destroy();
  };
}

/** Closing on unread bytes makes the kernel send RST, which can destroy the answer on its way (RFC 9112 section 9.6). */
class Linger extends WheelEntry {
  private readonly socket: Socket;

  constructor(socket: Socket) {
    super();
    this.socket = socket;
  }

  begin(host: ListenerHost): void {
    const { wheel } = host.current().services;
    if (this.socket.destroyed) return;
    this.socket.on("close", () => wheel.disarm(this));
    wheel.arm(this, LINGER_MS_MAX);
    this.socket.end();
    this.socket.resume();
  }

  onDeadline(): void {
    this.socket.destroy();
  }
}

const ignore = (): void => {};

function lowercaseNames(raw: readonly string[]): string[] {
  const list = raw.slice();
  for (let i = 0; i < list.length; i += 2) list[i] = (list[i] as string).toLowerCase(); // i is inside a list of pairs
  return list;
}

/** RFC 9112 section 9.3: HTTP/1.0 closes unless both sides say otherwise. */
function saysKeepAlive(x: NodeExchange): boolean {
  return /(?:^|[,\s])keep-alive(?:$|[,\s])/i.test(x.header("connection") ?? "");
}

/** node's parser drops what is pipelined behind an upgrade that it was told to ignore: such a connection ends with the answer. */
const ignoredUpgrade = (req: IncomingMessage): boolean =>
  req.headers.upgrade !== undefined && /upgrade/i.test(req.headers.connection ?? "");

/** A request that was never understood. */
function emptyRequest(socket: Socket): IncomingMessage {
  const req = new IncomingMessage(socket);
  req.httpVersion = "1.1";
  req.httpVersionMajor = 1;
  req.httpVersionMinor = 1;
  req.complete = true;
  return req;
}
