// One request on its way through the own HTTP/2 client: a stream of a session on one side, a WireCall on the other.
// Must never be used for a second request; it may be opened a second time, after a session that has not looked at it.
import type { HeaderSection } from "../../../../base/http2/header-section.ts";
import { ERROR_CODE } from "../../../../base/http2/protocol.ts";
import { Http2Stream, isUnprocessed, type StreamReset } from "../../../../base/http2/stream.ts";
import { type TimerWheel, WheelEntry } from "../../../../base/timer-wheel.ts";
import { nowMs } from "../../../../base/turn-clock.ts";
import type { WireCall, WireError, WireHandler, WireRequest } from "../../upstream.ts";
import { DISCARD_BYTES_MAX, DISCARD_MS_MAX } from "../http1/call.ts";
import { BodyPump } from "./body-pump.ts";
import { relayedFields, responseHead, trailersOf } from "./response-head.ts";

/** The session that carries a call, as the call sees it. */
export interface CarryingSession {
  /** A call was given up that has waited for its head since then. */
  gaveUp(sinceMs: number): void;
  /** A fault of TLS ended it. */
  readonly tlsFault: boolean;
}

/** What a call tells its pool. */
export interface CallOwner {
  readonly wheel: TimerWheel;
  /** It waited for a session, and does no longer. */
  callGivenUp(): void;
  /** See {@link WireCall.inLine}; of a call that is queued. */
  isInLine(call: H2Call): boolean;
  /** Its session has not looked at it: it is to be sent once more. */
  requeue(call: H2Call): void;
}

/** Statuses whose responses have no content (RFC 9110 sections 15.3.5 and 15.4.5). */
const NO_CONTENT = 204;
const NOT_MODIFIED = 304;

export class H2Call extends Http2Stream implements WireCall {
  readonly request: WireRequest;
  /** No callback may follow any more. */
  over = false;
  /** Waits for a session. */
  queued = false;
  private readonly handler: WireHandler;
  private readonly owner: CallOwner;
  private session: CarryingSession | null = null;
  private sentMs = 0;
  private pump: BodyPump | null = null;
  /** Bytes of the response that nobody wants; -1 while somebody does. */
  private discarded = -1;
  private patience: Patience | null = null;
  private sentTwice = false;

  constructor(request: WireRequest, handler: WireHandler, owner: CallOwner) {
    super();
    this.request = request;
    this.handler = handler;
    this.owner = owner;
  }

  // --- WireCall; pause() and resume() are the stream's ---

  get inLine(): boolean {
    return this.queued && this.owner.isInLine(this);
  }

  cancel(): void {
    if (this.queued) {
      this.queued = false;
      this.owner.callGivenUp();
    }
    if (!this.over && this.session !== null && !this.headCame) this.session.gaveUp(this.sentMs);
    this.over = true;
    this.cut(ERROR_CODE.cancel);
  }

  /** A short rest is read away: services take streams that are reset often for an attack. */
  discard(): void {
    if (this.over) return;
    this.over = true;
    this.discarded = 0;
    if (this.closed && this.takes) return;
    this.patience = new Patience(this);
    this.owner.wheel.arm(this.patience, DISCARD_MS_MAX);
    this.resume();
  }

  /** Ends the stream, whatever it was at. */
  cut(code: number): void {
    this.settle();
    this.reset(code);
  }

  // --- Session ---

  /** The head has been sent; what follows of the body is sent from here. */
  sent(session: CarryingSession): void {
    const { body, contentLength } = this.request;
    this.session = session;
    this.sentMs = nowMs();
    this.handler.wireSent();
    if (this.over || body === null) return;
    if (Buffer.isBuffer(body)) this.writeLast(body, false);
    else this.pump = new BodyPump(body, this, contentLength);
  }

  // --- Http2Stream ---

  override onHead(section: HeaderSection, ended: boolean): void {
    const { status } = section;
    if (status < 200) return this.interimHead(section);
    const { method } = this.request;
    const bodiless = method === "HEAD" || status === NO_CONTENT || status === NOT_MODIFIED;
    if (bodiless) this.lengthExpected = 0;
    if (!this.over) this.handler.wireHead(status, responseHead(section, ended && !bodiless));
  }

  /** 100 is none of the caller's business: its body is sent as its source gives it. */
  private interimHead(section: HeaderSection): void {
    if (section.status > 101 && !this.over) this.handler.wireInterim?.(section.status, relayedFields(section.fields));
  }

  override onData(chunk: Buffer): void {
    if (!this.over) return this.handler.wireData(chunk);
    this.discarded += chunk.length;
    if (this.discarded > DISCARD_BYTES_MAX) this.cut(ERROR_CODE.cancel);
  }

  override onEnd(trailers: HeaderSection | null): void {
    // What is still to be sent, the service does not want: it has answered.
    this.cut(ERROR_CODE.noError);
    if (this.over) return;
    this.over = true;
    this.handler.wireEnd(trailers === null ? null : trailersOf(trailers));
  }

  override onReset(reset: StreamReset): void {
    const unsent = isUnprocessed(reset);
    if (unsent && !this.over && !this.sentTwice && this.isWhole) {
      this.sentTwice = true;
      this.settle();
      this.renew();
      return this.owner.requeue(this);
    }
    this.failed(wireErrorOf(reset, unsent, this.session?.tlsFault === true));
  }

  override onDrained(): void {
    this.pump?.drained();
  }

  failed(error: WireError): void {
    this.settle();
    if (this.over) return;
    this.over = true;
    this.handler.wireError(error);
  }

  private get isWhole(): boolean {
    const { body } = this.request;
    return body === null || Buffer.isBuffer(body);
  }

  private settle(): void {
    this.session = null;
    this.pump?.stop();
    this.pump = null;
    if (this.patience !== null) this.owner.wheel.disarm(this.patience);
    this.patience = null;
  }
}

/** The rest of a discarded response is late. */
class Patience extends WheelEntry {
  private readonly call: H2Call;

  constructor(call: H2Call) {
    super();
    this.call = call;
  }

  override onDeadline(): void {
    this.call.cut(ERROR_CODE.cancel);
  }
}

function wireErrorOf({ code, kind, reason }: StreamReset, unsent: boolean, tlsFault: boolean): WireError {
  if (tlsFault && kind === "lost") return { code: "upstream_tls", unsent, reason };
  if (kind === "fault" || code === ERROR_CODE.http11Required) return { code: "upstream_invalid", unsent, reason };
  return { code: "upstream_reset", unsent, reason };
}
