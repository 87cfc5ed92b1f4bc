// One client connection that speaks HTTP/1.x (RFC 9112): reads requests one behind the other, has each answered before the next is looked at, and ends.
// Must never read a request behind one whose framing is in doubt or whose response closes the connection, nor keep what it was lent.
import type { UpgradedUpstream } from "../../exchange/exchange.ts";
import type { Refusal } from "../../exchange/refusal.ts";
import type { ListenerHost } from "../listener.ts";
import type { Channel, ConnectionTerms, ServedConnection } from "../net/channel.ts";
import { Tunnel } from "../tunnel.ts";
import { Admission } from "./admission.ts";
import { BodyReader } from "./body-reader.ts";
import { type ExchangeConnection, Http1Exchange } from "./exchange.ts";
import { HeadReader } from "./head-reader.ts";
import { type AwaitedClient, Patience } from "./patience.ts";
import { sentTarget } from "./request-line.ts";
import { switchingHead } from "./switching-head.ts";

/** Bytes behind a request that wait until it is answered: one read. Until then, the client is not read. */
const WAITING_BYTES_MAX = 64 * 1024;
/** What of a body may still come behind its response for the connection to be kept: it is read and dropped. */
const DROPPED_BODY_BYTES_MAX = 64 * 1024;
/** Between requests, or in a request's head. */
const STATE_HEAD = 0;
/** In a request's body, whether or not somebody wants it. */
const STATE_BODY = 1;
/** The request is read to its end and its response awaited. */
const STATE_ANSWER = 2;
const STATE_TUNNEL = 3;
/** The last response is written: what still comes is dropped. */
const STATE_LINGER = 4;
const STATE_CLOSED = 5;

const BROKEN: Refusal = { code: "internal_error", detail: "" };
const MISDIRECTED: Refusal = { code: "misdirected_request", detail: "" };
const LATE: Refusal = { code: "request_timeout", detail: "the header section did not arrive in time" };

export class Http1Connection implements ServedConnection, ExchangeConnection, AwaitedClient {
  readonly channel: Channel;
  private readonly host: ListenerHost;
  private readonly terms: ConnectionTerms;
  private readonly head = new HeadReader();
  private readonly admission: Admission;
  private readonly patience: Patience;
  private state = STATE_HEAD as number; // one of the STATE_ constants
  /** Whose request is under way; null between requests, and while the rest of an answered one's body is dropped. */
  private x: Http1Exchange | null = null;
  private body: BodyReader | null = null;
  /** What the client has sent behind the request under way. */
  private waiting: Buffer | null = null;
  /** What was received is being gone through: whoever ends a response meanwhile leaves it to that. */
  private reading = false;
  /** What is gone through is memory of the connection's own. */
  private takingOwn = false;
  private paused = false;
  /** No request follows the one under way. */
  private last = false;
  /** The client has sent its FIN. */
  private halfClosed = false;
  private tunnel: Tunnel | null = null;
  /** The client may not use it any longer. */
  private withdrawn = false;

  constructor(channel: Channel, host: ListenerHost, terms: ConnectionTerms) {
    this.channel = channel;
    this.host = host;
    this.terms = terms;
    this.admission = new Admission(host, channel.secure);
    this.patience = new Patience(host, this);
    channel.reader = this;
    channel.resume();
  }

  // --- ChannelReader ---

  received(buffer: Buffer, length: number): void {
    this.goOn(buffer, length);
  }

  ended(): void {
    this.halfClosed = true;
    // Who has asked for everything may say so, and is answered. Who waits for a tunnel has gone; between requests it is all over; and a request that is not
    // complete never will be (RFC 9112 section 8).
    if (this.state === STATE_TUNNEL) this.tunnel?.clientEnded();
    else if (this.state === STATE_ANSWER && this.x?.wantsWebSocket !== true) this.patience.halfClosed();
    else if (this.state !== STATE_LINGER) this.lose();
  }

  drained(): void {
    this.patience.drained();
    if (this.state === STATE_TUNNEL) this.tunnel?.clientDrained();
    else this.x?.drained();
  }

  closed(): void {
    this.state = STATE_CLOSED;
    this.body = null;
    this.waiting = null;
    this.patience.end();
    if (this.tunnel !== null) this.tunnel.clientClosed();
    else this.x?.gone();
  }

  // --- ServedConnection ---

  withdraw(): void {
    if (this.withdrawn) return;
    this.withdrawn = this.last = true;
    this.waiting = null;
    if (this.tunnel !== null) this.tunnel.withdraw();
    else if (this.x === null) this.lose();
    else this.x.closeAfter = true;
  }

  /** Nothing at once: an idle client gets one more response, which says close. To end now could lose a request that is on its way. */
  drain(): void {}

  endWebSocket(): void {
    this.tunnel?.sayGoodbye();
  }

  // --- Reading ---

  /** @param bytes lent; null: go on with what waits */
  private goOn(bytes: Buffer | null, length: number): void {
    this.reading = true;
    try {
      if (bytes !== null) this.take(bytes, 0, length);
      for (let next = this.waiting; next !== null && this.state === STATE_HEAD; next = this.waiting) {
        this.waiting = null;
        this.resumeReading();
        this.takingOwn = true;
        this.take(next, 0, next.length);
        this.takingOwn = false;
      }
      if (this.halfClosed && (this.state === STATE_HEAD || this.state === STATE_BODY)) this.lose(); // as in ended(): nothing more comes
    } catch (error) {
      this.host.current().services.reportFault("reading a client's connection failed", error, this.x?.requestId ?? "");
      this.lose();
    } finally {
      this.reading = this.takingOwn = false;
    }
  }

  private take(bytes: Buffer, from: number, to: number): void {
    let at = from;
    while (at < to) {
      switch (this.state) {
        case STATE_HEAD:
          at = this.readHead(bytes, at, to);
          break;
        case STATE_BODY:
          at = this.readBody(bytes, at, to);
          break;
        case STATE_ANSWER:
          return this.keepWaiting(bytes.subarray(at, to));
        case STATE_TUNNEL:
          return this.tunnel?.fromClient(bytes.subarray(at, to));
        case STATE_LINGER:
          return this.patience.heard();
        default:
          return;
      }
    }
  }

  /** Bounded: the client is not read any further. Of one that waits for a tunnel a little is, so that its going away is noticed. */
  private keepWaiting(more: Buffer): void {
    if (this.last) return; // nobody will look at it
    const { waiting } = this;
    if (waiting === null) this.waiting = this.takingOwn ? more : Buffer.from(more);
    else this.waiting = Buffer.concat([waiting, more]);
    if (this.x?.wantsWebSocket !== true || this.waiting.length >= WAITING_BYTES_MAX) this.pauseReading();
  }

  private readHead(bytes: Buffer, from: number, to: number): number {
    const { head, admission } = this;
    const runtime = this.host.current();
    admission.prepare(runtime);
    const next = head.next(bytes, from, to, runtime.limits, admission.section);
    if (next >= 0) return this.begin(new Http1Exchange(runtime, this), bytes, next, to);
    if (head.fault !== null) this.refuseHead(head.fault);
    else if (head.isWaiting) this.patience.forHead();
    return to;
  }

  /** @returns where in `bytes` what is behind the request, as far as it is there, begins */
  private begin(x: Http1Exchange, bytes: Buffer, from: number, to: number): number {
    const { host, admission } = this;
    this.adopt(x);
    let refusal: Refusal | null;
    try {
      refusal = admission.admit(x, this.head);
    } catch (error) {
      this.last = true;
      this.state = STATE_ANSWER;
      host.refuse(x, BROKEN, error);
      return to;
    }
    if (refusal === null && !this.terms.answersFor(x.host)) refusal = MISDIRECTED;
    if (refusal !== null) {
      this.last = true;
      this.state = STATE_ANSWER;
      host.refuse(x, refusal);
      return to;
    }
    if (x.protocol === "http/1.0") {
      x.wantsWebSocket = false; // RFC 6455 section 4.1
      if (!saysKeepAlive(x)) x.closeAfter = true;
    }
    if (this.terms.nextIsLast() || x.closeAfter) this.last = true;
    let next = from;
    if (x.bodyDone) this.state = STATE_ANSWER;
    else {
      x.wantsWebSocket = false; // whose end would be in doubt
      this.body = new BodyReader(x.contentLength, x.runtime.limits.headerBytes);
      this.state = STATE_BODY;
      // What has come of it is there when somebody asks for it: mostly that is all.
      if (from < to) next = this.readBody(bytes, from, to);
    }
    if (admission.isServerOptions) host.answerServerOptions(x);
    else host.handle(x);
    return next;
  }

  private adopt(x: Http1Exchange): void {
    this.x = x;
    this.patience.forAnswer();
    x.secure = this.channel.secure;
    x.listener = this.host.name;
  }

  private readBody(bytes: Buffer, from: number, to: number): number {
    const body = this.body as BodyReader; // of the state
    const { x } = this;
    const end = body.read(bytes, from, to);
    if (body.fault !== "") {
      // What follows belongs to nobody.
      this.body = null;
      this.last = true;
      this.state = STATE_ANSWER;
      if (x === null) this.lose();
      else x.bodyBroken(body.fault);
      return to;
    }
    if (body.done) {
      this.body = null;
      this.state = x === null ? STATE_HEAD : STATE_ANSWER;
      this.resumeReading(); // a pause would outlive the body
      if (x === null) this.patience.forRequest();
      else x.requestTrailers = body.trailers;
    }
    x?.bodyArrived(body.content, body.done);
    return end;
  }

  /** What came is no request, or not in time. */
  private refuseHead(refusal: Refusal): void {
    const x = new Http1Exchange(this.host.current(), this);
    this.adopt(x);
    this.last = true;
    this.state = STATE_ANSWER;
    x.unadmitted = sentTarget(this.head.abandon());
    this.host.refuse(x, refusal);
  }

  private pauseReading(): void {
    if (this.paused) return;
    this.paused = true;
    this.channel.pause();
  }

  private resumeReading(): void {
    if (!this.paused) return;
    this.paused = false;
    this.channel.resume();
  }

  // --- ExchangeConnection ---

  /** The client has sent its FIN, and all that it sent before has been taken. */
  private get nothingFollows(): boolean {
    return this.halfClosed && this.waiting === null;
  }

  closesAfter(x: Http1Exchange): boolean {
    if (this.host.draining || this.nothingFollows) this.last = true;
    if (this.last || this.body === null) return this.last;
    // The rest of the body is in the way of the next request.
    if (x.awaitsContinue || this.body.remainingBytes > DROPPED_BODY_BYTES_MAX) this.last = true;
    return this.last;
  }

  pauseBody(): void {
    if (this.state === STATE_BODY) this.pauseReading();
  }

  resumeBody(): void {
    if (this.state === STATE_BODY) this.resumeReading();
  }

  awaitDrain(): void {
    this.patience.forReading();
  }

  exchangeOver(x: Http1Exchange): void {
    if (this.x !== x) return;
    this.x = null;
    if (this.state === STATE_CLOSED) return;
    if (this.last || x.closeAfter || this.nothingFollows) return this.finish();
    this.resumeReading();
    if (this.state === STATE_BODY) return this.patience.forRequest(true); // the rest of it is dropped
    this.state = STATE_HEAD;
    this.patience.forRequest();
    if (this.waiting !== null && !this.reading) this.goOn(null, 0);
  }

  cut(hard: boolean): void {
    this.state = STATE_CLOSED;
    this.waiting = null;
    if (hard) this.channel.reset();
    else this.channel.destroy();
  }

  acceptWebSocket(x: Http1Exchange, upstream: UpgradedUpstream): void {
    const early = this.waiting;
    this.waiting = null;
    this.state = STATE_TUNNEL;
    this.tunnel = new Tunnel({
      x,
      client: this.channel,
      upstream,
      idleMs: x.runtime.limits.webSocketIdleTimeoutMs,
      accept: () => this.channel.write(switchingHead(x, upstream)),
      over: () => x.tunnelOver(),
    });
    this.tunnel.open(early);
    this.resumeReading();
    if (this.withdrawn) this.tunnel.withdraw();
  }

  /** Says that nothing more will be written, and reads on for a while. */
  private finish(): void {
    this.state = STATE_LINGER;
    this.waiting = null;
    this.body = null;
    this.channel.end();
    this.resumeReading();
    this.patience.forEnd();
  }

  // --- AwaitedClient ---

  get pending(): number {
    return this.channel.pending;
  }

  get answeredBytes(): number {
    return this.x?.bytesOut ?? 0;
  }

  headIsLate(): void {
    this.refuseHead(LATE);
  }

  lose(): void {
    this.cut(false);
    this.x?.gone();
  }
}

/** RFC 9112 section 9.3: HTTP/1.0 closes unless both sides say otherwise. */
const saysKeepAlive = (x: Http1Exchange): boolean => /(?:^|[,\s])keep-alive(?:$|[,\s])/i.test(x.header("connection") ?? "");
