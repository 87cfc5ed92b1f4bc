// Owns the per-request record: what the listener read, what the pipeline decided, what the log will say.
// Engines subclass it with the writing side, so that one request is one object. Must never import control/ or an engine.
import type { X509Certificate } from "node:crypto";
import type { ErrorCode } from "../../base/errors.ts";
import type { HeaderList } from "../../base/header-list.ts";
import type { OverloadReason } from "../../base/priorities.ts";
import { nowMs } from "../../base/turn-clock.ts";
import { CACHE } from "../../shared/cache/outcomes.ts";
import type { ClientProtocol, LogRecord, SentTarget } from "../../shared/log-ring.ts";
import type { ClientInfo, RequestView } from "../routing/request-view.ts";
import type { CallRecord } from "../upstream/call-request.ts";
import type { BodyWatch } from "./body/body-watch.ts";
import type { Identity } from "./identity/identity.ts";
import type { LyingBody, PreparedResponse } from "./prepared-response.ts";
import type { FilterChain } from "./response-filter.ts";
import type { Route, Runtime } from "./runtime.ts";
import type { SharedHeaders } from "./shared-headers.ts";

/** How the request's body is framed. */
export const BODY_NONE = 0;
export const BODY_FIXED = 1;
export const BODY_CHUNKED = 2;
export type BodyKind = typeof BODY_NONE | typeof BODY_FIXED | typeof BODY_CHUNKED;

/** Receives the request body. */
export interface BodySink {
  /** @param chunk owned by the receiver; may be empty. @param last no more will come. Call {@link Exchange.pauseBody} to slow the client down. */
  bodyChunk(chunk: Buffer, last: boolean): void;
  /** The body will never be whole: its framing is wrong, or a limit is passed. Nothing more comes. Left out, the connection is cut. */
  bodyRefused?(code: ErrorCode, detail: string): void;
}

/** Told what happens to the client side of an exchange. Exactly one of clientAborted and clientCompleted is called, once. */
export interface ClientEvents {
  /** The client went away, or its connection was cut by {@link Exchange.abort}; nothing can be written any more. */
  clientAborted(x: Exchange): void;
  /** {@link Exchange.write} said false before; now there is room. */
  clientDrained(x: Exchange): void;
  /** The whole response was handed to the operating system. */
  clientCompleted(x: Exchange): void;
}

/** An upstream that answered 101 (RFC 6455 section 4.2.2): its connection now carries WebSocket frames. */
export interface UpgradedUpstream {
  readonly socket: import("node:stream").Duplex;
  /** Bytes that came right behind the response head. */
  readonly head: Buffer;
  /** The 101's end-to-end headers with the policies' changes, flat; extensions are agreed on with nobody. */
  readonly headers: HeaderList;
  /** Chosen subprotocol; '' for none. */
  readonly protocol: string;
  /** When the WebSocket ends with code 1008, because the caller's credential does; Date.now() ms, Infinity for never. */
  readonly closeAtMs: number;
  /** For an engine that reads the frames. */
  readonly frames: import("../upstream/websocket/frames.ts").WsFrames;
}

/** What a caller without credentials is told. */
export interface Challenges {
  /** WWW-Authenticate, flat. */
  readonly headers: HeaderList;
  /** What the route takes. */
  readonly detail: string;
}

export abstract class Exchange implements RequestView, LogRecord, CallRecord {
  /** The runtime (plan) in force when the request arrived; it stays with the exchange to its end. */
  readonly runtime: Runtime;
  /** performance.now() at arrival, ms. */
  readonly startedMs: number;

  // --- Set by the listener (admit.ts) ---
  method = "";
  /** What was sent, while the request is not admitted: {@link path} and {@link query} say nothing then. */
  unadmitted: SentTarget | null = null;
  /** Normalised path, the only form that is matched and forwarded; starts with `/`. */
  path = "/";
  /** What the listener let through in the path: bits of routing/path-rules.ts. */
  spellings = 0;
  /** Query without `?`; '' for none. */
  query = "";
  /** Lowercase host without port, '' when the request has none. */
  host = "";
  /** Host header (authority) as sent, port included. */
  authority = "";
  /** Read by anybody; changed only by way of {@link ownHeaders}. */
  headers: HeaderList = [];
  /** Set while {@link headers} belong to other requests too. */
  sharedHeaders: SharedHeaders | null = null;
  /** Some header's name {@link isAmbiguousFieldName}: services may read it as another one. */
  hasAmbiguousFieldNames = false;
  bodyKind: BodyKind = BODY_NONE;
  /** Declared body length in bytes; -1 when chunked, 0 when there is none. */
  contentLength = 0;
  /** Trailers of the request's body, flat, names lowercase, as they came: there before the last of the body. null for none. */
  requestTrailers: HeaderList | null = null;
  /** The request asks for a WebSocket (RFC 6455). */
  wantsWebSocket = false;
  /** Name of the listener; '' for one without. */
  listener = "";
  /** The listener speaks TLS. */
  secure = false;
  /** Close the client connection after this response. */
  closeAfter = false;
  /** The whole request body has arrived (true from the start when there is none). */
  bodyDone = true;
  /** The client holds its body back until it sees 100 (Continue), which readBody() sends: a refusal need not wait for the body. */
  awaitsContinue = false;
  /** The whole request body, when a policy has read it: whoever wants it now takes it from here. */
  bufferedBody: Buffer | null = null;
  /** Bytes of the body that are kept at present, and who sees to it that the rest arrives in time: body-limits.ts writes both. */
  heldBodyBytes = 0;
  bodyWatch: BodyWatch | null = null;
  /** How the client spoke. */
  protocol: ClientProtocol = "http/1.1";

  // --- Set by the pipeline ---
  requestId = "";
  route: Route | null = null;
  /** Values of the route's path parameters, in pattern order (`**` included), still percent-encoded. */
  params: readonly string[] = NO_PARAMS;
  /** The path and query that go upstream, after rewrite policies. */
  upstreamPath = "";
  /** Index of the upstream that a policy has chosen instead of the route's; -1 for none. */
  sentTo = -1;
  /** Who asks, proven by the auth policy; null on public routes and until then. */
  identity: Identity | null = null;
  /** What policies keep of the exchange: see ExchangeSlot (route-context.ts), the only reader and writer. */
  slots: unknown[] | null = null;
  /** For a refusal that a credential might mend: set by the auth policy when nobody is calling and that is allowed. */
  challenges: Challenges | null = null;
  /** Header changes that policies want on the response, whoever makes it: appended to the final head. */
  responseHeaders: HeaderList | null = null;
  /** The upstream's response trailers, flat: set before end(). Sent only by an engine that can, to a client that said `TE: trailers`. */
  responseTrailers: HeaderList | null = null;
  /** What the response passes on its way out; null for nothing. */
  filters: FilterChain | null = null;
  /** Memory that the response is sent from: let go when the exchange is over. */
  sentFrom: LyingBody | null = null;

  // --- Outcome, for the log and metrics ---
  status = 0;
  errorCode: ErrorCode | null = null;
  /** Of the code `overloaded`: overload.ts sets both. */
  overloadReason: OverloadReason | null = null;
  /** One sentence for operators (log) and, for client errors, the client: never upstream details. */
  errorDetail = "";
  bytesIn = 0;
  bytesOut = 0;
  attempts = 0;
  /** What the store of responses did: one of CACHE, and the age (s) of what was served from there. */
  cacheResult: number = CACHE.none;
  cacheAge = 0;
  /** What an aggregated answer was made of: see LogRecord. */
  legs = "";
  /** Name of the upstream that was to answer, the last one of several; '' for none. Set whether or not one of its targets could be tried. */
  upstream = "";
  /** Key of the target last tried; '' for none. */
  target = "";
  /** Time of the last attempt from dispatch to the request being on the wire / to the first response byte, ms; -1 unknown. */
  upstreamConnectMs = -1;
  upstreamFirstByteMs = -1;
  lineMs = 0;
  finished = false;

  events: ClientEvents | null = null;
  private aborter: AbortController | null = null;
  protected client: ClientInfo | null = null;

  constructor(runtime: Runtime) {
    this.runtime = runtime;
    this.startedMs = nowMs();
  }

  /** Address of the TCP peer in canonical text; '' on a Unix socket. May cost microseconds: call when needed. */
  abstract peerAddress(): string;

  /** Begin to receive the body. Only when bodyKind is not BODY_NONE; at most once. */
  abstract readBody(sink: BodySink): void;
  /** Like readBody, but may take over from an earlier sink (to throw the rest away). */
  abstract redirectBody(sink: BodySink): void;
  abstract pauseBody(): void;
  abstract resumeBody(): void;

  /**
   * Begin a response. The engine may hold the head back until the first write or end, to send both at once
   * (`text/event-stream` goes out at once). Hop-by-hop headers, Date, Content-Length and Transfer-Encoding are the
   * engine's business and must not be in `headers`.
   * @param length body length in bytes; -1 for unknown. For HEAD and 304: what a GET would have (or -1), no body is sent.
   */
  abstract start(status: number, headers: HeaderList, length: number): void;
  /** @param chunk lent for the call: its memory is used again. @returns false when the client is slow: stop until {@link ClientEvents.clientDrained}. */
  abstract write(chunk: Uint8Array): boolean;
  /** Complete the response. @param chunk a last piece of body, sent together with what is held back. */
  abstract end(chunk?: Uint8Array): void;
  /** Whether {@link sendPrepared} may be called now: an engine that cannot says no, and says it of requests whose response has something of its own. */
  takesPrepared(): boolean {
    return false;
  }
  /** Send a whole response, in place of start() and end(). @param body {@link sentFrom}: it stays until the exchange is over @param own further fields of this one */
  sendPrepared(_response: PreparedResponse, _body: LyingBody, _own: HeaderList | null): void {}
  /** Cut the connection: the only honest end when a started response cannot be completed. Safe to call any time. */
  abstract abort(): void;
  /**
   * Complete a WebSocket upgrade and carry messages both ways until either side is done; then clientCompleted is called.
   * Only when {@link wantsWebSocket}; instead of start().
   */
  abstract acceptWebSocket(upstream: UpgradedUpstream): void;
  /** Send an interim response (RFC 9110 section 15.2) ahead of the final one. An engine that cannot, or a client that would not understand, gets none. @param status 102..199 */
  informational(_status: number, _headers: HeaderList): void {}
  /** The engine reads on behind a response that came before the request's body was there, so that its client gets to see it: nobody has to wait. */
  readonly lingers: boolean = false;
  /** True once start() was called. */
  abstract readonly started: boolean;
  /** True when the client is gone or the response complete: nothing may be written. */
  abstract readonly closed: boolean;

  /** The client's certificate, verified by the listener; null when it has none, or the listener asks for none. The same object for a whole connection. */
  clientCertificate(): X509Certificate | null {
    return null;
  }

  /** First value of a request header, for what decides nothing: a decision reads it by request/single-value.ts. @param name lowercase */
  header(name: string): string | undefined {
    const headers = this.headers;
    for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return headers[i + 1];
    return undefined;
  }

  /** The headers, to change them: others see no change. */
  ownHeaders(): HeaderList {
    if (this.sharedHeaders !== null) {
      this.sharedHeaders = null;
      this.headers = this.headers.slice();
    }
    return this.headers;
  }

  /** Value of a path parameter of the matched route, percent-encoded as received; undefined if the route has none of that name. */
  param(name: string): string | undefined {
    const index = this.route?.paramNames.indexOf(name) ?? -1;
    return index < 0 ? undefined : this.params[index];
  }

  /** The query as it may be shown (access log, Location of a redirect), when a credential of the route may stand in it; null: as it is. */
  get redactedQuery(): string | null {
    const hide = this.route?.hideQuery ?? null;
    return hide === null || this.query === "" ? null : hide(this.query);
  }

  /** Name of the route that came nearest to a request that none serves, for the log; '' for none. Not for the hot path. */
  nearestRoute(): string {
    const { runtime } = this;
    return runtime.routes[runtime.router.nearest(this)]?.name ?? "";
  }

  /** Who asked, believing Forwarded / X-Forwarded-* only from trusted proxies. Computed once, on first use. */
  clientInfo(): ClientInfo {
    return (this.client ??= this.runtime.resolveClient(this));
  }

  /** Nobody waits for it: what it asks of upstreams comes after all else. */
  get isBackground(): boolean {
    return false;
  }

  /** As clientInfo() has it. Where nobody is believed, it takes no look at the client. */
  get scheme(): ClientInfo["scheme"] {
    if (this.client === null && this.runtime.plan.trustedProxies.length === 0) return this.secure ? "https" : "http";
    return this.clientInfo().scheme;
  }

  /** Whether a response was begun of which no byte has gone out: {@link withdraw} can take it back. */
  get isWithdrawable(): boolean {
    return false;
  }

  /** Takes back what start() and write() were given: the exchange can be answered anew. Only while {@link isWithdrawable}. */
  withdraw(): void {}

  /** For asynchronous work of policies: fires when the time for it is over, and at the latest when the exchange is. */
  get signal(): AbortSignal {
    if (this.aborter === null) {
      this.aborter = new AbortController();
      if (this.finished) this.aborter.abort();
    }
    return this.aborter.signal;
  }

  /** Everybody is done with the exchange: what it takes up of its connection may be given back. Once. @internal finish.ts */
  over(): void {}

  /** Nobody waits for asynchronous work any longer: {@link signal} fires. @internal pipeline.ts, finish.ts */
  abandonWork(): void {
    this.aborter?.abort();
  }

  /** Add a header to the final response, whoever makes it. @param name lowercase */
  addResponseHeader(name: string, value: string): void {
    (this.responseHeaders ??= []).push(name, value);
  }
}

const NO_PARAMS: readonly string[] = [];
