// Decides by the first bytes of a connection without TLS whether its client speaks HTTP/2 (prior knowledge, RFC 9113 section 3.3), where the listener has
// `h2c`. Until then nobody else reads it; whoever takes it gets all of the bytes. Must never keep a client that does not say which.
import { type TimerWheel, WheelEntry } from "../../../base/timer-wheel.ts";
import type { Channel, ProtocolName, ServedConnection } from "./channel.ts";

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

export class PriorKnowledge extends WheelEntry implements ServedConnection {
  readonly #channel: Channel;
  readonly #wheel: TimerWheel;
  readonly #decided: (protocol: ProtocolName) => void;
  /** Of the preface, what has come. */
  #matched = 0;

  /**
   * @param clock.withinMs time until it is decided
   * @param decided whoever serves the channel from then on sets its reader before this returns; called once at most
   */
  constructor(
    channel: Channel,
    clock: { readonly wheel: TimerWheel; readonly withinMs: number },
    decided: (protocol: ProtocolName) => void,
  ) {
    super();
    this.#channel = channel;
    this.#wheel = clock.wheel;
    this.#decided = decided;
    channel.reader = this;
    channel.resume();
    this.#wheel.arm(this, clock.withinMs);
  }

  received(buffer: Buffer, length: number): void {
    const compared = Math.min(length, PREFACE.length - this.#matched);
    const isPreface = buffer.compare(PREFACE, this.#matched, this.#matched + compared, 0, compared) === 0;
    const before = this.#matched;
    if (isPreface) this.#matched += compared;
    if (isPreface && this.#matched < PREFACE.length) return;
    this.#wheel.disarm(this);
    this.#decided(isPreface ? "h2" : "http/1.1");
    const { reader } = this.#channel;
    if (before > 0 && !this.#channel.closed) reader.received(Buffer.from(PREFACE.subarray(0, before)), before);
    if (!this.#channel.closed) this.#channel.reader.received(buffer, length);
  }

  /** It has said too little for either. */
  ended(): void {
    this.#channel.destroy();
  }

  drained(): void {}

  closed(): void {
    this.#wheel.disarm(this);
  }

  onDeadline(): void {
    this.#channel.destroy();
  }

  withdraw(): void {
    this.#channel.destroy();
  }

  /** Who takes the connection looks at `host.draining` first. */
  drain(): void {}

  endWebSocket(): void {}
}
