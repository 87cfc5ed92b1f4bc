// One request on its way through the own HTTP/1.1 client: between a connection and whoever asked.
import { type TimerWheel, WheelEntry } from "../../../../base/timer-wheel.ts";
import type { WireCall, WireError, WireHandler, WireRequest, WireTrailers } from "../../upstream.ts";
import type { ResponseHeaders } from "../response-headers.ts";
import type { LargeReadPermit } from "./read-size.ts";

/** Bytes of an unwanted response that are read to save its connection; beyond it the connection is cut. */
export const DISCARD_BYTES_MAX = 64 * 1024;
/** How long (ms) it is waited for: an upstream that never ends its answer must not keep a connection from others. */
export const DISCARD_MS_MAX = 1000;

/** The connection that carries a call, as the call sees it. */
export interface CarryingConnection {
  /** Several calls share it: none may cut it. */
  readonly shared: boolean;
  pause(): void;
  resume(): void;
  destroy(): void;
}

/** What a call tells its pool while it has no connection. */
export interface CallOwner {
  readonly wheel: TimerWheel;
  callGivenUp(): void;
  /** See {@link WireCall.inLine}; of a call that is queued. */
  isInLine(call: H1Call): boolean;
}

export class H1Call extends WheelEntry implements WireCall {
  readonly request: WireRequest;
  /** No callback may follow any more. */
  over = false;
  /** Waits for a connection. */
  queued = false;
  /** Has waited behind others on a connection in vain: shares none again. */
  alone = false;
  private readonly handler: WireHandler;
  private readonly owner: CallOwner;
  private connection: CarryingConnection | null = null;
  private discarded = -1;
  /** Of a response that is over: its end, read at once, that the client has not taken. */
  private untaken: LargeReadPermit | null = null;

  constructor(request: WireRequest, handler: WireHandler, owner: CallOwner) {
    super();
    this.request = request;
    this.handler = handler;
    this.owner = owner;
  }

  // --- WireCall ---

  get inLine(): boolean {
    return this.queued && this.owner.isInLine(this);
  }

  pause(): void {
    this.connection?.pause();
  }

  resume(): void {
    this.connection?.resume();
    this.leave();
  }

  cancel(): void {
    this.leave();
    if (this.over && this.discarded < 0) return;
    const { connection } = this;
    this.over = true;
    if (connection?.shared === true) {
      this.discarded = Math.max(0, this.discarded); // it is read away: others wait for answers on the same connection
      return;
    }
    this.discarded = -1;
    if (this.queued) this.owner.callGivenUp();
    this.queued = false;
    connection?.destroy();
    this.released();
  }

  discard(): void {
    if (this.over) return;
    this.over = true;
    this.discarded = 0;
    const { connection } = this;
    if (connection === null || connection.shared) return; // a shared one has a patience of its own
    this.owner.wheel.arm(this, DISCARD_MS_MAX);
    connection.resume();
  }

  /** The rest of a discarded response is late. */
  onDeadline(): void {
    this.connection?.destroy();
    this.connection = null;
  }

  // --- Connection ---

  sent(connection: CarryingConnection): void {
    this.connection = connection;
    this.handler.wireSent();
  }

  interim(status: number, { headers }: ResponseHeaders): void {
    if (!this.over) this.handler.wireInterim?.(status, headers);
  }

  head(status: number, headers: ResponseHeaders): void {
    if (!this.over) this.handler.wireHead(status, headers);
  }

  data(chunk: Buffer): void {
    if (!this.over) return this.handler.wireData(chunk);
    this.discarded += chunk.length;
    if (this.discarded <= DISCARD_BYTES_MAX) return;
    this.connection?.destroy();
    this.released();
  }

  /** Before end(): for as long as the handler does not resume or cancel. */
  holds(untaken: LargeReadPermit): void {
    if (this.over) untaken.release();
    else this.untaken = untaken;
  }

  private leave(): void {
    this.untaken?.release();
    this.untaken = null;
  }

  end(trailers: WireTrailers | null): void {
    this.released();
    if (this.over) return;
    this.over = true;
    this.handler.wireEnd(trailers);
  }

  failed(error: WireError): void {
    this.released();
    if (this.over) return;
    this.over = true;
    this.handler.wireError(error);
  }

  /** It is to be sent once more, on another connection. @returns false when nobody waits for it any longer */
  again(): boolean {
    this.released();
    this.discarded = -1;
    this.alone = true;
    return !this.over;
  }

  private released(): void {
    this.connection = null;
    if (this.discarded >= 0) this.owner.wheel.disarm(this);
  }
}
