// Owns how long one client connection is waited for, by what is awaited: a request, the rest of its head, the client's reading of the response, its end.
// One entry of the timer wheel, which is looked at when it fires and armed for what is awaited then. Must never read or write: it says when it is over.
import { WheelEntry } from "../../../base/timer-wheel.ts";
import { nowMs } from "../../../base/turn-clock.ts";
import type { ListenerHost } from "../listener.ts";

/**
 * How long (ms) a connection is read on behind its last response, in silence and in all: closing on unread bytes makes the kernel send RST, which can destroy
 * the response on its way (RFC 9112 section 9.6).
 */
const LINGER_QUIET_MS = 2000;
const LINGER_MS_MAX = 30_000;
/**
 * Who has sent FIN behind a request may have closed only that half, and is answered (RFC 9112 section 9.6); or has gone, which looks the same until something is
 * written. So long (ms) without a byte of response, it is taken to have gone.
 */
const HALF_CLOSED_MS_MAX = 2000;

const FOR_REQUEST = 0;
const FOR_HEAD = 1;
/** Of a request that is under way: its client may be slow to read. The body has limits of its own. */
const FOR_ANSWER = 2;
/** Of a body whose request has been answered. */
const FOR_REST = 3;
const FOR_END = 4;

/** The connection, as its patience sees it. */
export interface AwaitedClient {
  /** Bytes of response that the client has not taken. */
  readonly pending: number;
  /** Bytes of the response under way that were written. */
  readonly answeredBytes: number;
  /** The head is late. */
  headIsLate(): void;
  /** Nobody waits any longer. */
  lose(): void;
}

export class Patience extends WheelEntry {
  private readonly host: ListenerHost;
  private readonly client: AwaitedClient;
  private awaited = FOR_REQUEST as number; // one of the FOR_ constants
  /** nowMs() when what is awaited began, or went on. */
  private sinceMs = nowMs();
  private untilMs = 0;
  /** A request has been answered. */
  private served = false;
  /** What the client had still to take, when it was last looked at; 0: nothing waits. */
  private backlogBytes = 0;
  private isHalfClosed = false;
  private answeredBytes = 0;

  constructor(host: ListenerHost, client: AwaitedClient) {
    super();
    this.host = host;
    this.client = client;
    this.arm(host.current().limits.headerTimeoutMs);
  }

  /** Between requests. @param rest of a body that is dropped comes first */
  forRequest(rest = false): void {
    this.awaited = rest ? FOR_REST : FOR_REQUEST;
    this.served = true;
    this.sinceMs = nowMs();
    this.arm(this.host.current().limits.idleTimeoutMs);
  }

  /** A head has begun to come. Once for each. */
  forHead(): void {
    if (this.awaited === FOR_HEAD) return;
    this.awaited = FOR_HEAD;
    this.sinceMs = nowMs();
    this.arm(this.host.current().limits.headerTimeoutMs);
  }

  /** A request is there. Nothing is armed: mostly the answer is there at once. */
  forAnswer(): void {
    this.awaited = FOR_ANSWER;
  }

  /** The last response is written. */
  forEnd(): void {
    this.awaited = FOR_END;
    this.sinceMs = nowMs();
    this.untilMs = this.sinceMs + LINGER_MS_MAX;
    this.arm(LINGER_QUIET_MS);
  }

  /** Something has come that nobody awaits. */
  heard(): void {
    this.sinceMs = nowMs();
  }

  /** The client has still to take some of the response. */
  forReading(): void {
    this.backlogBytes = this.client.pending;
    this.sinceMs = nowMs();
    this.arm(this.host.current().limits.idleTimeoutMs);
  }

  drained(): void {
    this.backlogBytes = 0;
  }

  /** The client has sent its FIN behind the request under way. */
  halfClosed(): void {
    this.isHalfClosed = true;
    this.answeredBytes = this.client.answeredBytes;
    this.sinceMs = performance.now();
    this.arm(HALF_CLOSED_MS_MAX);
  }

  end(): void {
    this.host.current().services.wheel.disarm(this);
  }

  onDeadline(): void {
    const { headerTimeoutMs, idleTimeoutMs } = this.host.current().limits;
    switch (this.awaited) {
      case FOR_HEAD:
        if (this.isOver(headerTimeoutMs)) this.client.headIsLate();
        return;
      case FOR_REQUEST:
        return this.loseAfter(this.served ? idleTimeoutMs : headerTimeoutMs);
      case FOR_REST:
        return this.loseAfter(idleTimeoutMs);
      case FOR_END:
        return performance.now() >= this.untilMs ? this.client.lose() : this.loseAfter(LINGER_QUIET_MS);
      default:
        if (this.backlogBytes > 0) this.whenUnread(idleTimeoutMs);
        else if (this.isHalfClosed) this.whenHalfClosed();
    }
  }

  /** The client does not read its response: cut when it has taken nothing for so long. */
  private whenUnread(limitMs: number): void {
    const { pending } = this.client;
    if (pending >= this.backlogBytes) return this.loseAfter(limitMs);
    this.backlogBytes = pending;
    this.sinceMs = performance.now();
    this.arm(limitMs);
  }

  private whenHalfClosed(): void {
    if (this.client.answeredBytes === this.answeredBytes) this.loseAfter(HALF_CLOSED_MS_MAX);
    else this.halfClosed();
  }

  private loseAfter(limitMs: number): void {
    if (this.isOver(limitMs)) this.client.lose();
  }

  /** Else it is looked at again when it may be. */
  private isOver(limitMs: number): boolean {
    const leftMs = limitMs - (performance.now() - this.sinceMs);
    if (leftMs <= 0) return true;
    this.arm(leftMs);
    return false;
  }

  private arm(ms: number): void {
    this.host.current().services.wheel.arm(this, ms);
  }
}
