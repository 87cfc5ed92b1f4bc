// One stream of a client's connection (RFC 9113 section 5): hands what comes on it to whoever serves it at the time, the exchange or a tunnel.
import type { HeaderSection } from "../../../base/http2/header-section.ts";
import { Http2Stream, type StreamReset } from "../../../base/http2/stream.ts";

/** Serves a stream. Must not throw. */
export interface StreamReceiver {
  /** @param chunk lent */
  data(chunk: Buffer): void;
  ended(trailers: HeaderSection | null): void;
  wasReset(reset: StreamReset): void;
  drained(): void;
  /** Both sides are over, or one was reset: nothing more is said, but for wasReset(). */
  streamOver(): void;
}

/** A request has come. */
export type TakeRequest = (stream: RequestStream, section: HeaderSection, ended: boolean) => void;

export class RequestStream extends Http2Stream {
  receiver: StreamReceiver | null = null;
  private readonly take: TakeRequest;

  constructor(take: TakeRequest) {
    super();
    this.take = take;
  }

  override onHead(section: HeaderSection, ended: boolean): void {
    this.take(this, section, ended);
  }

  override onData(chunk: Buffer): void {
    this.receiver?.data(chunk);
  }

  override onEnd(trailers: HeaderSection | null): void {
    this.receiver?.ended(trailers);
  }

  override onReset(reset: StreamReset): void {
    this.receiver?.wasReset(reset);
  }

  override onDrained(): void {
    this.receiver?.drained();
  }
}
