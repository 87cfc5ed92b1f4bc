// One client connection that speaks HTTP/2 (RFC 9113): makes an exchange of each request, has it admitted and handled, and sees to it that the client neither
// stalls what it has asked for nor outstays its time. Frames, windows and floods are the core's. Must never keep what it was lent.
import { Http2Connection, type Http2Host } from "../../../base/http2/connection.ts";
import type { Http2Wire } from "../../../base/http2/frame-writer.ts";
import type { HeaderSection } from "../../../base/http2/header-section.ts";
import { ERROR_CODE } from "../../../base/http2/protocol.ts";
import type { Http2Stream } from "../../../base/http2/stream.ts";
import { flushAfterTurn } from "../../../base/http2/turn-flush.ts";
import { WheelEntry } from "../../../base/timer-wheel.ts";
import { atTurnEnd, nowMs, type TurnTask } from "../../../base/turn-clock.ts";
import type { LimitsPlan } from "../../../plan/limits-plan.ts";
import type { UpgradedUpstream } from "../../exchange/exchange.ts";
import type { Refusal } from "../../exchange/refusal.ts";
import type { ListenerHost } from "../listener.ts";
import type { Channel, ConnectionTerms, ServedConnection } from "../net/channel.ts";
import { Http2Admission } from "./admission.ts";
import { boundsFor } from "./bounds.ts";
import { type ExchangeConnection, Http2Exchange } from "./exchange.ts";
import { RequestStream } from "./request-stream.ts";
import { StalledResponses } from "./stalled-responses.ts";
import { WebSocketStream } from "./web-socket-stream.ts";

/** From here on a write is not copied: what the kernel does not take of it is kept. */
const KEPT_BYTES_MIN = 16 * 1024;
/** While so much waits for a client to read, its requests are refused (REFUSED_STREAM). */
const UNREAD_BYTES_MAX = 256 * 1024;
/** How long (ms) a connection is read on behind its GOAWAY and the end of what it carried, in all. */
const LINGER_MS_MAX = 2000;
/** A client that is told to go (GOAWAY) and has nothing under way gets so long (ms) to be heard of. */
const DRAIN_QUIET_MS = 2000;
/** Who has sent FIN may still take what it has asked for; so long (ms) without a byte of it, it is taken to have gone. */
const HALF_CLOSED_MS_MAX = 2000;

const BROKEN: Refusal = { code: "internal_error", detail: "" };
const MISDIRECTED: Refusal = { code: "misdirected_request", detail: "" };

export class ServedHttp2Connection extends WheelEntry implements ServedConnection, ExchangeConnection, Http2Host, Http2Wire, TurnTask {
  readonly channel: Channel;
  readonly core: Http2Connection;
  private readonly host: ListenerHost;
  private readonly terms: ConnectionTerms;
  private readonly admission: Http2Admission;
  private readonly stalled = new StalledResponses();
  private readonly webSockets = new Set<WebSocketStream>();
  /** What came is being gone through; exchanges that hold some of it. */
  private reading = false;
  private arrived: Http2Exchange[] = [];
  /** Exchanges that are not finished. */
  private handled = 0;
  /** The client may not use it any longer. */
  private withdrawn = false;
  private halfClosed = false;

  // nowMs() of what is awaited; the wheel's entry is always armed, and looks at all of it when it fires.
  /** When nothing was under way any more. */
  private quietSinceMs: number;
  /** Of the field block that was cut and whose rest is awaited, the stream (0 for none), and when it began. */
  private cutBlockId = 0;
  private blockSinceMs = 0;
  private drainSinceMs = 0;
  private endedMs = 0;
  private writtenBytes = 0;
  /** What the kernel had taken when that last changed, and when it did. */
  private takenBytes = 0;
  private takenMs: number;

  constructor(channel: Channel, host: ListenerHost, terms: ConnectionTerms) {
    super();
    this.channel = channel;
    this.host = host;
    this.terms = terms;
    this.admission = new Http2Admission(host, channel);
    this.core = new Http2Connection(this, this, { isServer: true, bounds: boundsFor(this.limits) });
    this.quietSinceMs = this.takenMs = nowMs();
    this.core.start(this.quietSinceMs);
    this.arm(this.limits.headerTimeoutMs);
    channel.reader = this;
    channel.resume();
    if (host.draining) this.drain();
  }

  private get limits(): LimitsPlan {
    return this.host.current().limits;
  }

  // --- ChannelReader ---

  received(buffer: Buffer, length: number): void {
    const { core } = this;
    this.reading = true;
    try {
      core.receive(buffer, length, nowMs());
      this.reading = false;
      if (this.arrived.length > 0) this.deliverArrived();
    } catch (error) {
      this.reading = false;
      this.host.current().services.reportFault("reading a client's connection failed", error, "");
      core.fail(ERROR_CODE.internalError, "");
    }
    if (core.cutBlockId !== this.cutBlockId) this.watchBlock();
  }

  /** Another field block is cut, or none any more. */
  private watchBlock(): void {
    this.cutBlockId = this.core.cutBlockId;
    this.blockSinceMs = nowMs();
    if (this.cutBlockId !== 0) this.arm(this.limits.headerTimeoutMs);
  }

  ended(): void {
    if (this.core.over) return;
    this.halfClosed = true;
    this.takenMs = nowMs();
    if (this.isIdle) this.lose("the client has closed the connection");
    else this.arm(HALF_CLOSED_MS_MAX);
  }

  drained(): void {
    this.core.drained();
  }

  closed(): void {
    this.host.current().services.wheel.disarm(this);
    this.core.lost("the client has closed the connection");
  }

  // --- ServedConnection ---

  withdraw(): void {
    if (this.withdrawn) return;
    this.withdrawn = true;
    this.drain();
    for (const each of this.webSockets) each.tunnel.withdraw();
  }

  drain(): void {
    if (this.core.over || this.core.draining) return;
    this.core.drain();
    this.drainSinceMs = nowMs();
    this.arm(DRAIN_QUIET_MS);
  }

  endWebSocket(): void {
    for (const each of this.webSockets) each.tunnel.sayGoodbye();
  }

  // --- Http2Wire ---

  send(bytes: Buffer): boolean {
    this.writtenBytes += bytes.length;
    if (bytes.length >= KEPT_BYTES_MIN) return this.channel.write(bytes, true);
    this.channel.write(bytes);
    return true;
  }

  get pending(): number {
    return this.channel.pending;
  }

  /** With one request under way nobody else's frames could share the write: it need not wait for the event loop to come round. */
  flushLater(): void {
    if (this.core.streams.size > 1) flushAfterTurn(this);
    else atTurnEnd(this);
  }

  turnEnded(): void {
    this.core.flush();
  }

  flush(): void {
    this.core.flush();
  }

  pause(): void {
    this.channel.pause();
  }

  resume(): void {
    this.channel.resume();
  }

  end(): void {
    this.endedMs = nowMs();
    this.channel.end();
    this.arm(LINGER_MS_MAX);
  }

  // --- Http2Host ---

  opened(): Http2Stream | null {
    if (!this.withdrawn && this.channel.pending <= UNREAD_BYTES_MAX && !this.stalled.isFull) return new RequestStream(this.takeRequest);
    this.host.current().services.recordClientFault("refused", this.channel.peer, "it does not read what it has asked for");
    return null;
  }

  streamOver(stream: Http2Stream): void {
    (stream as RequestStream).receiver?.streamOver(); // of opened()
    this.quiet();
  }

  failed(code: number, reason: string): void {
    if (code === ERROR_CODE.noError) return;
    const kind = code === ERROR_CODE.enhanceYourCalm ? "flood" : code === ERROR_CODE.settingsTimeout ? "slow" : "protocol";
    this.host.current().services.recordClientFault(kind, this.channel.peer, reason);
  }

  settled(): void {}
  goneAway(): void {}
  ponged(): void {}

  // --- Requests ---

  private readonly takeRequest = (stream: RequestStream, section: HeaderSection, ended: boolean): void => {
    const { host } = this;
    const x = new Http2Exchange(host.current(), stream, this);
    stream.receiver = x;
    this.handled++;
    x.secure = this.channel.secure;
    x.listener = host.name;
    const refusal = this.admit(x, section, ended);
    if (!ended && (!x.bodyDone || x.wantsWebSocket)) stream.pause();
    if (this.terms.nextIsLast()) this.drain();
    if (refusal !== null) host.refuse(x, refusal);
    else if (this.admission.isServerOptions) host.answerServerOptions(x);
    else host.handle(x);
  };

  private admit(x: Http2Exchange, section: HeaderSection, ended: boolean): Refusal | null {
    try {
      return this.admission.admit(x, section, ended) ?? (this.terms.answersFor(x.host) ? null : MISDIRECTED);
    } catch (error) {
      x.runtime.services.reportFault("admitting a request failed", error, x.requestId);
      return BROKEN;
    }
  }

  private deliverArrived(): void {
    const { arrived } = this;
    this.arrived = [];
    for (const x of arrived) x.deliverArrived();
  }

  // --- ExchangeConnection ---

  holdArrived(x: Http2Exchange): boolean {
    if (this.reading) this.arrived.push(x);
    return this.reading;
  }

  awaitDrain(x: Http2Exchange): void {
    this.stalled.add(x, nowMs());
  }

  flows(x: Http2Exchange): void {
    this.stalled.delete(x);
  }

  exchangeOver(): void {
    this.handled--;
    this.core.release();
    this.quiet();
  }

  acceptWebSocket(x: Http2Exchange, upstream: UpgradedUpstream): void {
    const webSocket = new WebSocketStream(x, upstream, this.core, () => {
      this.webSockets.delete(webSocket);
      x.tunnelOver();
    });
    this.webSockets.add(webSocket);
    webSocket.open();
    if (this.withdrawn) webSocket.tunnel.withdraw();
  }

  // --- Ends and deadlines ---

  private get isIdle(): boolean {
    return this.handled === 0 && this.core.streams.size === 0;
  }

  private quiet(): void {
    if (this.isIdle) this.quietSinceMs = nowMs();
  }

  private lose(reason: string): void {
    this.channel.destroy();
    this.core.lost(reason);
  }

  private arm(ms: number): void {
    if (!this.channel.closed) this.host.current().services.wheel.arm(this, ms);
  }

  onDeadline(): void {
    const now = performance.now();
    if (this.core.over) return this.whenOver(now);
    const { headerTimeoutMs, idleTimeoutMs } = this.limits;
    const { core } = this;
    let next = now + idleTimeoutMs;
    /** @returns whether the time is over that began then */
    const over = (sinceMs: number, limitMs: number): boolean => {
      if (now >= sinceMs + limitMs) return true;
      next = Math.min(next, sinceMs + limitMs);
      return false;
    };
    if (core.settingsSentMs > 0 && over(core.settingsSentMs, headerTimeoutMs))
      return core.fail(ERROR_CODE.settingsTimeout, "the preface or the acknowledgement of SETTINGS did not arrive in time");
    if (this.cutBlockId !== 0 && over(this.blockSinceMs, headerTimeoutMs))
      return core.fail(ERROR_CODE.enhanceYourCalm, "a field block did not arrive in time");
    if (this.isStalled(now, over)) return;
    if (this.isIdle && over(this.quietSinceMs, idleTimeoutMs)) this.drain();
    if (this.drainSinceMs > 0 && this.isIdle && over(Math.max(this.quietSinceMs, this.drainSinceMs), DRAIN_QUIET_MS))
      return core.fail(ERROR_CODE.noError, "");
    const dueMs = this.stalled.resetSlow(now, idleTimeoutMs);
    this.arm(Math.max(0, Math.min(next, dueMs) - now));
  }

  /** The client takes nothing of what is written to it. @returns true when it was let go for that */
  private isStalled(now: number, over: (sinceMs: number, limitMs: number) => boolean): boolean {
    const taken = this.writtenBytes - this.channel.pending;
    if (taken !== this.takenBytes || (this.channel.pending === 0 && !this.halfClosed)) {
      this.takenBytes = taken;
      this.takenMs = now;
    }
    if (!over(this.takenMs, this.halfClosed ? HALF_CLOSED_MS_MAX : this.limits.idleTimeoutMs)) return false;
    if (!this.halfClosed) this.host.current().services.recordClientFault("slow", this.channel.peer, "it takes nothing of its responses");
    this.lose("the client takes nothing of its responses");
    return true;
  }

  /** The end has been written: what still comes is dropped, for a while. */
  private whenOver(now: number): void {
    if (now - this.endedMs >= LINGER_MS_MAX) this.channel.destroy();
    else this.arm(LINGER_MS_MAX - now + this.endedMs);
  }
}
