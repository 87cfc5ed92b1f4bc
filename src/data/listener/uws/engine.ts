// The uws engine: one uWebSockets.js app for a listener. Reads the request, admits it, hands it to the pipeline.
// Must register onAborted before anything else and must let nothing throw into the native caller: both abort the process.

import type { HttpRequest, HttpResponse, TemplatedApp, us_listen_socket, us_socket_context_t } from "uWebSockets.js";
import { OperatorError } from "../../../base/errors.ts";
import { PeerGone } from "../../../base/policy-failure.ts";
import { beginTurn, endTurn } from "../../../base/turn-clock.ts";
import type { ListenerPlan } from "../../../plan/listener-plan.ts";
import type { Refusal } from "../../exchange/refusal.ts";
import { admit, isUnusualValue, type RequestLine } from "../admit.ts";
import type { Listener, ListenerEngine, ListenerHost } from "../listener.ts";
import { withCertificateFiles } from "./certificate.ts";
import { UwsExchange } from "./exchange.ts";
import { loadUws, type Uws } from "./load.ts";
import { canonicalIp } from "./peer-address.ts";
import { type UwsWebSocket, type WebSocketWatcher, webSocketBehavior } from "./websocket.ts";

/** uWebSockets.js timeouts are multiples of 4 s up to 960 s and are not validated there. */
const TIMEOUT_STEP_S = 4;
const TIMEOUT_MAX_S = 960;

export const uwsEngine: ListenerEngine = {
  async open(plan: ListenerPlan, host: ListenerHost): Promise<Listener> {
    const uws = loadUws();
    silence(uws);
    const listener = new UwsListener(uws, plan, host);
    await listener.listen();
    return listener;
  },
};

/** Not in the type declarations: undocumented functions of this build. */
interface UwsExtras {
  _cfg?(name: string): void;
}
interface AppExtras {
  setIdleTimeout?(seconds: number): void;
  setResponseTimeout?(seconds: number): void;
}

/** Removes the `uWebSockets` product header, for this thread. */
function silence(uws: Uws): void {
  (uws as UwsExtras)._cfg?.("silent");
}

/** What is known of a request by the way it came. */
interface Known {
  /** Of a request for an upgrade: the route to its WebSocket behaviour. */
  readonly context: us_socket_context_t | null;
  /** "" is to be read from the request. */
  readonly method: "GET" | "";
}

const GET: Known = { context: null, method: "GET" };
const ANY: Known = { context: null, method: "" };

class UwsListener implements Listener, WebSocketWatcher {
  readonly plan: ListenerPlan;
  connections = 0;
  private readonly uws: Uws;
  private readonly host: ListenerHost;
  private readonly byTcp: boolean;
  private readonly app: TemplatedApp;
  private readonly webSockets = new Set<UwsWebSocket>();
  private socket: us_listen_socket | null = null;
  private closed = false;

  constructor(uws: Uws, plan: ListenerPlan, host: ListenerHost) {
    this.uws = uws;
    this.plan = plan;
    this.host = host;
    this.byTcp = plan.unixPath === null;
    this.app = this.createApp();
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (socket: us_listen_socket | false): void => {
        if (socket !== false) {
          this.socket = socket;
          return resolve();
        }
        this.close();
        reject(
          new OperatorError(
            `cannot listen on ${this.plan.address}: the address is in use or not ours to bind; stop the other process, or start with --takeover`,
          ),
        );
      };
      if (this.plan.unixPath !== null) this.app.listen_unix(done, this.plan.unixPath);
      else this.app.listen(this.plan.host, this.plan.port, done);
    });
  }

  /** Nobody is let in by a certificate here. */
  succeededBy(): void {}

  stopAccepting(): void {
    if (this.socket === null) return;
    this.uws.us_listen_socket_close(this.socket);
    this.socket = null;
  }

  useTicketKeys(): void {}

  drain(): void {}

  endWebSockets(): void {
    for (const each of this.webSockets) each.goAway();
  }

  webSocketOpened(one: UwsWebSocket): void {
    this.webSockets.add(one);
  }

  /** app.filter counts a connection in but, once it is a WebSocket, never out. */
  webSocketClosed(one: UwsWebSocket): void {
    this.webSockets.delete(one);
    this.connections--;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.socket = null;
    this.app.close();
  }

  private createApp(): TemplatedApp {
    const tls = this.plan.tls;
    const app =
      tls === null
        ? this.uws.App()
        : withCertificateFiles(tls.certificates[0], (files) => this.uws.SSLApp({ ...files, ...cipherList(tls) }));
    const limits = this.host.current().plan.limits;
    const extras = app as AppExtras;
    extras.setIdleTimeout?.(timeoutSeconds(limits.headerTimeoutMs));
    extras.setResponseTimeout?.(timeoutSeconds(limits.idleTimeoutMs));
    app.filter((res, count) => this.connectionChanged(res, Number(count)));
    this.register(app);
    for (const certificate of tls?.certificates ?? []) {
      for (const name of certificate.hosts) {
        withCertificateFiles(certificate, (files) => app.addServerName(name, { ...files, ...cipherList(tls) }));
        this.register(app.domain(name)); // a server name has its own, empty router
      }
    }
    return app;
  }

  private register(app: TemplatedApp): void {
    app.ws("/*", {
      ...webSocketBehavior(this.host.current().plan.limits, this),
      upgrade: (res, req, context) => this.request(res, req, { context, method: "" }),
    });
    // Of most requests the method need not be read.
    app.get("/*", (res, req) => this.request(res, req, GET));
    app.any("/*", (res, req) => this.request(res, req, ANY));
  }

  private connectionChanged(res: HttpResponse, count: number): void {
    this.connections += count > 0 ? 1 : -1;
    if (count <= 0) return;
    const peer = this.plan.unixPath === null ? canonicalIp(res.getRemoteAddress()) : "";
    if (!this.host.admitsPeer(peer)) res.close();
  }

  private request(res: HttpResponse, req: HttpRequest, known: Known): void {
    beginTurn();
    try {
      this.take(res, req, known);
    } finally {
      endTurn();
    }
  }

  private take(res: HttpResponse, req: HttpRequest, { context, method }: Known): void {
    const x = new UwsExchange(this.host.current(), res, { byTcp: this.byTcp, upgradeContext: context });
    x.inTurn = true;
    try {
      x.secure = this.plan.tls !== null;
      x.listener = this.host.name;
      headerList = x.headers;
      headersBroken = null;
      usualValues = true;
      req.forEach(collectHeader);
      const line = {
        method: method === "" ? req.getCaseSensitiveMethod() : method,
        path: req.getUrl(),
        query: req.getQuery() ?? "",
        usualValues,
      };
      const broken = headersBroken;
      const refusal = broken === null ? admit(x, line, this.host.paths) : turnedAway(x, line, broken);
      x.attachBody();
      // The parser of this build mis-reads some chunked framings: what follows such a request is not trusted.
      if (x.contentLength < 0 || this.host.draining) x.closeAfter = true;
      if (refusal !== null) this.host.refuse(x, refusal);
      else this.host.handle(x);
    } catch (error) {
      if (error instanceof PeerGone) return void res.close();
      this.host.refuse(x, { code: "internal_error", detail: "" }, error);
    }
    x.inTurn = false;
    // Whoever is not answered yet is asked for later, when it may be too late.
    if (!x.finished && !x.settlePeer()) x.abort();
  }
}

/** For what this engine itself finds wrong. */
function turnedAway(x: UwsExchange, line: RequestLine, refusal: Refusal): Refusal {
  x.method = line.method;
  x.unadmitted = line;
  return refusal;
}

// req.forEach takes a callback: static state instead of a closure for each request (forEach is synchronous).
let headerList: string[] = [];
let headersBroken: Refusal | null = null;
let usualValues = true;
const NOT_ASCII = /[^\x00-\x7f]/;

function collectHeader(name: string, value: string): void {
  if (isUnusualValue(value)) headerList.push(name, unusual(value));
  else headerList.push(name, value);
}

/** @returns the byte string of what this engine has decoded as UTF-8, with U+FFFD where it could not: such bytes are lost, so the request is in doubt */
function unusual(value: string): string {
  usualValues = false;
  if (!NOT_ASCII.test(value)) return value;
  if (value.includes("\ufffd")) headersBroken = { code: "bad_request", detail: "a header value is not valid UTF-8" };
  return Buffer.from(value, "utf8").toString("latin1");
}

/** Of TLS 1.2: nothing else can be told to this engine, and it is given no listener that needs more. */
function cipherList(tls: ListenerPlan["tls"]): { readonly ssl_ciphers?: string } {
  const names = tls?.rules?.ciphers.filter((name) => !name.startsWith("TLS_")) ?? [];
  return names.length === 0 ? {} : { ssl_ciphers: names.join(":") };
}

function timeoutSeconds(ms: number): number {
  const steps = Math.max(1, Math.ceil(ms / 1000 / TIMEOUT_STEP_S));
  return Math.min(steps * TIMEOUT_STEP_S, TIMEOUT_MAX_S);
}
